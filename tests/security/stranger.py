"""A second, unprivileged user of this machine, as whom the probes run where one can be had."""

import json
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

OWN_USER = "the reader's own user"
PROBES = Path(__file__).with_name("probes")
PYTHONS = (os.path.realpath(sys.executable), "/usr/bin/python3", "/usr/local/bin/python3")


class Stranger:
    """Runs attempts from a folder of its own, with no right to anything of the reader's.

    A process may take any number as its user, whether or not /etc/passwd names it: no account is made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "stranger"
        shutil.copytree(PROBES, self.folder, ignore=shutil.ignore_patterns("__pycache__"))
        self.user: int | None = None
        self.python = sys.executable
        self.why_not = "only root can act as another user"
        if os.geteuid() == 0:
            self._become_another()

    def _become_another(self) -> None:
        taken = {entry.pw_uid for entry in pwd.getpwall()}
        user = next(number for number in range(54321, 60000) if number not in taken)
        for path in [self.folder, *self.folder.rglob("*")]:
            os.chown(path, user, user)
        for python in PYTHONS:
            if self._program(python, "pass", user).returncode == 0:
                self.user, self.python = user, python
                return
        self.why_not = "another user may run no Python here"

    def _program(self, python: str, code: str, user: int) -> subprocess.CompletedProcess[str]:
        command = [python, "-I", "-c", code]
        switch: dict[str, Any] = {"user": user, "group": user, "extra_groups": [], "cwd": "/", "env": {}}
        try:
            return subprocess.run(command, capture_output=True, text=True, check=False, **switch)
        except OSError as problem:
            return subprocess.CompletedProcess(command, 1, "", str(problem))

    @property
    def who(self) -> str:
        """As whom the probes ran."""
        if self.user is None:
            return f"{OWN_USER}, without the reader's secrets, because {self.why_not}"
        return f"a second user, number {self.user}, without any right"

    def try_all(self, attempts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The attempts with `outcome` and `said`."""
        switch: dict[str, Any] = {}
        if self.user is not None:
            switch = {"user": self.user, "group": self.user, "extra_groups": []}
        done = subprocess.run(
            [self.python, "-E", "-s", str(self.folder / "run.py")],
            input=json.dumps(attempts),
            cwd=self.folder,
            env={"PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            **switch,
        )
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))
