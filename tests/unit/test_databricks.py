"""What the helpers do inside Databricks, in a workspace that is imitated: no account, no network."""

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.formatters import DisplayFormatter
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from helpers import config, databricks, ledger, session
from tests.bare import nothing_set
from tests.databricks import inside


@pytest.fixture(autouse=True)
def no_settings(tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    with nothing_set(tmp_path) as patch:
        patch.delenv("LOCAL_CLOUD_HOME")
        yield patch


def put(folder: Path, **files: str) -> Path:
    """Write files with these names, `__` standing for `/`, and the words in them."""
    for name, words in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(words)
    return folder


def held(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}


# --- settings ----------------------------------------------------------------------------------------------


def test_a_parameter_goes_before_the_environment_and_that_before_the_file(
    no_settings: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("PIPELINE_USER=file\nCATALOG=file\nSCHEMA=file\nRAW_PATH=data\n")
    no_settings.setenv("CATALOG", "shell")
    no_settings.setenv("SCHEMA", "shell")
    with inside(tmp_path, {"SCHEMA": "widget", "PIPELINE_USER": "", "UNKNOWN": "x"}) as session:
        cloud = config.use_target()
    assert (cloud.user_id, cloud.catalog, cloud.schema) == ("file", "shell", "widget")
    assert session.said == []


@pytest.mark.parametrize("shell", [None, "no dbutils"])
def test_without_a_notebook_there_are_no_parameters(
    shell: str | None, no_settings: pytest.MonkeyPatch
) -> None:
    found = SimpleNamespace(user_ns={}) if shell else None
    no_settings.setattr(databricks, "_shell", lambda: found)
    assert databricks.parameters(["RAW_PATH"]) == {}


@pytest.mark.parametrize(
    ("widgets", "place"),
    [
        ({"PIPELINE_USER": "bob42"}, ("workspace", "default")),
        ({"PIPELINE_USER": "bob42", "CATALOG": "mine"}, ("mine", "default")),
        ({"PIPELINE_USER": "bob42", "CATALOG": "mine", "SCHEMA": "own"}, ("mine", "own")),
    ],
)
def test_catalog_and_schema_are_the_workspaces_own_unless_set(
    widgets: dict[str, str], place: tuple[str, str], tmp_path: Path
) -> None:
    with inside(tmp_path, {"RAW_PATH": "s3://b/topics", **widgets}) as session:
        cloud = config.use_target()
        assert (cloud.catalog, cloud.schema) == place
        assert cloud.table("pin") == f"`{place[0]}`.`{place[1]}`.`bob42_pin_table`"
    assert len(session.said) == (0 if len(widgets) == 3 else 1)


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("anna.bee@example.com", "annabee"),
        ("annabee@example.com", "annabee"),
        ("Ann-Christin.von.Overbeck@example.com", "annchristi"),
        ("8a7b6c5d-1111-2222-3333-444455556666", "8a7b6c5d11"),
        ("für@example.com", "fr"),
        ("📌", ""),
    ],
)
def test_everybody_in_a_shared_workspace_has_other_tables(name: str, begins: str, tmp_path: Path) -> None:
    with inside(tmp_path, {"RAW_PATH": "s3://b/topics", "CATALOG": "c", "SCHEMA": "s"}) as session:
        session.user = name
        found = config.use_target()
        assert config.use_target().user_id == found.user_id
    assert found.names.user_id[:-6] == begins
    assert session.said == ["SELECT current_user()"] * 2


def test_two_people_of_like_names_stay_apart(tmp_path: Path) -> None:
    found = set()
    with inside(tmp_path) as session:
        for session.user in ("anna.bee@example.com", "annabee@example.com", "annabee@example.org"):
            found.add(databricks.user_id())
    assert len(found) == 3


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("client.1.13", "Serverless environment 1: choose version 4 or newer"),
        ("client.3.2", "Environment panel"),
        ("client.4.17", ""),
        ("client.5.0", ""),
        ("15.4", "Databricks Runtime 15.4: use a cluster with 16.4 or newer"),
        ("16.3.x-scala2.12", "Databricks Runtime 16.3"),
        ("16.4", ""),
        ("17.3.x-photon-scala2.13", ""),
        ("custom", ""),
    ],
)
def test_what_is_too_old_for_the_lessons_is_refused_with_the_remedy(
    version: str, said: str, tmp_path: Path, no_settings: pytest.MonkeyPatch
) -> None:
    with inside(tmp_path):
        no_settings.setenv("DATABRICKS_RUNTIME_VERSION", version)
        reason = databricks.too_old()
        assert said in reason and bool(said) == bool(reason)
        if said:
            no_settings.setattr(databricks, "_shell", lambda: None)
            with pytest.raises(config.ConfigError, match="or newer"):
                session.spark()


