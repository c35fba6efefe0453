"""Records of a stream become the rows that the batch makes of them, whatever comes and how often."""

import datetime as dt
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyspark.sql import functions as F

from data_samples import make_hard_cases
from helpers import cleaning, delta, quality, schema, stream_to_delta
from helpers.config import Settings
from helpers.names import TABLES

NO_OBJECTS = [b"{oops", b"null", b"", b'{"ind": 1}{"ind": 2}', b'{"ind": 1}\n{"ind": 2}', b"\xff\xfe"]
SHAPE = "data BINARY, sequenceNumber STRING"


def hard_lines(table: str) -> list[bytes]:
    records = [*make_hard_cases.hard_cases(table), *make_hard_cases.old_app(table)]
    return [json.dumps(record).encode() for record in records]


def numbered(lines: list[bytes], first: int = 0) -> list[tuple[bytes, str]]:
    """Records with sequence numbers of 56 digits, as Kinesis gives them."""
    return [(line, f"4959{place:052d}") for place, line in enumerate(lines, first)]


@pytest.fixture
def cloud(tmp_path: Path) -> Settings:
    words = (
        "source_url client_home kafka_security_protocol invoke_base rest_proxy sink_zip catalog schema raw"
    )
    empty = dict.fromkeys(words.split(), "")
    return Settings(
        target="local", user_id="u1", region="r", tables=str(tmp_path / "tables"), **empty
    )  # checkpoints beside it


def frame(spark: Any, lines: list[tuple[bytes, str]]) -> Any:
    return spark.createDataFrame(lines, SHAPE)


@pytest.mark.parametrize("table", TABLES)
def test_parsed_records_have_every_column_as_text(spark: Any, table: str) -> None:
    parsed = cleaning.parse(frame(spark, numbered([b"{}"])).withColumnRenamed("data", "value"), table)
    assert parsed.columns == [*schema.COLUMNS[table].split(), "_line", "_position", "_fault"]
    assert {kind for _, kind in parsed.dtypes} == {"string"}
    assert parsed.first()["_position"] == f"4959{0:052d}".zfill(64)


def write(spark: Any, cloud: Settings, batches: list[list[tuple[bytes, str]]]) -> tuple[list[Any], list[Any]]:
    """The clean and the set-aside rows after micro-batches of the user stream."""
    put = stream_to_delta.into_tables(cloud, "user")
    for number, batch in enumerate(batches):
        put(frame(spark, batch), number)
    names = cloud.table("user", "stream"), cloud.table("user", "stream_quarantine")
    return tuple(sorted(map(str, spark.read.table(name).collect())) for name in names)  # type: ignore[return-value]


def test_batches_again_or_cut_otherwise_change_nothing(spark: Any, tmp_path: Path, cloud: Settings) -> None:
    records = numbered([*hard_lines("user"), *NO_OBJECTS])
    half = len(records) // 2
    whole = write(spark, cloud, [records])
    other = Settings(**{**vars(cloud), "tables": str(tmp_path / "other")})
    again = write(
        spark, other, [records[:half], records[:half], records[half:], records[half:], records[:half]]
    )
    assert whole == again and all(whole)


