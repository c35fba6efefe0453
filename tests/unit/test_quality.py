"""Rules, quarantine, dirt profile and reconciliation."""

import json
from pathlib import Path
from typing import Any

import pytest

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
    ("geo", {"timestamp": "yesterday"}, "impossible_timestamp"),
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
    ("user", {"date_joined": "31/12/2016"}, "impossible_date_joined"),
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
    return {
        table: spark.read.schema(quality.RAW[table]).json(str(folder / f"{table}.json")).cache()
        for table in BASE
    }


@pytest.mark.parametrize("table", BASE)
def test_each_fault_is_named_by_its_rule(raw: dict[str, Any], table: str) -> None:
    found = [row["_reason"] for row in quality.checked(raw[table], table).select("_reason").collect()]
    expected = [reason for owner, _, reason in CASES if owner == table]
    assert list(zip(lines_of(table), found, strict=True)) == list(zip(lines_of(table), expected, strict=True))


def test_every_quarantine_rule_has_a_case() -> None:
    rules = {(table, rule.name) for table in quality.RULES for rule in quality.RULES[table]}
    repairs = {(t, rule.name) for t in quality.RULES for rule in quality.RULES[t] if rule.action == "repair"}
    common = {"not_json", "wrong_table", "missing_key", "missing_position"}
    seen = {(table, reason) for table, _, reason in CASES}
    assert {rule for rule in rules - repairs - seen if rule[1] not in common} == set()
    assert {("pin", name) for name in common} <= seen


def test_the_quarantine_keeps_what_came(raw: dict[str, Any]) -> None:
    rows = quality.quarantine(raw["geo"], "geo").orderBy("_position").collect()
    assert list(rows[0].asDict()) == ["table", "reason", "record", "_position"]
    kept = {row["reason"]: json.loads(row["record"]) for row in rows}
    assert kept["impossible_longitude"]["longitude"] == "west"
    assert {row["table"] for row in rows} == {"geo"}
    broken = quality.quarantine(raw["pin"], "pin").where("reason = 'not_json'").collect()
    assert sorted(row["record"] for row in broken) == ['"text"', "{oops"]


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
    assert rows["impossible_age"]["rows"] == 4
    assert rows["impossible_age"]["share"] == pytest.approx(4 / total, abs=1e-4)
    assert (rows["no_age"]["rows"], rows["no_age"]["action"]) == (2, "repair")
    rejected = sum(reason is not None for owner, _, reason in CASES if owner == "user")
    assert sum(row["rows"] for row in rows.values() if row["action"] == "quarantine") == rejected


def test_reconcile_shows_a_row_that_is_lost(raw: dict[str, Any]) -> None:
    clean = cleaning.clean_users(raw["user"]).cache()
    counts = quality.reconcile(raw["user"], clean, "user")
    assert counts["in"] == len(lines_of("user"))
    assert counts["in"] == counts["clean"] + counts["duplicates"] + counts["quarantined"]
    lost = quality.reconcile(raw["user"], clean.limit(clean.count() - 1), "user")
    assert lost["in"] == lost["clean"] + lost["duplicates"] + lost["quarantined"] + 1
