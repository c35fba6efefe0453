"""Cleaning: every rule on its hard cases, the same for batch and stream, and the same as DuckDB finds."""

import json
import random
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from helpers import cleaning, quality
from helpers.names import TABLES
from tests import reference

CLEAN = {"pin": cleaning.clean_pins, "geo": cleaning.clean_geo, "user": cleaning.clean_users}
HARD = Path(__file__).resolve().parents[2] / "data_samples" / "hard_cases"
PIN = {
    "index": 1,
    "unique_id": "u",
    "category": "art",
    "title": "t",
    "save_location": "Local save in /data/art",
}
GEO = {"ind": 1, "timestamp": "2018-03-04T05:06:07", "latitude": 1.5, "longitude": -2.5, "country": "Aruba"}
USER = {"ind": 1, "first_name": "Ann", "last_name": "Bee", "age": 30, "date_joined": "2016-02-29 08:30:00"}
FEW = settings(
    max_examples=2,  # an example costs Spark jobs; what varies is inside the lists
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="session")
def raw(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Make a raw DataFrame from records (their place in the list is the offset) or from texts."""
    folder = tmp_path_factory.mktemp("raw")

    def make(table: str, records: list[Any]) -> DataFrame:
        lines = [
            line if isinstance(line, str) else json.dumps({"_offset": offset, **line})
            for offset, line in enumerate(records)
        ]
        file = folder / f"{len(list(folder.iterdir()))}.json"
        file.write_text("\n".join(lines), encoding="utf-8")
        return spark.read.schema(cleaning.RAW[table]).json(str(file))

    return make


def one_by_one(raw: Any, table: str, base: dict, field: str, values: list[Any]) -> list[Any]:
    """The clean rows, in the order of `values`, of records that differ in one field."""
    key = next(iter(base))
    records = [{**base, key: place, field: value} for place, value in enumerate(values)]
    found = {row["ind"]: row for row in CLEAN[table](raw(table, records)).collect()}
    return [found.get(place) for place in range(len(values))]


FOLLOWERS = {
    "1.5k": 1500,
    "2.4M": 2_400_000,
    "3B": 3_000_000_000,
    "8.2M": 8_200_000,
    "2.01k": 2010,
    "2m": 2_000_000,
    "985K": 985_000,
    "1,234": 1234,
    "1 234 567": 1_234_567,
    " 12 k ": 12_000,
    "\u00a012\u00a0k": 12_000,
    "12.0": 12,
    "1.50000k": 1500,
    "007": 7,
    "0": 0,
    "9223372036854775807": 2**63 - 1,
    "9223372036854775808": None,
    "99999999999999B": None,
    "1.2345k": None,
    "1.5": None,
    "1,5k": None,
    "12,34": None,
    "User Info Error": None,
    "": None,
    "   ": None,
    "M": None,
    "k": None,
    "-5": None,
    "+5": None,
    "1e3": None,
    "1.2.3k": None,
    "10kk": None,
    "ten": None,
    "5\u2028": None,
    "٣": None,
}


def test_follower_counts_are_exact_or_null(raw: Any) -> None:
    rows = one_by_one(raw, "pin", PIN, "follower_count", list(FOLLOWERS))
    assert dict(zip(FOLLOWERS, [row["follower_count"] for row in rows], strict=True)) == FOLLOWERS


def by_fractions(text: str) -> int | None:
    shape = r"([0-9]+|[0-9]{1,3}(?:[, \u00a0][0-9]{3})+)((?:\.[0-9]+)?)[ \u00a0]*([kmb]?)"
    found = re.fullmatch(shape, text.strip(" \t\r\n\u00a0"), re.IGNORECASE)
    if not found:
        return None
    number, part, letter = found.groups()
    value = Fraction(re.sub(r"[^0-9]", "", number) + part) * 1000 ** " kmb".index(letter.lower() or " ")
    return int(value) if value.denominator == 1 and value < 2**63 else None


BLANK = st.sampled_from(["", "", " ", "\t", "\u00a0"])
DIGITS = st.integers(0, 10**20).map(str) | st.integers(0, 10**7).map("{:,}".format)
PART = st.sampled_from(["", ".", ".50"]) | st.integers(0, 10**10).map(lambda n: f".{n}")
LETTER = st.sampled_from(["", *"kKmMbBx"])
NUMBER = st.tuples(BLANK, DIGITS, PART, BLANK, LETTER, BLANK).map("".join)


@FEW
@given(texts=st.lists(NUMBER | st.text(max_size=8), min_size=150, max_size=300))
def test_follower_counts_equal_fractions(raw: Any, texts: list[str]) -> None:
    rows = one_by_one(raw, "pin", PIN, "follower_count", texts)
    found = [(text, row["follower_count"]) for text, row in zip(texts, rows, strict=True)]
    assert found == [(text, by_fractions(text)) for text in texts]


def test_sentinels_and_empty_texts_are_null_and_near_misses_stay(raw: Any) -> None:
    cases = []
    for field, words in quality.SENTINELS.items():
        gone = [*words, "", " ", None, f" {words[0]} "]
        kept = [] if field == "follower_count" else [f"{words[0]}!", words[0].lower()]
        cases += [(field, text, None) for text in gone] + [(field, text, text) for text in kept]
    story = "multi-video(story page format)"
    cases.append(("is_image_or_video", story, story))
    records = [{**PIN, "index": place, field: text} for place, (field, text, _) in enumerate(cases)]
    rows = cleaning.clean_pins(raw("pin", records)).orderBy("ind").collect()
    found = [(field, text, row[field]) for (field, text, _), row in zip(cases, rows, strict=True)]
    assert found == cases


def test_save_location_is_the_path_alone(raw: Any) -> None:
    values = ["Local save in /data/diy-and-crafts", "/data/art", "Local save in", "", None]
    found = [row["save_location"] for row in one_by_one(raw, "pin", PIN, "save_location", values)]
    assert found == ["/data/diy-and-crafts", "/data/art", None, None, None]


def test_timestamps_are_utc_and_garbage_is_not_there(raw: Any, spark: Any) -> None:
    values = {
        "2018-03-04T05:06:07": "2018-03-04 05:06:07",
        "2018-03-04 05:06:07": "2018-03-04 05:06:07",
        "  2018-03-04 05:06:07\t": "2018-03-04 05:06:07",
        "2018-03-04T05:06:07Z": "2018-03-04 05:06:07",
        "2018-03-04T05:06:07.250Z": "2018-03-04 05:06:07.25",
        "2018-12-31T23:59:59": "2018-12-31 23:59:59",
        "2018-12-31T23:59:59-02:00": "2019-01-01 01:59:59",
        "2021-02-30T10:00:00": None,
        "2018-03-04T25:00:00": None,
        "05:06:07": None,
        "2018": None,
        "yesterday": None,
        "now": None,
        "2018-03-04T05:06:07 Mars": None,
        "": None,
    }
    records = [{**GEO, "ind": place, "timestamp": text} for place, text in enumerate(values)]
    # The zone of the session must not matter to what a text means.
    spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    try:
        clean = cleaning.clean_geo(raw("geo", records))
        utc = F.to_utc_timestamp("timestamp", "Asia/Tokyo").cast("string").alias("utc")
        found = {row["ind"]: row["utc"] for row in clean.select("ind", utc).collect()}
    finally:
        spark.conf.set("spark.sql.session.timeZone", "UTC")
    assert [found.get(place) for place in range(len(values))] == list(values.values())


def test_a_user_name_is_what_is_known_of_it(raw: Any) -> None:
    names = [("Ann", "Bee"), (" Ann ", "Bee"), (None, "Bee"), ("Ann", ""), (None, None), ("", " ")]
    records = [{**USER, "ind": n, "first_name": a, "last_name": b} for n, (a, b) in enumerate(names)]
    rows = cleaning.clean_users(raw("user", records)).orderBy("ind").collect()
    assert [row["user_name"] for row in rows] == ["Ann Bee", "Ann Bee", "Bee", "Ann", None, None]


def test_columns_and_types(raw: Any) -> None:
    assert cleaning.clean_pins(raw("pin", [PIN])).dtypes == [
        ("ind", "bigint"),
        ("unique_id", "string"),
        ("title", "string"),
        ("description", "string"),
        ("follower_count", "bigint"),
        ("poster_name", "string"),
        ("tag_list", "string"),
        ("is_image_or_video", "string"),
        ("image_src", "string"),
        ("save_location", "string"),
        ("category", "string"),
        ("_position", "string"),
    ]
    assert cleaning.clean_geo(raw("geo", [GEO])).dtypes == [
        ("ind", "bigint"),
        ("country", "string"),
        ("coordinates", "array<double>"),
        ("timestamp", "timestamp"),
        ("_position", "string"),
    ]
    assert cleaning.clean_users(raw("user", [USER])).dtypes == [
        ("ind", "bigint"),
        ("user_name", "string"),
        ("age", "int"),
        ("date_joined", "timestamp"),
        ("_position", "string"),
    ]


def test_the_latest_position_wins_as_a_number_not_as_a_text(raw: Any) -> None:
    records = [
        {**GEO, "country": "tenth", "_offset": 10},
        {**GEO, "country": "ninth", "_offset": 9},
        {**GEO, "ind": 2, "country": "other"},
        {**GEO, "country": "tenth", "_offset": 10},
    ]
    rows = cleaning.clean_geo(raw("geo", records)).orderBy("ind").collect()
    assert [(row["ind"], row["country"]) for row in rows] == [(1, "tenth"), (2, "other")]
    assert rows[0]["_position"] == "10".zfill(64)


def test_one_unique_id_may_have_two_posts(raw: Any) -> None:
    assert cleaning.clean_pins(raw("pin", [PIN, {**PIN, "index": 2}])).count() == 2


def hard_lines(table: str) -> list[str]:
    lines = [line for line in (HARD / f"{table}.jsonl").read_text("utf-8").split("\n") if line]
    records = [{**json.loads(line), "_offset": offset} for offset, line in enumerate(lines)]
    return [*(json.dumps(record) for record in records), "{oops", "7", "null"]


def rows_of(frame: DataFrame) -> list[str]:
    return sorted(str(row) for row in frame.collect())


@pytest.mark.skipif(not HARD.exists(), reason="no hard cases")
@pytest.mark.parametrize("table", TABLES)
def test_batch_and_stream_give_the_same_rows(raw: Any, spark: Any, table: str) -> None:
    lines = hard_lines(table)
    batch = raw(table, lines)
    # As they come from Kinesis: bytes and a sequence number, and no offset in the record.
    delivered = [
        (re.sub(r', "_offset": \d+', "", line).encode(), f"4959{place:052d}")
        for place, line in enumerate(lines)
    ]
    parsed = F.from_json(F.col("data").cast("string"), cleaning.RAW[table]).alias("r")
    stream = (
        spark.createDataFrame(delivered, "data BINARY, sequenceNumber STRING")
        .select(parsed, "sequenceNumber")
        .select("r.*", "sequenceNumber")
    )
    clean = CLEAN[table]
    assert clean(stream).schema == clean(batch).schema
    assert rows_of(clean(stream).drop("_position")) == rows_of(clean(batch).drop("_position"))
    rejected = [quality.quarantine(source, table).select("reason", "record") for source in (batch, stream)]
    assert rows_of(rejected[0]) == rows_of(rejected[1])


@pytest.mark.skipif(not HARD.exists(), reason="no hard cases")
def test_duckdb_cleans_the_hard_cases_to_the_same_rows(raw: Any, tmp_path: Path) -> None:
    for table in TABLES:
        (tmp_path / table).mkdir()
        (tmp_path / table / "x.json").write_text("\n".join(hard_lines(table)), encoding="utf-8")
    con = duckdb.connect()
    reference.clean(con, tmp_path)
    for table in TABLES:
        ours = CLEAN[table](raw(table, hard_lines(table))).drop("_position").orderBy("ind").collect()
        view = "users" if table == "user" else table
        theirs = con.execute(f"SELECT * FROM {view} ORDER BY ind").fetchall()
        assert [tuple(row) for row in ours] == theirs


MIXED = {
    "pin": (PIN, "follower_count", ["1k", "x", None, "3B"]),
    "geo": (GEO, "timestamp", ["2018-03-04 05:06:07", "2022-01-01T00:00:00", "yesterday", None]),
    "user": (USER, "age", [30, 31, None, -1, "abc"]),
}


@FEW
@given(data=st.data())
@pytest.mark.parametrize("table", TABLES)
def test_order_and_replay_change_nothing_and_nothing_vanishes(raw: Any, table: str, data: Any) -> None:
    base, field, values = MIXED[table]
    key = next(iter(base))
    record = st.builds(
        lambda post, value: {**base, key: post, field: value},
        st.integers(0, 5) | st.none(),
        st.sampled_from(values),
    )
    drawn = data.draw(st.lists(record | st.just("{oops"), min_size=1, max_size=30))
    records = [{"_offset": n, **r} if isinstance(r, dict) else r for n, r in enumerate(drawn)]
    again = records * 2
    random.Random(len(drawn)).shuffle(again)
    once, twice = raw(table, records), raw(table, again)
    clean = CLEAN[table](once)
    assert rows_of(CLEAN[table](twice)) == rows_of(clean)
    first, second = quality.reconcile(once, clean, table), quality.reconcile(twice, clean, table)
    for counts in (first, second):
        assert counts["in"] == counts["clean"] + counts["duplicates"] + counts["quarantined"]
    assert (second["in"], second["quarantined"]) == (2 * first["in"], 2 * first["quarantined"])
    assert first["quarantined"] == quality.quarantine(once, table).count()