@pytest.fixture
def rules(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Change the oldest age that is possible: everything else stays."""

    def oldest(age: int) -> None:
        changed = [
            quality.Rule(rule.name, f"coalesce({quality.whole_sql('age')}, 0) NOT BETWEEN 0 AND {age}")
            if rule.name == "impossible_age"
            else rule
            for rule in quality.RULES["user"]
        ]
        monkeypatch.setitem(quality.RULES, "user", changed)

    return oldest


def user(ind: int, age: int, **more: Any) -> bytes:
    date = {"date_joined": "2016-01-01T00:00:00"}
    return json.dumps({"ind": ind, "first_name": "A", "last_name": "B", "age": age, **date, **more}).encode()


AGES = [user(1, 30), user(2, 110), user(3, 130), user(1, 125), user(1, 30)]


def batch(spark: Any, tmp_path: Path) -> tuple[list[int], int]:
    """What the batch makes of AGES: the posts in the table, and how many records are set aside."""
    lines = [json.dumps({**json.loads(line), "_offset": place}) for place, line in enumerate(AGES)]
    raw = cleaning.parse(spark.createDataFrame([(line,) for line in lines], "value STRING"), "user")
    names = [f"delta.`{tmp_path}/{name}`" for name in ("batch", "aside")]
    delta.overwrite(cleaning.clean_users(raw), names[0])
    delta.overwrite(quality.quarantine(raw, "user"), names[1])
    table = spark.read.table(names[0])
    sums = quality.reconcile(raw, table, "user")
    assert sums["in"] == len(AGES) == sums["clean"] + sums["duplicates"] + sums["quarantined"]
    assert spark.read.table(names[1]).count() == sums["quarantined"]
    return sorted(row["ind"] for row in table.collect()), int(sums["quarantined"])


def test_a_changed_rule_reaches_every_record_in_both_arms(
    spark: Any, cloud: Settings, tmp_path: Path, rules: Any
) -> None:
    for oldest, posts, aside in ((120, [1, 2], 2), (140, [1, 2, 3], 0), (100, [1], 3)):
        rules(oldest)
        assert batch(spark, tmp_path) == (posts, aside)
        stream_to_delta.start_over(spark, cloud, "user")
        clean, quarantined = write(spark, cloud, [numbered(AGES[:3]), numbered(AGES[3:], 3)])
        assert ([row.split("ind=")[1].split(",")[0] for row in clean], len(quarantined)) == (
            list(map(str, posts)),
            aside,
        )


def test_a_new_column_reaches_every_row_in_both_arms(
    spark: Any, cloud: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(spark, cloud, [numbered([user(1, 30)])])
    batch(spark, tmp_path)
    old = cleaning.clean_users

    def wider(raw: Any) -> Any:
        return old(raw).withColumn("adult", F.col("age") >= 18)

    monkeypatch.setitem(stream_to_delta.CLEAN, "user", wider)
    monkeypatch.setattr(cleaning, "clean_users", wider)
    with pytest.raises(stream_to_delta.StreamError, match=r"'adult'.*start_over\(spark, cloud, 'user'\)"):
        write(spark, cloud, [numbered([user(1, 30)], 9)])
    stream_to_delta.start_over(spark, cloud, "user")
    clean, _ = write(spark, cloud, [numbered([user(1, 30), user(2, 9)])])
    assert ["adult=True" in clean[0], "adult=False" in clean[1]] == [True, True]
    batch(spark, tmp_path)
    assert "adult" in spark.read.table(f"delta.`{tmp_path}/batch`").columns


def test_samples_first_and_a_bucket_later_leave_what_is_in_the_bucket(spark: Any, tmp_path: Path) -> None:
    target = f"delta.`{tmp_path}/t`"
    for name, offset in (("samples", 900), ("bucket", 3)):
        line = user(1, 30, first_name=name, _offset=offset).decode()
        raw = cleaning.parse(spark.createDataFrame([(line,)], "value STRING"), "user")
        delta.overwrite(cleaning.clean_users(raw), target)
    assert [row["user_name"] for row in spark.read.table(target).collect()] == ["bucket B"]


@pytest.mark.parametrize("kind", ["stream", "stream_quarantine"])
def test_a_table_deleted_under_its_checkpoint_is_noticed(spark: Any, cloud: Settings, kind: str) -> None:
    put = stream_to_delta.into_tables(cloud, "user")
    put(frame(spark, numbered([user(1, 30)])), 0)
    shutil.rmtree(cloud.table("user", kind).split("`")[1])
    later = stream_to_delta.into_tables(cloud, "user")  # another day's query, with the same checkpoint
    with pytest.raises(stream_to_delta.StreamError, match="is gone, but 7 micro-batches were written to it"):
        later(frame(spark, numbered([user(2, 30)], 1)), 7)
    stream_to_delta.start_over(spark, cloud, "user")
    clean, _ = write(spark, cloud, [numbered([user(1, 30), user(2, 30)])])
    assert len(clean) == 2


def test_starting_over_forgets_the_checkpoint(spark: Any, cloud: Settings) -> None:
    noted, other = (Path(cloud.checkpoint(f"{table}_stream"), "offsets") for table in ("user", "pin"))
    for folder in (noted, other):
        folder.mkdir(parents=True)
    write(spark, cloud, [numbered([user(1, 30)])])
    stream_to_delta.start_over(spark, cloud, "user")
    assert not noted.exists() and other.exists()
    assert spark.read.table(cloud.table("user", "stream")).isEmpty()


def test_an_older_delivery_does_not_replace_a_newer_one(spark: Any, cloud: Settings) -> None:
    ages = ((30, 5), (40, 9), (20, 2))
    write(spark, cloud, [numbered([user(1, age)], place) for age, place in ages])
    [row] = spark.read.table(cloud.table("user", "stream")).collect()
    assert (row["age"], row["_position"]) == (40, f"4959{9:052d}".zfill(64))


class Query:
    """A query as `writer.start()` gives it; `error` is what it dies of while it gets its first offsets."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.messages = ["Initializing sources", "Getting offsets from the source", "Processing new data"]

    def exception(self) -> Exception | None:
        return self.error if len(self.messages) == 1 else None

    @property
    def status(self) -> dict[str, str]:
        return {"message": self.messages.pop(0) if len(self.messages) > 1 else self.messages[0]}


class Writer:
    """A DataStreamWriter whose `start` gives or raises what is in `outcomes`, one a call."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)

    def start(self) -> Any:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


LATE = RuntimeError("(org.apache.spark.SparkException) Python worker failed to connect back.")


def test_a_query_is_started_again_when_its_worker_came_too_late() -> None:
    for first in (LATE, Query(LATE)):
        good = Query()
        assert stream_to_delta.start(Writer(*[first] * 5, good)) is good and len(good.messages) == 1
    with pytest.raises(RuntimeError, match="connect back"):
        stream_to_delta.start(Writer(LATE), seconds=-1)


@pytest.mark.parametrize("first", [ValueError("no such stream"), Query(ValueError("no such stream"))])
def test_any_other_error_of_a_start_is_raised_at_once(first: Any) -> None:
    writer = Writer(first, Query())
    with pytest.raises(ValueError, match="no such stream"):
        stream_to_delta.start(writer)
    assert len(writer.outcomes) == 1


@pytest.mark.parametrize("refused", [True, False])
def test_where_there_is_no_cache_the_rows_are_read_as_they_are(refused: bool) -> None:
    done: list[str] = []

    class Rows:
        def persist(self) -> None:
            if refused:  # as serverless compute does
                raise RuntimeError("[NOT_SUPPORTED_WITH_SERVERLESS] PERSIST TABLE is not supported")
            done.append("persist")

        def unpersist(self) -> None:
            done.append("unpersist")

    rows: Any = Rows()
    with stream_to_delta.held(rows) as raw:
        assert raw is rows
    assert done == ([] if refused else ["persist", "unpersist"])


def test_the_checkpoint_tells_begun_from_committed(cloud: Settings) -> None:
    assert stream_to_delta.noted(cloud, "user") == {"begun": 0, "committed": 0}
    for folder, numbers in (("offsets", "7 8 9 10"), ("commits", "7 8 9")):
        notes = Path(cloud.checkpoint("user_stream"), folder)
        notes.mkdir(parents=True)
        for name in [*numbers.split(), ".0.crc", ".1.tmp"]:
            (notes / name).touch()
    assert stream_to_delta.noted(cloud, "user") == {"begun": 11, "committed": 10}


def test_ages_end_with_the_micro_batch_and_count_the_newest_records_only() -> None:
    begin = dt.datetime(2022, 1, 1, tzinfo=dt.UTC)
    steps = [
        SimpleNamespace(
            timestamp=f"2022-01-01T00:00:{at}.000Z", durationMs={"triggerExecution": ms}, numInputRows=n
        )
        for at, ms, n in (("10", 2000, 2), ("12", 1500, 1))
    ]
    came = [{"ApproximateArrivalTimestamp": begin + dt.timedelta(seconds=at)} for at in (11.5, 1, 9, 10)]
    assert stream_to_delta.ages(came, steps).to_list() == [2.0, 2.0, 3.0]


def test_growth_is_the_rows_before_and_after_each_of_the_newest_commits(spark: Any, cloud: Settings) -> None:
    ages = ((1, 30), (2, 40), (1, 50))
    write(spark, cloud, [numbered([user(ind, age)], place) for place, (ind, age) in enumerate(ages)])
    spark.sql(f"OPTIMIZE {cloud.table('user', 'stream')}")  # a commit that is no micro-batch
    grown = stream_to_delta.growth(spark, cloud.table("user", "stream"), commits=2)
    assert grown.to_list() == [1, 2, 2] and grown.index[0] == 0
