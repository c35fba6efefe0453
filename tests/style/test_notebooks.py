"""Every notebook keeps the rules of the series, and every rule can be broken."""

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from runner.execute import refresh_code
from tests.style.notebook_rules import ROOT, RULES, SERIES, Book, Cell, load

WORDS = "**New words**\n\n| word | meaning |\n| --- | --- |\n| proxy | a go-between |"
BOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_code_on_the_page_is_the_code_in_the_file(path: Path) -> None:
    """Else: make outputs, or python -m runner.lessons outputs --code-only."""
    fresh = nbformat.read(path, as_version=4)
    refresh_code(fresh)
    for old, new in zip(nbformat.read(path, as_version=4).cells, fresh.cells, strict=True):
        assert old.get("outputs") == new.get("outputs"), old.source


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("path", BOOKS, ids=lambda path: path.stem)
def test_notebook_keeps(path: Path, rule: Callable[[Book], list[str]]) -> None:
    assert rule(load(path)) == [], rule.__doc__


def text(words: str) -> Cell:
    return Cell("markdown", words, None, {})


def code(source: str, shows: str = "") -> Cell:
    outputs = [{"output_type": "stream", "name": "stdout", "text": shows}] if shows else []
    return Cell("code", source, None, {}, None, outputs)


def good() -> Book:
    """A small notebook that keeps every rule."""
    top = (
        "# 04 · The proxy\n\nYou put a REST proxy in front of Kafka.\n\n**After this lesson you can**\n\n"
        "- start a proxy\n- reach it\n- stop it\n\n**You need** [03 · The client](03_ec2_kafka_client.ipynb)"
        "\n\n> **runs on** laptop · **real** Kafka · **emulated** EC2 · **stand-in** proxy · "
        "**minutes** 5 reading, 1 running · **cost on AWS** nothing\n\n"
        "![We are at the REST proxy](../images/map_04.svg)"
    )
    step = "The proxy turns a request into a record, and tells at which offset it landed."
    cells = [
        text(top),
        code("from helpers import config\n\ncloud = config.use_target()"),
        text(f"{WORDS}\n\n## Start it"),
    ]
    for nth in range(4):
        cells += [code(f"{nth} + 1", f"{nth + 1}\n"), text(step)]
    cells += [text("## Call it"), code("2 + 2", "4\n"), text("## Your turn\n\nReach 5.")]
    cells += [code("answer = ..."), code("check(answer)", "Not answered yet.\n")]
    recap = (
        "## Recap\n\n- It starts.\n\n> **On AWS** it costs nothing.\n\n**Read on**\n\n"
        "- [One](https://docs.confluent.io/a)\n- [Two](https://docs.confluent.io/b)\n\n"
        "Next: [05 · An API](05_api_gateway.ipynb)"
    )
    solution = code("five = 2 + 3\nassert five == 5\nfive", "5\n")
    cells += [text(recap), text("## Solution\n\nTwo and three."), solution]
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    raw = {"metadata": {"kernelspec": kernel, "language_info": {"name": "python"}}}
    book = Book(ROOT / "notebooks" / f"{SERIES[4]}.ipynb", raw, cells)
    for nth, cell in enumerate(book.cells):
        cell.id = f"c{nth}"
    for nth, cell in enumerate(book.code, start=1):
        cell.count = nth
    return book


def first(old: str, new: str) -> Callable[[Book], None]:
    """Change the first cell."""
    return lambda book: replace(book.cells[0], old, new)


def recap(old: str, new: str) -> Callable[[Book], None]:
    """Change the cell with the recap."""
    return lambda book: replace(next(c for c in book.cells if c.text.startswith("## Recap")), old, new)


def replace(cell: Cell, old: str, new: str) -> None:
    assert old in cell.text
    cell.text = cell.text.replace(old, new)


def runs(source: str) -> Callable[[Book], None]:
    """Give a code cell in the middle this source."""
    return lambda book: setattr(book.code[2], "text", source)


def shows(words: str, **output: str) -> Callable[[Book], None]:
    """Give a code cell in the middle this output."""
    made = {"output_type": "stream", "name": "stdout", "text": words, **output}
    return lambda book: book.code[2].outputs.append(made)


def picture(length: int) -> Callable[[Book], None]:
    """Add a picture of this many bytes to the file."""

    def spoil(book: Book) -> None:
        made = {"output_type": "display_data", "data": {"image/png": "x" * length}}
        book.code[2].outputs.append(made)
        book.raw["cells"] = [made]

    return spoil


def elsewhere(book: Book) -> None:
    book.path = ROOT / "notebooks" / "04_proxy.ipynb"


def all_long(book: Book) -> None:
    for cell in book.code:
        cell.text = "x = 1\n" * 11


def too_few(book: Book) -> None:
    del book.cells[2:7]


