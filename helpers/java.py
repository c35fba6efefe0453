"""The one choice of Java: version 17 or newer, the machine's own, else the one that `make setup` fetched."""

import functools
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from helpers.config import ROOT, ConfigError

MINIMUM = 17  # what Spark 4 and Kafka 4 ask for
FETCHED = ROOT / ".local" / "tools" / "java"
INSTALLED = ("/usr/lib/jvm/*", "/Library/Java/JavaVirtualMachines/*/Contents/Home")


def java_home() -> Path:
    """The folder that JAVA_HOME has to name; ConfigError says which old Java was found instead."""
    if found := usable():
        return found
    raise ConfigError(f"{lacking()}: run `make setup`, which fetches one, or set JAVA_HOME.")


def usable() -> Path | None:
    """The home of the first Java that is new enough; None when there is none."""
    return next((home for home, version in candidates() if version >= MINIMUM), None)


def lacking() -> str:
    """What is wrong when no Java can be used."""
    old = [f"Java {version} found at {home}" for home, version in candidates() if version]
    return f"{old[0]}, {MINIMUM} or newer is needed" if old else f"No Java {MINIMUM} or newer was found"


def candidates() -> Iterator[tuple[Path, int]]:
    """(home, version) of JAVA_HOME, every java on PATH, the usual folders and the fetched one, in this order.

    The version is 0 where no Java runs.
    """
    if named := os.environ.get("JAVA_HOME"):
        home = Path(named.removesuffix("/"))
        home = home.parent if home.name == "bin" else home
        yield home, ask(home / "bin" / "java")[0]
    for folder in filter(None, os.environ.get("PATH", "").split(os.pathsep)):
        if (program := Path(folder, "java")).is_file():
            version, told = ask(program)  # of a link or a version manager's script: where Java itself lies
            yield told if told and told.is_dir() else program.resolve().parents[1], version
    for home in [*(place for pattern in INSTALLED for place in sorted(Path("/").glob(pattern[1:]))), FETCHED]:
        if (home / "bin" / "java").is_file():
            yield home, ask(home / "bin" / "java")[0]


@functools.cache
def ask(program: Path) -> tuple[int, Path | None]:
    """The major version of a java program and the home that it tells of; 0 and None when it does not run."""
    command = [str(program), "-XshowSettings:properties", "-version"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0, None
    said = (done.stderr + done.stdout).decode(errors="replace")
    version = re.search(r'version "(?:1\.)?(\d+)', said)
    home = re.search(r"^\s*java\.home = (.+)$", said, re.MULTILINE)
    number = int(version[1]) if version and done.returncode == 0 else 0
    return number, Path(home[1].strip()) if home else None
