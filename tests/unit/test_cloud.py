"""The life of a local cloud without its programs: order, refusals, ports, sockets, who may read."""

import os
import socket
import stat
import subprocess
import sys
import threading
from collections import namedtuple
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from helpers import wait
from local_cloud import __main__, client_machine, cloud, supervise
from local_cloud import state as state_module
from local_cloud.part import Part
from local_cloud.parts.kafka import as_properties
from local_cloud.stand_ins.msk_connect import connect_runtime
from local_cloud.stand_ins.mwaa.airflow_runtime import Runtime
from local_cloud.state import PORTS, State, Stop, free_port, is_free, make_private

Usage = namedtuple("Usage", "free available")


def part(name: str, *needs: str, **settings: object) -> Part:
    return Part(name, "stand-in", name, [sys.executable, "program.py"], lambda: None, needs=needs, **settings)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server of this process, which belongs to no cloud."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_part_starts_once_its_needs_are_ready_and_waits_for_no_other(tmp_path, monkeypatch, capsys):
    after_slow, events = threading.Event(), []

    def bring_up(_: State, part: Part) -> str:
        events.append(f"start {part.name}")
        if part.name == "slow":
            assert after_slow.wait(10), "`last` has to start while `slow` is still starting"
        if part.name == "last":
            after_slow.set()
        events.append(f"ready {part.name}")
        return "0.0 s"

    monkeypatch.setattr(cloud, "bring_up", bring_up)
    parts = [part("last", "middle"), part("middle", "first", "off"), part("slow"), part("first")]
    cloud.start_parts(State(tmp_path), {each.name: each for each in parts})
    order = [event for event in events if "slow" not in event]
    assert order == [f"{what} {name}" for name in ("first", "middle", "last") for what in ("start", "ready")]
    assert len(capsys.readouterr().out.splitlines()) == 4


def test_a_part_that_fails_keeps_those_that_need_it_from_starting(tmp_path, monkeypatch):
    started = []

    def bring_up(_: State, part: Part) -> str:
        started.append(part.name)
        raise Stop("it does not work")

    monkeypatch.setattr(cloud, "bring_up", bring_up)
    with pytest.raises(Stop, match="does not work"):
        cloud.start_parts(State(tmp_path), {"a": part("a"), "b": part("b", "a")})
    assert started == ["a"]


@pytest.mark.parametrize(
    ("free", "available", "message"),
    [
        (2 * 2**30 - 1, 2**40, r"only 2.0 GiB free at .*: 2 GiB are needed; free some disk"),
        (2**40, 3 * 2**30 - 1, r"only 3.0 GiB of memory available: 3 GiB are needed; close other programs"),
        (2 * 2**30, 3 * 2**30, None),
    ],
    ids=["disk", "memory", "enough"],
)
def test_a_machine_that_is_too_small_is_refused_with_the_remedy(
    tmp_path, monkeypatch, free, available, message
):
    monkeypatch.setattr(cloud.tools, "java", lambda: Path("java"))
    monkeypatch.setattr(cloud.shutil, "disk_usage", lambda _: Usage(free, 0))
    monkeypatch.setattr(cloud.psutil, "virtual_memory", lambda: Usage(0, available))
    if message is None:
        cloud.check(State(tmp_path))
        return
    with pytest.raises(Stop, match=message):
        cloud.check(State(tmp_path))


def test_a_recorded_port_stays_while_it_is_free(tmp_path, monkeypatch):
    ports = {name: free_port(set()) for name in ("aws", "kafka")}
    monkeypatch.setattr(state_module, "PORTS", ports)
    first = State(tmp_path)
    first.choose_ports(["aws", "kafka"])
    monkeypatch.setattr(state_module, "PORTS", dict.fromkeys(ports, 1))
    again = State(tmp_path)
    again.choose_ports(["aws", "kafka"])
    assert {name: again.port(name) for name in ports} == ports


