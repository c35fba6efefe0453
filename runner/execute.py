"""Execute one notebook in a fresh kernel, and compare its outputs with the committed ones."""

import ast
import asyncio
import base64
import binascii
import contextlib
import io
import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from PIL import Image, UnidentifiedImageError
from traitlets.config import Config

CELL_SECONDS = 1200
PACKAGES = ("helpers", "sizing", "tear_down")  # whose code lessons show
# Else the kernel's ports tell every local user what the cells say and show.
ENCRYPTED = Config({"KernelManager": {"transport_encryption": "required"}})
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class Interrupted(Exception):
    """Ctrl-C or SIGTERM: the kernel is stopped, the notebook is unfinished."""


@dataclass
class Failure:
    """Where and why a notebook stopped: the cell counted from 1, and when the notebook began (epoch s)."""

    cell: int
    source: str
    error: str
    moment: float


def execute(book: NotebookNode, folder: Path, output: Path, tell: Callable[[int], None]) -> Failure | None:
    """Run all cells in place; None when all went well. Raises Interrupted.

    `folder` is the working folder, `output` takes what child processes write, `tell` gets each cell's number.
    """
    return asyncio.run(_execute(book, folder, output, tell))


async def _execute(
    book: NotebookNode, folder: Path, output: Path, tell: Callable[[int], None]
) -> Failure | None:
    client = NotebookClient(
        book,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        config=ENCRYPTED,
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
    )
    # ipykernel then leaves child processes' output out of the cells, as it does under pytest.
    env = {**os.environ, "PYTEST_CURRENT_TEST": "lessons", "JUPYTER_PREFER_ENV_PATH": "1"}
    stop: list[int] = []
    task = asyncio.current_task()
    assert task is not None

    def on_signal() -> None:
        if not stop:  # once: a second Ctrl-C must not cut the kernel's own stopping short
            stop.append(True)
            task.cancel()

    number, began = 0, time.time()
    with output.open("ab") as log:
        try:
            async with client.async_setup_kernel(env=env, stdout=log, stderr=log):
                for kind in (signal.SIGINT, signal.SIGTERM):
                    asyncio.get_running_loop().add_signal_handler(kind, on_signal)
                for number, cell in enumerate(book.cells, start=1):
                    tell(number)
                    await client.async_execute_cell(cell, number - 1)
        except asyncio.CancelledError:
            raise Interrupted from None
        except CellTimeoutError:
            error = f"no answer within {CELL_SECONDS} seconds"
        except CellExecutionError as failed:
            error = f"{failed.ename}: {failed.evalue}"
        except DeadKernelError:
            if stop:
                raise Interrupted from None
            error = f"the kernel died (out of memory?); its last words are in {output}"
        else:
            normalise(book)
            return None
    normalise(book)
    return Failure(number, book.cells[number - 1].source, error, began)


def normalise(book: NotebookNode) -> None:
    """Leave only metadata that is the same on every machine; shorten expected errors to one line."""
    book.metadata = nbformat.from_dict(METADATA)
    book.nbformat, book.nbformat_minor = 4, 5
    for index, cell in enumerate(book.cells):
        tags = cell.metadata.get("tags")
        cell.metadata = nbformat.from_dict({"tags": tags} if tags else {})
        cell.setdefault("id", f"cell-{index:02d}")
        for output in cell.get("outputs", ()):
            if "metadata" in output:
                output.metadata = nbformat.from_dict({})
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = with_palette(output.data["image/png"])
            if output.output_type == "error" and "raises-exception" in (tags or ()):
                output.traceback = [f"{output.ename}: {output.evalue}"]


def with_palette(png: str) -> str:
    """A PNG in base64 with 256 colours, of which a chart needs no more: a third of the bytes."""
    try:
        picture = Image.open(io.BytesIO(base64.b64decode(png)))
    except (UnidentifiedImageError, binascii.Error):
        return png
    if picture.mode == "P":
        return png
    file = io.BytesIO()
    picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode() + "\n"


def patterns(file: Path) -> list[tuple[str, str]]:
    """The (regex, replacement) pairs of a sanitising file, read as nbval reads it."""
    return re.findall(r"^regex: (.*)$\n^replace: (.*)$", file.read_text(), flags=re.MULTILINE)


def masked(thing: Any, hide: list[tuple[str, str]]) -> Any:
    """Outputs without what nbval does not compare: pictures, counts, tracebacks and whatever `hide` names."""
    if isinstance(thing, str):
        for regex, word in hide:
            thing = re.sub(regex, word, thing)
        return thing
    if isinstance(thing, dict):
        left_out = ("execution_count", "traceback", "metadata", "image/png", "image/jpeg")
        return {key: masked(value, hide) for key, value in thing.items() if key not in left_out}
    return [masked(item, hide) for item in thing] if isinstance(thing, list) else thing


def keep_equal_outputs(
    old: NotebookNode, new: NotebookNode, hide: list[tuple[str, str]], pictures: bool
) -> None:
    """Put back every committed output that differs from the new one only in what is masked.

    A picture is put back too, unless `pictures` asks for new ones.
    """
    before = {cell.id: cell for cell in old.cells if cell.cell_type == "code" and "id" in cell}
    for cell in new.cells:
        was = before.get(cell.id)
        if cell.cell_type != "code" or was is None:
            continue
        if pictures and any("image/png" in output.get("data", {}) for output in cell.outputs):
            continue
        if "nbval-ignore-output" in cell.metadata.get("tags", []):
            kind = [output.output_type for output in cell.outputs]
            equal = kind == [output.output_type for output in was.outputs]
        else:
            equal = masked(was.outputs, hide) == masked(cell.outputs, hide)
        if equal:
            cell.outputs = _numbered(was.outputs, cell.execution_count)
    normalise(new)


def _numbered(outputs: list[NotebookNode], count: int | None) -> list[NotebookNode]:
    for output in outputs:
        if "execution_count" in output:
            output.execution_count = count
    return outputs


def write_if_changed(book: NotebookNode, path: Path) -> bool:
    """Write the notebook unless the file already holds the same bytes; True when it was written."""
    nbformat.validate(book)
    text = nbformat.writes(book)
    text = text if text.endswith("\n") else text + "\n"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
    return True


def refresh_code(book: NotebookNode) -> None:
    """Redo the outputs of cells that only define functions and call `show.code`; the others are not run."""
    trees = {}
    for cell in book.cells:
        if cell.cell_type == "code":
            with contextlib.suppress(SyntaxError):  # a magic: not ours to run
                trees[cell.id] = ast.parse(cell.source)
    names: dict[str, Any] = {}
    imports = [node for tree in trees.values() for node in tree.body if _imports_helpers(node)]
    exec(compile(ast.Module(imports, type_ignores=[]), "<imports>", "exec"), names)
    for cell in book.cells:
        tree = trees.get(cell.get("id"))
        if tree is None or not any(map(_shows_code, tree.body)):
            continue
        if not all(_shows_code(node) or isinstance(node, ast.FunctionDef) for node in tree.body):
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(tree, "<cell>", "exec"), names)
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=printed.getvalue())]


def _imports_helpers(node: ast.stmt) -> bool:
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").split(".")[0] in PACKAGES
    return isinstance(node, ast.Import) and all(name.name.split(".")[0] in PACKAGES for name in node.names)


def _shows_code(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and ast.unparse(node.value).startswith("show.code(")