def test_a_reader_without_settings_is_told_of_the_samples(tmp_path: Path) -> None:
    with (
        inside(tmp_path),
        pytest.raises(config.ConfigError, match="or RAW_PATH=data_samples/topics") as error,
    ):
        config.use_target()
    assert "PIPELINE_USER" in str(error.value) and "credentials" not in str(error.value)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("RAW_PATH=data/topics", "data/topics"),
        ("  export RAW_PATH = data/topics  ", "data/topics"),
        ("RAW_PATH='a b'  # why", "a b"),
        ('RAW_PATH="a # b"', "a # b"),
        ("RAW_PATH=a#b # why", "a#b"),
        ("RAW_PATH=x=y?z=1&w=2", "x=y?z=1&w=2"),
        ("RAW_PATH=für/📌", "für/📌"),
        ("RAW_PATH=", ""),
        ("RAW_PATH= # nothing", ""),
        ("RAW_PATH=old\nRAW_PATH=new", "new"),
        ("# RAW_PATH=x", None),
        ("RAW_PATH", None),
        ("", None),
    ],
)
def test_the_settings_file_is_read_as_python_dotenv_reads_it(
    line: str, value: str | None, tmp_path: Path
) -> None:
    from dotenv import dotenv_values

    (tmp_path / ".env").write_text(line + "\n")
    found = config.settings_file(tmp_path / ".env").get("RAW_PATH")
    assert found == value == dotenv_values(tmp_path / ".env").get("RAW_PATH")
    assert config.settings_file(tmp_path / "none") == {}


# --- files -------------------------------------------------------------------------------------------------


def test_workspace_files_are_copied_to_a_volume_which_is_made_once(tmp_path: Path) -> None:
    put(tmp_path / "data" / "pin", **{"partition=0__pin+0+0.json": "new", "partition=1__ü 📌.json": "x"})
    volume = tmp_path / "Volumes" / "workspace" / "default" / "bob42_files"
    with inside(tmp_path, {"RAW_PATH": "data/", "PIPELINE_USER": "bob42"}) as session:
        cloud = config.use_target()
        copy = Path(cloud.raw_path("pin"))
        assert copy.parent == volume / "topics" / "pin"
        assert cloud.raw_path("pin") == str(copy)
    assert held(copy) == {
        "partition=0/pin+0+0.json": "new",
        "partition=1/ü 📌.json": "x",
        databricks.DONE: "",
    }
    name = "`workspace`.`default`.`bob42_files`"
    assert session.said[1:] == [f"CREATE VOLUME IF NOT EXISTS {name}"]


def test_a_copy_never_changes_under_a_run_that_reads_it(tmp_path: Path) -> None:
    put(tmp_path / "source", a="1", b="2")
    first = databricks.copy(tmp_path / "source", tmp_path / "target")
    (first / "a").write_text("a reader holds this file open")
    assert databricks.copy(tmp_path / "source", tmp_path / "target") == first
    assert held(first)["a"].startswith("a reader")
    (tmp_path / "source" / "b").write_text("3")
    second = databricks.copy(tmp_path / "source", tmp_path / "target")
    assert second != first and held(second) == {"a": "1", "b": "3", databricks.DONE: ""}
    assert held(first)["b"] == "2"
    (first / databricks.DONE).unlink()  # a copy that was cut off is made again
    put(tmp_path / "source", b="2")
    assert held(databricks.copy(tmp_path / "source", tmp_path / "target"))["a"] == "1"


