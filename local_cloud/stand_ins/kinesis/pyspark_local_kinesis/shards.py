"""One shard read page by page through boto3, as Arrow."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import dropwhile, takewhile
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from pyspark_local_kinesis.options import HERE, TRIM_HORIZON, KinesisError, Options

Record = dict[str, Any]
AT_TIMESTAMP = "AT_TIMESTAMP:"  # and milliseconds: from then on
# Kinesis lets a shard be asked five times a second.
BUSY, IDLE = 0.25, 1.0  # seconds from one question to the next
# Kinesis ends a page at 10 MB, the emulator at no size: the size of past records tells how many to ask for.
PAGE_BYTES = 8 * 2**20
FIRST_PAGE = 50  # records
SCHEMA = pa.schema(
    [
        ("partitionKey", pa.string()),
        ("data", pa.binary()),
        ("stream", pa.string()),
        ("shardId", pa.string()),
        ("sequenceNumber", pa.string()),
        ("approximateArrivalTimestamp", pa.timestamp("us", "UTC")),
    ]
)


def connect(options: Options) -> Any:
    """A boto3 client at the endpoint that the environment names.

    Raises KinesisError when that is AWS itself: the source is for the local cloud.
    """
    import boto3  # here: a worker that only hands on rows does without
    from botocore.config import Config

    # Throttling, or an emulator that starts anew: try again after growing random pauses, for half a minute.
    retries = {"mode": "standard", "total_max_attempts": 8}
    config = Config(retries=retries, connect_timeout=5, read_timeout=30)
    client = boto3.client("kinesis", config=config, **options.login)
    if ".amazonaws." in f"{urlsplit(client.meta.endpoint_url).hostname}":
        raise KinesisError(f"{HERE}, for the local cloud only: AWS_ENDPOINT_URL is not set.")
    return client


def shard_ids(client: Any, stream: str) -> list[str]:
    """The shards of a stream.

    Raises KinesisError when there is no such stream, or when it was resharded.
    """
    with _not_found(f"There is no stream {stream!r}"):
        pages = client.get_paginator("list_shards").paginate(StreamName=stream)
        shards = [shard for page in pages for shard in page["Shards"]]
    for shard in shards:
        if "ParentShardId" in shard or "EndingSequenceNumber" in shard["SequenceNumberRange"]:
            raise KinesisError(f"{HERE}: it reads no stream that was resharded, as {stream!r} was.")
    return [shard["ShardId"] for shard in shards]


def refuse_another_life(client: Any, stream: str, read: Mapping[str, str]) -> None:
    """Raise KinesisError when the stream was made anew since the checkpoint noted what it has `read`.

    `read` has the last sequence number of each shard. A number below the first of its shard is another
    stream's, and so are notes that lack a shard: reading on would skip records in silence.
    """
    with _not_found(f"The stream {stream!r} is gone"):
        pages = client.get_paginator("list_shards").paginate(StreamName=stream)
        shards = {shard["ShardId"]: shard for page in pages for shard in page["Shards"]}
    first = {
        name: int(shard["SequenceNumberRange"]["StartingSequenceNumber"]) for name, shard in shards.items()
    }
    older = [name for name, number in read.items() if number.isdigit() and int(number) < first.get(name, 0)]
    lacking = [name for name, shard in shards.items() if name not in read and "ParentShardId" not in shard]
    if older or lacking:
        raise KinesisError(
            f"The stream {stream!r} was deleted and made anew: the checkpoint's place in shard "
            f"{(older or lacking)[0]} is not of this stream, and reading on would skip records. "
            "Start with a new checkpoint; it reads the new stream from its beginning."
        )


class Pace:
    """How often shards are asked, and for how many records."""

    def __init__(self, most: int) -> None:
        self.records = min(FIRST_PAGE, most)
        self._most = most
        self._next = 0.0

    def wait(self) -> None:
        """Sleep until it is time for the next round."""
        time.sleep(max(0.0, self._next - time.monotonic()))
        self._next = time.monotonic() + BUSY

    def slow_down(self) -> None:
        """There was nothing: the next round may come later."""
        self._next += IDLE - BUSY

    def learn(self, page: pa.RecordBatch) -> None:
        """Take the size of these records for that of the next."""
        if page.num_rows:
            self.records = max(1, min(self._most, PAGE_BYTES * page.num_rows // page.nbytes))


class Cursor:
    """A place in a shard, read page by page up to the first record that `beyond` says is too late.

    `position` is the last sequence number read; `at_end` says that there is nothing more for this reader.
    """

    def __init__(
        self, client: Any, stream: str, shard: str, position: str, beyond: Callable[[Record], bool]
    ) -> None:
        self.stream, self.shard, self.start, self.position = stream, shard, position, position
        self.at_end = self.closed = False
        self._client = client
        self._beyond = beyond
        self._iterator: str | None = None

    def page(self, limit: int) -> pa.RecordBatch:
        """The next records, `limit` or fewer, perhaps none."""
        with _not_found(f"Shard {self.shard} of {self.stream!r} is gone: resharded, deleted or made anew"):
            try:
                answer = self._client.get_records(ShardIterator=self._iterator or self._new(), Limit=limit)
            except self._client.exceptions.ExpiredIteratorException:
                answer = self._client.get_records(ShardIterator=self._new(), Limit=limit)
        self._iterator = answer.get("NextShardIterator")
        found = answer["Records"]
        records = list(takewhile(lambda record: not self._beyond(record), found))
        stopped = len(records) < len(found)
        self.closed = self._iterator is None and not stopped
        caught_up = not answer.get("MillisBehindLatest") and len(found) < limit
        self.at_end = stopped or self.closed or caught_up
        if self.position.startswith(AT_TIMESTAMP):
            # GetShardIterator was given whole seconds: boto3 sends no parts of one.
            records = list(dropwhile(lambda record: arrival(record) < self._since(), records))
        if records:
            self.position = records[-1]["SequenceNumber"]
        return _as_arrow(self.stream, self.shard, records)

    def _new(self) -> str:
        place: dict[str, Any] = {"ShardIteratorType": TRIM_HORIZON}
        if self.position.startswith(AT_TIMESTAMP):
            place = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": self._since() // 1000}
        elif self.position != TRIM_HORIZON:
            place = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": self.position}
        answer = self._client.get_shard_iterator(StreamName=self.stream, ShardId=self.shard, **place)
        return answer["ShardIterator"]

    def _since(self) -> int:
        return int(self.position.removeprefix(AT_TIMESTAMP))


def arrival(record: Record) -> int:
    """When Kinesis took the record, in milliseconds."""
    return round(record["ApproximateArrivalTimestamp"].timestamp() * 1000)


def _as_arrow(stream: str, shard: str, records: list[Record]) -> pa.RecordBatch:
    columns = [
        [record["PartitionKey"] for record in records],
        [record["Data"] for record in records],
        [stream] * len(records),
        [shard] * len(records),
        [record["SequenceNumber"] for record in records],
        [record["ApproximateArrivalTimestamp"] for record in records],
    ]
    arrays = [pa.array(values, kind) for values, kind in zip(columns, SCHEMA.types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


@contextmanager
def _not_found(what: str) -> Iterator[None]:
    from botocore.exceptions import ClientError

    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        raise KinesisError(f"{what}.") from error
