"""A Spark driver in a process of its own, for tests that kill it: a line of JSON asked, a line answered."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from helpers.config import ROOT


class SparkDriver:
    """A module that is run as a program with Spark in it. What it says on stderr is kept in `errors`."""

    def __init__(self, module: str, errors: Path, environment: dict[str, str]) -> None:
        self.errors = errors
        self.errors.parent.mkdir(parents=True, exist_ok=True)
        with self.errors.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module],
                cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file,
                text=True,
            )  # fmt: skip

    def answer(self) -> Any:
        """The next line it says; fails with the end of its errors when it has ended."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, self.errors.read_text()[-3000:]
        return json.loads(line)

    def tell(self, asked: Any) -> None:
        """Send a request."""
        assert self.process.stdin
        print(json.dumps(asked), file=self.process.stdin, flush=True)

    def tree(self) -> list[psutil.Process]:
        """Its process, and what that has started: Java and the Python workers."""
        try:
            own = psutil.Process(self.process.pid)
            return [own, *own.children(recursive=True)]
        except psutil.Error:
            return []

    def kill(self) -> None:
        """As a power cut would, Java and the Python workers with it."""
        tree = self.tree()
        for each in tree:
            each.send_signal(signal.SIGKILL)
        psutil.wait_procs(tree, 10)
        self.end()

    def end(self) -> None:
        """Let it stop by itself."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()
