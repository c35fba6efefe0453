"""The first page of a run says how it went, in numbers that are those of the run."""

import re
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from runner.overview import Row, charts, overview

COUNTS = {
    stage: {"pin": count, "geo": count}
    for stage, count in {
        "sent": 5,
        "in topic": 5,
        "in S3": 5,
        "clean": 3,
        "duplicates": 1,
        "quarantined": 1,
        "sent to streams": 1000,
        "in streams": 1000,
        "in stream tables": 3,
    }.items()
}


def book(title: str, *, ran: bool = True) -> NotebookNode:
    code = new_code_cell("plot()", execution_count=1 if ran else None)
    code.outputs = [new_output("display_data", {"image/png": "UE5H\n"})] if ran else []
    return new_notebook(cells=[new_markdown_cell(f"# {title}"), new_markdown_cell("## Who & why"), code])


def page(*states: str, counts: dict[str, dict[str, int]] = COUNTS) -> str:
    names = ("09_clean", "10_answer", "11_schedule")
    rows = [
        Row(Path(f"{name}.ipynb"), state, None if state == "not run" else seconds)
        for name, state, seconds in zip(names, states, (30.0, 60.0, 30.0), strict=False)
    ]
    books = [book(f"{row.path.name[:2]} · A & B", ran=row.state != "not run") for row in rows]
    return overview(rows, books, counts)


def figures(text: str) -> dict[str, str]:
    return {words: number for number, words in re.findall(r"<div><b>([^<]*)</b>([^<]*)</div>", text)}


def test_the_totals_are_those_of_the_run() -> None:
    assert figures(page("ran", "ran", "ran")) == {
        "lessons ran": "3 of 3",
        "cells executed": "3",
        "minutes": "2:00",
        "records sent": "2,010",
        "every count adds up": "yes",
    }


def test_bars_follow_each_other_and_fill_the_whole() -> None:
    bars = [
        tuple(map(float, bar)) for bar in re.findall(r"left:([\d.]+)%;width:([\d.]+)%", page(*["ran"] * 3))
    ]
    assert bars == [(0, 25), (25, 50), (75, 25)]


def test_a_run_that_stopped_says_where() -> None:
    text = page("ran", "failed", "not run")
    assert figures(text)["lessons ran"] == "1 of 3"
    assert '<a href="10_answer.html">10 · A &amp; B</a></td><td class="failed">failed' in text
    assert 'href="11_schedule.html"' not in text and "The answers" not in text


def test_a_count_that_does_not_add_up_is_seen_at_once() -> None:
    text = page("ran", "ran", "ran", counts=COUNTS | {"clean": {"pin": 3, "geo": 2}})
    assert figures(text)["every count adds up"] == "NO"
    assert '<td class="n failed">NO</td>' in text


def test_nothing_recorded_is_said() -> None:
    text = page("ran", "ran", "ran", counts={})
    assert "No counts were recorded." in text and "every count adds up" not in text


def test_answers_are_the_charts_of_lesson_10_under_their_headings() -> None:
    text = page("ran", "ran", "ran")
    assert (
        text.count("<figure>") == 1 and '<img alt="Who &amp; why" src="data:image/png;base64,UE5H">' in text
    )
    assert charts(book("10 · A")) == [("Who & why", "UE5H")]
