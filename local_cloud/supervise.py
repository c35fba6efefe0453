"""Keep the parts running: supervisord restarts what was killed; order and readiness are ours."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterable
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import psutil
import requests

from helpers.environment import local
from local_cloud.part import Part
from local_cloud.state import State, Stop, is_free, write_private

SOCKET = "supervisor.sock"
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


def _call(state: State, method: str, *args: Any) -> Any:
    proxy = xmlrpc.client.ServerProxy("http://localhost", transport=_UnixTransport(state.socket(SOCKET)))
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


def check_listeners(state: State, ports: Iterable[int]) -> None:
    """Raise unless only this cloud listens on its ports: call it before a password or token is sent there.

    ConnectionError when nobody listens, Stop when another program does.
    """
    for port in ports:
        if is_free(port):
            raise ConnectionError(f"nothing listens on port {port}")
        for pid in _listeners(port):
            if not _is_ours(state, pid):
                who = f"process {pid}" if pid else "a program of another user"
                raise Stop(
                    f"port {port} of this cloud is taken by {who}, which would receive its passwords: "
                    "end that program, or run `make down` and `make up`, which choose a free port"
                )


def ask(state: State, name: str, method: str, path: str, **sent: Any) -> tuple[int, Any]:
    """Status and JSON of one request with a secret in it to a part, sent only while that part has its port.

    An answer that is no JSON is the value of `message`. ConnectionError and Stop as from `check_listeners`;
    what `requests` raises is an OSError too.
    """
    port = state.port(name)
    check_listeners(state, [port])
    with requests.Session() as session:
        session.trust_env = False  # no proxy, and no password from .netrc
        answer = session.request(method, f"http://127.0.0.1:{port}{path}", **sent)
    try:
        return answer.status_code, json.loads(answer.text or "{}")
    except ValueError:
        return answer.status_code, {"message": answer.text[:500]}


def _listeners(port: int) -> set[int | None]:
    """The processes that listen on a port; None for one that only another user may see."""
    try:
        found = [(c, c.pid) for c in psutil.net_connections("tcp")]
    except psutil.AccessDenied:  # macOS shows a user's own processes only
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                found += [(c, process.pid) for c in process.net_connections("tcp")]
    return {pid for c, pid in found if c.status == psutil.CONN_LISTEN and c.laddr.port == port}


def _is_ours(state: State, pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        process = psutil.Process(pid)
        return process.uids().real == os.getuid() and _mark(process)[0] == str(state.home)
    except psutil.NoSuchProcess:  # ended since, so it receives nothing
        return True


def surroundings(state: State, mark: str) -> dict[str, str]:
    """What a program of the cloud sees: this environment without the reader's own AWS and Spark."""
    # The reader's own Spark is not ours: SPARK_REMOTE alone would keep the server from starting.
    kept = {n: v for n, v in local(os.environ).items() if not n.startswith(("SPARK_", "PYSPARK_"))}
    return kept | {"LOCAL_CLOUD_HOME": str(state.home), MARK: mark}


def launch(state: State, parts: list[Part]) -> None:
    """Start supervisord with every part known and none started."""
    write_private(state.path("supervisord.conf"), _configuration(state, parts))
    state.path("logs").mkdir(mode=0o700, exist_ok=True)
    # SPT_NOENV: Airflow's processes set a title, which shall not replace their mark.
    done = subprocess.run(
        [sys.executable, "-m", "supervisor.supervisord", "-c", str(state.path("supervisord.conf"))],
        cwd=state.home,
        env=surroundings(state, "supervisord") | {"PYTHONUNBUFFERED": "1", "SPT_NOENV": "1"},
        capture_output=True,
        text=True,
        check=False,
        umask=0o077,
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
    if is_up(state):
        until = time.monotonic() + seconds
        with contextlib.suppress(psutil.NoSuchProcess):
            daemon = psutil.Process(_call(state, "getPID"))
            _stop_parts(state, until)
            _call(state, "shutdown")
            # It takes its socket and its pid file away before it ends.
            while _mark(daemon)[1] and time.monotonic() < until:
                time.sleep(0.02)
    left = leftovers(state)
    names = sorted({_mark(process)[1] for process in left} - {""})
    for process in left:
        process.send_signal(signal.SIGTERM)
    _, alive = psutil.wait_procs(left, timeout=20)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=5)
    file = state.socket(SOCKET)
    file.unlink(missing_ok=True)
    if file.parent != state.home:
        shutil.rmtree(file.parent)
    return names


def _stop_parts(state: State, until: float) -> None:
    """Stop the parts rank by rank, those of one rank side by side; supervisord kills what takes too long."""
    ranks = {config["name"]: config["process_prio"] for config in _call(state, "getAllConfigInfo")}
    for rank in sorted(set(ranks.values()), reverse=True):
        names = [name for name in ranks if ranks[name] == rank and status(state)[name]["pid"]]
        for name in names:
            with contextlib.suppress(xmlrpc.client.Fault):  # ended by itself since
                _call(state, "stopProcess", name, False)
        # Each question also wakes supervisord, which otherwise looks once a second.
        while any(status(state)[name]["pid"] for name in names) and time.monotonic() < until:
            time.sleep(0.02)


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
umask=077
[unix_http_server]
file={state.socket(SOCKET)}
chmod=0700
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
    ]
    rank: dict[str, int] = {}  # what needs others stops before them
    needs = {part.name: part.needs for part in parts}
    for name in TopologicalSorter(needs).static_order():
        rank[name] = 1 + max((rank[need] for need in needs.get(name, ())), default=0)
    for part in parts:
        environment = {**part.env, MARK: part.name, "LOCAL_CLOUD_HOME": str(state.home)}
        pairs = ",".join(f"{key}={_quoted(value)}" for key, value in environment.items())
        sections.append(
            f"""[program:{part.name}]
command={" ".join(map(_quoted, part.command))}
environment={pairs}
directory={part.folder or state.home}
priority={rank[part.name]}
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
