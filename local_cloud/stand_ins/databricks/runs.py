"""The runs of the Databricks stand-in: kept in a file, executed one at a time, each in its own process."""

import asyncio
import contextlib
import json
import os
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from local_cloud.state import write_private

Run = dict[str, Any]
DONE = ("TERMINATED", "INTERNAL_ERROR")
PROGRAM = "local_cloud.stand_ins.databricks.notebook"
GRACE = 5  # seconds in which a notebook that is stopped may write down what it has
NOT_FOUND = (
    'Unable to access the notebook "{}" in the workspace. Either it does not exist, or the identity used to '
    "run this job lacks the required permissions"
)


class Runs:
    """All runs of one workspace by id. `folders` are its folders: path in the workspace -> folder here."""

    def __init__(self, home: Path, folders: dict[str, Path]) -> None:
        self.home, self.folders, self.file = home, folders, home / "runs.json"
        self.turn = asyncio.Semaphore(1)  # one Spark driver at a time is what a laptop bears
        self.tasks: dict[int, asyncio.Task[None]] = {}
        home.mkdir(parents=True, exist_ok=True)
        saved = json.loads(self.file.read_text()) if self.file.exists() else []
        self.kept: dict[int, Run] = {run["run_id"]: run for run in saved}
        for run in [run for run in saved if run["life"] not in DONE]:
            end_processes(run["pid"], str(home / str(run["run_id"])))
            self.finish(run, "INTERNAL_ERROR", "FAILED", "The workspace was stopped while this run went on")

    def find(self, path: str) -> Path | None:
        """The notebook file of a workspace path, which has no suffix; None when there is none."""
        for name, folder in self.folders.items():
            inside = path.removeprefix("/Workspace")
            file = (folder / f"{inside.removeprefix(f'{name}/')}.ipynb").resolve()
            if inside.startswith(f"{name}/") and file.is_relative_to(folder.resolve()) and file.is_file():
                return file
        return None

    def submit(self, wanted: Run) -> Run:
        """Queue a notebook (name, key, path, parameters, seconds, token); an old token gives its old run."""
        for run in self.kept.values():
            if wanted["token"] and run["token"] == wanted["token"]:
                return run
        number = max(self.kept, default=1_000_000) + 3
        run = {**wanted, "run_id": number, "task_run_id": number + 1, "job_id": number + 2}
        run |= {"pid": 0, "stopped": False, "life": "QUEUED", "result": "", "message": ""}
        run |= {"start": now(), "end": 0}
        run["page"] = secrets.token_hex(16)  # in the address of the run's page, which asks for no other key
        self.kept[number] = run
        self.save()
        self.tasks[number] = asyncio.create_task(self.execute(run))
        return run

    async def execute(self, run: Run) -> None:
        """Wait for the turn, run the notebook, note how it ended."""
        try:
            async with self.turn, asyncio.timeout(run["seconds"] or None):
                source = self.find(run["path"])
                wrong = await self.work(run, source) if source else None
            if wrong is None:
                why = "The notebook's process was killed" if source else NOT_FOUND.format(run["path"])
                self.finish(run, "INTERNAL_ERROR", "FAILED", why)
            elif wrong:
                run |= wrong
                self.finish(run, "TERMINATED", "FAILED", "Workload failed, see run output for details")
            else:
                self.finish(run, "TERMINATED", "SUCCESS", "")
        except TimeoutError:
            run["stopped"] = True
            self.finish(run, "TERMINATED", "TIMEDOUT", f"Run timed out after {run['seconds']} seconds")
        except (OSError, ValueError) as error:  # a path that no file, a parameter that no program can have
            self.finish(run, "INTERNAL_ERROR", "FAILED", str(error))
        except asyncio.CancelledError:
            if run["stopped"]:  # else the server ends: the next one will find the run unfinished and say so
                self.finish(run, "TERMINATED", "CANCELED", "Run cancelled")

    async def work(self, run: Run, source: Path) -> dict[str, str] | None:
        """What the notebook's process says in the end; None when it was killed. It never outlives this."""
        output = str(self.home / str(run["run_id"]))
        command = [sys.executable, "-m", PROGRAM, str(source), output]
        # On Databricks a notebook finds its parameters in widgets, here in the environment.
        env = {**os.environ, **run["parameters"]}
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, env=env)
        run |= {"life": "RUNNING", "pid": process.pid}
        self.save()
        try:
            said, _ = await process.communicate()
            return dict(json.loads(said)) if process.returncode == 0 else None
        finally:
            if process.returncode is None:
                await asyncio.to_thread(end_processes, process.pid, output)

    def finish(self, run: Run, life: str, result: str, message: str) -> None:
        """Write down how a run ended."""
        run |= {"life": life, "result": result, "message": message, "end": now()}
        self.tasks.pop(run["run_id"], None)
        self.save()

    def cancel(self, run: Run) -> None:
        """Begin to stop a run that waits or goes on."""
        if run["life"] not in DONE and not run["stopped"]:
            run |= {"stopped": True, "life": "TERMINATING"}
            self.tasks[run["run_id"]].cancel()

    async def close(self, app: object = None) -> None:
        """Stop everything that goes on."""
        tasks = list(self.tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def save(self) -> None:
        """Write all runs down."""
        write_private(self.file, json.dumps(list(self.kept.values()), indent=1))


def now() -> int:
    """The present moment in milliseconds."""
    return int(time.time() * 1000)


def end_processes(pid: int, word: str) -> None:
    """Stop a process that has `word` on its command line, then kill it and all that it has started."""
    try:
        process = psutil.Process(pid)
        if word not in process.cmdline():
            return
        family = [process, *process.children(recursive=True)]
        process.terminate()
    except psutil.Error:
        return
    psutil.wait_procs([process], timeout=GRACE)
    for member in family:
        with contextlib.suppress(psutil.Error):
            member.kill()
    psutil.wait_procs(family, timeout=GRACE)
