"""Lesson 12's own functions against a Kinesis that throttles, as AWS does and the emulated one does not."""

from collections import Counter
from typing import Any

import pandas as pd
import pytest

from helpers import wait
from tests.style.notebook_rules import ROOT, load

LESSON = load(ROOT / "notebooks" / "12_kinesis_streams.ipynb")
MOST = 120  # records that a shard of this Kinesis takes in one call


def cell(words: str) -> str:
    """The code of the one cell with these words."""
    [found] = [cell.text for cell in LESSON.code if words in cell.text]
    return found


class Throttling:
    """Two shards: keys of even length go to shard 0. The rest of a call is refused once a shard is full."""

    def __init__(self) -> None:
        self.held: list[dict[str, Any]] = []

    def put_records(self, StreamName: str, Records: list[dict[str, Any]]) -> dict[str, Any]:
        taken: Counter[int] = Counter()
        results: list[dict[str, str]] = []
        for record in Records:
            shard = len(record["PartitionKey"]) % 2
            if taken[shard] < MOST:
                taken[shard] += 1
                self.held.append(record)
                results.append({"ShardId": f"shardId-{shard:012}", "SequenceNumber": "1"})
            else:
                results.append({"ErrorCode": "ProvisionedThroughputExceededException"})
        return {"Records": results, "FailedRecordCount": len(Records) - taken.total()}


def test_what_is_refused_is_sent_again_and_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait.time, "sleep", lambda seconds: None)
    kinesis = Throttling()
    own = {"kinesis": kinesis, "wait": wait, "pd": pd, "trial": "t"}
    own["number"] = lambda shard_id: int(shard_id.removeprefix("shardId-"))
    exec(cell("def put_all"), own)
    sent = [{"Data": str(n).encode(), "PartitionKey": "k" * (1 + n % 2)} for n in range(500)]
    assert dict(own["put_all"](sent)) == {0: 250, 1: 250}
    assert sorted(record["Data"] for record in kinesis.held) == sorted(record["Data"] for record in sent)
