"""A Spark server that has served one session after the other for long is no larger than before."""

import json
import re
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from pyspark.sql.connect.session import SparkSession

from helpers import cleaning, delta, quality
from local_cloud.parts import spark
from local_cloud.state import State
from tests.jvm_servers import Server, new_state, running

MINUTES = 15
POSTS = 300  # in a session
LIVE = re.compile(r"Pause Full.* \d+M->(\d+)M\(")
QUESTIONS = (
    "SELECT count(*), max(follower_count) FROM {table}",
    "SELECT category, count(*) AS posts FROM {table} GROUP BY category ORDER BY posts DESC LIMIT 3",
    "SELECT *, rank() OVER (PARTITION BY category ORDER BY follower_count DESC) AS place FROM {table}",
)
pytestmark = [pytest.mark.soak, pytest.mark.timeout(60 * (MINUTES + 10))]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """The cloud's own server; it collects all garbage twice a minute, and notes what is left."""
    state = new_state(tmp_path)
    state.path("spark").mkdir()
    part = spark.part(state)
    settings = state.path("spark", "spark.conf")
    noting = settings.read_text().replace("-Xss4m", f"-Xss4m -Xlog:gc:file={state.path('spark', 'gc.log')}")
    settings.write_text(f"{noting}spark.cleaner.periodicGC.interval 30s\n")
    with running(part, state) as started:
        yield started


def a_session(state: State, number: int) -> None:
    """What a reader does: open a session, clean some posts, merge them, ask, follow a stream, close."""
    place = spark.remote(state)
    address = f"{place['SPARK_REMOTE']}/;token={place['SPARK_CONNECT_AUTHENTICATE_TOKEN']}"
    session: Any = SparkSession.builder.remote(address).create()
    try:
        posts = range(number % 10 * POSTS, (number % 10 + 1) * POSTS)  # new in ten sessions alone
        own = {"follower_count": "12k", "_offset": number}
        lines = [json.dumps({"ind": ind, "category": f"c{ind % 7}", **own}) for ind in posts]
        raw = cleaning.parse(session.createDataFrame([(line,) for line in lines], "value STRING"), "pin")
        rows, table = cleaning.clean_pins(raw), f"delta.`{state.path('spark', 'posts')}`"
        delta.create_table(rows, table)
        delta.merge(rows, table)
        quality.dirt_profile(raw, "pin").collect()
        for question in QUESTIONS:
            session.sql(question.format(table=table)).toPandas()
        if number % 5 == 0:
            stream = session.readStream.format("rate-micro-batch").option("rowsPerBatch", 10).load()
            query = stream.writeStream.foreachBatch(lambda batch, _: batch.collect()).start()
            query.processAllAvailable()
            query.stop()
    finally:
        session.stop()


def test_a_server_that_has_run_for_long_has_not_grown(server: Server, record_property: Any) -> None:
    assert server.process
    java, began, resident, number = psutil.Process(server.process.pid), time.monotonic(), [], 0
    while time.monotonic() < began + 60 * MINUTES:
        a_session(server.state, number)
        number += 1
        tree = [java, *java.children(recursive=True)]
        resident.append(sum(one.memory_info().rss for one in tree if one.is_running()) / 2**20)
    live = [int(size) for size in LIVE.findall(server.state.path("spark", "gc.log").read_text())]
    told = {"sessions": number}
    for name, sizes in (("live objects", live), ("resident", resident)):
        quarter = len(sizes) // 4
        second, last = (statistics.median(sizes[part * quarter : (part + 1) * quarter]) for part in (1, 3))
        told |= {f"{name}, second quarter (MB)": round(second), f"{name}, last quarter (MB)": round(last)}
        assert quarter >= 5 and last < 1.15 * second, told
    record_property("table", json.dumps(told, indent=1))
    print(json.dumps(told, indent=1))
