"""Measure lesson 14: from a put into Kinesis until the row is in Delta; the time and memory it takes.

The moment of a put is the client's, just before PutRecords. A row is visible when the MERGE that wrote it has
returned. A driver in a process of its own runs the lesson's functions.
"""

import bisect
import json
import statistics
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from helpers.names import TABLES
from local_cloud.state import State
from tests.sink_tools import wait_for
from tests.stream_tools import Cloud, Driver, Feed, Put, Records

SHARDS = 2  # as lesson 12 makes them
POSTS = 11_154  # the samples' posts, which users post again and again
KEYS = 100_000  # different posts where tables must grow
WARM, SECONDS = 40, 60
LAST = 50  # records that were put last: in every shard one of them
BACKLOG = 30_000  # records of each stream
FEW, MANY = 10_000, 100_000
RESTARTS = 2
RUNS = 3
PATIENCE = 600  # seconds


def deliveries(*tables: str, keys: int = KEYS) -> dict[str, Records]:
    """Good records only, of so many different posts: what bad ones cost is no part of these figures."""
    return {table: Records(table, keys, seed=1, bad=0) for table in tables}


def seen(driver: Driver, table: str) -> dict[int, float]:
    """When the rows of each micro-batch became visible."""
    return {int(batch): at for batch, at in driver.ask(f"seen[{table!r}]").items()}


def visible_at(cloud: Cloud, driver: Driver, table: str, records: Iterable[Put]) -> list[float | None]:
    """When each of these records was in the table; None: not yet."""
    done = seen(driver, table)
    ends = {batch: end for batch, end in sorted(cloud.ends(table).items()) if batch in done}
    times = [done[batch] for batch in ends]
    reached: dict[str, list[int]] = {}  # the last number in each batch, by shard
    found: list[float | None] = []
    for one in records:
        shard = one["ShardId"]
        if shard not in reached:
            reached[shard] = [int(end[shard]) if end[shard].isdigit() else -1 for end in ends.values()]
        place = bisect.bisect_left(reached[shard], int(one["SequenceNumber"]))
        found.append(times[place] if place < len(times) else None)
    return found


def are_visible(cloud: Cloud, driver: Driver, table: str, records: Iterable[Put]) -> bool:
    """True when all of these records are in the table."""
    return None not in visible_at(cloud, driver, table, records)


def ages(cloud: Cloud, driver: Driver, feed: Feed, table: str, since: float) -> list[float]:
    """Seconds from put to visible of each record that was put after `since`."""
    measured = [(at, one) for at, one in feed.put_at[table] if at >= since]
    times = visible_at(cloud, driver, table, [one for _, one in measured])
    return [time_ - at for (at, _), time_ in zip(measured, times, strict=True) if time_ is not None]


def summary(waited: list[float]) -> dict[str, float]:
    """Median and 99th percentile, in seconds."""
    return {
        "median_s": round(statistics.median(waited), 2),
        "p99_s": round(statistics.quantiles(waited, n=100)[98], 2),
    }


def at_rate(cloud: Cloud, driver: Driver, sources: dict[str, Records], rate: float) -> dict[str, float]:
    """Put `rate` records a second into each of the streams whose queries run; how long they waited."""
    feed = Feed(cloud, sources, int(rate * (WARM + SECONDS)), rate)
    began = time.time()
    feed.start()
    feed.finish()
    last = {table: [one for _, one in feed.put_at[table][-LAST:]] for table in sources}
    wait_for(
        lambda: all(are_visible(cloud, driver, table, last[table]) for table in sources),
        PATIENCE,
        "all that was put in the tables",
    )
    return summary([age for table in sources for age in ages(cloud, driver, feed, table, began + WARM)])


def short_session(state: State) -> dict[str, Any]:
    """One stream followed by a driver as lesson 14 starts it."""
    cloud = Cloud(state, "benchshort")
    cloud.prepare(SHARDS, "pin")
    driver = Driver(cloud)
    try:
        driver.ask("start('pin', processingTime='1 second')")
        sources = deliveries("pin", keys=POSTS)
        return {"one stream, 500/s, Spark as lesson 14 starts it": at_rate(cloud, driver, sources, 500)}
    finally:
        driver.kill()


