"""The runner of the notebooks, on small notebooks of its own with real kernels."""

import base64
import fcntl
import io
import json
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from helpers import ledger
from local_cloud.state import State
from runner import execute, lessons
from runner.execute import keep_equal_outputs, refresh_code
from runner.report import counts_table, suspects


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCAL_CLOUD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIPELINE_TARGET", "local")
    (tmp_path / "notebooks").mkdir()
    return tmp_path / "notebooks"


def write(path: Path, *sources: str) -> None:
    cells = [new_markdown_cell(f"# {path.stem[:2]} · Lesson"), *map(new_code_cell, sources)]
    for number, cell in enumerate(cells):
        cell.id = f"c{number}"
    nbformat.write(new_notebook(cells=cells), path)


def call(folder: Path, *words: str) -> int:
    return lessons.main(["--notebooks", str(folder), *words])


def test_run_stops_at_the_failing_cell_and_touches_no_committed_file(
    folder: Path, capsys: pytest.CaptureFixture
) -> None:
    write(folder / "00_good.ipynb", "from pathlib import Path", "print(Path.cwd().name)")
    (folder.parent / "images").mkdir()
    (folder.parent / "images" / "map.svg").write_text("<svg/>")
    book = nbformat.read(folder / "00_good.ipynb", 4)
    book.cells[0].source += "\n\n![the map](../images/map.svg)"
    nbformat.write(book, folder / "00_good.ipynb")
    write(folder / "01_bad.ipynb", "1 + 1", "raise ValueError('no such topic')", "2 + 2")
    write(folder / "02_later.ipynb", "3")
    write(folder / "17_tear_down.ipynb", "4")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert call(folder, "run") == 1
    said = capsys.readouterr().out
    assert "01_bad.ipynb, cell 3" in said and "ValueError: no such topic" in said
    assert "02_later" in said and "not run" in said and "17_" not in said and "Traceback" not in said
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    run = State().path("run")
    assert nbformat.read(run / "00_good.ipynb", 4).cells[2].outputs[0].text == "notebooks\n"
    assert json.loads((run / "summary.json").read_text())["state"]["02_later"] == "not run"
    page = (run / "html" / "00_good.html").read_text()
    assert "http" not in page and 'src="data:image/svg+xml;base64,PHN2Zy8+"' in page
    assert 'href="01_bad.html"' in (run / "html" / "index.html").read_text()


