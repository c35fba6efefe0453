"""Every figure on the front page comes from what is committed: outputs, samples, benchmarks, tests."""

import ast
import gzip
import json
import re
from pathlib import Path

import pytest

from benchmarks import front_page
from images import make_charts
from local_cloud import cloud
from tests.style.notebook_rules import ROOT, SERIES

README = (ROOT / "README.md").read_text(encoding="utf-8")
NUMBERS = {17: "Seventeen", 18: "Eighteen", 19: "Nineteen"}


def number(text: str) -> int:
    return int(text.replace(",", ""))


def printed(lesson: str, words: str) -> str:
    """The text of the last output of a lesson that holds all of these words."""
    [path] = (ROOT / "notebooks").glob(f"{lesson}_*.ipynb")
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    texts = ["".join(one.get("text") or one.get("data", {}).get("text/plain") or "") for one in outputs]
    return [text for text in texts if all(word in text for word in words.split())][-1]


def books(kind: str) -> dict[str, list[int]]:
    """The rows of the front page's table of the batch (`table`) or of the streams (`stream`)."""
    block = re.search(rf"^{kind}  +sent.*\n((?:\w+ +[\d, ]+yes\n)+)", README, flags=re.MULTILINE)
    assert block
    rows = [line.split() for line in block[1].splitlines()]
    return {name: [number(word) for word in counts] for name, *counts, _ in rows}


def counted() -> dict[str, list[int]]:
    """What lesson 15 counts: `pin, batch` -> its whole numbers, from left to right."""
    rows = re.findall(r"^(\w+, (?:batch|stream)) +(\d.*)$", printed("15", "pin, stream"), re.MULTILINE)
    found: dict[str, list[int]] = {}
    for name, counts in rows:  # a wide table goes on below, under the same names
        found.setdefault(name, []).extend(map(int, counts.split()))
    return found


def test_the_books_of_the_batch_are_those_of_lesson_15() -> None:
    rows = books("table")
    assert set(rows) == {"pin", "geo", "user"}
    for table, (sent, in_topic, in_s3, *rest) in rows.items():
        assert counted()[f"{table}, batch"][:6] == [sent, in_topic, in_s3, *rest]
        assert sent == in_topic == in_s3 == sum(rest)


def test_the_books_of_the_streams_are_those_of_lesson_15() -> None:
    rows = books("stream")
    assert set(rows) == {"pin", "geo", "user"}
    for table, counts in rows.items():
        assert counted()[f"{table}, stream"][:3] == counts


def posts(folder: str) -> int:
    files = (ROOT / "data_samples" / folder).glob("pin/**/*.gz")
    lines = [line for file in files for line in gzip.decompress(file.read_bytes()).splitlines()]
    indices = [json.loads(line).get("index") for line in lines]
    return len({index for index in indices if isinstance(index, int)})


def test_the_days_are_those_of_the_samples() -> None:
    said = re.search(
        r"The ([\d,]+) posts are ([\d,]+) of a first day and (\d+) of a second .* (\d+) corrections", README
    )
    assert said
    whole, first, second, corrections = map(number, said.groups())
    assert whole == first + second == books("table")["pin"][3]
    assert posts("second_day") == second + corrections
    assert f"{first:,}" in (ROOT / "data_samples" / "README.md").read_text(encoding="utf-8")
    assert re.search(rf"The {books('table')['pin'][5]} records in quarantine", README)


def test_the_speed_is_that_of_the_benchmarks() -> None:
    table = README.partition("## Speed and reliability")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if re.match(r"\| .*\d.* \|$", line)]
    measured = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8").splitlines()
    assert len(rows) > 5
    assert [row for row in rows if row not in measured] == [], "python -m benchmarks.front_page"
    machine = json.loads((ROOT / "benchmarks" / "results.json").read_text())["machine"]
    assert {2: "two", 4: "four"}[machine["cores"]] + " cores, the batch" in table


def test_the_speed_is_copied_row_by_row() -> None:
    page = "| d | 2 |\n## Speed and reliability\n{}| e | 5 |\n## Next\n| d | 2 |"
    old, new = (
        page.format("| a: b, c | 1 s |\n| d | 2 |\n"),
        page.format("| a: b, c | 9 s, 8 s |\n| d | 3 |\n"),
    )
    assert front_page.updated(old, "| a: b, c | 9 s, 8 s |\n| d | 3 |\n| f | 4 |") == new


def test_the_kills_are_those_of_the_long_test() -> None:
    said = re.search(r"kills Spark (\w+) times while ([\d,]+) records flow", README)
    tree = ast.parse((ROOT / "tests" / "fault" / "test_stream_kill.py").read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    [least] = [
        {word.arg: word.value for word in call.keywords if isinstance(word.value, ast.Constant)}
        for call in calls
        if {"kills", "least"} <= {word.arg for word in call.keywords}
        and any("TABLES" in ast.unparse(value) for value in call.args)
    ]
    assert said and said[1] == {5: "five"}[least["kills"].value]
    assert number(said[2]) == 3 * least["least"].value


def test_the_lessons_take_no_longer_than_is_said() -> None:
    said = re.search(r"less than (\d+) minutes for all lessons", README)
    minutes = [int(run) for run in re.findall(r"^\| \[\d\d · .*\| \d+ \| (\d+) \|", README, re.MULTILINE)]
    assert said and sum(minutes) < int(said[1])
    assert README.count(f"{NUMBERS[len(SERIES)]} notebooks") == 1


def test_the_machine_that_is_asked_for_can_carry_the_cloud() -> None:
    said = re.search(r"(\d+) GiB free, (\d+) GB of disk", README)
    assert said and int(said[1]) * 2**30 >= cloud.NEEDED_MEMORY and int(said[2]) * 10**9 >= cloud.NEEDED_DISK


@pytest.mark.parametrize("name", make_charts.CHARTS)
def test_the_charts_are_those_of_lesson_10(name: str) -> None:
    assert make_charts.charts()[name] == (ROOT / "images" / name).read_bytes(), "python -m images.make_charts"


def test_the_picture_has_a_dark_twin() -> None:
    assert 'media="(prefers-color-scheme: dark)" srcset="images/pipeline_dark.svg"' in README
    sources = re.findall(r'(?:src|srcset|href)="([^":]+)"', README)
    assert sources and [one for one in sources if not Path(ROOT, one).exists()] == []
