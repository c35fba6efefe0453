"""What the tests and measurements of lesson 14 share: an emulator with streams, records to put, a driver."""

import gzip
import json
import os
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import psutil

from helpers.names import TABLES, Names
from local_cloud.parts import aws
from local_cloud.state import ROOT, State
from tests.spark_driver import SparkDriver

SAMPLES = ROOT / "data_samples" / "topics"
MOST = 500  # records that PutRecords takes
KEY = {"pin": "index", "geo": "ind", "user": "ind"}
# The field that says which delivery a clean row was made of, in the record and in the clean table.
MARKED = {"pin": ("title", "title"), "geo": ("country", "country"), "user": ("last_name", "user_name")}
Put = dict[str, Any]


class Cloud:
    """The streams, the bucket and the driver's surroundings of one user of an emulator that runs."""

    def __init__(self, state: State, user: str) -> None:
        self.state, self.names = state, Names(user)
        self.kinesis, self.s3 = aws.client(state, "kinesis"), aws.client(state, "s3")
        self._read: dict[str, list[str]] = {}  # what a checkpoint holds is never changed

    def prepare(self, shards: int, *tables: str) -> None:
        """Make the bucket and the streams, and the file of addresses if there is none."""
        self.s3.create_bucket(Bucket=self.names.bucket)
        for table in tables or TABLES:
            self.kinesis.create_stream(StreamName=self.names.stream[table], ShardCount=shards)
        for table in tables or TABLES:
            waiter = self.kinesis.get_waiter("stream_exists")
            waiter.wait(StreamName=self.names.stream[table], WaiterConfig={"Delay": 1})
        file = self.state.path("cloud.env")
        if not file.exists():
            file.write_text("".join(f"{key}={value}\n" for key, value in self._addresses().items()))

    def _addresses(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.state.port('aws')}",
            "AWS_REGION": aws.REGION,
            "AWS_DEFAULT_REGION": aws.REGION,
            "AWS_ACCESS_KEY_ID": self.state.secret("reader_key_id"),
            "AWS_SECRET_ACCESS_KEY": self.state.secret("reader_secret"),
        }

    @property
    def environment(self) -> dict[str, str]:
        """What a driver of this user is started with."""
        dropped = ("AWS_", "SPARK_", "RAW_PATH", "TABLES_PATH")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        own = {"PIPELINE_TARGET": "local", "PIPELINE_USER": self.names.user_id}
        return {**kept, **own, "LOCAL_CLOUD_HOME": str(self.state.home)}

    def put(self, table: str, records: list[tuple[str, bytes]]) -> list[Put]:
        """Put (key, data) pairs; returns what Kinesis says of each."""
        told: list[Put] = []
        for first in range(0, len(records), MOST):
            batch = [{"PartitionKey": key, "Data": data} for key, data in records[first : first + MOST]]
            answer = self.kinesis.put_records(StreamName=self.names.stream[table], Records=batch)
            assert answer["FailedRecordCount"] == 0
            told += answer["Records"]
        return told

    def records(self, table: str) -> Iterator[Put]:
        """Every record of a stream, shard by shard."""
        stream = self.names.stream[table]
        for shard in self.kinesis.list_shards(StreamName=stream)["Shards"]:
            start = {"ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
            at, behind = self.kinesis.get_shard_iterator(StreamName=stream, **start)["ShardIterator"], 1
            while behind:
                answer = self.kinesis.get_records(ShardIterator=at, Limit=5000)
                at, behind = answer["NextShardIterator"], answer["MillisBehindLatest"]
                yield from answer["Records"]

    def noted(self, table: str, what: str) -> dict[int, str]:
        """A query's notes in its checkpoint, `offsets` or `commits`: batch number -> object's key."""
        keys = self._keys(f"{table}_stream/{what}")
        return {int(name): key for key in keys if (name := key.rpartition("/")[2]).isdigit()}

    def _keys(self, folder: str) -> list[str]:
        prefix = f"checkpoints/{self.names.user_id}_{folder}/"
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.names.bucket, Prefix=prefix)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]

    def _lines(self, key: str) -> list[str]:
        if key not in self._read:
            body = self.s3.get_object(Bucket=self.names.bucket, Key=key)["Body"].read()
            self._read[key] = body.decode().splitlines()
        return self._read[key]

    def ends(self, table: str) -> dict[int, dict[str, str]]:
        """Where each micro-batch ended: its number -> shard -> the last sequence number in it."""
        return {
            number: json.loads(self._lines(key)[-1])[self.names.stream[table]]
            for number, key in self.noted(table, "offsets").items()
        }

    def files(self, table: str) -> dict[str, int]:
        """The files that a query over a folder has taken: name -> number of the micro-batch."""
        keys = [key for key in self._keys(f"{table}_files/sources/0") if not key.endswith(".crc")]
        entries = [json.loads(line) for key in keys for line in self._lines(key)[1:]]
        return {entry["path"].rpartition("/")[2]: entry["batchId"] for entry in entries}


