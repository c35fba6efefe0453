"""Samples and hard cases, once the batch's way and once through Kinesis: equal tables, equal answers.

The first posts of the samples here, all of them in `make soak`; the series of notebooks compares all, too.
"""

import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from data_samples.make_hard_cases import hard_cases, old_app
from helpers.config import ROOT
from helpers.names import TABLES
from tests import jvm_servers, lesson_queries
from tests.stream_tools import KEY, Cloud, Driver, samples

POSTS = 11_154
SOME = 1_200
PER_OBJECT = 4000
NO_OBJECTS = ["{oops", "7", '"text"', '{"ind": 1']


def deliveries(table: str, posts: int) -> list[str | dict[str, Any]]:
    """What is sent, in order: records without a position, and at last texts that are no record."""
    sent = samples(table)
    assert len(sent) == POSTS
    return [*sent[:posts], *old_app(table), *second_day(table), *hard_cases(table), *NO_OBJECTS]


def second_day(table: str) -> list[dict[str, Any]]:
    """The new posts and the corrections, as they were sent."""
    [file] = (ROOT / "data_samples" / "second_day" / table).rglob("*.json.gz")
    rows = [json.loads(line) for line in gzip.decompress(file.read_bytes()).split(b"\n") if line]
    return [{name: value for name, value in row.items() if name != "_offset"} for row in rows]


def as_the_sink_writes(sent: list[str | dict[str, Any]]) -> list[str]:
    return [
        one if isinstance(one, str) else json.dumps({**one, "_offset": offset}, ensure_ascii=False)
        for offset, one in enumerate(sent)
    ]


def as_the_emulator_puts(table: str, sent: list[str | dict[str, Any]]) -> list[tuple[str, bytes]]:
    return [
        ("none", one.encode())
        if isinstance(one, str)
        else (str(one.get(KEY[table])), json.dumps(one, ensure_ascii=False).encode())
        for one in sent
    ]


class Both(NamedTuple):
    """The driver, the streams, how many sample posts were sent, and how many rows each table has."""

    driver: Driver
    cloud: Cloud
    posts: int
    clean: dict[str, int]


@pytest.fixture(
    scope="module", params=[SOME, pytest.param(POSTS, marks=pytest.mark.soak)], ids=["some", "all"]
)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    state = jvm_servers.new_state(Path(tmp_path_factory.mktemp("equal")))
    with jvm_servers.s3_emulator(state):
        cloud = Cloud(state, "equal")
        cloud.prepare(2)
        for table in TABLES:
            sent = deliveries(table, request.param)
            lines, topic = as_the_sink_writes(sent), cloud.names.topic[table]
            for first in range(0, len(lines), PER_OBJECT):
                key = f"topics/{topic}/partition=0/{topic}+0+{first:010d}.json"
                body = "\n".join([*lines[first : first + PER_OBJECT], ""]).encode()
                cloud.s3.put_object(Bucket=cloud.names.bucket, Key=key, Body=body)
            cloud.put(table, as_the_emulator_puts(table, sent))
        driver = Driver(cloud)
        clean = driver.ask("batch()")
        sent = {table: len(deliveries(table, request.param)) for table in TABLES}
        assert driver.ask("catch_up()") == sent
        yield Both(driver, cloud, request.param, clean)
        driver.end()


@pytest.mark.parametrize("table", TABLES)
def test_the_clean_rows_are_equal(both: Both, table: str) -> None:
    assert both.clean[table] > both.posts + 346 + 10  # two days, and those hard cases that can be mended
    assert both.driver.ask(f"differing({table!r})") == [0, 0]


def test_the_same_records_are_set_aside_for_the_same_reasons(both: Both) -> None:
    aside = both.driver.ask("aside()")
    # The sink writes a record's offset into it; a stream keeps its place beside the record.
    sent = [
        [table, why, re.sub(r',\s*"_offset":\s*\d+(?=}$)', "", text)] for table, why, text in aside["batch"]
    ]
    assert sorted(sent) == sorted(aside["stream"])
    reasons = Counter((table, reason) for table, reason, _ in aside["batch"])
    for table in TABLES:
        assert reasons[table, "not_json"] == len(NO_OBJECTS)
        assert reasons[table, "wrong_table"] >= 2 and reasons[table, "missing_key"] >= 2


def test_the_answers_are_equal(both: Both) -> None:
    batch, stream = (both.driver.ask(f"answers({kind!r})") for kind in ("table", "stream"))
    assert set(batch) == set(lesson_queries.QUERIES) and all(batch.values())
    assert batch == stream


def test_one_more_delivery_is_noticed(both: Both) -> None:
    """The last test: from here on the two are not equal."""
    post = next(one for one in deliveries("geo", 1) if isinstance(one, dict))
    both.cloud.put("geo", as_the_emulator_puts("geo", [{**post, "country": "Elsewhere"}]))
    both.driver.ask("catch_up()")
    assert both.driver.ask("differing('geo')") == [1, 1]