BROKEN = [
    ("file_name", elsewhere),
    ("header", first("# 04 ·", "# 4:")),
    ("header", first("You put a REST proxy in front of Kafka.", "")),
    ("header", first("- stop it\n", "")),
    ("header", first("You need", "Bring")),
    ("strip", first("stand-in", "fake")),
    ("map_image", first("map_04", "map_05")),
    ("first_code", lambda book: replace(book.code[0], "config.use_target()", "config")),
    ("first_code", lambda book: setattr(book.code[0], "text", "use_target()\n" * 11)),
    ("header", first("- stop it\n", "- stop it\n- see it\n- drop it\n")),
    ("new_words", lambda book: replace(book.cells[2], "| proxy | a go-between |", "")),
    ("outcomes_are_no_headings", first("- reach it", "- Call it")),
    ("anatomy", recap("## Recap", "## The end")),
    ("anatomy", recap("Next:", "## More\n\nNext:")),
    ("empty_answer", lambda book: replace(book.code[-3], "answer = ...", "answer = 5")),
    ("empty_answer", lambda book: setattr(book.code[-2], "outputs", [])),
    ("boxes", recap("**On AWS**", "There")),
    ("boxes", recap("- [Two](https://docs.confluent.io/b)\n", "")),
    ("solution_asserts", lambda book: replace(book.code[-1], "assert five == 5", "five == 5")),
    ("next_link", recap("05_api_gateway", "06_s3_sink_connector")),
    ("executed", lambda book: setattr(book.code[1], "count", None)),
    ("executed", lambda book: setattr(book.code[1], "count", 7)),
    ("clean_outputs", shows("warning", name="stderr")),
    ("clean_outputs", shows("", output_type="error", name="")),
    ("short_code", runs("x = 1\n" * 16)),
    ("short_code", all_long),
    ("plain_code", runs("a, b, c, d = (lambda: 1, lambda: 2, lambda: 3, lambda: 4)")),
    ("plain_code", lambda book: [setattr(cell, "outputs", []) for cell in book.code[1:4]]),
    ("rhythm", too_few),
    ("rhythm", lambda book: book.cells.extend(code("1") for _ in range(3))),
    ("more_text_than_code", runs("x = 1 + 1\n" * 80)),
    ("no_literals", runs('call("http://127.0.0.1/x")')),
    ("no_literals", runs('call("http://10.0.0.1/x")')),
    ("no_literals", runs('servers = f"{broker}-1.example:9098"')),
    ("no_literals", runs('host = "x.execute-api.us-east-1.amazonaws.com"')),
    ("no_literals", runs('key = "AKIA" + "x"; key = "AKIA' + "A" * 16 + '"')),
    ("no_literals", runs('text = "aws_secret_access_key = abc"')),
    ("no_literals", runs('arn = "arn:aws:iam::123456789012:role/x"')),
    ("no_literals", runs('spark.read.json("s3://my-bucket/topics")')),
    ("no_literals", runs('user = "0a1b2c3d4e5f"')),
    ("links", first("03_ec2_kafka_client.ipynb", "nowhere.md")),
    ("links", first("../images/map_04.svg", "../images/map_04.png")),
    ("links", first("We are at the REST proxy", "map")),
    ("links", first("../images/map_04.svg", "https://example.org/map_04.svg")),
    ("links", recap("Next:", "```mermaid\n```\nNext:")),
    ("size", lambda book: book.raw.update(cells=["x" * 101_000])),
    ("size", picture(151_000)),
    ("short_outputs", shows("line\n" * 42)),
    ("stable_outputs", shows("in /home/ann/project")),
    ("stable_outputs", shows("at 2031-05-06 10:11:12")),
    ("stable_outputs", shows("took 1.3 s")),
    ("stable_outputs", shows("id 00000000-1111-2222-3333-444444444444")),
    ("stable_outputs", shows("from 127.0.0.1:4566")),
    ("stable_outputs", shows("account 000000000000")),
    ("stable_outputs", shows("vpc-0123456789abcdef0")),
    ("metadata", lambda book: book.raw["metadata"].update(widgets={})),
    ("metadata", lambda book: book.raw["metadata"]["language_info"].update(version="3.11")),
    ("metadata", lambda book: book.cells[1].metadata.update(execution={})),
    ("metadata", lambda book: setattr(book.cells[1], "id", book.cells[2].id)),
    *(
        ("code_without", runs(source))
        for source in (
            "plt.show();",
            "frame.style.bar()",
            "import ipywidgets",
            "name = input()",
            "getpass()",
            "%run other",
            "%%sql\nselect 1",
            "!ls",
            "dbutils.fs.ls(path)",
            "time.sleep(1)",
            "from pyspark.sql.functions import *",
            'config["store.url"] = url',
            "from local_cloud import state",
        )
    ),
]


def test_the_good_notebook_keeps_every_rule() -> None:
    assert {rule.__name__: rule(good()) for rule in RULES if rule(good())} == {}


@pytest.mark.parametrize(
    ("name", "spoil"), BROKEN, ids=[f"{name}-{nth}" for nth, (name, _) in enumerate(BROKEN)]
)
def test_rule_sees_a_broken_notebook(name: str, spoil: Callable[[Book], None]) -> None:
    book = good()
    spoil(book)
    rule = next(rule for rule in RULES if rule.__name__ == name)
    assert rule(book) != []


def test_every_rule_has_a_broken_notebook() -> None:
    assert {rule.__name__ for rule in RULES} == {name for name, _ in BROKEN}
