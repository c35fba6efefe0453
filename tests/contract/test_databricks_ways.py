"""Lessons 08 to 10 as Databricks runs them: from a Git folder, and as notebooks that run alone."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat import NotebookNode

from helpers import databricks
from runner import single
from runner.execute import execute, masked, patterns
from tests.bare import SETTINGS
from tests.style.notebook_rules import ROOT

LESSONS = [next((ROOT / "notebooks").glob(f"{number}_*.ipynb")) for number in ("08", "09", "10")]
HIDE = patterns(ROOT / "tests" / "nbval.cfg")
# These show where the data lie, what was delivered twice (the samples hold each post once), a laptop's files.
DIFFERENT = {"08-06", "08-08", "08-18", "09-15", "09-19", "09-32"}
# What a workspace has and this machine has not, put in once the helpers are there. All else is Spark's own.
WORKSPACE = """
import os
from pathlib import Path
from types import SimpleNamespace
from helpers import databricks, session

databricks.VOLUMES = Path({volumes!r})
spark = session.spark()
os.environ["DATABRICKS_RUNTIME_VERSION"] = "client.4.17"
ask, SAID = type(spark).sql, []

def answer(self, statement, *given, **named):
    if not statement.startswith("CREATE VOLUME IF NOT EXISTS"):
        return ask(self, statement, *given, **named)
    SAID.append(statement)
    databricks.VOLUMES.joinpath(*statement.split()[-1].replace("`", "").split(".")).mkdir(parents=True)

type(spark).sql = answer
dbutils = SimpleNamespace(widgets=SimpleNamespace(get={{"RAW_PATH": {raw!r}}}.__getitem__))
"""
PROOF = """
import sys
from helpers import config

