"""Rules, quarantine, dirt profile and reconciliation."""

import json
from pathlib import Path
from typing import Any

import pytest

from data_samples import make_hard_cases
from helpers import cleaning, quality

PIN = {"index": 1, "unique_id": "u", "category": "art", "title": "t", "follower_count": "1k"}
GEO = {"ind": 1, "timestamp": "2018-03-04T05:06:07", "latitude": 1.5, "longitude": -2.5, "country": "Aruba"}
USER = {"ind": 1, "first_name": "Ann", "last_name": "Bee", "age": 30, "date_joined": "2016-02-29 08:30:00"}
BASE = {"pin": PIN, "geo": GEO, "user": USER}

# (table, what differs from a good record, the rule that must name it; None: a good record)
CASES: list[tuple[str, dict | str, str | None]] = [
    ("pin", {}, None),
    ("pin", "{oops", "not_json"),
    ("pin", '"text"', "not_json"),
    ("pin", json.dumps({"_offset": 3, **GEO}), "wrong_table"),
    ("pin", json.dumps({"_offset": 4, **USER}), "wrong_table"),
    ("pin", "{}", "wrong_table"),
    ("pin", '{"index": 1}{"index": 2}', "text_after_document"),
    ("pin", '  "title": "t",', "document_spans_lines"),
    ("pin", {"title": {"text": "t"}}, "not_a_text"),
    ("pin", {"index": "7.0"}, None),
    ("pin", {"index": 1e7}, None),
    ("pin", {"save_location": "somewhere"}, None),
    ("pin", {"follower_count": "10K+"}, None),
    ("pin", {"follower_count": "user info error."}, None),
    ("pin", {"app_version": "9.0", "reactions": []}, None),
    ("pin", {"app_version": None}, None),
    ("pin", {"index": None}, "missing_key"),
    ("pin", {"index": "abc"}, "missing_key"),
    ("pin", {"index": ""}, "missing_key"),
    ("pin", {"index": -1}, "missing_key"),
    ("pin", {"index": 1.5}, "missing_key"),
    ("pin", {"index": "99999999999999999999"}, "missing_key"),
    ("pin", {"index": 0}, None),
    ("pin", {"index": " 7 "}, None),
    ("pin", {"_offset": None}, "missing_position"),
    ("pin", json.dumps({"index": 9, "title": "Old", "poster": "p", "_offset": 9}), "missing_field"),
    ("pin", {"category": " "}, "missing_field"),
    ("pin", {"title": None, "follower_count": "garbage"}, None),
    ("geo", {}, None),
    ("geo", json.dumps({"_offset": 1, **PIN}), "wrong_table"),
    ("geo", json.dumps({"_offset": 2, **USER}), "wrong_table"),
    ("geo", json.dumps({"ind": 5, "time": 1, "lat": 1.5, "_offset": 2}), "wrong_table"),
    ("geo", {"country": None}, "missing_field"),
    ("geo", {"timestamp": None}, "missing_field"),
    ("geo", {"timestamp": "yesterday"}, "unreadable_timestamp"),
    ("geo", {"timestamp": "04/03/2018 05:06"}, "unreadable_timestamp"),
    ("geo", {"timestamp": 1520139967}, "unreadable_timestamp"),
    ("geo", {"timestamp": "2018-03-04"}, None),
    ("geo", {"timestamp": "2018-03-04T25:06"}, "impossible_timestamp"),
    ("geo", {"country": {"name": "Peru"}}, "not_a_text"),
    ("geo", {"country": ["Peru"]}, "not_a_text"),
    ("geo", {"country": '{"name": "Peru"}'}, None),
    ("geo", {"timestamp": "2021-02-30 10:00:00"}, "impossible_timestamp"),
    ("geo", {"latitude": 90, "longitude": -180}, None),
    ("geo", {"latitude": "-90.0001"}, "impossible_latitude"),
    ("geo", {"latitude": "NaN"}, "impossible_latitude"),
    ("geo", {"latitude": None}, "impossible_latitude"),
    ("geo", {"longitude": 180.5}, "impossible_longitude"),
    ("geo", {"longitude": "west"}, "impossible_longitude"),
    ("user", {}, None),
    ("user", json.dumps({"_offset": 1, **GEO}), "wrong_table"),
    ("user", json.dumps({"ind": 5, "name": "Ann Bee", "age": 30, "_offset": 2}), "missing_field"),
    ("user", {"date_joined": "31/12/2016"}, "unreadable_date_joined"),
    ("user", {"date_joined": "2016-13-31"}, "impossible_date_joined"),
    ("user", {"age": 36.0}, None),
    ("user", {"age": 36.5}, "impossible_age"),
    ("user", {"age": 0}, None),
    ("user", {"age": 120}, None),
    ("user", {"age": None}, None),
    ("user", {"age": ""}, None),
    ("user", {"age": 121}, "impossible_age"),
    ("user", {"age": -1}, "impossible_age"),
    ("user", {"age": 30.5}, "impossible_age"),
    ("user", {"age": "abc"}, "impossible_age"),
    ("user", {"first_name": None, "last_name": None}, None),
]


def lines_of(table: str) -> list[str]:
    changes = [change for owner, change, _ in CASES if owner == table]
    return [
        change if isinstance(change, str) else json.dumps({"_offset": place, **BASE[table], **change})
        for place, change in enumerate(changes)
    ]


