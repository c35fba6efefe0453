"""The local kinesis source in a real Spark, on the emulator, into Delta: by kill, restart and replay."""

import base64
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_cloud.parts import aws
from tests import jvm_servers
from tests.spark_driver import SparkDriver

EARLIEST = {"initialPosition": "earliest"}
NOW = {"availableNow": True}


class Cloud:
    """The emulator, its streams, and drivers that read them."""

    def __init__(self, server: jvm_servers.Server) -> None:
        self.server = server
        self.kinesis = aws.client(server.state, "kinesis")
        self.environment = {
            **{n: value for n, value in os.environ.items() if not n.startswith(("AWS_", "SPARK_"))},
            "LOCAL_CLOUD_HOME": str(server.state.home),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.state.port('aws')}",
            "AWS_REGION": aws.REGION,
            "AWS_DEFAULT_REGION": aws.REGION,
            "AWS_ACCESS_KEY_ID": server.state.secret("reader_key_id"),
            "AWS_SECRET_ACCESS_KEY": server.state.secret("reader_secret"),
        }

    def create(self, stream: str, shards: int = 1) -> None:
        """Make a stream and wait until it takes records."""
        self.kinesis.create_stream(StreamName=stream, ShardCount=shards)
        self.kinesis.get_waiter("stream_exists").wait(StreamName=stream, WaiterConfig={"Delay": 1})

    def put(self, stream: str, first: int, count: int) -> list[str]:
        """Put numbers as data, spread over the shards by key; returns their sequence numbers."""
        numbers = []
        for start in range(first, first + count, 500):
            chunk = range(start, min(start + 500, first + count))
            records = [{"PartitionKey": f"key {n}", "Data": b"%d" % n} for n in chunk]
            answer = self.kinesis.put_records(StreamName=stream, Records=records)
            assert answer["FailedRecordCount"] == 0
            numbers += [each["SequenceNumber"] for each in answer["Records"]]
        return numbers


