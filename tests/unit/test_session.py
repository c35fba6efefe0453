"""The Spark session of this machine, and the tables that it writes."""

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from helpers import cleaning, delta, local_spark, session, trial, wait
from helpers.config import ROOT, ConfigError


def test_start_and_first_query_print_nothing(started: Any) -> None:
    assert started.seen == ""


def test_settings_that_the_lessons_rely_on(spark: Any) -> None:
    assert spark.conf.get("spark.sql.ansi.enabled") == "true"
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"
    assert session.spark() is spark


def server(folder: Path) -> psutil.Process:
    """The Java process whose settings lie in this folder."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.name() == "java" and f"{folder}{os.sep}" in " ".join(process.cmdline()):
                return process
    raise LookupError(f"no server of {folder}")


def test_only_this_machine_can_reach_spark(started: Any) -> None:
    found = server(started.folder).net_connections("inet")
    addresses = {each.laddr.ip for each in found if each.status == psutil.CONN_LISTEN}
    assert addresses
    assert {address.removeprefix("::ffff:") for address in addresses} <= {"127.0.0.1", "::1"}


def test_compiled_code_has_room(started: Any) -> None:
    assert "-XX:ReservedCodeCacheSize=240m" in server(started.folder).cmdline()


def test_nobody_gets_in_without_the_key(spark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    address = os.environ["SPARK_REMOTE"]
    for key in ("", "wrong"):
        monkeypatch.setenv("SPARK_CONNECT_AUTHENTICATE_TOKEN", key)
        other = SparkSession.builder.remote(address).create()
        with pytest.raises(Exception, match="UNAUTHENTICATED"):
            other.range(1).count()


def test_the_key_is_in_no_file_and_no_command_line(started: Any, spark: Any, tmp_path: Path) -> None:
    key = os.environ["SPARK_CONNECT_AUTHENTICATE_TOKEN"]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("one line\n")
    lines = spark.readStream.text(f"{tmp_path}/in")
    query = lines.writeStream.foreachBatch(lambda batch, _: batch.count()).trigger(availableNow=True)
    query.option("checkpointLocation", f"{tmp_path}/c").start().awaitTermination()
    log = started.folder / "spark" / "spark.log"
    assert "token=***" in log.read_text()  # the worker of foreachBatch would have printed it
    files = [file for file in started.folder.rglob("*") if file.is_file()]
    assert [file for file in files if key.encode() in file.read_bytes()] == []
    assert [each for each in psutil.process_iter(["cmdline"]) if key in str(each.info["cmdline"])] == []


def test_keys_come_from_the_environment_never_from_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    aws = {"AWS_SECRET_ACCESS_KEY": "do-not-show", "AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}
    told = local_spark.configuration(tmp_path, 1, {**aws, "AWS_REGION": "us-east-1"})
    assert told["spark.authenticate"] == "true"
    assert "do-not-show" not in str(told)
    assert told["spark.hadoop.fs.s3a.endpoint"] == "http://127.0.0.1:4566"
    assert told["spark.hadoop.fs.s3a.endpoint.region"] == "us-east-1"
    assert told["spark.hadoop.fs.s3a.connection.ssl.enabled"] == "false"


def test_missing_jars_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPARK_JARS", str(tmp_path))
    with pytest.raises(ConfigError, match="make setup"):
        local_spark.configuration(tmp_path, 1, {})


ALONE = """
import os, time
from helpers import session
print(session.spark().range(7).count(), os.environ["SPARK_REMOTE"], flush=True)
time.sleep(600)
"""


def test_a_server_for_one_program_ends_with_it_however_it_ends(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SPARK_")}
    environment |= {"LOCAL_CLOUD_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", ALONE], env=environment, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout and program.stdout.readline().startswith("7 sc://localhost:")
        java = server(tmp_path)
        assert (tmp_path / "spark").stat().st_mode & 0o077 == 0
        program.kill()
    java.wait(30)
    wait.until(
        lambda: list((tmp_path / "spark").iterdir()) == [tmp_path / "spark" / "spark.log"], "nothing left"
    )


def posts(spark: Any, *rows: tuple[int, str, int]) -> DataFrame:
    frame = spark.createDataFrame(list(rows), "ind BIGINT, country STRING, _offset STRING")
    return frame.withColumn("_position", F.lpad("_offset", cleaning.POSITION_WIDTH, "0")).drop("_offset")


def held(spark: Any, target: str) -> list[tuple[int, str]]:
    rows: list[Row] = spark.sql(f"SELECT ind, country FROM {target} ORDER BY ind").collect()
    return [(row["ind"], row["country"]) for row in rows]


def test_merge_is_idempotent_and_the_higher_position_wins(spark: Any, tmp_path: Path) -> None:
    target = f"delta.`{tmp_path}/t`"
    first = posts(spark, (1, "Aruba", 9), (2, "Chad", 1))
    delta.create_table(first, target)
    delta.merge(first, target)
    delta.merge(first, target)
    assert held(spark, target) == [(1, "Aruba"), (2, "Chad")]
    delta.merge(posts(spark, (1, "older", 8), (2, "Mali", 10), (3, "Peru", 3)), target)
    assert held(spark, target) == [(1, "Aruba"), (2, "Mali"), (3, "Peru")]
    delta.merge(posts(spark, (1, "Aruba, repaired", 9)), target)  # the same record by a better rule
    assert held(spark, target)[0] == (1, "Aruba, repaired")


def test_an_empty_table_has_the_columns_and_keeps_what_it_has(spark: Any, tmp_path: Path) -> None:
    target = f"delta.`{tmp_path}/t`"
    rows = posts(spark, (1, "Aruba", 1)).withColumn("coordinates", F.expr("array(1D, 2D)"))
    delta.create_table(rows, target)
    assert spark.table(target).dtypes == rows.dtypes
    delta.merge(rows, target)
    delta.create_table(rows, target)
    assert held(spark, target) == [(1, "Aruba")]


@pytest.mark.parametrize("kind", ["a path", "a name that begins with a digit"])
def test_both_kinds_of_table_are_merged_into_and_written_whole(spark: Any, tmp_path: Path, kind: str) -> None:
    named = "`spark_catalog`.`default`.`1e5_quarantine`"
    target = f"delta.`{tmp_path}/t`" if kind == "a path" else named
    first = posts(spark, (1, "Aruba", 1), (2, "Chad", 1))
    delta.create_table(first, target)
    delta.merge(first, target)
    assert held(spark, target) == [(1, "Aruba"), (2, "Chad")]
    for _ in range(2):
        delta.overwrite(posts(spark, (3, "Peru", 1)), target)
        assert [row["ind"] for row in spark.read.table(target).collect()] == [3]
    spark.sql(f"DROP TABLE IF EXISTS {named}")


def test_a_write_that_another_one_got_in_the_way_of_is_tried_again(spark: Any) -> None:
    tried: list[str] = []

    @delta.again_on_conflict
    def write(rows: Any, target: str) -> None:
        tried.append(target)
        if len(tried) < 3:
            raise RuntimeError("[DELTA_CONCURRENT_APPEND] Transaction conflict detected.")

    write(None, "t")
    assert tried == ["t"] * 3

    @delta.again_on_conflict
    def hopeless(rows: Any, target: str) -> None:
        tried.append(target)
        raise RuntimeError("[DELTA_CONCURRENT_APPEND]" if target == "busy" else "no such column")

    for target, times in (("busy", delta.TRIES), ("wrong", 1)):
        tried.clear()
        with pytest.raises(RuntimeError):
            hopeless(None, target)
        assert tried == [target] * times


def test_a_stream_merges_and_its_restart_adds_nothing(spark: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    target = f"delta.`{tmp_path}/t`"

    def run() -> None:
        lines = spark.readStream.option("lineSep", "\n").text(f"{tmp_path}/in")
        nothing = spark.createDataFrame([], "value STRING")
        delta.create_table(cleaning.clean_users(cleaning.parse(nothing, "user")), target)
        write = lines.writeStream.foreachBatch(
            lambda batch, _: delta.merge(cleaning.clean_users(cleaning.parse(batch, "user")), target)
        )
        query = write.option("checkpointLocation", f"{tmp_path}/c").trigger(availableNow=True).start()
        query.awaitTermination()

    record = '{{"ind": {}, "first_name": "{}", "date_joined": "2016-02-29 08:30:00", "_offset": {}}}\n'
    (tmp_path / "in" / "a.json").write_text(record.format(1, "Ann", 0) + record.format(1, "Bea", 1))
    run()
    run()
    (tmp_path / "in" / "b.json").write_text(record.format(1, "Ann", 0) + record.format(2, "Cay", 2))
    run()
    rows = spark.sql(f"SELECT ind, user_name FROM {target} ORDER BY ind").collect()
    assert [tuple(row) for row in rows] == [(1, "Bea"), (2, "Cay")]


def test_a_killed_server_is_found_by_its_port_and_a_new_session_follows(
    started: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(os.environ["SPARK_REMOTE"].rpartition(":")[2])
    killed: list[int] = []
    monkeypatch.setattr(psutil.Process, "kill", lambda process: killed.append(process.pid))
    monkeypatch.setattr(psutil.Process, "wait", lambda *_, **__: None)
    trial.kill_server()
    assert killed == [server(started.folder).pid]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert free.getsockname()[1] != port
        monkeypatch.setenv("SPARK_REMOTE", f"sc://localhost:{free.getsockname()[1]}")
        with pytest.raises(LookupError, match=f"port {free.getsockname()[1]}"):
            trial.kill_server()


@pytest.mark.parametrize("word", ["[INVALID_HANDLE.SESSION_CHANGED]", "[NO_ACTIVE_SESSION]"])
def test_a_session_that_its_server_does_not_know_is_replaced(
    spark: Any, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    class Lost:
        stopped = False

        def stop(self) -> None:
            self.stopped = True

    lost = Lost()
    builder = SimpleNamespace(getOrCreate=lambda: spark if lost.stopped else lost)
    monkeypatch.setattr(session, "SparkSession", SimpleNamespace(builder=builder))
    real = session._configured

    def configured(one: Any) -> Any:
        if one is lost:
            raise RuntimeError(f"{word} the server knows no such session")
        return real(one)

    monkeypatch.setattr(session, "_configured", configured)
    assert session.spark() is spark and lost.stopped