def test_a_lesson_has_its_charts_whatever_backend_the_reader_has_exported(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MPLBACKEND", "Agg")
    write(folder / "00_chart.ipynb", "import matplotlib.pyplot as plt", "plt.plot([1, 2])\nplt.show()")
    assert call(folder, "lesson", "0") == 0
    shown = nbformat.read(State().path("run") / "00_chart.ipynb", 4).cells[2].outputs
    assert ["image/png" in output.get("data", {}) for output in shown].count(True) == 1


def test_outputs_twice_leaves_the_same_bytes(folder: Path) -> None:
    write(folder / "00_one.ipynb", "print(object())", "1 / 0")
    book = nbformat.read(folder / "00_one.ipynb", 4)
    book.cells[2].metadata.tags = ["raises-exception"]
    nbformat.write(book, folder / "00_one.ipynb")
    assert call(folder, "outputs") == 0
    first = (folder / "00_one.ipynb").read_bytes()
    assert b"ZeroDivisionError" in first and str(folder.parent).encode() not in first
    assert call(folder, "outputs") == 0
    assert (folder / "00_one.ipynb").read_bytes() == first


def picture(text: str, content: str) -> nbformat.NotebookNode:
    cell = new_code_cell("plot()", id="c")
    cell.outputs = [new_output("display_data", {"text/plain": text, "image/png": content})]
    return new_notebook(cells=[cell])


@pytest.mark.parametrize(
    ("text", "asked", "kept"),
    [("same", False, "old"), ("same", True, "new"), ("other", False, "new")],
    ids=["equal text keeps the picture", "new pictures asked for", "other text takes both"],
)
def test_pictures(text: str, asked: bool, kept: str) -> None:
    new = picture(text, "new")
    keep_equal_outputs(picture("same", "old"), new, [], asked)
    assert new.cells[0].outputs[0].data["image/png"] == kept


def test_code_only_calls_nothing_but_show_code() -> None:
    sources = [
        "from helpers import show\nfrom tear_down import kinds\nboom()",
        "show.code(kinds.order)",
        "boom()",
        "def bang():\n    boom()\n\n\nshow.code(kinds.order)",
    ]
    book = new_notebook(cells=[new_code_cell(source) for source in sources])
    refresh_code(book)
    assert book.cells[1].outputs == book.cells[3].outputs
    assert book.cells[1].outputs[0].text.startswith("def order(")
    assert book.cells[0].outputs == book.cells[2].outputs == []


@pytest.mark.parametrize(
    ("words", "says"),
    [(["lesson", "9"], "no lesson '9'"), (["tear-down"], "no lesson '17'")],
)
def test_user_errors_are_one_line(
    folder: Path, capsys: pytest.CaptureFixture, words: list[str], says: str
) -> None:
    write(folder / "00_one.ipynb", "1")
    assert call(folder, *words) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1


def test_a_whole_series_is_refused_on_aws(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    write(folder / "00_one.ipynb", "1")
    monkeypatch.setenv("PIPELINE_TARGET", "aws")
    assert call(folder, "run") == 2
    assert "one by one" in capsys.readouterr().err


def test_two_runs_at_once_are_refused(folder: Path, capsys: pytest.CaptureFixture) -> None:
    write(folder / "00_one.ipynb", "1")
    run = State().path("run")
    run.mkdir(parents=True)
    with (run / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert call(folder, "run") == 2
    assert "another run" in capsys.readouterr().err


def test_counts_add_up_or_do_not() -> None:
    stages = {"sent": 5, "in topic": 5, "in S3": 5, "clean": 3, "duplicates": 1, "quarantined": 1}
    good = {stage: {"pin": count, "geo": count} for stage, count in stages.items()}
    good["clean"] = {"pin": 3, "geo": 2}
    lines = counts_table(good).splitlines()
    assert lines[1].split()[-1] == "yes" and lines[2].split()[-1] == "NO"


def test_the_stream_has_a_table_of_its_own() -> None:
    stages = {"sent": 5, "sent to streams": 5, "in streams": 5, "in stream tables": 3}
    counts = {stage: {"pin": count, "geo": count} for stage, count in stages.items()}
    counts["in streams"] = {"pin": 5, "geo": 4}
    batch, stream = counts_table(counts).split("\n\n")
    assert batch.splitlines()[1].split() == ["pin", "5"]
    assert [line.split()[-1] for line in stream.splitlines()[1:]] == ["yes", "NO"]
    assert counts_table({}) == "No counts were recorded."


def test_the_log_with_an_error_is_named(folder: Path) -> None:
    logs = State().path("logs")
    logs.mkdir(parents=True)
    (logs / "kafka.log").write_text("INFO all is well")
    (logs / "connect.log").write_text("ERROR no bucket")
    assert suspects(State(), 0) == ["connect"]
    assert suspects(State(), 1e12) == []


def test_checkpoints_compare_by_value(folder: Path) -> None:
    ledger.record("sent", {"pin": 3, "geo": 4})
    ledger.record("in topic", {"pin": 3, "geo": 4}, equals="sent")
    with pytest.raises(ledger.LedgerError, match="geo 3 instead of 4"):
        ledger.record("in S3", {"pin": 3, "geo": 3}, equals="sent")
    with pytest.raises(ledger.LedgerError, match="'clean'"):
        ledger.record("in S3", {"pin": 3, "geo": 4}, equals="clean")
    assert ledger.table("sent").loc["geo", "sent"] == 4
    with pytest.raises(ledger.LedgerError, match="clean"):
        ledger.table("sent", "clean")


def test_a_chart_is_kept_with_a_palette_and_once_only() -> None:
    picture, file = Image.effect_noise((200, 100), 60).convert("RGB"), io.BytesIO()
    picture.save(file, "PNG")
    whole = base64.b64encode(file.getvalue()).decode()
    small = execute.with_palette(whole)
    assert len(small) < len(whole) and execute.with_palette(small) == small
    assert Image.open(io.BytesIO(base64.b64decode(small))).size == (200, 100)
    assert execute.with_palette("no picture") == "no picture"
