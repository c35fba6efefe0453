"""The stream reader: new records are read once, on the driver, and handed to one task a shard."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyarrow import RecordBatch
from pyspark.sql.datasource import DataSourceStreamReader, InputPartition
from pyspark.sql.streaming.datasource import ReadLimit, ReadMaxRows, SupportsTriggerAvailableNow

from pyspark_local_kinesis.options import HERE, LATEST, KinesisError, Options
from pyspark_local_kinesis.shards import (
    AT_TIMESTAMP,
    Cursor,
    Pace,
    Record,
    arrival,
    connect,
    refuse_another_life,
    shard_ids,
)

Offset = dict[str, dict[str, str]]  # {stream: {shard: the last sequence number read}}
Range = tuple[str, str, str, str]  # stream, shard, and the two sequence numbers

# A batch ends at the first of the two; what is left waits in the stream.
BATCH_ROWS = 50_000
BATCH_BYTES = 32 * 2**20
# Spark refuses to send a task of 128 MB: one with more rows than this fetches them itself.
TASK_BYTES = 96 * 2**20


@dataclass
class ShardRange(InputPartition):
    """The records of one shard after `start`, up to and with `end`; `rows` where the driver has them."""

    stream: str
    shard: str
    start: str
    end: str
    rows: list[RecordBatch] | None


class KinesisReader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    """Reads on from where the checkpoint stands; `loaded` is what `latest` means, in milliseconds."""

    def __init__(self, options: Options, loaded: int) -> None:
        self.options = options
        self.loaded = loaded
        self.client: Any = None
        self.pace = Pace(options.max_records)
        self.rows: dict[Range, list[RecordBatch]] = {}
        self.until: int | None = None
        self.finished: set[tuple[str, str]] = set()

    def initialOffset(self) -> Offset:
        """Where a new query starts: a word that stays the same, so that the first batch can be replayed."""
        return {
            stream: dict.fromkeys(shard_ids(self._connected(), stream), self.options.position)
            for stream in self.options.streams
        }

    def getDefaultReadLimit(self) -> ReadLimit:
        """How many rows a batch may have."""
        return ReadMaxRows(BATCH_ROWS)

    def prepareForTriggerAvailableNow(self) -> None:
        """Note the time: what arrives later is for the next run."""
        self.until = math.ceil(time.time() * 1000)

    def latestOffset(self, start: Offset, limit: ReadLimit) -> Offset:
        """Read what came after `start`, keep the rows for `partitions`, and say where they end."""
        most = self._checked(start, limit)
        for stream, shards in start.items():
            if any((stream, shard) not in self.finished for shard in shards):
                refuse_another_life(self._connected(), stream, shards)
        if any(LATEST in shards.values() for shards in start.values()):
            # A batch without rows writes the time into the checkpoint: every replay starts from there.
            return _put(start, LATEST, f"{AT_TIMESTAMP}{self.loaded}")
        cursors = [
            Cursor(self._connected(), stream, shard, position, self._too_late)
            for stream, shards in start.items()
            for shard, position in shards.items()
            if (stream, shard) not in self.finished
        ]
        self.rows = self._read(cursors, most)
        end = {stream: dict(shards) for stream, shards in start.items()}
        for cursor in cursors:
            end[cursor.stream][cursor.shard] = cursor.position
            if self.until and cursor.at_end and not cursor.closed:
                self.finished.add((cursor.stream, cursor.shard))
        return end

    def partitions(self, start: Offset, end: Offset) -> list[InputPartition]:
        """One for each shard with rows in (start, end]; after a restart the tasks fetch them themselves."""
        found: list[InputPartition] = []
        for stream, shards in end.items():
            for shard, last in shards.items():
                first = start[stream][shard]
                if last != first and last.isdigit():
                    rows = self.rows.get((stream, shard, first, last))
                    if rows and sum(page.nbytes for page in rows) > TASK_BYTES:
                        rows = None
                    found.append(ShardRange(stream, shard, first, last, rows))
        return found

    def read(self, partition: InputPartition) -> Iterator[RecordBatch]:
        """The rows of one partition, in a Python worker."""
        assert isinstance(partition, ShardRange)
        if partition.rows is not None:
            return iter(partition.rows)
        return fetch(connect(self.options), partition, Pace(self.options.max_records))

    def _connected(self) -> Any:
        if self.client is None:
            self.client = connect(self.options)
        return self.client

    def _checked(self, start: Offset, limit: ReadLimit) -> int:
        if not isinstance(limit, ReadMaxRows):
            raise KinesisError(f"{HERE}: use trigger(availableNow=True) instead of trigger(once=True).")
        if set(start) != set(self.options.streams):
            asked = ", ".join(self.options.streams)
            raise KinesisError(f"The checkpoint belongs to {', '.join(start)}: {asked} needs one of its own.")
        return limit.max_rows

    def _too_late(self, record: Record) -> bool:
        return self.until is not None and arrival(record) > self.until

    def _read(self, cursors: list[Cursor], rows_left: int) -> dict[Range, list[RecordBatch]]:
        pages: dict[Cursor, list[RecordBatch]] = {cursor: [] for cursor in cursors}
        bytes_left = BATCH_BYTES
        while waiting := [cursor for cursor in cursors if not cursor.at_end]:
            self.pace.wait()
            for cursor in waiting:
                if rows_left <= 0 or bytes_left <= 0:
                    return _ranges(pages)
                page = cursor.page(min(self.pace.records, rows_left))
                if cursor.closed and not page.num_rows and not pages[cursor]:
                    raise KinesisError(
                        f"{HERE}: it does not follow a reshard. Shard {cursor.shard} of {cursor.stream!r} "
                        "is closed and was read to its end; its children were not read."
                    )
                self.pace.learn(page)
                if page.num_rows:
                    pages[cursor].append(page)
                rows_left -= page.num_rows
                bytes_left -= page.nbytes
        if not any(pages.values()):
            self.pace.slow_down()
        return _ranges(pages)


def fetch(client: Any, part: ShardRange, pace: Pace) -> Iterator[RecordBatch]:
    """The records of a range whose rows the driver does not have.

    Raises KinesisError when the last of them is no longer in the stream.
    """
    last = int(part.end)
    cursor = Cursor(
        client, part.stream, part.shard, part.start, lambda each: int(each["SequenceNumber"]) > last
    )
    while cursor.position != part.end:
        if cursor.at_end:
            raise KinesisError(f"{part.stream!r}, shard {part.shard}: record {part.end} is no longer there.")
        pace.wait()
        page = cursor.page(pace.records)
        pace.learn(page)
        if page.num_rows:
            yield page


def _ranges(pages: dict[Cursor, list[RecordBatch]]) -> dict[Range, list[RecordBatch]]:
    return {(each.stream, each.shard, each.start, each.position): rows for each, rows in pages.items()}


def _put(offset: Offset, old: str, new: str) -> Offset:
    return {
        stream: {shard: new if position == old else position for shard, position in shards.items()}
        for stream, shards in offset.items()
    }
