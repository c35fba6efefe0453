"""Measure how time grows with the work, and two ways to keep a table up to date: lesson 16, larger.

Growth: pins through API, REST proxy, topic and connector into S3, then cleaned into a Delta table.
"""

import json
import math
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3

from helpers import cleaning, config, delta, lookup, session, trial, wait
from helpers.posting import Row, Sender

SIZES = (1_000, 10_000, 100_000)  # posts
BATCH = 500  # records of a request
SENDERS = 3
MICRO_BATCHES, ROWS = 8, 1_000
RUNS = 3


def seconds(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def pins(number: int) -> Iterator[Row]:
    """So many generated pins, as they are posted."""
    from data_samples import make_samples

    frame = make_samples.make(number, 7)["pin"]
    for line in make_samples.lines(frame, 0).splitlines():
        row = json.loads(line)
        del row["_offset"]
        yield row


def send(topic: str, rows: list[Row]) -> None:
    """Post rows into a topic, some requests at a time."""
    sender = Sender(*lookup.find_api(config.use_target()))
    batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    with ThreadPoolExecutor(SENDERS) as pool:
        sent = list(pool.map(lambda batch: sender.send(f"/topics/{topic}", batch, key="index"), batches))
    assert sum(outcome.accepted for outcome in sent) == len(rows)


def landed(bucket: str, topic: str) -> int:
    """Records of a topic's partition 0 in S3: an object is named by its first offset, and none is skipped."""
    s3 = boto3.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"topics/{topic}/")
    keys = sorted(item["Key"] for page in pages for item in page.get("Contents", []))
    if not keys:
        return 0
    first = int(keys[-1].rpartition("+")[2].partition(".")[0])
    return first + len(s3.get_object(Bucket=bucket, Key=keys[-1])["Body"].read().splitlines())


def slope(times: dict[int, float]) -> float:
    """The slope of the line through the points when both axes are logarithmic, by least squares."""
    xs, ys = [math.log(size) for size in times], [math.log(taken) for taken in times.values()]
    return statistics.linear_regression(xs, ys).slope


def growth(sizes: tuple[int, ...] = SIZES) -> dict[str, Any]:
    """Seconds of each stage for each number of posts, and the slope of their sum."""
    cloud, spark = config.use_target(), session.spark()
    rows, found = list(pins(max(sizes))), {}
    target = cloud.table("pin", "trial")
    for size in (min(sizes), *sizes):  # the first run warms up, the second of its size takes its place
        copy = trial.make(cloud, {})
        began = time.perf_counter()
        send(copy.topic, rows[:size])
        posted = time.perf_counter()
        wait.until(
            lambda topic=copy.topic, size=size: landed(cloud.names.bucket, topic) == size,
            f"{size:,} records in S3",
            seconds=600,
            every=0.2,
        )
        in_s3 = time.perf_counter()
        lines = spark.read.option("lineSep", "\n").text(f"s3://{cloud.names.bucket}/topics/{copy.topic}")
        delta.overwrite(cleaning.clean_pins(cleaning.parse(lines, "pin")), target)
        done = time.perf_counter()
        assert spark.read.table(target).count() == size
        found[size] = {"post_s": posted - began, "land_s": in_s3 - posted, "clean_s": done - in_s3}
        trial.remove(cloud, copy)
    whole = {size: sum(stages.values()) for size, stages in found.items()}
    shown = {size: {stage: round(s, 1) for stage, s in stages.items()} for size, stages in found.items()}
    return {"posts": shown, "slope": round(slope(whole), 2)}


def two_ways(batches: int = MICRO_BATCHES) -> dict[str, float]:
    """Seconds of a micro-batch by MERGE and by append, and of a query over the table and over the view.

    Both begin with the rows that `growth` has cleaned last.
    """
    from pyspark.sql import functions as F

    cloud, spark = config.use_target(), session.spark()
    start = spark.read.table(cloud.table("pin", "trial"))
    merged, appended = cloud.table("pin", "scale_merged"), cloud.table("pin", "scale_appended")
    for target in (merged, appended):
        delta.overwrite(start, target)
    changed = start.withColumn("ind", F.expr("IF(ind % 2 = 0, ind + 10000000, ind)"))
    changed = changed.withColumn("_position", F.lit(str(10**12).zfill(64)))
    taken: dict[str, list[float]] = {"merge": [], "append": []}
    for number in range(batches):
        some = start.where(f"ind BETWEEN {ROWS * number} AND {ROWS * (number + 1) - 1}").select("ind")
        keys = [row["ind"] for row in some.collect()]
        picked = changed.where(F.col("ind").isin(keys + [key + 10_000_000 for key in keys]))
        rows = spark.createDataFrame(picked.collect(), picked.schema)  # in memory, as in a stream
        taken["merge"].append(seconds(lambda rows=rows: delta.merge(rows, merged)))
        write = rows.write.format("delta").mode("append")
        taken["append"].append(seconds(lambda write=write: write.saveAsTable(appended)))
    latest = f"SELECT row.* FROM (SELECT max_by(struct(*), _position) AS row FROM {appended} GROUP BY ind)"
    view, table = spark.sql(latest), spark.read.table(merged)
    assert view.count() == table.count() and view.exceptAll(table).isEmpty()
    read = {}
    for name, frame in (("table", table), ("view", view)):
        query = frame.groupBy("category").count()
        read[name] = statistics.median(seconds(query.collect) for _ in range(RUNS))
    for target in (merged, appended):
        spark.sql(f"DELETE FROM {target}")
    found = {f"{way}_s": statistics.median(times) for way, times in taken.items()}
    found |= {f"read_{name}_s": taken_ for name, taken_ in read.items()}
    return {name: round(value, 2) for name, value in found.items()}


def measure() -> dict[str, Any]:
    """Both."""
    return {"growth": growth(), "two_ways": two_ways()}


def rows(results: dict[str, Any]) -> list[str]:
    """The lines of the table in README.md."""
    lines = []
    for size, stages in results["growth"]["posts"].items():
        parts = ", ".join(f"{stages[stage]} s" for stage in ("post_s", "land_s", "clean_s"))
        lines.append(
            f"| {int(size):,} pins through API, Kafka and S3 to Delta: post, land, clean | {parts} |"
        )
    lines.append(f"| slope of their sum, both axes logarithmic | {results['growth']['slope']} |")
    ways = results["two_ways"]
    write = f"{ways['merge_s']} s, {ways['append_s']} s"
    lines.append(f"| a micro-batch of 1,000 into 100,000 rows: MERGE, append | {write} |")
    read = f"{ways['read_table_s']} s, {ways['read_view_s']} s"
    lines.append(f"| a query over the merged table, over the view of the latest | {read} |")
    return lines