class Driver(SparkDriver):
    """The driver of `tests.stream_worker`, and the most memory that it has held.

    With `both_compilers` Java compiles as in the local cloud's server: slower to start, then faster.
    """

    def __init__(self, cloud: Cloud, *, both_compilers: bool = False) -> None:
        environment = cloud.environment | ({"BOTH_COMPILERS": "1"} if both_compilers else {})
        super().__init__("tests.stream_worker", cloud.state.log("stream-worker"), environment)
        self.peak = 0.0  # MB, Java and Python together
        threading.Thread(target=self._watch, daemon=True).start()
        assert self.answer() == "ready"

    def ask(self, expression: str) -> Any:
        """The value of an expression in the worker; fails with the error that it raised."""
        self.tell(expression)
        answer = self.answer()
        assert "value" in answer, answer["error"]
        return answer["value"]

    def size(self) -> float:
        """Resident memory in MB now."""
        found = 0
        for each in self.tree():
            try:
                found += each.memory_info().rss
            except psutil.Error:
                continue
        return found / 2**20

    def _watch(self) -> None:
        while self.process.poll() is None:
            self.peak = max(self.peak, self.size())
            time.sleep(0.5)


def samples(table: str) -> list[dict[str, Any]]:
    """The sample posts as they were sent: without the offset that the sink adds."""
    files = sorted((SAMPLES / table).rglob("*.json.gz"))
    lines = [line for file in files for line in gzip.decompress(file.read_bytes()).split(b"\n") if line]
    records = [json.loads(line) for line in lines]
    posts = [record for record in records if "app_version" not in record]
    return [{name: value for name, value in post.items() if name != "_offset"} for post in posts]


class Meant(NamedTuple):
    """What must become of a delivery: its key and mark in the clean table, or why it is set aside."""

    ind: int = -1
    mark: str = ""
    reason: str = ""


@dataclass
class Records:
    """Deliveries of a table's sample posts: numbered, with repeated keys, and now and then a bad one."""

    table: str
    keys: int
    seed: int
    bad: float = 0.02
    made: int = 0
    bases: list[dict[str, Any]] = field(default_factory=list, repr=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(f"{self.table} {self.seed}")
        self.bases = samples(self.table)

    def take(self, count: int) -> list[tuple[str, bytes]]:
        """The next `count` of them: partition key and data."""
        return [self._one() for _ in range(count)]

    def _one(self) -> tuple[str, bytes]:
        key, number = self.chance.randrange(self.keys), self.made
        self.made += 1
        base, field_ = self.bases[key % len(self.bases)], MARKED[self.table][0]
        record = base | {KEY[self.table]: key, field_: f"number {number}"}
        data = json.dumps(record, ensure_ascii=False)
        if self.chance.random() < self.bad:
            spoilt = (
                f'{{"n": {number}, oops',
                f'"text {number}"',
                f'{{"n": {number}}}',
                data.replace(f": {key}, ", ": null, ", 1),
            )
            data = self.chance.choice(spoilt)
        return str(key), data.encode()


def meant(table: str, data: bytes) -> Meant:
    """What must become of one of these deliveries, worked out without Spark."""
    try:
        record = json.loads(data)
    except ValueError:
        return Meant(reason="not_json")
    if not isinstance(record, dict):
        return Meant(reason="not_json")
    field_ = MARKED[table][0]
    if field_ not in record:
        return Meant(reason="wrong_table")
    if record[KEY[table]] is None:
        return Meant(reason="missing_key")
    mark = record[field_]
    if table == "user" and (first := (record["first_name"] or "").strip()):
        mark = f"{first} {mark}"
    return Meant(record[KEY[table]], mark)


class Feed(threading.Thread):
    """Puts `total` records into each stream, about `rate` a second into each, until done or told to stop."""

    def __init__(self, cloud: Cloud, sources: dict[str, Records], total: int, rate: float) -> None:
        super().__init__(daemon=True)
        self.cloud, self.sources, self.total, self.rate = cloud, sources, total, rate
        self.sent, self.ends = 0, threading.Event()
        self.put_at: dict[str, list[tuple[float, Put]]] = {table: [] for table in sources}
        self.problem: Exception | None = None

    def run(self) -> None:
        began, every = time.monotonic(), max(0.1, 1 / self.rate)
        try:
            while self.sent < self.total and not self.ends.is_set():
                due = min(self.total, int((time.monotonic() - began + every) * self.rate))
                for table, source in self.sources.items():
                    at = time.time()
                    told = self.cloud.put(table, source.take(due - self.sent))
                    self.put_at[table] += [(at, one) for one in told]
                self.sent = due
                self.ends.wait(every)
        except Exception as problem:
            self.problem = problem

    def hurry(self, least: int) -> None:
        """Put what lacks to `least` records at once, and then no more."""
        self.total, self.rate = max(least, self.sent + MOST), float(least + self.total)

    def finish(self) -> int:
        """Wait until all is put; returns how many records each stream has got."""
        self.join()
        if self.problem:
            raise self.problem
        return self.sent
