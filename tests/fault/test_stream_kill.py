"""Spark is killed while it writes streams to Delta: afterwards each record is there once, and right."""

import random
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from helpers.names import TABLES
from tests import jvm_servers
from tests.sink_tools import wait_for
from tests.stream_tools import MARKED, Cloud, Driver, Feed, Records, meant

Tables = tuple[str, ...]
MEMORY_MB = 3000  # of Java, whose heap is 1 GB, and of Python


def expected(cloud: Cloud, table: str) -> tuple[dict[int, tuple[str, str]], dict[str, str], int]:
    """From the stream: key -> (position, mark) of its latest delivery; position -> reason; how many came."""
    clean: dict[int, tuple[str, str]] = {}
    aside: dict[str, str] = {}
    total = 0
    for record in cloud.records(table):
        total += 1
        position, means = record["SequenceNumber"].zfill(64), meant(table, record["Data"])
        if means.reason:
            aside[position] = means.reason
        elif position > clean.get(means.ind, ("", ""))[0]:
            clean[means.ind] = position, means.mark
    return clean, aside, total


def written(driver: Driver, folder: Path, table: str, kind: str, *columns: str) -> Any:
    file = folder / f"{table}-{kind}.parquet"
    driver.ask(f"save({table!r}, {kind!r}, {str(file)!r}, *{columns!r})")
    return pd.read_parquet(file)


def compare(cloud: Cloud, driver: Driver, folder: Path, table: str, sent: int) -> dict[str, int]:
    """The tables against the stream: equal keys, positions, contents and reasons, and each key once."""
    clean, aside, total = expected(cloud, table)
    assert total == sent
    rows = written(driver, folder, table, "stream", "ind", "_position", MARKED[table][1])
    bad = written(driver, folder, table, "stream_quarantine", "_position", "reason")
    assert len(rows) == rows["ind"].nunique() == len(clean)
    found = zip(rows["_position"], rows[MARKED[table][1]], strict=True)
    assert dict(zip(rows["ind"], found, strict=True)) == clean
    assert len(bad) == len(aside)
    assert dict(zip(bad["_position"], bad["reason"], strict=True)) == aside
    assert set(aside.values()) == {"not_json", "wrong_table", "missing_key"}
    return {"records": total, "rows": len(rows), "keys": len(clean), "quarantined": len(bad)}


def noted(cloud: Cloud, what: str, tables: Tables) -> dict[str, int]:
    """The newest micro-batch of each query in its checkpoint's `offsets` or `commits`; -1: none."""
    return {table: max(cloud.noted(table, what), default=-1) for table in tables}


def at_work(cloud: Cloud, tables: Tables) -> int:
    """How many queries have begun a micro-batch that no commit is noted for."""
    done, begun = noted(cloud, "commits", tables), noted(cloud, "offsets", tables)
    return sum(begun[table] > done[table] for table in tables)


def kill_at_work(cloud: Cloud, seconds: float, tables: Tables) -> tuple[float, int]:
    """Start the queries, kill their driver `seconds` after each has done a micro-batch and one does another.

    Returns the driver's peak memory in MB, and how many micro-batches the kill cut.
    """
    before = noted(cloud, "commits", tables)
    driver = Driver(cloud)
    driver.ask(f"start({', '.join(map(repr, tables))}, processingTime='1 second')")

    def each_has_done_one() -> bool:
        assert driver.ask("failures()") == {}
        return all(done > before[table] for table, done in noted(cloud, "commits", tables).items())

    wait_for(lambda: each_has_done_one() and at_work(cloud, tables), 300, "micro-batches of every query")
    time.sleep(seconds)
    driver.kill()
    return driver.peak, at_work(cloud, tables)


def survive(
    folder: Path,
    tables: Tables,
    *,
    kills: int,
    seed: int,
    rate: float,
    shards: int,
    longest: float,
    least: int,
) -> None:
    """Kill the driver at seeded moments while the streams of `tables` are fed, let it end its work, compare.

    `rate` records a second are put into each stream until the last kill, then what lacks to `least`.
    """
    chance = random.Random(seed)
    state = jvm_servers.new_state(folder / "cloud")
    with jvm_servers.s3_emulator(state):
        cloud = Cloud(state, "kill")
        cloud.prepare(shards)
        feed = Feed(cloud, {table: Records(table, least * 6 // 10, seed) for table in tables}, 10**7, rate)
        feed.start()
        killed = []
        for _ in range(kills):
            killed.append((*kill_at_work(cloud, chance.uniform(0, longest), tables), feed.sent))
        feed.hurry(least)
        sent = feed.finish()
        driver = Driver(cloud)
        driver.ask("catch_up()")
        books = pd.DataFrame({table: compare(cloud, driver, folder, table, sent) for table in tables}).T
        assert driver.ask("catch_up()") == dict.fromkeys(TABLES, 0)
        driver.end()
    print(f"\n{books}")
    for size, cut, after in killed:
        print(
            f"killed after {after:,} records each: {cut} micro-batches cut, the driver's peak {size:,.0f} MB"
        )
    print(f"the last driver's peak {driver.peak:,.0f} MB")
    assert (books["keys"] < books["records"] - books["quarantined"]).all(), "no key came twice"
    assert sum(cut for _, cut, _ in killed), "no kill came within a micro-batch: the test proves nothing"
    assert max(driver.peak, *(size for size, _, _ in killed)) < MEMORY_MB


@pytest.mark.soak  # lesson 14, which `make test` runs, kills the server within a micro-batch, too
def test_a_kill_in_the_middle(tmp_path: Path) -> None:
    survive(tmp_path, ("user",), kills=1, seed=14, rate=100, shards=2, longest=1, least=2000)


@pytest.mark.soak
@pytest.mark.timeout(2400)
def test_five_kills_in_100_000_records_of_each_stream(tmp_path: Path) -> None:
    survive(tmp_path, TABLES, kills=5, seed=5, rate=200, shards=4, longest=20, least=100_000)
