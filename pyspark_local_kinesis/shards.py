"""One shard read page by page through boto3, and its records as Arrow."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import dropwhile, takewhile
from typing import Any
from urllib.parse import urlsplit

import boto3
import pyarrow as pa
from botocore.config import Config
from botocore.exceptions import ClientError

from pyspark_local_kinesis.options import HERE, TRIM_HORIZON, KinesisError, Options

AT_TIMESTAMP = "AT_TIMESTAMP:"  # and milliseconds: from then on
# Throttling, or an emulator that starts anew: try again after growing random pauses, for half a minute.
PATIENCE = Config(retries={"mode": "standard", "total_max_attempts": 8}, connect_timeout=5, read_timeout=30)
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
    client = boto3.client("kinesis", config=PATIENCE, **options.login)
    if ".amazonaws." in f"{urlsplit(client.meta.endpoint_url).hostname}":
        raise KinesisError(f"{HERE}, for the local cloud only: AWS_ENDPOINT_URL is not set.")
    return client


def shard_ids(client: Any, stream: str) -> list[str]:
    """The shards of a stream, all of them open.

    Raises KinesisError when there is no such stream, or when it was resharded.
    """
    with _gone(f"There is no stream {stream!r}"):
        pages = client.get_paginator("list_shards").paginate(StreamName=stream)
        shards = [shard for page in pages for shard in page["Shards"]]
    if any(
        "ParentShardId" in shard or "EndingSequenceNumber" in shard["SequenceNumberRange"] for shard in shards
    ):
        raise KinesisError(f"{HERE}, which reads no stream that was resharded, as {stream!r} was.")
    return [shard["ShardId"] for shard in shards]


class Cursor:
    """A place in a shard, read page by page up to the first record that `beyond` says is too late.

    `position` is the last sequence number read; `at_end` says that there is nothing more for this reader.
    """

    def __init__(
        self,
        client: Any,
        stream: str,
        shard: str,
        position: str,
        beyond: Callable[[dict[str, Any]], bool] = lambda record: False,
    ) -> None:
        self.stream, self.shard, self.start, self.position = stream, shard, position, position
        self.at_end = self.closed = False
        self._client = client
        self._beyond = beyond
        self._iterator: str | None = None

    def page(self, limit: int) -> pa.RecordBatch:
        """The next records, `limit` or fewer, perhaps none."""
        with _gone(f"Shard {self.shard} of {self.stream!r} is gone: it was resharded, deleted or made anew"):
            try:
                answer = self._client.get_records(ShardIterator=self._iterator or self._new(), Limit=limit)
            except self._client.exceptions.ExpiredIteratorException:
                answer = self._client.get_records(ShardIterator=self._new(), Limit=limit)
        self._iterator = answer.get("NextShardIterator")
        all_records = answer["Records"]
        records = list(takewhile(lambda record: not self._beyond(record), all_records))
        stopped = len(records) < len(all_records)
        self.closed = self._iterator is None and not stopped
        caught_up = not answer.get("MillisBehindLatest") and len(all_records) < limit
        self.at_end = stopped or self.closed or caught_up
        if self.position.startswith(AT_TIMESTAMP):
            # The call takes whole seconds only.
            since = int(self.position.removeprefix(AT_TIMESTAMP))
            records = list(dropwhile(lambda record: arrival(record) < since, records))
        if records:
            self.position = records[-1]["SequenceNumber"]
        return _as_arrow(self.stream, self.shard, records)

    def _new(self) -> str:
        if self.position == TRIM_HORIZON:
            place: dict[str, Any] = {"ShardIteratorType": TRIM_HORIZON}
        elif self.position.startswith(AT_TIMESTAMP):
            seconds = int(self.position.removeprefix(AT_TIMESTAMP)) // 1000
            place = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": seconds}
        else:
            place = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": self.position}
        found = self._client.get_shard_iterator(StreamName=self.stream, ShardId=self.shard, **place)
        return found["ShardIterator"]


def arrival(record: dict[str, Any]) -> int:
    """When Kinesis took the record, in milliseconds."""
    return round(record["ApproximateArrivalTimestamp"].timestamp() * 1000)


def _as_arrow(stream: str, shard: str, records: list[dict[str, Any]]) -> pa.RecordBatch:
    """The records as rows of the source's six columns."""
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
def _gone(what: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        raise KinesisError(f"{what}.") from error