def latency(state: State) -> dict[str, Any]:
    """One driver for hours, warm by the second measurement: one stream, all three, plain files, a backlog."""
    cloud = Cloud(state, "benchlive")
    cloud.prepare(SHARDS)
    sources, driver = deliveries(*TABLES, keys=POSTS), Driver(cloud, both_compilers=True)
    found: dict[str, Any] = {}
    try:
        driver.ask("start('pin', processingTime='1 second')")
        for rate in (50, 500):
            found[f"one stream, {rate}/s"] = at_rate(cloud, driver, {"pin": sources["pin"]}, rate)
        found["profile_of_a_batch_ms"] = profile(driver, "pin")
        driver.ask("stop()")
        found["plain files, 500/s"] = plain_files(cloud, driver, sources["pin"], 500)
        driver.ask("start(processingTime='1 second')")
        found["three streams, 500/s each"] = at_rate(cloud, driver, sources, 500)
        driver.ask("stop()")
        driver.ask("catch_up()")  # what the stop has cut is read again
        for table, source in sources.items():
            cloud.put(table, source.take(BACKLOG))
        began = time.perf_counter()
        read = driver.ask("catch_up()")
        assert read == dict.fromkeys(TABLES, BACKLOG)
        found["sustained_records_per_second"] = round(sum(read.values()) / (time.perf_counter() - began))
    finally:
        driver.kill()
    return found


def profile(driver: Driver, table: str) -> dict[str, int]:
    """The median of what Spark reports of the last ten micro-batches, in milliseconds."""
    steps = driver.ask(f"progress({table!r})")[-10:]
    parts = ("latestOffset", "walCommit", "addBatch", "commitOffsets", "triggerExecution")
    return {part: round(statistics.median(step["ms"].get(part, 0) for step in steps)) for part in parts}


