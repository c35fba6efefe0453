"""Servers for tests, each started from its Part description in a state folder of its own."""

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from local_cloud import tools
from local_cloud.identity import write_identities
from local_cloud.part import Part
from local_cloud.parts import aws, connect, kafka
from local_cloud.state import PORTS, State, free_port, write_private
from local_cloud.supervise import surroundings


class Server:
    """One running part; `kill` and `start` are for tests that take it away in between."""

    def __init__(self, part: Part, state: State) -> None:
        self.part, self.state = part, state
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, wait: bool = True) -> None:
        """Start the program and wait until it answers."""
        if self.part.before:
            self.part.before()
        log = self.state.log(self.part.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        environment = surroundings(self.state, self.part.name) | self.part.env
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                self.part.command, env=environment, stdout=out, stderr=out, stdin=subprocess.DEVNULL
            )
        if wait:
            self.wait()

    def wait(self) -> None:
        """Wait until the part answers its readiness request; fails with the end of its log."""
        assert self.process
        until = time.monotonic() + self.part.start_seconds
        while True:
            try:
                self.part.ready()
                break
            except Exception as problem:
                ended = self.process.poll() is not None
                if ended or time.monotonic() > until:
                    tail = self.state.log(self.part.name).read_text()[-3000:]
                    raise RuntimeError(f"{self.part.name} is not ready: {problem}\n{tail}") from None
                time.sleep(0.1)
        if self.part.after:
            self.part.after()

    def stop(self, with_signal: int = signal.SIGTERM) -> None:
        """Stop the program, by default in an orderly way."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(with_signal)
            try:
                self.process.wait(self.part.stop_seconds)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def kill(self) -> None:
        """Kill the program as a power cut would."""
        self.stop(signal.SIGKILL)


def new_state(folder: Path) -> State:
    """A fresh state folder with ports, secrets and the built-in identities."""
    tools.ensure_jars()
    tools.ensure_java_classes()
    ports: dict[str, int] = {}
    for name in PORTS:  # never the preferred ones: a reader's cloud may run beside the tests
        ports[name] = free_port(set(ports.values()))
    write_private(folder / "ports.json", json.dumps(ports))
    state = State(folder)
    state.make_secrets()
    write_identities(state, [])
    return state


@contextlib.contextmanager
def running(part: Part, state: State) -> Iterator[Server]:
    """A server that runs inside the `with` block."""
    server = Server(part, state)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def kafka_broker(state: State) -> contextlib.AbstractContextManager[Server]:
    """The broker of a state folder."""
    return running(kafka.part(state), state)


def connect_worker(state: State) -> contextlib.AbstractContextManager[Server]:
    """The Connect worker; its broker must run."""
    return running(connect.part(state), state)


def s3_emulator(state: State) -> contextlib.AbstractContextManager[Server]:
    """The AWS emulator."""
    return running(aws.part(state), state)
