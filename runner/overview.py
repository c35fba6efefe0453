"""The first page of a run: how it went in numbers, when each lesson ran, the books, the answers."""

from dataclasses import dataclass
from html import escape
from pathlib import Path

from nbformat import NotebookNode

from runner.report import add_up

ANSWERS = "10"  # the lesson whose charts are shown


@dataclass
class Row:
    """One notebook of a run: how it went (`ran`, `failed`, `not run`), its seconds if measured."""

    path: Path
    state: str
    seconds: float | None = None


def title(book: NotebookNode, path: Path) -> str:
    """The notebook's first heading, or its file name."""
    for cell in book.cells:
        for line in cell.source.splitlines() if cell.cell_type == "markdown" else ():
            if line.startswith("# "):
                return str(line[2:].strip())
    return path.stem


def overview(rows: list[Row], books: list[NotebookNode], counts: dict[str, dict[str, int]]) -> str:
    """The body of the page. `books` are the notebooks of the rows, executed where they ran."""
    parts = [
        "<h1>The pipeline, as it ran</h1>",
        _totals(rows, books, counts),
        "<h2>The lessons</h2>",
        _timeline(rows, books),
        "<h2>The books</h2>",
        _books(counts),
        _answers(rows, books),
        "<h2>What next</h2>",
        "<ul><li><code>make lab</code> opens the notebooks, with everything that ran still there</li>"
        "<li><code>make status</code> asks every part of the local cloud; lesson 11 tells how to open "
        "Airflow's page</li>"
        "<li><code>make tear-down</code> runs lesson 17, which deletes what the lessons made; "
        "<code>make down</code> stops the servers</li></ul>",
    ]
    return "\n".join(filter(None, parts))


def _totals(rows: list[Row], books: list[NotebookNode], counts: dict[str, dict[str, int]]) -> str:
    ran = [row for row in rows if row.state != "not run"]
    cells = sum(
        1 for row, book in zip(rows, books, strict=True) if row in ran
        for cell in book.cells if cell.cell_type == "code" and cell.get("execution_count")
    )  # fmt: skip
    seconds = sum(row.seconds or 0 for row in rows)
    sent = sum(sum(counts.get(stage, {}).values()) for stage in ("sent", "sent to streams"))
    verdicts = [line[-1] for lines in add_up(counts) for line in lines[1:] if line[-1]]
    figures = [
        (f"{sum(row.state == 'ran' for row in ran)} of {len(rows)}", "lessons ran"),
        (f"{cells:,}", "cells executed"),
        (f"{int(seconds) // 60}:{int(seconds) % 60:02d}", "minutes") if seconds else ("", ""),
        (f"{sent:,}", "records sent") if sent else ("", ""),
        ("yes" if set(verdicts) == {"yes"} else "NO", "every count adds up") if verdicts else ("", ""),
    ]
    boxes = [f"<div><b>{number}</b>{escape(words)}</div>" for number, words in figures if number]
    return f'<div class="totals">{"".join(boxes)}</div>'


def _timeline(rows: list[Row], books: list[NotebookNode]) -> str:
    whole = sum(row.seconds or 0 for row in rows) or 1.0
    began, lines = 0.0, []
    for row, book in zip(rows, books, strict=True):
        name = escape(title(book, row.path))
        if row.state != "not run":
            name = f'<a href="{row.path.stem}.html">{name}</a>'
        look = {"failed": "failed", "not run": "quiet"}.get(row.state, "")
        seconds = row.seconds or 0.0
        place = f"left:{100 * began / whole:.2f}%;width:{100 * seconds / whole:.2f}%"
        bar = f'<i class="{look}" style="{place}"></i>'
        said = "" if row.seconds is None else f"{row.seconds:.1f} s"
        word = "" if row.state == "ran" else row.state
        lines.append(
            f'<tr><td>{name}</td><td class="{look}">{word}</td><td class="n">{said}</td>'
            f'<td class="time">{bar if row.seconds else ""}</td></tr>'
        )
        began += seconds
    head = '<tr><th>lesson</th><th></th><th class="n">time</th><th>when, from the start to the end</th></tr>'
    return f'<table class="wide">{head}\n' + "\n".join(lines) + "</table>"


def _books(counts: dict[str, dict[str, int]]) -> str:
    tables = []
    for head, *lines in add_up(counts):
        rows = [_line(head, "th"), *(_line(line, "td") for line in lines)]
        tables.append(f"<table>{''.join(rows)}</table>")
    return "\n".join(tables) or "<p>No counts were recorded.</p>"


def _line(words: list[str], kind: str) -> str:
    first, *others = words
    cells = [f'<{kind} class="{"n failed" if word == "NO" else "n"}">{word}</{kind}>' for word in others]
    return f"<tr><{kind}>{first}</{kind}>{''.join(cells)}</tr>"


def charts(book: NotebookNode) -> list[tuple[str, str]]:
    """(heading above it, PNG in base64) of each chart of a notebook."""
    found, heading = [], ""
    for cell in book.cells:
        if cell.cell_type == "markdown":
            titles = [line.lstrip("# ") for line in cell.source.splitlines() if line.startswith("## ")]
            heading = titles[-1] if titles else heading
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", {}):
                found.append((heading, "".join(output.data["image/png"]).strip()))
    return found


def _answers(rows: list[Row], books: list[NotebookNode]) -> str:
    for row, book in zip(rows, books, strict=True):
        if row.path.name[:2] == ANSWERS and row.state == "ran" and charts(book):
            pictures = "".join(
                f'<figure><img alt="{escape(heading)}" src="data:image/png;base64,{png}">'
                f"<figcaption>{escape(heading)}</figcaption></figure>"
                for heading, png in charts(book)
            )
            link = f'<a href="{row.path.stem}.html">{escape(title(book, row.path))}</a>'
            return f'<h2>The answers</h2><p>From {link}:</p><div class="charts">{pictures}</div>'
    return ""
