"""Records of a stream become the rows that the batch makes of them, whatever comes and how often."""

import json
from pathlib import Path
from typing import Any

import pytest

from helpers import cleaning, quality, streaming
from helpers.config import Settings
from helpers.names import TABLES

HARD = Path(__file__).resolve().parents[2] / "data_samples" / "hard_cases"
NO_OBJECTS = [b"{oops", b"7", b"null", b'"text"', b"", b" ", b'[{"ind": 1}]', b"[]", b"\xff\xfe"]
SHAPE = "data BINARY, sequenceNumber STRING"


def hard_lines(table: str) -> list[bytes]:
    lines = (HARD / f"{table}.jsonl").read_text("utf-8").split("\n")
    return [line.encode() for line in lines if line]


def numbered(lines: list[bytes], first: int = 0) -> list[tuple[bytes, str]]:
    """Records with sequence numbers of 56 digits, as Kinesis gives them."""
    return [(line, f"4959{place:052d}") for place, line in enumerate(lines, first)]


@pytest.fixture
def cloud(tmp_path: Path) -> Settings:
    words = (
        "source_url client_home kafka_security_protocol invoke_base rest_proxy sink_zip catalog schema raw"
    )
    empty = dict.fromkeys(words.split(), "")
    return Settings(target="local", user_id="u1", region="r", tables=str(tmp_path), **empty)


def frame(spark: Any, lines: list[tuple[bytes, str]]) -> Any:
    return spark.createDataFrame(lines, SHAPE)


@pytest.mark.parametrize("table", TABLES)
def test_parsed_records_have_the_raw_columns_and_a_position(spark: Any, table: str) -> None:
    parsed = streaming.parse(frame(spark, numbered([b"{}"])), table)
    raw = spark.createDataFrame([], cleaning.RAW[table]).columns
    assert parsed.columns == [name for name in raw if name != "_offset"] + ["_position"]
    assert parsed.first()["_position"] == f"4959{0:052d}".zfill(64)


@pytest.mark.parametrize("table", TABLES)
def test_what_is_no_json_object_is_set_aside_whole(spark: Any, table: str) -> None:
    parsed = streaming.parse(frame(spark, numbered(NO_OBJECTS)), table)
    aside = quality.quarantine(parsed, table).orderBy("_position").collect()
    assert [row["reason"] for row in aside] == ["not_json"] * len(NO_OBJECTS)
    assert [row["record"] for row in aside][:-1] == [text.decode() for text in NO_OBJECTS[:-1]]


@pytest.mark.parametrize("table", TABLES)
def test_stream_and_batch_give_equal_rows(spark: Any, tmp_path: Path, table: str) -> None:
    lines = hard_lines(table)
    file = tmp_path / "x.json"
    file.write_text("\n".join(json.dumps({**json.loads(line), "_offset": n}) for n, line in enumerate(lines)))
    batch = spark.read.schema(cleaning.RAW[table]).json(str(file))
    stream = streaming.parse(frame(spark, numbered(lines)), table)
    clean = streaming.CLEAN[table]
    ours, theirs = (clean(rows).drop("_position") for rows in (stream, batch))
    assert ours.schema == theirs.schema and ours.count()
    assert ours.exceptAll(theirs).isEmpty() and theirs.exceptAll(ours).isEmpty()


def write(spark: Any, cloud: Settings, batches: list[list[tuple[bytes, str]]]) -> tuple[list[Any], list[Any]]:
    """The clean and the set-aside rows after micro-batches of the user stream."""
    put = streaming.into_tables(cloud, "user")
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


def test_an_older_delivery_does_not_replace_a_newer_one(spark: Any, cloud: Settings) -> None:
    def user(age: int, place: int) -> list[tuple[bytes, str]]:
        row = {
            "ind": 1,
            "first_name": "A",
            "last_name": "B",
            "age": age,
            "date_joined": "2016-01-01T00:00:00",
        }
        return numbered([json.dumps(row).encode()], place)

    write(spark, cloud, [user(30, 5), user(40, 9), user(20, 2)])
    [row] = spark.read.table(cloud.table("user", "stream")).collect()
    assert (row["age"], row["_position"]) == (40, f"4959{9:052d}".zfill(64))
