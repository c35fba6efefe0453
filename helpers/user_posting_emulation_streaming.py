"""Emulate users who post as a stream: rows of the source tables go through the API to Kinesis.

Options, counts, retries and the file of what failed are those of `user_posting_emulation`.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

from helpers import user_posting_emulation
from helpers.delivery import Counts
from helpers.names import Names
from helpers.posting import ApiFormat, Refusal, Row, to_json

MOST_RECORDS = 500  # that PutRecords takes
# PutRecords refuses single records with these inside a 200; both may pass later.
RETRYABLE = ("ProvisionedThroughputExceededException", "InternalFailure")


def record(row: Row, key: str = "ind") -> dict[str, str]:
    """One record for the API: the row as JSON text, and the partition key that chooses its shard."""
    return {"data": to_json(row), "partition-key": str(row[key])}


def record_payload(rows: Sequence[Row], key: str = "ind") -> bytes:
    """The only row as the body of `/record`."""
    [row] = rows
    return to_json(record(row, key)).encode()


def records_payload(rows: Sequence[Row], key: str = "ind") -> bytes:
    """Rows as the body of `/records`."""
    return to_json({"records": [record(row, key) for row in rows]}).encode()


def record_read(answer: Any) -> list[Refusal | None]:
    """PutRecord's answer: it has a sequence number, or the record was not taken."""
    return [None if answer["SequenceNumber"] else Refusal("no sequence number", False)]


def records_read(answer: Any) -> list[Refusal | None]:
    """Each record in PutRecords' answer: None if it was taken."""
    verdicts = [(one.get("ErrorCode"), one.get("ErrorMessage")) for one in answer["Records"]]
    return [Refusal(f"{code}: {why}"[:300], code in RETRYABLE) if code else None for code, why in verdicts]


def stream_paths(last: str) -> Callable[[Names], dict[str, str]]:
    """The paths of all streams that end in `last`."""
    return lambda names: {table: f"/streams/{stream}/{last}" for table, stream in names.stream.items()}


PUT_RECORD = ApiFormat("PUT", "application/json", record_payload, record_read, stream_paths("record"))
PUT_RECORDS = ApiFormat("PUT", "application/json", records_payload, records_read, stream_paths("records"))


def run(posts: int | str = "all", *, batch: int | None = None, **options: Any) -> Counts:
    """Post to the streams; the arguments are those of `user_posting_emulation.run`.

    One post a request goes to `/record`, more go to `/records`. ValueError for more than 500 a request.
    """
    if batch and batch > MOST_RECORDS:
        raise ValueError(f"{batch} records a request: Kinesis takes at most {MOST_RECORDS}")
    slow = batch == 1 or (not batch and options.get("jitter"))
    api_format = PUT_RECORD if slow else PUT_RECORDS
    return user_posting_emulation.run(posts, batch=batch, api_format=api_format, **options)


def main(argv: Sequence[str] | None = None, **options: Any) -> int:
    """The command; returns its exit code."""
    return user_posting_emulation.main(argv, run, "user_posting_emulation_streaming", **options)


if __name__ == "__main__":
    sys.exit(main())
