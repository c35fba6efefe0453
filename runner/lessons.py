"""Run the lessons: `python -m runner.lessons run | tear-down | outputs | lesson N | pages`."""

import argparse
import contextlib
import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
from dotenv import dotenv_values
from nbformat import NotebookNode

from helpers import ledger
from local_cloud.state import ROOT, State
from runner import pages
from runner.execute import (
    Failure,
    Interrupted,
    execute,
    keep_equal_outputs,
    normalise,
    patterns,
    refresh_code,
    write_if_changed,
)
from runner.report import counts_table, explain

TEAR_DOWN = "17"
CHARTS = "module://matplotlib_inline.backend_inline"  # another backend would leave the lessons without them


class UserError(RuntimeError):
    """Something the caller can put right; the message says how."""


class Show:
    """One line a notebook: rewritten cell by cell on a terminal, written once elsewhere."""

    def __init__(self, names: list[str]) -> None:
        self.width = max(map(len, names), default=0)
        self.live = sys.stdout.isatty()

    def cell(self, name: str, number: int, of: int) -> None:
        """Show which cell is running."""
        if self.live:
            print(f"\r\033[K{name:<{self.width}}  cell {number}/{of}", end="", flush=True)

    def end(self, name: str, word: str) -> None:
        """Show how the notebook ended."""
        print(("\r\033[K" if self.live else "") + f"{name:<{self.width}}  {word}", flush=True)


def find(folder: Path) -> list[Path]:
    """All lessons in name order; UserError when there is none."""
    books = sorted(folder.glob("[0-9][0-9]_*.ipynb"))
    if not books:
        raise UserError(f"no notebooks in {folder}")
    return books


def one(folder: Path, number: str) -> Path:
    """The lesson with this number (`9` and `09` are the same)."""
    books = find(folder)
    for path in books:
        if path.name[:2] == number.zfill(2):
            return path
    raise UserError(f"no lesson {number!r}: there are {', '.join(path.name[:2] for path in books)}")


def read(path: Path) -> NotebookNode:
    """The notebook; UserError when it is not one."""
    try:
        return nbformat.read(path, as_version=4)
    except (ValueError, OSError) as error:
        raise UserError(f"{path.name} is not a readable notebook: {error}") from None


@contextlib.contextmanager
def alone(state: State) -> Iterator[Path]:
    """The folder of executed copies, held by one run at a time."""
    folder = state.path("run")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError("another run of the lessons is going on with the same state folder") from None
        yield folder


def refuse_aws() -> None:
    """A whole series runs on the local cloud only: on AWS every lesson costs money."""
    target = os.environ.get("PIPELINE_TARGET") or dotenv_values(ROOT / ".env").get("PIPELINE_TARGET")
    if target == "aws":
        raise UserError("PIPELINE_TARGET is aws: run the lessons there one by one (make lesson N=00)")


def play(path: Path, state: State, show: Show) -> tuple[NotebookNode, Failure | None, float]:
    """Execute one notebook in memory; gives the notebook, its failure if any, and the seconds it took."""
    book, began = read(path), time.monotonic()
    log = state.path("run", "kernel.log")
    failure = execute(book, path.parent, log, lambda number: show.cell(path.stem, number, len(book.cells)))
    seconds = time.monotonic() - began
    show.end(path.stem, f"failed in cell {failure.cell}" if failure else f"{seconds:7.1f} s")
    return book, failure, seconds


def run(books: list[Path], state: State, folder: Path) -> int:
    """Execute copies of the notebooks in order, then write the summary and the pages."""
    for old in [*folder.glob("*.ipynb"), *folder.glob("html/*.html"), folder / "kernel.log"]:
        old.unlink(missing_ok=True)
    show, rows, failure = Show([path.stem for path in books]), [], None
    try:
        for path in books:
            if failure:
                show.end(path.stem, "not run")
                rows.append(pages.Row(path, "not run"))
                continue
            book, failure, seconds = play(path, state, show)
            nbformat.write(book, folder / path.name)
            rows.append(pages.Row(path, "failed" if failure else "ran", seconds))
            if failure:
                print(explain(failure, path, state), flush=True)
    except Interrupted:
        show.end(path.stem, "interrupted")
        raise
    finally:
        summary = counts_table(ledger.read())
        write_summary(rows, folder)
    seconds = sum(row.seconds or 0 for row in rows)
    print(f"\n{summary}\n\n{len(rows)} lessons, {seconds:.0f} s" if not failure else f"\n{summary}")
    index = pages.write(rows, folder, books[0].parent, ledger.read())
    print(f"Read them as they ran: {index}")
    return 1 if failure else 0


def write_summary(rows: list[pages.Row], folder: Path) -> None:
    """Keep counts and seconds for other programs."""
    seconds = {row.path.stem: round(row.seconds, 1) for row in rows if row.seconds is not None}
    state = {row.path.stem: row.state for row in rows}
    found = {"counts": ledger.read(), "seconds": seconds, "state": state}
    (folder / "summary.json").write_text(json.dumps(found, indent=1) + "\n")


