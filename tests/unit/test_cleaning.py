"""Cleaning: every rule on its hard cases, the same for batch and stream, and the same as DuckDB finds."""

import base64
import json
import random
import re
import unicodedata
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
        return cleaning.parse(spark.read.option("lineSep", "\n").text(str(file)), table)

    return make


NOT_ONE_OBJECT = {
    "text_after_document": [
        '{"ind": 1}{"ind": 2}',
        '{"ind": 1},{"ind": 2}',
        '{"ind": 1}\n{"ind": 2}',
        '{"ind": 1} junk',
        '{"ind": 1}}',
        '{"ind": 1}]{"ind": 2}',
        '{"ind": 1},{"ind":"\\u001e"}] junk',
        '{"ind": 1},',
    ],
    "document_spans_lines": json.dumps({**GEO, "tags": ["a", {"b": 1}]}, indent=2).split("\n"),
    "not_json": [
        *(
            "{oops",
            '{"ind": 5, "timest',
            "7",
            "null",
            "true",
            '"text"',
            '[{"ind": 1}]',
            "[]",
            "",
            "  ",
            "\ufeff{}",
        ),
        *(
            "{'ind': 1}",
            '{"ind": NaN}',
            '{"ind": 01}',
            '{"ind": 1,}',
            '{"country": "a\tb"}',
            "//",
            "a" * 100_000,
        ),
        '{"x":' * 2000 + "1" + "}" * 2000,
        '"' + 'a\\"' * 200_000,
    ],
    "not_a_text": [
        '{"ind": 1, "country": {"name": "Peru"}}',
        '{"ind": 1, "country": [1]}',
        '{"latitude": [[1]]}',
    ],
}


def test_a_line_is_one_object_or_set_aside_whole_with_its_reason(spark: Any) -> None:
    expected = [(line, reason) for reason, lines in NOT_ONE_OBJECT.items() for line in lines]
    assert len(NOT_ONE_OBJECT["document_spans_lines"]) > 8
    delivered = [(line.encode(), f"{place:056d}") for place, (line, _) in enumerate(expected)]
    raw = cleaning.parse(spark.createDataFrame(delivered, "value BINARY, sequenceNumber STRING"), "geo")
    rows = quality.quarantine(raw, "geo").orderBy("_position").collect()
    assert [(row["record"], row["reason"]) for row in rows] == expected


GOOD_LINES = {
    json.dumps(GEO): "Aruba",
    f"  {json.dumps(GEO)}\t\r": "Aruba",
    json.dumps({**GEO, "country": '{"name": "Peru"}'}): '{"name": "Peru"}',
    json.dumps({**GEO, "country": "[DIY] {x}"}): "[DIY] {x}",
    json.dumps({**GEO, "country": "}{ \x00 👩‍🎨 \u2028"}, ensure_ascii=False): "}{ \x00 👩‍🎨 \u2028",
    json.dumps({**GEO, "new": {"a": [1, {"b": 2}]}}): "Aruba",
    json.dumps({**GEO, "country": 5}): "5",
    f'{{"country": "Mali", {json.dumps(GEO)[1:]}': "Aruba",  # of two values the last counts
    json.dumps({**GEO, "new": "x" * 1_000_000}): "Aruba",
    '{"deep": ' + "[" * 900 + "]" * 900 + f", {json.dumps(GEO)[1:]}": "Aruba",
}


def test_one_object_a_line_is_read_and_kept_byte_for_byte(spark: Any) -> None:
    delivered = [(line.encode(), f"{place:056d}") for place, line in enumerate(GOOD_LINES)]
    raw = cleaning.parse(spark.createDataFrame(delivered, "value BINARY, sequenceNumber STRING"), "geo")
    rows = raw.orderBy("_position").collect()
    assert [(row["_line"], row["_fault"], row["country"]) for row in rows] == [
        (line, None, country) for line, country in GOOD_LINES.items()
    ]


def test_bytes_that_are_no_text_are_kept_as_base64(spark: Any) -> None:
    bad = [b"\xff\xfe", b'{"ind": 1, "country": "\xed\xa0\x80"}', json.dumps(GEO).encode("utf-16")]
    delivered = [(data, f"{place:056d}") for place, data in enumerate(bad)]
    raw = cleaning.parse(spark.createDataFrame(delivered, "value BINARY, sequenceNumber STRING"), "geo")
    rows = quality.quarantine(raw, "geo").orderBy("_position").collect()
    assert [(base64.b64decode(row["record"]), row["reason"]) for row in rows] == [
        (each, "not_utf8") for each in bad
    ]


def test_null_missing_and_blank_are_one_thing_and_the_line_tells_them_apart(spark: Any) -> None:
    without = {name: value for name, value in USER.items() if name != "age"}
    lines = [
        json.dumps({**without, **more, "_offset": 1})
        for more in ({}, {"age": None}, {"age": ""}, {"age": " "})
    ]
    raw = cleaning.parse(spark.createDataFrame([(line,) for line in lines], "value STRING"), "user")
    assert {row["age"] for row in quality.valid(raw, "user").collect()} == {None}
    assert {row["record"] for row in quality.records_of(raw, "user", "no_age").collect()} == set(lines)


