"""Where one local cloud keeps its things: ports, secrets, logs and data, all below one folder."""

import contextlib
import errno
import hashlib
import json
import os
import secrets
import socket
import stat
from collections.abc import Set
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ROOT / ".local" / "tools"  # programs, shared by every state folder of this checkout

# Preferred ports; a busy one is replaced by a free one and written down.
PORTS = {
    "mariadb": 3307,
    "aws": 4566,
    "control": 4567,
    "gateway": 4568,
    "databricks": 4569,
    "airflow": 8080,
    "rest_proxy": 8082,
    "connect": 8083,
    "kafka_controller": 9093,
    "kafka_internal": 9094,
    "kafka": 9098,
    "spark": 15002,
}
SECRETS = (
    "mariadb_root",
    "mariadb_reader",
    "kafka_admin",
    "connect_rest",
    "reader_key_id",
    "reader_secret",
    "identity_seed",
    "databricks_token",
    "airflow",
    "spark",
)
LONGEST_SOCKET = 95  # bytes of a path; the system's limit is 104 or 108, and supervisord appends a number


class Stop(RuntimeError):
    """A problem the user can mend; the message says how."""


def home() -> Path:
    """The state folder: LOCAL_CLOUD_HOME, or .local in the project."""
    return Path(os.environ.get("LOCAL_CLOUD_HOME") or ROOT / ".local").resolve()


def make_private(folder: Path) -> None:
    """Make a state folder that nobody else can read; one that is open is closed with all that it holds."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not folder.stat().st_mode & 0o077:
        return
    for place, folders, files in os.walk(folder):
        if Path(place) == TOOLS.parent and TOOLS.name in folders:
            folders.remove(TOOLS.name)  # holds no secret, and much
        for path in (Path(place, name) for name in (*folders, *files)):
            with contextlib.suppress(FileNotFoundError):  # a program may be at work there
                mode = path.lstat().st_mode
                if mode & 0o077 and not stat.S_ISLNK(mode):
                    path.chmod(stat.S_IMODE(mode) & 0o700)
    folder.chmod(0o700)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, in one step, so that no reader sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    part.replace(path)


def is_free(port: int) -> bool:
    """True when nothing listens on this loopback port, neither by IPv4 nor, for `localhost`, by IPv6."""
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:  # any other: a machine without IPv6
                return False
    return True


def free_port(taken: set[int]) -> int:
    """A loopback port that nothing listens on and that is not in `taken`."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in taken and is_free(port):
            return port


class State:
    """One local cloud on disk: its folder, recorded ports and generated secrets."""

    def __init__(self, folder: Path | None = None) -> None:
        self.home = folder or home()
        self._ports = self._read("ports.json")
        self._secrets = self._read("secrets.json")

    def _read(self, name: str) -> dict:
        file = self.home / name
        return json.loads(file.read_text()) if file.exists() else {}

    def path(self, *parts: str) -> Path:
        """A path below the state folder."""
        return self.home.joinpath(*parts)

    def log(self, name: str) -> Path:
        """The log file of one part."""
        return self.path("logs", f"{name}.log")

    def socket(self, name: str) -> Path:
        """The path of a socket; one too long for the system lies in a short folder that only we can enter."""
        path = self.path(name)
        if len(os.fsencode(path)) <= LONGEST_SOCKET:
            return path
        number = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]
        folder = Path(f"/tmp/workbook-{os.getuid()}-{number}")  # not TMPDIR: the next shell's may differ
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise Stop(
                f"{self.home} is too deep for sockets, and {folder}, where they would lie, is not a folder "
                "of yours alone: set LOCAL_CLOUD_HOME to a folder with a shorter path"
            )
        return folder / name

    def port(self, name: str) -> int:
        """The recorded port of a part; KeyError when no `up` has chosen one yet."""
        return int(self._ports[name])

    def secret(self, name: str) -> str:
        """A secret made at the first `up`."""
        return str(self._secrets[name])

    def choose_ports(self, names: list[str], others: Set[int] = frozenset()) -> None:
        """Keep each recorded port that is free, else take the preferred or any free one; write them down.

        `others` belong to another cloud of this machine, also while a part of it is being restarted.
        """
        taken = set(self._ports.values()) | others
        for name in names:
            wanted = self._ports.get(name, PORTS[name])
            if wanted in taken - {self._ports.get(name)} | others or not is_free(wanted):
                wanted = free_port(taken)
            self._ports[name] = wanted
            taken.add(wanted)
        write_private(self.path("ports.json"), json.dumps(self._ports, indent=1))

    def make_secrets(self) -> None:
        """Make every secret that does not exist yet."""
        for name in SECRETS:
            if name not in self._secrets:
                made = secrets.token_hex(20)
                self._secrets[name] = f"AKIA{made[:16].upper()}" if name.endswith("key_id") else made
        write_private(self.path("secrets.json"), json.dumps(self._secrets, indent=1))
