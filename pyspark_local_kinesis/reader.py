"""The stream reader: what is new, read once on the driver and handed to one task a shard."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pyarrow import RecordBatch
from pyspark.sql.datasource import DataSourceStreamReader, InputPartition
from pyspark.sql.streaming.datasource import ReadLimit, ReadMaxRows, SupportsTriggerAvailableNow

from pyspark_local_kinesis.options import HERE, LATEST, KinesisError, Options
from pyspark_local_kinesis.shards import AT_TIMESTAMP, Cursor, arrival, connect, shard_ids

Offset = dict[str, dict[str, str]]  # {stream: {shard: the last sequence number read}}

Range = tuple[str, str, str, str]  # stream, shard, the sequence numbers before and at the end

# A batch ends at the first of the two; what is left waits in the stream.
BATCH_ROWS = 50_000
BATCH_BYTES = 32 * 2**20
PAGE_BYTES = 8 * 2**20  # Kinesis itself stops a page at 10 MB; the emulator stops at no size
FIRST_PAGE = 500
# Kinesis lets a shard be asked five times a second.
BUSY, IDLE = 0.25, 1.0  # seconds from one round of questions to the next


@dataclass
class ShardRange(InputPartition):
    """The records of one shard after `start`, up to `end` and with it; `rows` where they were just read."""

    stream: str
    shard: str
    start: str
    end: str
    rows: list[RecordBatch] | None


class KinesisReader(DataSourceStreamReader, SupportsTriggerAvailableNow):
    """Reads streams from where the checkpoint stands; `loaded` (ms) is what `latest` means."""

    def __init__(self, options: Options, loaded: int) -> None:
        self.options = options
        self.loaded = loaded
        self.client: Any = None
        self.rows: dict[Range, list[RecordBatch]] = {}
        self.page_rows = FIRST_PAGE
        self.next_round = 0.0
        self.until: int | None = None
        self.finished: set[tuple[str, str]] = set()

    def initialOffset(self) -> Offset:
        """Where a new query starts; the same after a restart, so that its first batch can be replayed."""
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
        if any(LATEST in shards.values() for shards in start.values()):
            # A first batch without rows writes the time into the checkpoint: every replay starts from there.
            return _moved(start, {LATEST: f"{AT_TIMESTAMP}{self.loaded}"})
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
            if self.until and cursor.at_end:
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
                    found.append(ShardRange(stream, shard, first, last, rows))
        return found

    def read(self, partition: InputPartition) -> Iterator[RecordBatch]:
        """The rows of one partition, in a Python worker."""
        assert isinstance(partition, ShardRange)
        if partition.rows is not None:
            yield from partition.rows
            return
        yield from _replay(connect(self.options), partition, self.options.max_records)

    def _too_late(self, record: dict[str, Any]) -> bool:
        return self.until is not None and arrival(record) > self.until

    def _connected(self) -> Any:
        if self.client is None:
            self.client = connect(self.options)
        return self.client

    def _checked(self, start: Offset, limit: ReadLimit) -> int:
        if not isinstance(limit, ReadMaxRows):
            raise KinesisError(f"{HERE}: use trigger(availableNow=True) instead of trigger(once=True).")
        if set(start) != set(self.options.streams):
            raise KinesisError(
                f"The checkpoint belongs to {', '.join(start)}, not to {', '.join(self.options.streams)}: "
                "give each stream a checkpoint of its own."
            )
        return limit.max_rows

    def _read(self, cursors: list[Cursor], rows_left: int) -> dict[Range, list[RecordBatch]]:
        pages: dict[Cursor, list[RecordBatch]] = {cursor: [] for cursor in cursors}
        bytes_left = BATCH_BYTES
        while waiting := [cursor for cursor in cursors if not cursor.at_end]:
            self._pause()
            for cursor in waiting:
                if rows_left <= 0 or bytes_left <= 0:
                    return _ranges(pages)
                page = cursor.page(min(self.options.max_records, self.page_rows, rows_left))
                if page.num_rows:
                    pages[cursor].append(page)
                    self.page_rows = max(1, PAGE_BYTES * page.num_rows // page.nbytes)
                elif cursor.closed and not pages[cursor]:
                    raise KinesisError(
                        f"{HERE}, which reads no stream that was resharded: shard {cursor.shard} of "
                        f"{cursor.stream!r} is closed and was read to its end."
                    )
                rows_left -= page.num_rows
                bytes_left -= page.nbytes
        if not any(pages.values()):
            self.next_round += IDLE - BUSY
        return _ranges(pages)

    def _pause(self) -> None:
        time.sleep(max(0.0, self.next_round - time.monotonic()))
        self.next_round = time.monotonic() + BUSY


def _ranges(pages: dict[Cursor, list[RecordBatch]]) -> dict[Range, list[RecordBatch]]:
    return {
        (cursor.stream, cursor.shard, cursor.start, cursor.position): rows for cursor, rows in pages.items()
    }


def _replay(client: Any, part: ShardRange, limit: int) -> Iterator[RecordBatch]:
    last = int(part.end)
    cursor = Cursor(
        client, part.stream, part.shard, part.start, lambda record: int(record["SequenceNumber"]) > last
    )
    while cursor.position != part.end:
        if cursor.at_end:
            raise KinesisError(
                f"Record {part.end} of shard {part.shard} of {part.stream!r} is no longer there."
            )
        page = cursor.page(limit)
        if page.num_rows:
            yield page
        time.sleep(BUSY)


def _moved(offset: Offset, places: dict[str, str]) -> Offset:
    return {
        stream: {shard: places.get(position, position) for shard, position in shards.items()}
        for stream, shards in offset.items()
    }