class FileFeed(threading.Thread):
    """Writes records as JSON files into a folder, ten files a second, and notes when."""

    def __init__(self, folder: Path, source: Records, rate: int, seconds: int) -> None:
        super().__init__()
        self.folder, self.source, self.rate, self.files = folder, source, rate, seconds * 10
        self.written: dict[str, float] = {}

    def run(self) -> None:
        began, offset = time.monotonic(), 0
        for number in range(self.files):
            lines = []
            for _, data in self.source.take(self.rate // 10):
                lines.append(json.dumps({**json.loads(data), "_offset": offset}))
                offset += 1
            part, file = self.folder / f".{number}", self.folder / f"{number:06}.json"
            self.written[file.name] = time.time()
            part.write_text("\n".join(lines))
            part.rename(file)
            time.sleep(max(0.0, began + (number + 1) / 10 - time.monotonic()))


def plain_files(cloud: Cloud, driver: Driver, source: Records, rate: int) -> dict[str, float]:
    """The floor: the same cleaning and merge in the same driver from a folder of JSON files."""
    folder = cloud.state.path("bench-files")
    folder.mkdir(parents=True)
    driver.ask(f"files('pin', {str(folder)!r})")
    began = time.time()
    feed = FileFeed(folder, source, rate, WARM + SECONDS)
    feed.start()
    feed.join()

    def batches() -> dict[str, int]:
        return cloud.files("pin")

    wait_for(
        lambda: set(batches()) == set(feed.written) and set(batches().values()) <= set(seen(driver, "files")),
        PATIENCE,
        "all files in the table",
    )
    driver.ask("stop()")
    done, batch = seen(driver, "files"), batches()
    waited = [done[batch[name]] - at for name, at in feed.written.items() if at >= began + WARM]
    return summary(waited)


def first_new(cloud: Cloud, source: Records) -> float:
    """Seconds from the start of a driver until a record that waits in the stream is visible."""
    waiting = cloud.put("pin", source.take(1))
    began = time.time()
    driver = Driver(cloud)
    try:
        driver.ask("start('pin', processingTime='1 second')")
        wait_for(lambda: are_visible(cloud, driver, "pin", waiting), PATIENCE, "the first new record")
        [at] = visible_at(cloud, driver, "pin", waiting)
        assert at is not None
        return at - began
    finally:
        driver.kill()


def growth(state: State) -> dict[str, Any]:
    """One driver's memory as records come, and what a restart costs with few and with many behind it."""
    cloud, source = Cloud(state, "benchgrow"), deliveries("pin")["pin"]
    cloud.prepare(SHARDS, "pin")
    driver, memory = Driver(cloud), {}
    try:
        driver.ask("start('pin', processingTime='1 second')")
        for total in range(FEW, MANY + 1, FEW):
            last = cloud.put("pin", source.take(FEW))[-LAST:]
            wait_for(lambda last=last: are_visible(cloud, driver, "pin", last), PATIENCE, f"{total} records")
            if total in (FEW, MANY):
                memory[f"{total:,} records"] = round(driver.peak)
    finally:
        driver.kill()
    filled = [first_new(cloud, source) for _ in range(RESTARTS)]
    empty = []
    for number in range(RESTARTS):
        new = Cloud(state, f"benchempty{number}")
        new.prepare(SHARDS, "pin")
        empty.append(first_new(new, deliveries("pin")["pin"]))
    return {
        "driver_peak_mb": memory,
        "restart_s": {
            f"after {MANY:,} records": round(statistics.median(filled), 1),
            "on an empty stream": round(statistics.median(empty), 1),
        },
    }


def emulator(total: int) -> dict[str, float]:
    """Records a second of the streaming emulator through the API, by records a request."""
    from helpers import user_posting_emulation_streaming as streaming

    found: dict[str, float] = {}
    for size, count in {1: 150, 50: 3000, 500: total}.items():
        rates = []
        for _ in range(RUNS):
            began = time.perf_counter()
            done = streaming.run(min(count, total), batch=size, seed=1)
            assert done.ok
            rates.append(sum(one["accepted"] for one in done.tables.values()) / (time.perf_counter() - began))
        found[f"{size} a request"] = round(statistics.median(rates), 1)
    return found


def measure(home: Path, posts: int) -> dict[str, Any]:
    """Everything, on a local cloud that is up and has the API of lesson 13 and so many posts."""
    state = State(home)
    found: dict[str, Any] = {"emulator_records_per_second": emulator(posts)}
    for part in (latency, short_session, growth):
        print("streaming", json.dumps(found), flush=True)
        found |= part(state)
    return found


def rows(found: dict[str, Any]) -> list[str]:
    """The lines of the table in README.md."""
    lines = [
        f"| streaming emulator, {name} | {rate:,.0f} records/s |"
        for name, rate in found["emulator_records_per_second"].items()
    ]
    for name, one in found.items():
        if isinstance(one, dict) and "median_s" in one:
            lines.append(
                f"| put to visible in Delta, {name}: median, 99th percentile "
                f"| {one['median_s']:.1f} s, {one['p99_s']:.1f} s |"
            )
    whole, work = (found["profile_of_a_batch_ms"][part] / 1000 for part in ("triggerExecution", "addBatch"))
    lines.append(
        f"| a micro-batch at 500/s on one stream; in it cleaning and MERGE | {whole:.1f} s; {work:.1f} s |"
    )
    lines.append(
        f"| three streams to Delta, a backlog of {3 * BACKLOG:,} records | "
        f"{found['sustained_records_per_second']:,} records/s |"
    )
    for name, seconds in found["restart_s"].items():
        lines.append(f"| start of Spark to the first new record visible, {name} | {seconds} s |")
    for name, size in found["driver_peak_mb"].items():
        lines.append(f"| peak memory of the streaming driver, {name} | {size:,} MB |")
    return lines