@pytest.mark.parametrize("offset", [None, "x", -1, 1.5, {"a": 1}])
def test_without_a_place_in_the_log_a_record_is_set_aside(raw: Any, offset: Any) -> None:
    [row] = quality.quarantine(raw("geo", [{**GEO, "_offset": offset}]), "geo").collect()
    assert row["reason"] == "missing_position"


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
    "1e3": 1000,
    "1.5E7": 15_000_000,
    "15000000.0": 15_000_000,
    "1.5E0": None,
    "1\u202f234": 1234,
    "1\u2009234\u2007567": 1_234_567,
    "12\u3000k": 12_000,
    "1 234.5K": 1_234_500,
    "10K+": None,
    "12,5k": None,
    "1.2 million": None,
    "985 followers": None,
    "1E400": None,
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
    text = "".join(" " if unicodedata.category(each) == "Zs" else each for each in text).strip(" \t\r\n")
    if re.fullmatch(r"[0-9]+(\.[0-9]{1,18})?E\+?[0-9]{1,2}", text, re.IGNORECASE):
        value = Fraction(text)
        return int(value) if value.denominator == 1 and value < 2**63 else None
    shape = r"([0-9]+|[0-9]{1,3}(?:[, ][0-9]{3})+)((?:\.[0-9]+)?) *([kmb]?)"
    found = re.fullmatch(shape, text, re.IGNORECASE)
    if not found:
        return None
    number, part, letter = found.groups()
    value = Fraction(re.sub(r"[^0-9]", "", number) + part) * 1000 ** " kmb".index(letter.lower() or " ")
    return int(value) if value.denominator == 1 and value < 2**63 else None


BLANK = st.sampled_from(["", "", " ", "\t", "\u00a0", "\u202f"])
DIGITS = st.integers(0, 10**20).map(str) | st.integers(0, 10**7).map("{:,}".format)
PART = st.sampled_from(["", ".", ".50"]) | st.integers(0, 10**10).map(lambda n: f".{n}")
LETTER = st.sampled_from(["", *"kKmMbBx", "E7", "e2"])
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
        alike = [text.lower() for text in words] + [f"{words[0].upper().rstrip('.')}.", words[0].rstrip(".")]
        gone = [*words, *alike, "", " ", None, f" {words[0]} ", f"\u202f{words[0]}\u00a0"]
        kept = [] if field == "follower_count" else [f"{words[0]}!", f"{words[0]} ?"]
        cases += [(field, text, None) for text in gone] + [(field, text, text) for text in kept]
    story = "multi-video(story page format)"
    cases.append(("is_image_or_video", story, story))
    records = [{**PIN, "index": place, field: text} for place, (field, text, _) in enumerate(cases)]
    rows = cleaning.clean_pins(raw("pin", records)).orderBy("ind").collect()
    found = [(field, text, row[field]) for (field, text, _), row in zip(cases, rows, strict=True)]
    assert found == cases


def test_save_location_is_the_path_alone(raw: Any) -> None:
    values = {
        "Local save in /data/diy-and-crafts": "/data/diy-and-crafts",
        "local save in  /data/my art": "/data/my art",
        "Local save in data/art": "data/art",
        "Local save in s3://b/c": "s3://b/c",
        "s3://b/c": "s3://b/c",
        "/data/art": "/data/art",
        "Local save in": None,
        "Local save in: /data/art": None,
        "somewhere else": None,
        "": None,
        None: None,
    }
    found = [row["save_location"] for row in one_by_one(raw, "pin", PIN, "save_location", list(values))]
    assert found == list(values.values())


def test_timestamps_are_utc_and_garbage_is_not_there(raw: Any, spark: Any) -> None:
    values = {
        "2018-03-04T05:06:07": "2018-03-04 05:06:07",
        "2018-03-04 05:06:07": "2018-03-04 05:06:07",
        "  2018-03-04 05:06:07\t": "2018-03-04 05:06:07",
        "2018-03-04T05:06:07Z": "2018-03-04 05:06:07",
        "2018-03-04T05:06:07.250Z": "2018-03-04 05:06:07.25",
        "2018-12-31T23:59:59": "2018-12-31 23:59:59",
        "2018-12-31T23:59:59-02:00": "2019-01-01 01:59:59",
        "2018-03-04T05:06:07+0200": "2018-03-04 03:06:07",
        "2018-03-04T05:06:07+02": "2018-03-04 03:06:07",
        "2018-03-04T05:06:07.5 -02:30": "2018-03-04 07:36:07.5",
        "2018-03-04T05:06:07,25": "2018-03-04 05:06:07.25",
        "2018-03-04T05:06": "2018-03-04 05:06:00",
        "2018-03-04 05:06Z": "2018-03-04 05:06:00",
        "2018-03-04t05:06+02": "2018-03-04 03:06:00",
        "2018-03-04": "2018-03-04 00:00:00",
        "0000-01-01T00:00:00": None,
        "2018-3-4": None,
        "04/03/2018": None,
        "1520139967": None,
        "2018-03-04T05": None,
        "2018-03-04T24:00:00": None,
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
    # As they come from Kinesis: bytes and a sequence number.
    delivered = [(line.encode(), f"4959{place:052d}") for place, line in enumerate(lines)]
    records = spark.createDataFrame(delivered, "value BINARY, sequenceNumber STRING")
    stream = cleaning.parse(records, table)
    clean = CLEAN[table]
    assert clean(stream).schema == clean(batch).schema
    assert rows_of(clean(stream).drop("_position")) == rows_of(clean(batch).drop("_position"))
    rejected = [quality.quarantine(source, table).select("reason", "record") for source in (batch, stream)]
    assert rows_of(rejected[0]) == rows_of(rejected[1])
    records_kept = {row["record"] for row in rejected[0].collect()}
    assert records_kept <= set(lines) and {"{oops", "7", "null"} <= records_kept


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