@pytest.fixture(scope="module")
def raw(spark: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("raw")
    for table in BASE:
        (folder / f"{table}.json").write_text("\n".join(lines_of(table)))
    read = spark.read.option("lineSep", "\n")
    return {table: cleaning.parse(read.text(str(folder / f"{table}.json")), table).cache() for table in BASE}


@pytest.mark.parametrize("table", BASE)
def test_each_fault_is_named_by_its_rule(raw: dict[str, Any], table: str) -> None:
    found = [row["_reason"] for row in quality.checked(raw[table], table).select("_reason").collect()]
    expected = [reason for owner, _, reason in CASES if owner == table]
    assert list(zip(lines_of(table), found, strict=True)) == list(zip(lines_of(table), expected, strict=True))


def test_every_quarantine_rule_has_a_case() -> None:
    rules = {(table, rule.name) for table in quality.RULES for rule in quality.RULES[table]}
    repairs = {(t, rule.name) for t in quality.RULES for rule in quality.RULES[t] if rule.action == "repair"}
    common = {*quality.FAULTS, "wrong_table", "missing_key", "missing_position"} - {"not_utf8"}
    seen = {(table, reason) for table, _, reason in CASES}
    assert {rule for rule in rules - repairs - seen if rule[1] not in {*common, "not_utf8"}} == set()
    assert {("pin", name) for name in common} <= seen


def test_the_quarantine_keeps_what_came(raw: dict[str, Any]) -> None:
    rows = quality.quarantine(raw["geo"], "geo").orderBy("_position").collect()
    assert list(rows[0].asDict()) == ["table", "reason", "record", "_position"]
    kept = {row["reason"]: json.loads(row["record"]) for row in rows}
    assert kept["impossible_longitude"]["longitude"] == "west"
    assert {row["table"] for row in rows} == {"geo"}
    for table, frame in raw.items():
        expected = zip(lines_of(table), [reason for owner, _, reason in CASES if owner == table], strict=True)
        found = quality.quarantine(frame, table).select("record", "reason").collect()
        assert sorted(map(tuple, found)) == sorted(pair for pair in expected if pair[1])


def test_what_is_valid_and_what_is_not_are_all(raw: dict[str, Any]) -> None:
    for table, frame in raw.items():
        total = len(lines_of(table))
        rejected = sum(reason is not None for owner, _, reason in CASES if owner == table)
        assert quality.quarantine(frame, table).count() == rejected
        assert quality.valid(frame, table).count() == total - rejected


def test_dirt_profile_counts_every_rule(raw: dict[str, Any]) -> None:
    rows = {row["rule"]: row for row in quality.dirt_profile(raw["user"], "user").collect()}
    assert list(rows) == [rule.name for rule in quality.RULES["user"]]
    total = len(lines_of("user"))
    assert rows["impossible_age"]["rows"] == 5
    assert rows["impossible_age"]["share"] == pytest.approx(5 / total, abs=1e-4)
    assert (rows["no_age"]["rows"], rows["no_age"]["action"]) == (2, "repair")
    rejected = sum(reason is not None for owner, _, reason in CASES if owner == "user")
    assert sum(row["rows"] for row in rows.values() if row["action"] == "quarantine") == rejected


def test_a_count_that_nobody_can_read_is_told_from_one_that_is_unknown(raw: dict[str, Any]) -> None:
    texts = {
        rule: [
            json.loads(row["record"]).get("follower_count")
            for row in quality.records_of(raw["pin"], "pin", f"{rule}_follower_count").collect()
        ]
        for rule in ("no", "unreadable")
    }
    assert texts == {"no": ["user info error."], "unreadable": ["10K+", "garbage"]}
    [lost] = quality.records_of(raw["pin"], "pin", "no_save_location").where("record LIKE '%some%'").collect()
    assert json.loads(lost["record"])["save_location"] == "somewhere"


def test_fields_that_no_column_takes_are_counted(raw: dict[str, Any]) -> None:
    rows = {row["field"]: row["rows"] for row in quality.unknown_fields(raw["pin"], "pin").collect()}
    strangers = {"ind": 2, "timestamp": 1, "latitude": 1, "longitude": 1, "country": 1, "poster": 1}
    strangers |= {"first_name": 1, "last_name": 1, "age": 1, "date_joined": 1}
    assert rows == {"app_version": 2, "reactions": 1, **strangers}


def test_two_records_at_one_place_of_the_log_are_noticed(spark: Any) -> None:
    def raw(*lines: dict) -> Any:
        return cleaning.parse(
            spark.createDataFrame([(json.dumps(each),) for each in lines], "value STRING"), "geo"
        )

    once, other = {**GEO, "_offset": 7}, {**GEO, "country": "Chad", "_offset": 7}
    quality.check_log(raw(once, once, {**other, "_offset": 8}), "geo")
    with pytest.raises(ValueError, match="'geo' have the offset 7: the topic was made anew"):
        quality.check_log(raw(once, other), "geo")


@pytest.mark.parametrize("table", BASE)
def test_each_record_of_the_old_app_breaks_the_rule_that_it_is_there_for(spark: Any, table: str) -> None:
    lines = [(json.dumps({**each, "_offset": n}),) for n, each in enumerate(make_hard_cases.old_app(table))]
    raw = cleaning.parse(spark.createDataFrame(lines, "value STRING"), table)
    rows = quality.quarantine(raw, table).orderBy("_position").collect()
    assert [row["reason"] for row in rows] == [reason for reason, _ in make_hard_cases.OLD_APP[table]]
    assert [(row["record"],) for row in rows] == lines


def test_reconcile_shows_a_row_that_is_lost(raw: dict[str, Any]) -> None:
    clean = cleaning.clean_users(raw["user"]).cache()
    counts = quality.reconcile(raw["user"], clean, "user")
    assert counts["in"] == len(lines_of("user"))
    assert counts["in"] == counts["clean"] + counts["duplicates"] + counts["quarantined"]
    lost = quality.reconcile(raw["user"], clean.limit(clean.count() - 1), "user")
    assert lost["in"] == lost["clean"] + lost["duplicates"] + lost["quarantined"] + 1