def test_an_absolute_folder_of_the_workspace_is_copied_too(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere" / "geo", **{"a.json": "{}"})
    with inside(tmp_path, {"RAW_PATH": f"{tmp_path}/elsewhere"}):
        assert "/Volumes/workspace/default/" in config.use_target().raw_path("geo")


def test_what_spark_can_read_is_left_where_it_is(tmp_path: Path) -> None:
    for place in (f"{tmp_path}/Volumes/main/raw/files", "s3://bucket/topics"):
        with inside(tmp_path, {"RAW_PATH": place, "PIPELINE_USER": "bob42"}) as session:
            assert config.use_target().raw_path("pin") == f"{place}/pin"
        assert len(session.said) == 1
    assert not (tmp_path / "Volumes").exists()


@pytest.mark.parametrize("empty", [True, False])
def test_a_folder_without_files_is_named_and_the_old_copy_kept(empty: bool, tmp_path: Path) -> None:
    if empty:
        (tmp_path / "source").mkdir()
    put(tmp_path / "target", old="kept")
    with pytest.raises(FileNotFoundError, match="RAW_PATH"):
        databricks.copy(tmp_path / "source", tmp_path / "target")
    assert held(tmp_path / "target") == {"old": "kept"}


def test_a_volume_is_asked_for_no_permission_bits(tmp_path: Path, no_settings: pytest.MonkeyPatch) -> None:
    put(tmp_path / "source", a="1")

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError("Operation not permitted")

    for call in ("chmod", "utime", "chown"):
        no_settings.setattr(os, call, refuse)
    copy = databricks.copy(tmp_path / "source", tmp_path / "target")
    assert held(copy) == {"a": "1", databricks.DONE: ""}


def test_scratch_folders_are_empty_and_never_the_same(tmp_path: Path) -> None:
    here = config.Settings(**dict.fromkeys(config.Settings.__dataclass_fields__, "x")).scratch()
    assert here.is_dir() and list(here.iterdir()) == []
    here.rmdir()
    with inside(tmp_path, {"RAW_PATH": "s3://b/topics"}):
        cloud = config.use_target()
        one, other = cloud.scratch(), cloud.scratch()
        assert one != other and one.parent == cloud.volume / "scratch"
        assert list(one.iterdir()) == []


def test_streams_note_their_progress_in_the_volume(tmp_path: Path) -> None:
    with inside(tmp_path, {"RAW_PATH": "s3://b/topics"}):
        cloud = config.use_target()
        assert cloud.checkpoint("pin_stream").startswith(f"{cloud.volume}/")
        assert cloud.volume.is_dir()


def test_state_goes_to_a_temporary_folder_not_beside_the_notebooks(
    tmp_path: Path, no_settings: pytest.MonkeyPatch
) -> None:
    assert config.state_folder() == tmp_path / ".local"
    with inside(tmp_path):
        no_settings.setattr("tempfile.tempdir", str(tmp_path / "t"))
        assert config.state_folder() == tmp_path / "t" / "pinterest-pipeline"
        no_settings.setenv("LOCAL_CLOUD_HOME", str(tmp_path / "s"))
        assert config.state_folder() == tmp_path / "s"


# --- counts and tables -------------------------------------------------------------------------------------


def test_a_stage_that_a_laptop_counted_is_printed_for_comparison(
    tmp_path: Path, no_settings: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    no_settings.setenv("LOCAL_CLOUD_HOME", str(tmp_path / "s"))
    with pytest.raises(ledger.LedgerError):
        ledger.record("read by Spark", {"pin": 3}, equals="in S3")
    with inside(tmp_path):
        ledger.record("read by Spark", {"pin": 3}, equals="in S3")
        assert "'in S3'" in capsys.readouterr().out
        with pytest.raises(ledger.LedgerError, match="pin 4 instead of 3"):
            ledger.record("clean", {"pin": 4}, equals="read by Spark")
    assert ledger.read() == {"read by Spark": {"pin": 3}}


def test_the_session_is_the_workspaces_own_and_its_tables_show_their_rows(
    spark: Any, tmp_path: Path, no_settings: pytest.MonkeyPatch
) -> None:
    formatter = DisplayFormatter()
    rows = spark.range(30).select(
        "id", F.expr("if(id = 0, NULL, id * 10)").alias("n"), F.lit("<b>").alias("text")
    )
    with inside(tmp_path):
        no_settings.setattr(databricks, "_shell", lambda: SimpleNamespace(display_formatter=formatter))
        told: dict[str, str] = {}
        own = SimpleNamespace(conf=SimpleNamespace(set=told.__setitem__))
        builder = SimpleNamespace(getOrCreate=lambda: own)
        no_settings.setattr(session, "SparkSession", SimpleNamespace(builder=builder))
        assert session.spark() is own
        assert told == {"spark.sql.session.timeZone": "UTC", "spark.sql.ansi.enabled": "true"}
    assert isinstance(rows, DataFrame)
    shown = formatter.format(rows.orderBy("id"))[0]["text/html"]
    assert shown.count("<tr") == databricks.SHOWN + 1
    assert "<td>NULL</td>" in shown and "<td>190</td>" in shown and "&lt;b&gt;" in shown
    assert formatter.format(1) == ({"text/plain": "1"}, {})


def test_outside_a_notebook_there_is_nothing_to_show_tables_in(no_settings: pytest.MonkeyPatch) -> None:
    no_settings.setattr(databricks, "_shell", lambda: None)
    databricks.show_frames()


def test_a_stream_has_no_first_rows(spark: Any) -> None:
    assert databricks.as_table(spark.readStream.format("rate").load()) is None
    assert "<th>id</th>" in str(databricks.as_table(spark.range(0)))