class Driver(SparkDriver):
    """The driver of `tests.kinesis_worker`."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__("tests.kinesis_worker", cloud.server.state.log("kinesis-worker"), cloud.environment)
        assert self.answer() == {"ready": True}, self.errors.read_text()[-3000:]

    def ask(self, **asked: Any) -> Any:
        """Send a request and wait for the answer."""
        self.tell(asked)
        return self.answer()

    def read(self, folder: Path, stream: str, trigger: Any = None, **options: str) -> Any:
        """Run a query on a stream until it ends."""
        return self.ask(
            options={"streamName": stream, **EARLIEST, **options}, trigger=trigger or NOW, folder=str(folder)
        )

    def rows(self, table: Path) -> list[dict[str, Any]]:
        """All rows of a Delta table, by stream, shard and sequence number."""
        found = self.ask(rows=str(table))["rows"]
        return [{**row, "data": base64.b64decode(row["data"])} for row in found]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    state = jvm_servers.new_state(tmp_path_factory.mktemp("kinesis"))
    with jvm_servers.s3_emulator(state) as server:
        yield Cloud(server)


@pytest.fixture(scope="module")
def driver(cloud: Cloud) -> Iterator[Driver]:
    found = Driver(cloud)
    yield found
    found.end()


def values(rows: list[dict[str, Any]]) -> list[int]:
    return sorted(int(row["data"]) for row in rows)


def test_several_shards_until_all_is_read_and_a_restart_adds_nothing(
    cloud: Cloud, driver: Driver, tmp_path: Path
) -> None:
    cloud.create("many", 4)
    sent = cloud.put("many", 0, 3000)
    assert driver.read(tmp_path, "many")["batches"] == [3000]
    rows = driver.rows(tmp_path / "table")
    assert values(rows) == list(range(3000))
    assert sorted(row["sequenceNumber"] for row in rows) == sorted(sent)
    assert {row["shardId"] for row in rows} == {f"shardId-{n:012}" for n in range(4)}
    assert all(row["partitionKey"] == f"key {int(row['data'])}" for row in rows)
    assert all(abs(row["approximateArrivalTimestamp"] - time.time()) < 300 for row in rows)
    for _ in range(2):
        assert driver.read(tmp_path, "many")["batches"] == []
    cloud.put("many", 3000, 20)
    assert driver.read(tmp_path, "many", initialPosition="latest")["batches"] == [20]
    assert values(driver.rows(tmp_path / "table")) == list(range(3020))


def test_a_batch_that_was_not_committed_is_replayed_with_the_same_rows(
    cloud: Cloud, driver: Driver, tmp_path: Path
) -> None:
    cloud.create("again", 3)
    cloud.put("again", 0, 100)
    driver.read(tmp_path, "again")
    second = cloud.put("again", 100, 700)
    driver.read(tmp_path, "again")
    cloud.put("again", 800, 50)
    for name in ("commits/1", "commits/.1.crc"):
        (tmp_path / "checkpoint" / name).unlink()
    request = {"options": {"streamName": "again", **EARLIEST}, "trigger": NOW, "folder": str(tmp_path)}
    # A new table, as the old one would know that it has this batch already.
    assert driver.ask(**request, table=f"{tmp_path}/other")["batches"] == [700, 50]
    rows = driver.rows(tmp_path / "other")
    assert values(rows) == list(range(100, 850))
    assert sorted(row["sequenceNumber"] for row in rows)[:700] == sorted(second)


def test_odd_records_arrive_as_they_were_put(cloud: Cloud, driver: Driver, tmp_path: Path) -> None:
    cloud.create("odd")
    key, large = "ключ 🔑 \"'\\ é", os.urandom(2**20)
    assert len(large) > 1_000_000
    odd = [("a", b""), (key, large), ("x" * 256, b"\x00\xff\n"), (key, large), ("a", "数据".encode())]
    for partition_key, data in odd:
        cloud.kinesis.put_record(StreamName="odd", PartitionKey=partition_key, Data=data)
    for _ in range(30):
        cloud.kinesis.put_record(StreamName="odd", PartitionKey="large", Data=large)
    assert sum(driver.read(tmp_path, "odd")["batches"]) == 35
    rows = driver.rows(tmp_path / "table")
    digest = hashlib.sha256(large).hexdigest().encode()
    expected = [(key, digest if data is large else data) for key, data in odd]
    assert [(row["partitionKey"], row["data"]) for row in rows[:5]] == expected
    assert [row["data"] for row in rows[5:]] == [digest] * 30
    assert {row["stream"] for row in rows} == {"odd"}


def test_two_streams_in_one_query_and_an_empty_one(cloud: Cloud, driver: Driver, tmp_path: Path) -> None:
    for name in ("one", "two", "none"):
        cloud.create(name, 2)
    cloud.put("one", 0, 10)
    cloud.put("two", 10, 10)
    assert driver.read(tmp_path, "one, two ,none")["batches"] == [20]
    rows = driver.rows(tmp_path / "table")
    assert [(row["stream"], row["data"]) for row in sorted(rows, key=lambda row: int(row["data"]))] == [
        ("one" if n < 10 else "two", b"%d" % n) for n in range(20)
    ]
    assert driver.read(tmp_path / "empty", "none")["batches"] == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"shardsPerTask": "5"}, "shardsPerTask"),
        ({"consumerMode": "efo"}, "consumerMode"),
        ({"startingposition": "earliest"}, "startingposition"),
        ({"initialPosition": '{"at_timestamp": "06/25/2020 10:23:45 PDT"}'}, "initialPosition"),
        ({"streamName": ""}, "streamName"),
        ({"streamName": "nowhere"}, "no stream 'nowhere'"),
        ({"awsAccessKey": "AKIAWRONG", "awsSecretKey": "wrong"}, "(InvalidClientTokenId|UnrecognizedClient)"),
    ],
)
def test_what_it_cannot_do_is_refused(
    cloud: Cloud, driver: Driver, tmp_path: Path, options: dict[str, str], says: str
) -> None:
    import re

    answer = driver.read(tmp_path, "refused", **options)
    assert re.search(says, answer["error"]), answer["error"]
    assert not (tmp_path / "table").exists()


def test_trigger_once_and_a_schema_are_refused(cloud: Cloud, driver: Driver, tmp_path: Path) -> None:
    cloud.create("once")
    assert "availableNow" in driver.read(tmp_path / "a", "once", {"once": True})["error"]
    request = {"options": {"streamName": "once"}, "trigger": NOW, "folder": str(tmp_path / "b")}
    assert "leave out .schema" in driver.ask(**request, schema="data string")["error"]


def test_a_reshard_stops_the_query(cloud: Cloud, driver: Driver, tmp_path: Path) -> None:
    cloud.create("split")
    cloud.put("split", 0, 5)
    assert driver.read(tmp_path, "split")["batches"] == [5]
    cloud.kinesis.split_shard(
        StreamName="split", ShardToSplit="shardId-000000000000", NewStartingHashKey=f"{2**127}"
    )
    assert "shardId-000000000000 of 'split' is gone" in driver.read(tmp_path, "split")["error"]
    assert "resharded" in driver.read(tmp_path / "new", "split")["error"]


def test_a_stream_made_anew_needs_a_new_checkpoint(cloud: Cloud, driver: Driver, tmp_path: Path) -> None:
    cloud.create("anew")
    cloud.put("anew", 0, 5)
    assert driver.read(tmp_path, "anew")["batches"] == [5]
    cloud.kinesis.delete_stream(StreamName="anew")
    cloud.kinesis.get_waiter("stream_not_exists").wait(StreamName="anew", WaiterConfig={"Delay": 1})
    cloud.create("anew")
    cloud.put("anew", 100, 3)
    assert "'anew' was deleted and made anew" in driver.read(tmp_path, "anew")["error"]
    assert driver.read(tmp_path / "new", "anew")["batches"] == [3]


def producer(cloud: Cloud, stream: str, stop: threading.Event, sent: list[int]) -> threading.Thread:
    """About 500 records a second until it is told to stop."""

    def produce() -> None:
        while not stop.wait(0.1):
            cloud.put(stream, sent[0], 50)
            sent[0] += 50

    thread = threading.Thread(target=produce)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("kills", "done", "least"),
    [
        ([(2, 0.2)], 1, 200),
        # First as soon as the starting time stands in the checkpoint: before a row was read.
        pytest.param([(1, 0.0), (2, 0.2), (1, 0.9)], 2, 2000, marks=pytest.mark.soak),
    ],
    ids=["once", "three times"],
)
def test_killed_in_the_middle(
    cloud: Cloud, driver: Driver, tmp_path: Path, *, kills: list[tuple[int, float]], done: int, least: int
) -> None:
    name = f"killed-{len(kills)}"
    cloud.create(name, 2)
    cloud.put(name, 10**6, 100)  # before the start of a query on the latest
    request = {
        "options": {"streamName": name, "initialPosition": "latest"},
        "trigger": {"processingTime": "0 seconds"}, "folder": str(tmp_path), "started": True,
    }  # fmt: skip
    stop, sent, thread = threading.Event(), [0], None
    log, commits = tmp_path / "checkpoint" / "offsets", tmp_path / "checkpoint" / "commits"
    try:
        for more, patience in kills:
            before = len(numbered(log))
            victim = Driver(cloud)
            victim.tell(request)
            assert victim.answer() == {"started": True}
            if thread is None:
                # The source must see what is put from the moment that `start` returns.
                cloud.put(name, 0, 50)
                sent[0] = 50
                thread = producer(cloud, name, stop, sent)
            wait(lambda enough=before + more: len(numbered(log)) >= enough)
            time.sleep(patience)
            victim.kill()
    finally:
        stop.set()
        if thread:
            thread.join()
    assert len(numbered(commits)) >= done
    assert "error" not in driver.read(tmp_path, name, initialPosition="latest")
    assert values(driver.rows(tmp_path / "table")) == list(range(sent[0]))
    assert sent[0] > least
    assert driver.read(tmp_path, name)["batches"] == []


def test_the_emulator_may_be_away_for_a_while(cloud: Cloud, driver: Driver, tmp_path: Path) -> None:
    cloud.create("away", 2)
    cloud.put("away", 0, 300)
    request = {
        "options": {"streamName": "away", **EARLIEST},
        "trigger": {"processingTime": "0 seconds"}, "folder": str(tmp_path), "started": True,
    }  # fmt: skip
    reading = Driver(cloud)
    try:
        reading.tell(request)
        assert reading.answer() == {"started": True}
        commits = tmp_path / "checkpoint" / "commits"
        wait(lambda: numbered(commits))
        cloud.server.stop()
        time.sleep(2)
        cloud.server.start()
        cloud.put("away", 300, 300)
        wait(lambda: values(driver.rows(tmp_path / "table")) == list(range(600)))
    finally:
        reading.kill()


def numbered(folder: Path) -> list[Path]:
    """The batches in a folder of a checkpoint."""
    return list(folder.glob("[0-9]*"))


def wait(until: Any, seconds: float = 90) -> None:
    """Wait for something that must become true."""
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.5)