@pytest.mark.parametrize("recorded", [False, True], ids=["preferred", "recorded"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_that_another_program_has_is_replaced(tmp_path, monkeypatch, host, recorded):
    port = free_port(set())
    monkeypatch.setitem(state_module.PORTS, "aws", port)
    state = State(tmp_path)
    if recorded:
        state.choose_ports(["aws"])
        assert state.port("aws") == port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family):
        State(tmp_path).choose_ports(["aws"])
        assert State(tmp_path).port("aws") != port
        assert is_free(State(tmp_path).port("aws"))


def test_no_port_is_given_twice_nor_taken_from_another_cloud(tmp_path, monkeypatch):
    others = {free_port(set())}
    monkeypatch.setattr(state_module, "PORTS", dict.fromkeys(PORTS, next(iter(others))))
    state = State(tmp_path)
    state.choose_ports(list(PORTS), others)
    chosen = {state.port(name) for name in PORTS}
    assert len(chosen) == len(PORTS)
    assert not chosen & others


def test_a_port_is_asked_for_its_owner_before_anything_is_sent(tmp_path, listener, monkeypatch):
    port = listener.getsockname()[1]
    state = State(tmp_path)
    with pytest.raises(
        Stop, match=rf"port {port} of this cloud is taken by process {os.getpid()}.*`make down`"
    ):
        supervise.check_listeners(state, [port])
    with pytest.raises(ConnectionError, match="nothing listens"):
        supervise.check_listeners(state, [free_port(set())])
    # As another user's program looks, which only root may trace to its process.
    seen = [connection._replace(pid=None) for connection in psutil.net_connections("tcp")]
    monkeypatch.setattr(supervise.psutil, "net_connections", lambda kind: seen)
    with pytest.raises(Stop, match="taken by a program of another user"):
        supervise.check_listeners(state, [port])


@pytest.mark.parametrize("whole", [True, False], ids=["all-processes", "own-processes"])
def test_a_listener_of_this_cloud_is_known_and_another_on_ipv6_noticed(tmp_path, monkeypatch, whole):
    port, state = free_port(set()), State(tmp_path)
    program = f"import socket; s = socket.create_server(('127.0.0.1', {port})); print(flush=True); s.accept()"
    environment = {**os.environ, supervise.MARK: "aws", "LOCAL_CLOUD_HOME": str(tmp_path)}
    if not whole:  # macOS

        def refuse(kind: str) -> None:
            raise psutil.AccessDenied

        monkeypatch.setattr(supervise.psutil, "net_connections", refuse)
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout and process.stdout.readline()
            supervise.check_listeners(state, [port])
            with pytest.raises(Stop):
                supervise.check_listeners(State(tmp_path / "other"), [port])
            with socket.create_server(("::1", port), family=socket.AF_INET6), pytest.raises(Stop):
                supervise.check_listeners(state, [port])
        finally:
            process.kill()


def test_no_secret_is_sent_to_a_port_that_another_program_has(tmp_path, listener, monkeypatch):
    asked = []
    state = State(tmp_path)
    state._ports["aws"] = listener.getsockname()[1]
    monkeypatch.setattr(supervise, "start", lambda *_: None)
    monkeypatch.setattr(supervise, "status", lambda _: {"aws": {"pid": 0, "statename": "RUNNING"}})
    squatted = part("aws", ports=("aws",))
    squatted.ready = lambda: asked.append("password")
    with pytest.raises(Stop, match="taken by process"):
        cloud.bring_up(state, squatted)
    monkeypatch.setattr(cloud, "all_parts", lambda _: [squatted])
    assert cloud.status(state) == 1
    assert asked == []


@pytest.fixture
def stranger() -> Iterator[tuple[int, list[str]]]:
    """A web server of another program: its port, and what it was asked."""
    asked: list[str] = []

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.send_error(404)

        do_POST = do_GET

        def log_message(self, *args: object) -> None:
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], asked
        server.shutdown()


def test_airflow_is_not_asked_while_another_program_has_its_port(tmp_path, stranger):
    state = State(tmp_path)
    state._ports["airflow"], asked = stranger
    state._secrets["airflow"] = "0" * 40
    for call in (Runtime(state).healthy, Runtime(state).login):
        with pytest.raises(Stop, match="taken by process"):
            call()
    assert asked == []
    state._ports["airflow"] = free_port(set())
    assert not Runtime(state).healthy()


def test_a_path_comes_through_a_properties_file_whatever_its_letters():
    folder = "/it's a Käfer's\\folder 🪲=#"
    text = as_properties({"log.dirs": folder})
    assert text.isascii() and text.startswith("log.dirs=") and "\\u00e4" in text
    read = text.removeprefix("log.dirs=").rstrip("\n").encode().decode("unicode_escape")
    assert read.encode("utf-16", "surrogatepass").decode("utf-16") == folder


def test_connect_is_not_asked_while_another_program_has_its_port(tmp_path, stranger):
    state = State(tmp_path)
    state._ports["connect"], asked = stranger
    state._secrets["connect_rest"] = "0" * 40
    with pytest.raises(connect_runtime.RuntimeProblem, match="taken by process"):
        connect_runtime.Runtime(state).status("mine")
    assert asked == []


def test_the_proxy_does_not_count_as_started_when_another_program_answers(tmp_path, stranger, monkeypatch):
    state = State(tmp_path)
    state._ports |= {"rest_proxy": stranger[0], "aws": 1}
    monkeypatch.setattr(supervise, "status", lambda _: {})
    monkeypatch.setattr(supervise, "start", lambda *_: None)
    with pytest.raises(Stop, match="taken by process"):
        client_machine.systemctl(state, ["start", "kafka-rest"])


