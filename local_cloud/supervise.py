"""Keep the parts running: supervisord restarts what was killed; order and readiness are ours."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import xmlrpc.client
from pathlib import Path
from typing import Any

import psutil

from local_cloud.part import Part
from local_cloud.state import State, write_private

MARK = "LOCAL_CLOUD_PART"  # in the environment of every process of a local cloud, beside LOCAL_CLOUD_HOME


class _UnixTransport(xmlrpc.client.Transport):
    """XML-RPC over supervisord's own socket file, which only its owner may open."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("localhost", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(60)
        connection.sock.connect(str(self.path))
        return connection


def socket_path(state: State) -> Path:
    """Supervisord's socket; the path of a deep state folder would not fit, so it then lies in /tmp."""
    path = state.path("supervisor.sock")
    if len(str(path)) < 95:
        return path
    import hashlib
    import tempfile

    short = hashlib.sha256(str(state.home).encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"workbook-{os.getuid()}-{short}.sock"


def _call(state: State, method: str, *args: Any) -> Any:
    proxy = xmlrpc.client.ServerProxy("http://localhost", transport=_UnixTransport(socket_path(state)))
    return getattr(proxy.supervisor, method)(*args)


def is_up(state: State) -> bool:
    """True while this state folder's supervisord answers."""
    try:
        return bool(_call(state, "getState")["statename"] == "RUNNING")
    except (OSError, xmlrpc.client.Error, http.client.HTTPException):
        return False


def start(state: State, name: str) -> None:
    """Start one part if it is not running."""
    try:
        _call(state, "startProcess", name, False)
    except xmlrpc.client.Fault as fault:
        if "ALREADY_STARTED" not in fault.faultString:
            raise RuntimeError(f"{name}: {fault.faultString}") from None


def stop(state: State, name: str) -> None:
    """Stop one part by SIGTERM and wait for its end."""
    try:
        _call(state, "stopProcess", name, True)
    except xmlrpc.client.Fault as fault:
        if "NOT_RUNNING" not in fault.faultString:
            raise RuntimeError(f"{name}: {fault.faultString}") from None


def status(state: State) -> dict[str, dict[str, Any]]:
    """Name -> supervisord's word on it (statename, pid, start); empty when nothing is up."""
    if not is_up(state):
        return {}
    return {info["name"]: info for info in _call(state, "getAllProcessInfo")}


def launch(state: State, parts: list[Part]) -> None:
    """Start supervisord with every part known and none started."""
    write_private(state.path("supervisord.conf"), _configuration(state, parts))
    state.path("logs").mkdir(exist_ok=True)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AWS_ENDPOINT_URL")}
    environment.pop("AWS_PROFILE", None)
    environment |= {"LOCAL_CLOUD_HOME": str(state.home), MARK: "supervisord", "PYTHONUNBUFFERED": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "supervisor.supervisord", "-c", str(state.path("supervisord.conf"))],
        cwd=state.home,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the supervisor did not start: {(done.stderr or done.stdout).strip()[-600:]}")
    until = time.monotonic() + 20
    while not is_up(state):
        if time.monotonic() > until:
            raise RuntimeError(f"the supervisor does not answer; see {state.log('supervisord')}")
        time.sleep(0.05)


def shut_down(state: State, seconds: float = 40) -> list[str]:
    """Stop every part in order and the supervisor; returns the names of left-overs that were ended."""
    daemon = state.path("supervisord.pid")
    if is_up(state):
        _call(state, "shutdown")
        until = time.monotonic() + seconds
        while (is_up(state) or daemon.exists()) and time.monotonic() < until:
            time.sleep(0.1)
    left = leftovers(state)
    names = sorted({_mark(process)[1] for process in left} - {""})
    for process in left:
        process.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs(left, timeout=20)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=5)
    socket_path(state).unlink(missing_ok=True)
    return names


def leftovers(state: State) -> list[psutil.Process]:
    """This state folder's processes, whoever their parent is now; never those of another checkout."""
    return [p for p in psutil.process_iter() if p.pid != os.getpid() and _mark(p)[0] == str(state.home)]


def ports_of_others(state: State) -> set[int]:
    """Ports that other running clouds of this user have written down, listening or not."""
    homes = {_mark(process)[0] for process in psutil.process_iter()} - {"", str(state.home)}
    files = [Path(home, "ports.json") for home in homes]
    return {int(port) for file in files if file.exists() for port in json.loads(file.read_text()).values()}


def _mark(process: psutil.Process) -> tuple[str, str]:
    try:
        environment = process.environ()
    except (psutil.Error, OSError):
        return "", ""
    if MARK not in environment:
        return "", ""
    return environment.get("LOCAL_CLOUD_HOME", ""), environment[MARK]


def _quoted(value: str) -> str:
    return '"' + value.replace("%", "%%").replace('"', '\\"') + '"'


def _configuration(state: State, parts: list[Part]) -> str:
    sections = [
        f"""[supervisord]
logfile={state.log("supervisord")}
logfile_maxbytes=1MB
logfile_backups=1
pidfile={state.path("supervisord.pid")}
childlogdir={state.path("logs")}
nodaemon=false
[unix_http_server]
file={socket_path(state)}
chmod=0700
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
    ]
    for rank, part in enumerate(parts):
        environment = {**part.env, MARK: part.name, "LOCAL_CLOUD_HOME": str(state.home)}
        pairs = ",".join(f"{key}={_quoted(value)}" for key, value in environment.items())
        command = " ".join(_quoted(word) if " " in word else word.replace("%", "%%") for word in part.command)
        sections.append(
            f"""[program:{part.name}]
command={command}
environment={pairs}
directory={part.folder or state.home}
priority={100 + rank}
autostart=false
autorestart=true
startsecs=1
startretries=20
stopsignal=TERM
stopwaitsecs={part.stop_seconds}
redirect_stderr=true
stdout_logfile={state.log(part.name)}
stdout_logfile_maxbytes=5MB
stdout_logfile_backups=1
"""
        )
    return "\n".join(sections)