INSIDE = {name: module.__file__ for name, module in sys.modules.items() if name.split(".")[0] == "helpers"}
assert all(Path(file).is_relative_to(Path.cwd()) for file in INSIDE.values()), INSIDE
assert len(SAID) == 1 and config.in_databricks(), SAID
assert cloud.table("pin").startswith("`spark_catalog`.`default`."), cloud.table("pin")
"""


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with nothing in it, no setting and no cloud; Python finds packages, but no project."""
    for name in list(os.environ):
        if name in SETTINGS or name.startswith(("AWS_", "PIPELINE_", "PYTHON")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LOCAL_CLOUD_HOME", str(tmp_path / "state"))
    # The wheel of PySpark and the jars stay where they are: a workspace has its own.
    monkeypatch.setenv("SPARK_JARS", str(ROOT / ".local" / "tools" / "jars" / "spark"))
    if not shutil.which("java"):
        monkeypatch.setenv("JAVA_HOME", str(ROOT / ".local" / "tools" / "java"))
    (tmp_path / "empty").mkdir()
    yield tmp_path / "empty"
    assert {path.name for path in (tmp_path / "empty").iterdir()} <= {path.name for path in LESSONS}


def together(books: list[NotebookNode]) -> NotebookNode:
    """One notebook with the cells of all, so that Spark starts once; ids stay unique."""
    cells = [cell for book in books for cell in book.cells]
    for number, cell in enumerate(cells):
        if cell.id == "helpers":
            cell.id = f"helpers-{number}"
    return nbformat.v4.new_notebook(cells=cells)


def run(book: NotebookNode, folder: Path) -> None:
    """Execute all cells with this working folder; the failing cell and its error if one fails."""
    failure = execute(book, folder, folder.parent / "kernel.log", lambda _: None)
    assert failure is None, f"{failure.source}\n{failure.error}"


def shown(cell: NotebookNode) -> list[Any]:
    """What a cell shows, without pictures; of a DataFrame the HTML table, not how its text is drawn."""
    texts = []
    for output in masked(cell.outputs, HIDE):
        data = output.get("data", {})
        frame = str(data.get("text/plain", "")).startswith(("DataFrame[", "+-"))
        texts.append(rows(data["text/html"]) if frame else data.get("text/plain") or output.get("text"))
    return texts


def rows(html: str) -> list[list[str]]:
    """The cells of a table, header first, cut to 17 characters and three dots as a laptop's Spark does."""
    lines = re.findall(r"<tr.*?>(.*?)</tr>", html, flags=re.DOTALL)
    cells = [map(unescape, re.findall(r"<t[hd]>(.*?)</t[hd]>", line, flags=re.DOTALL)) for line in lines]
    return [[text if len(text) <= 20 else f"{text[:17]}..." for text in line] for line in cells]


def compare(book: NotebookNode, lessons: list[Path]) -> int:
    """Assert that every committed output is there again; gives how many cells were compared."""
    now = {cell.id: cell for cell in book.cells if cell.cell_type == "code"}
    kept = {
        cell.id: cell
        for path in lessons
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code" and cell.outputs and cell.id not in DIFFERENT
    }
    for name, cell in kept.items():
        assert (name, shown(now[name])) == (name, shown(cell))
    return len(kept)


# Most of their time is Spark's. That the helpers of the others are complete, a test of its own sees.
SHORT_AND_WHOLE = pytest.mark.parametrize(
    ("lessons", "most_of_them"),
    [(LESSONS[:1], 7), pytest.param(LESSONS, 35, marks=pytest.mark.soak)],
    ids=["the first", "all"],
)


@SHORT_AND_WHOLE
def test_from_a_git_folder_whatever_the_working_folder_is(
    empty: Path, monkeypatch: pytest.MonkeyPatch, lessons: list[Path], most_of_them: int
) -> None:
    monkeypatch.setenv("RAW_PATH", str(ROOT / "data_samples" / "topics"))
    book = together([nbformat.read(path, as_version=4) for path in lessons])
    run(book, empty)
    assert compare(book, lessons) > most_of_them


@SHORT_AND_WHOLE
def test_alone_in_an_empty_folder_of_a_workspace(
    empty: Path, tmp_path: Path, lessons: list[Path], most_of_them: int
) -> None:
    single.main([str(empty)])
    assert sorted(path.name for path in empty.iterdir()) == [path.name for path in LESSONS]
    raw = tmp_path / "uploaded"
    shutil.copytree(ROOT / "data_samples" / "topics", raw)
    book = together([nbformat.read(empty / path.name, as_version=4) for path in lessons])
    setup = WORKSPACE.format(volumes=str(tmp_path / "Volumes"), raw=str(raw))
    book.cells.insert(2, nbformat.v4.new_code_cell(setup))
    book.cells.append(nbformat.v4.new_code_cell(PROOF))
    run(book, empty)
    assert compare(book, lessons) > most_of_them
    (volume,) = (tmp_path / "Volumes" / "spark_catalog" / "default").iterdir()
    assert re.fullmatch(r"[a-z0-9]{6,16}_files", volume.name) and "0a1b2c3d4e5f" not in volume.name
    assert len(list(volume.glob("topics/*/*/partition=0/*.json.gz"))) == 9


def test_every_import_of_a_single_notebook_is_inside_it(empty: Path) -> None:
    single.main([str(empty)])
    proof = "assert all(module.__file__.startswith(str(Path.cwd())) for name, module in sys.modules.items() "
    proof += "if name.split('.')[0] == 'helpers')"
    for path in LESSONS:
        book = nbformat.read(empty / path.name, as_version=4)
        helpers, *others = [cell.source for cell in book.cells if cell.cell_type == "code"]
        statements = [node for source in others for node in ast.parse(source).body]
        imports = [ast.unparse(node) for node in statements if isinstance(node, ast.Import | ast.ImportFrom)]
        assert any(line.startswith("from helpers import") for line in imports)
        program = [sys.executable, "-c", "\n".join([helpers, *imports, proof])]
        done = subprocess.run(program, cwd=empty, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{path.stem}: {done.stderr[-1500:]}"


def test_the_single_notebooks_are_readable_and_hold_no_more_than_they_need(tmp_path: Path) -> None:
    single.main([str(tmp_path)])
    for path in LESSONS:
        book = json.loads((tmp_path / path.name).read_text(encoding="utf-8"))
        first = book["cells"][1]["source"]
        assert "def use_target() -> Settings:" in first and "b64decode" not in first
        panel = book["metadata"][single.PANEL]["environmentMetadata"]
        assert int(panel["environment_version"]) >= databricks.ENVIRONMENT
        for other in ("posting", "source", "inventory", "client", "lookup"):
            assert f'SOURCES["helpers.{other}"]' not in first
        assert not any("](../" in "".join(cell["source"]) for cell in book["cells"])
        nbformat.validate(nbformat.from_dict(book))


def test_modules_are_found_however_they_are_imported(tmp_path: Path) -> None:
    package = tmp_path / "kit"
    package.mkdir()
    sources = {
        "__init__": "",
        "a": "from kit.b import f\n",
        "b": "def f():\n    import kit.c\n",
        "c": "",
        "unused": "",
    }
    for name, text in sources.items():
        (package / f"{name}.py").write_text(text)
    found = single.needed("import os, pandas\nfrom kit import a\nfrom elsewhere import unused\n", package)
    assert found == {"kit": "", "kit.a": sources["a"], "kit.b": sources["b"], "kit.c": ""}


@pytest.mark.parametrize(
    "text", ["", "plain\n", 'a = r"\\d"\n', "'''", "x'", "x\\", "a = '''b'''\n", 'f"{x}" 📌\n', "\t\r\n"]
)
def test_any_source_survives_as_a_literal(text: str) -> None:
    assert eval(single.literal(text)) == text
