"""The Spark session of this machine, and the tables that it writes."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from helpers import cleaning, session
from helpers.config import ROOT, ConfigError


def test_start_and_first_query_print_nothing(started: Any) -> None:
    assert started.seen == ""


def test_settings_that_the_lessons_rely_on(spark: Any) -> None:
    assert spark.conf.get("spark.sql.ansi.enabled") == "true"
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"
    assert spark.conf.get("spark.sql.repl.eagerEval.enabled") == "true"
    assert spark.sparkContext.uiWebUrl is None
    assert session.spark() is spark
    assert str(ROOT) in spark.range(1).select(F.expr("1")).sparkSession.sparkContext._conf.get(
        "spark.driver.extraClassPath"
    )


def test_compiled_code_has_room(spark: Any) -> None:
    java = spark._jvm.java.lang
    kind = java.Class.forName("com.sun.management.HotSpotDiagnosticMXBean")
    machine = java.management.ManagementFactory.getPlatformMXBean(kind)
    assert int(machine.getVMOption("ReservedCodeCacheSize").getValue()) >= 240 * 2**20


def test_only_this_machine_can_reach_spark(spark: Any) -> None:
    java = psutil.Process(spark.sparkContext._gateway.proc.pid)
    found = [each.laddr.ip for each in java.net_connections("inet") if each.status == psutil.CONN_LISTEN]
    assert found
    assert {address.removeprefix("::ffff:") for address in found} <= {"127.0.0.1", "::1"}


def test_keys_come_from_the_environment_never_from_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do-not-show")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    told = {**session.CONF, **session._s3()}
    assert "do-not-show" not in str(told)
    assert told["spark.hadoop.fs.s3a.endpoint"] == "http://127.0.0.1:4566"
    assert told["spark.hadoop.fs.s3a.endpoint.region"] == "us-east-1"
    assert told["spark.hadoop.fs.s3a.connection.ssl.enabled"] == "false"


def test_missing_jars_and_java_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPARK_JARS", str(tmp_path))
    with pytest.raises(ConfigError, match="make setup"):
        session._jars()
    monkeypatch.setattr(session, "TOOLS", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(ConfigError, match="Java 17"):
        session._prepare_environment()


def posts(spark: Any, *rows: tuple[int, str, int]) -> DataFrame:
    frame = spark.createDataFrame(list(rows), "ind BIGINT, country STRING, _offset BIGINT")
    return cleaning.with_position(frame).drop("_offset")


def held(spark: Any, target: str) -> list[tuple[int, str]]:
    rows: list[Row] = spark.sql(f"SELECT ind, country FROM {target} ORDER BY ind").collect()
    return [(row["ind"], row["country"]) for row in rows]


def test_merge_is_idempotent_and_the_higher_position_wins(spark: Any, tmp_path: Path) -> None:
    target = f"delta.`{tmp_path}/t`"
    first = posts(spark, (1, "Aruba", 9), (2, "Chad", 1))
    session.merge(first, target)
    session.merge(first, target)
    assert held(spark, target) == [(1, "Aruba"), (2, "Chad")]
    session.merge(posts(spark, (1, "older", 8), (2, "Mali", 10), (3, "Peru", 3)), target)
    assert held(spark, target) == [(1, "Aruba"), (2, "Mali"), (3, "Peru")]


def test_an_empty_table_has_the_columns_and_keeps_what_it_has(spark: Any, tmp_path: Path) -> None:
    target = f"delta.`{tmp_path}/t`"
    rows = posts(spark, (1, "Aruba", 1)).withColumn("coordinates", F.expr("array(1D, 2D)"))
    session.create_table(rows, target)
    assert spark.table(target).dtypes == rows.dtypes
    session.merge(rows, target)
    session.create_table(rows, target)
    assert held(spark, target) == [(1, "Aruba")]


@pytest.mark.parametrize("kind", ["a path", "a name that begins with a digit"])
def test_both_kinds_of_table_are_merged_into_and_written_whole(spark: Any, tmp_path: Path, kind: str) -> None:
    named = "`spark_catalog`.`default`.`1e5_quarantine`"
    target = f"delta.`{tmp_path}/t`" if kind == "a path" else named
    session.merge(posts(spark, (1, "Aruba", 1), (2, "Chad", 1)), target)
    assert held(spark, target) == [(1, "Aruba"), (2, "Chad")]
    for _ in range(2):
        session.overwrite(posts(spark, (3, "Peru", 1)), target)
        assert [row["ind"] for row in spark.read.table(target).collect()] == [3]
    spark.sql(f"DROP TABLE IF EXISTS {named}")


HOLDER = """
import sys, time
from pathlib import Path
from helpers import session

@session.one_writer
def write(rows, target):
    Path(sys.argv[1], "begun").touch()
    time.sleep(1)
    Path(sys.argv[1], "done").touch()

write(None, "t")
"""


def test_another_process_waits_for_its_turn_at_a_table(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("LOCAL_CLOUD_HOME", str(tmp_path))
    seen: dict[str, bool] = {}

    @session.one_writer
    def write(rows: Any, target: str) -> None:
        seen[target] = (tmp_path / "done").exists()

    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)]) as holder:
        while not (tmp_path / "begun").exists():
            assert holder.poll() is None
        write(None, "other")
        write(None, "t")
    assert seen == {"other": False, "t": True} and holder.returncode == 0
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "17.3")
    monkeypatch.setattr(session.fcntl, "flock", lambda *_: pytest.fail("the workspace has its own ways"))
    write(None, "t")


def test_a_stream_merges_and_its_restart_adds_nothing(spark: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    target = f"delta.`{tmp_path}/t`"

    def run() -> None:
        lines = spark.readStream.schema(cleaning.RAW["user"]).json(f"{tmp_path}/in")
        write = lines.writeStream.foreachBatch(
            lambda batch, _: session.merge(cleaning.clean_users(batch), target)
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