def outputs(books: list[Path], state: State, hide: Path, pictures: bool) -> int:
    """Execute in place; a file is rewritten only where it differs after masking."""
    show, failure = Show([path.stem for path in books]), None
    for path in books:
        if failure:
            show.end(path.stem, "not run")
            continue
        old = read(path)
        try:
            book, failure, _ = play(path, state, show)
        except Interrupted:
            show.end(path.stem, "interrupted")
            raise
        if failure:
            print(explain(failure, path, state), flush=True)
            continue
        keep_equal_outputs(old, book, patterns(hide), pictures)
        if write_if_changed(book, path):
            print(f"{'':<{show.width}}  rewritten")
    return 1 if failure else 0


def refresh(books: list[Path]) -> int:
    """Redo the cells that only show a helper's code, in place, without running anything else."""
    for path in books:
        book = read(path)
        try:
            refresh_code(book)
        except Exception as error:
            raise UserError(f"{path.name}: {type(error).__name__}: {error}") from error
        normalise(book)
        if write_if_changed(book, path):
            print(f"{path.stem}  rewritten")
    return 0


def pages_only(books: list[Path], state: State) -> int:
    """Write the pages again, from the executed copies where there are any."""
    folder = state.path("run")
    state_of = {path.name: "ran" if (folder / path.name).exists() else "as committed" for path in books}
    rows = [pages.Row(path, state_of[path.name]) for path in books]
    print(f"Read them: {pages.write(rows, folder, books[0].parent, ledger.read())}")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, do it, and turn every user error into one line."""
    parser = argparse.ArgumentParser(prog="python -m runner.lessons", description=__doc__)
    parser.add_argument("--notebooks", type=Path, default=ROOT / "notebooks", help=argparse.SUPPRESS)
    does = parser.add_subparsers(dest="do", required=True)
    does.add_parser("run", help="run copies of the lessons in order and show the counts from end to end")
    does.add_parser("tear-down", help="run the lesson that deletes everything")
    inplace = does.add_parser("outputs", help="run all lessons in place (for committing), tear-down last")
    inplace.add_argument("--pictures", action="store_true", help="take the new pictures too")
    inplace.add_argument(
        "--code-only", action="store_true", help="only refresh cells that show a helper's code"
    )
    lesson = does.add_parser("lesson", help="run one lesson from the present state")
    lesson.add_argument("number")
    lesson.add_argument("--in-place", action="store_true", help="rewrite the committed file")
    lesson.add_argument("--pictures", action="store_true", help="with --in-place: take the new pictures too")
    does.add_parser("pages", help="write the HTML pages again without running anything")
    asked = parser.parse_args(arguments)
    os.environ["MPLBACKEND"] = CHARTS
    try:
        return perform(asked, State())
    except UserError as error:
        print(f"lessons: {error}", file=sys.stderr)
        return 2
    except (Interrupted, KeyboardInterrupt):
        print("Interrupted: the notebook's kernel is stopped, the lessons can be run again.", file=sys.stderr)
        return 130


def perform(asked: argparse.Namespace, state: State) -> int:
    """Carry out one parsed command; gives the exit code."""
    folder, hide = asked.notebooks.resolve(), ROOT / "tests" / "nbval.cfg"
    books = find(folder)
    if asked.do == "pages":
        return pages_only(books, state)
    if asked.do == "outputs" and asked.code_only:
        return refresh(books)
    if asked.do != "lesson":
        refuse_aws()
    with alone(state) as target:
        if asked.do == "outputs":
            return outputs(books, state, hide, asked.pictures)
        if asked.do == "run":
            state.path("ledger.json").unlink(missing_ok=True)
            return run([path for path in books if path.name[:2] != TEAR_DOWN], state, target)
        chosen = one(folder, TEAR_DOWN if asked.do == "tear-down" else asked.number)
        if asked.do == "lesson" and asked.in_place:
            return outputs([chosen], state, hide, asked.pictures)
        return run_one(chosen, state, target)


def run_one(path: Path, state: State, folder: Path) -> int:
    """Execute a copy of one lesson and write its page, leaving the other pages alone."""
    show = Show([path.stem])
    try:
        book, failure, _ = play(path, state, show)
    except Interrupted:
        show.end(path.stem, "interrupted")
        raise
    nbformat.write(book, folder / path.name)
    if failure:
        print(explain(failure, path, state), flush=True)
    page = folder / "html" / f"{path.stem}.html"
    page.parent.mkdir(exist_ok=True)
    page.write_text(pages.render(book, path, path.parent), encoding="utf-8")
    print(f"Read it as it ran: {page}")
    return 1 if failure else 0


if __name__ == "__main__":
    sys.exit(main())
