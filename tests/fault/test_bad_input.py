"""Thousands of bad requests and records: each is answered or set aside, and no good one suffers."""

import base64
import json
import random
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import functions as F

from helpers import cleaning, quality, stream_to_delta
from helpers.names import TABLES
from tests.bad_requests import changed, mangled
from tests.commands import run
from tests.stream_tools import KEY, samples

REQUESTS, RECORDS = 10_000, 3_300  # of all doors; of each table
pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


def test_every_request_is_answered_and_no_part_dies(cloud: Path, record_property: Any) -> None:
    done = run(cloud, "tests.bad_requests", "15", str(REQUESTS))
    assert done.stdout.strip(), done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    lines = [f"{door}: {json.dumps(answers)}" for door, answers in told["answers"].items()]
    record_property("table", "\n".join([*lines, f"landed: {json.dumps(told['landed'])}"]))
    assert told["wrong"] == []


def lines(table: str) -> tuple[list[bytes], set[int]]:
    """Records of which two of three are spoilt, and the keys of the others."""
    chance, bases, made, good = random.Random(f"15 {table}"), samples(table), [], set()
    for key in range(RECORDS):
        whole = json.dumps(bases[key] | {KEY[table]: key}, ensure_ascii=False).encode()
        if key % 3:
            made.append(chance.choice([changed, mangled])(whole, chance))
        else:
            made.append(whole)
            good.add(key)
    return made, good


@pytest.mark.parametrize("table", TABLES)
def test_bad_records_are_kept_whole_and_good_ones_stay(spark: Any, table: str) -> None:
    sent, good = lines(table)
    numbered = [(line, f"4959{place:052d}") for place, line in enumerate(sent)]
    raw = cleaning.parse(spark.createDataFrame(numbered, "value BINARY, sequenceNumber STRING"), table)
    clean = stream_to_delta.CLEAN[table](raw)
    book = quality.reconcile(raw, clean, table)
    assert book["in"] == RECORDS == book["clean"] + book["duplicates"] + book["quarantined"]
    assert good <= {row["ind"] for row in clean.select("ind").collect()}
    aside = quality.quarantine(raw, table).select("record", F.col("_position").substr(-52, 52).alias("place"))
    for row in aside.collect():
        line = sent[int(row["place"])]
        try:
            assert row["record"] == line.decode()
        except UnicodeDecodeError:
            assert base64.b64decode(row["record"]) == line