def test_a_deep_folder_has_its_sockets_in_a_short_one_of_ours(tmp_path):
    state = State(tmp_path / ("d" * (124 - len(str(tmp_path)) - len("//mariadb.sock"))))
    assert len(str(state.path("mariadb.sock"))) == 124
    folders = set()
    for name in ("supervisor.sock", "mariadb.sock"):
        path = state.socket(name)
        folders.add(path.parent)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(f"{path}.1234567")  # supervisord binds to a longer name first
        assert path.name == name
    [folder] = folders
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    supervise.shut_down(state)
    assert not folder.exists()
    assert State(Path("/x")).socket("mariadb.sock") == Path("/x/mariadb.sock")


@pytest.mark.parametrize("kind", ["open", "link", "file"])
def test_a_socket_folder_that_is_not_ours_alone_is_refused(tmp_path, kind):
    state = State(tmp_path / ("d" * 120))
    folder = state.socket("mariadb.sock").parent
    folder.rmdir()
    {
        "open": lambda: (folder.mkdir(), folder.chmod(0o777)),
        "link": lambda: folder.symlink_to(tmp_path),
        "file": lambda: folder.touch(mode=0o600),
    }[kind]()
    try:
        with pytest.raises(Stop, match="not a folder of yours alone: set LOCAL_CLOUD_HOME"):
            state.socket("mariadb.sock")
    finally:
        folder.rmdir() if kind == "open" else folder.unlink()


def modes(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): stat.S_IMODE(p.lstat().st_mode) for p in folder.rglob("*")}


def test_an_open_state_folder_is_closed_with_all_that_it_holds(tmp_path, monkeypatch):
    home, tools, outside = tmp_path / "home", tmp_path / "home" / "tools", tmp_path / "outside"
    monkeypatch.setattr(state_module, "TOOLS", tools)
    for file in (
        home / "kafka" / "log",
        home / "run.sh",
        tools / "java",
        home / "aws" / "tools" / "x",
        outside,
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("")
        file.chmod(0o644)
    (home / "run.sh").chmod(0o755)
    (home / "link").symlink_to(outside)
    for folder in (home, home / "kafka", tools):
        folder.chmod(0o755)
    make_private(home)
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    closed = {name: mode for name, mode in modes(home).items() if name not in ("link", "tools", "tools/java")}
    assert all(mode & 0o077 == 0 for mode in closed.values()), closed
    assert (closed["kafka/log"], closed["run.sh"]) == (0o600, 0o700)
    assert modes(home)["tools/java"] == 0o644  # programs hold no secret
    assert stat.S_IMODE(outside.stat().st_mode) == 0o644


def test_a_folder_with_other_things_is_neither_closed_nor_emptied(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("LOCAL_CLOUD_HOME", str(tmp_path))
    (tmp_path / "thesis.txt").touch()
    tmp_path.chmod(0o755)
    mask = os.umask(0o022)
    try:
        assert __main__.main(["reset"]) == 1
    finally:
        os.umask(mask)
    assert "holds other things: set LOCAL_CLOUD_HOME" in capsys.readouterr().err
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert (tmp_path / "thesis.txt").exists()


PROGRAM = """import os, signal, sys, time
def say(word):
    with open("said", "a") as file:
        print(word, os.environ["LOCAL_CLOUD_PART"], file=file)
def stop(*_):
    say("stopping")
    time.sleep(1)
    say("stopped")
    sys.exit()
signal.signal(signal.SIGTERM, stop)
say("started")
time.sleep(60)
"""


def test_what_needs_others_stops_before_them_and_the_rest_side_by_side(tmp_path):
    state = State(tmp_path)
    parts = [part("base"), *(part(name, "base") for name in "abc"), part("last", "a")]
    (tmp_path / "program.py").write_text(PROGRAM)
    supervise.launch(state, parts)
    try:
        for each in parts:
            supervise.start(state, each.name)
        said = tmp_path / "said"
        wait.until(
            lambda: said.exists() and said.read_text().count("started") == 5, "the programs", seconds=30
        )
    finally:
        left = supervise.shut_down(state)
    assert left == []  # the supervisor, which was told to end, is none
    lines = said.read_text().splitlines()[5:]
    assert lines[:2] == ["stopping last", "stopped last"]
    assert sorted(lines[2:5]) == ["stopping a", "stopping b", "stopping c"]
    assert sorted(lines[5:8]) == ["stopped a", "stopped b", "stopped c"]
    assert lines[8:] == ["stopping base", "stopped base"]
