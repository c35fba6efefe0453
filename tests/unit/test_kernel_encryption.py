"""Who subscribes to a kernel's output port without its keys sees nothing."""

import json
import subprocess
import sys
import threading
from pathlib import Path

import nbformat
import pytest
import zmq

from local_cloud.stand_ins.databricks import notebook
from local_cloud.state import ROOT
from runner import execute

SECRET = "what a cell shows"
# The kernel tells its own port, then waits for the outsider to listen, then shows something.
LISTEN = """import pathlib, time
from ipykernel.connect import get_connection_info
folder = pathlib.Path({folder!r})
(folder / "part").write_text(get_connection_info())
(folder / "part").rename(folder / "port")
until = time.monotonic() + 30
while not (folder / "listening").exists() and time.monotonic() < until:
    time.sleep(0.05)
print("what a " + "cell shows")
time.sleep(0.5)"""


class Outsider(threading.Thread):
    """Another user of the machine, who has found the port."""

    def __init__(self, folder: Path) -> None:
        super().__init__(daemon=True)
        self.folder, self.seen, self.done = folder, b"", threading.Event()

    def run(self) -> None:
        while not (self.folder / "port").exists() and not self.done.wait(0.05):
            pass
        info = json.loads((self.folder / "port").read_text())
        with zmq.Context() as context, context.socket(zmq.SUB) as socket:
            socket.linger = 0
            socket.subscribe(b"")
            socket.connect(f"tcp://127.0.0.1:{info['iopub_port']}")
            socket.poll(1000)
            (self.folder / "listening").touch()
            while not self.done.is_set():
                if socket.poll(100):
                    self.seen += b"".join(socket.recv_multipart())


def run_nbval(book, folder):
    source = folder / "a.ipynb"
    book.cells[0].outputs = [nbformat.v4.new_output("stream", text=f"{SECRET}\n")]
    book.cells[0].execution_count = 1
    nbformat.write(book, source)
    options = [
        "-q",
        "--nbval",
        "-p",
        "tests.encrypted_kernels",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(folder),
    ]
    command = [sys.executable, "-m", "pytest", *options, str(source)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout if done.returncode else None


def run_lesson(book, folder):
    return execute.execute(book, folder, folder / "log", str)


def run_job(book, folder):
    return notebook.run(book, folder, folder / "log") or None


@pytest.mark.parametrize("run", [run_lesson, run_job, run_nbval])
def test_an_outsider_sees_nothing(tmp_path, run):
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(LISTEN.format(folder=str(tmp_path)))])
    outsider = Outsider(tmp_path)
    outsider.start()
    try:
        assert run(book, tmp_path) is None
    finally:
        outsider.done.set()
        outsider.join(10)
    assert (tmp_path / "listening").exists()
    assert SECRET in book.cells[0].outputs[0].text
    assert SECRET.encode() not in outsider.seen


def test_the_lab_asks_for_encrypted_kernels() -> None:
    made = subprocess.run(["make", "--dry-run", "lab"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "jupyterlab --MappingKernelManager.transport_encryption=required" in made.stdout
