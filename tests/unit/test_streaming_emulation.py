"""The streaming emulator: its API format, and that it has the batch emulator's run behind it."""

import json
from typing import Any

import pytest

from helpers import user_posting_emulation
from helpers import user_posting_emulation_streaming as streaming
from helpers.names import Names
from helpers.posting import Sender
from tests.posting_sink import ODD, Sink, answer, serving

ROWS = [{"ind": n, "text": ODD} for n in range(5)]


@pytest.fixture
def sink() -> Any:
    with serving() as server:
        yield server


@pytest.fixture
def sender(sink: Sink) -> Sender:
    return Sender(sink.url, "secret", api_format=streaming.PUT_RECORDS, tries=3, first_pause=0.01, timeout=5)


def told(*codes: str | None) -> Any:
    """An answer of PutRecords: a sequence number, or an error code, for each record."""
    records = [
        {"ErrorCode": code, "ErrorMessage": "no"} if code else {"SequenceNumber": "1"} for code in codes
    ]
    return answer(200, {"FailedRecordCount": sum(map(bool, codes)), "Records": records})


def sent(body: bytes) -> list[Any]:
    return [json.loads(record["data"]) for record in json.loads(body)["records"]]


def test_the_data_are_the_row_and_the_key_is_text() -> None:
    body = json.loads(streaming.records_payload(ROWS))
    assert [record["partition-key"] for record in body["records"]] == ["0", "1", "2", "3", "4"]
    assert sent(streaming.records_payload(ROWS)) == ROWS
    assert json.loads(streaming.record_payload(ROWS[:1])) == body["records"][0]


def test_a_row_without_its_key_or_with_an_odd_type_raises() -> None:
    with pytest.raises(KeyError):
        streaming.records_payload([{"text": 1}])
    with pytest.raises(TypeError):
        streaming.records_payload([{"ind": 1, "text": b"bytes"}])


@pytest.mark.parametrize("code", streaming.RETRYABLE)
def test_what_a_full_shard_refused_is_sent_again_alone(sink: Sink, sender: Sender, code: str) -> None:
    sink.script += [told(None, code, None, code, None), told(None, code), told(None)]
    outcome = sender.send("/streams/s/records", ROWS)
    assert (outcome.accepted, outcome.failed) == (5, [])
    assert [sent(body) for _, _, body in sink.got] == [ROWS, [ROWS[1], ROWS[3]], [ROWS[3]]]


def test_another_refusal_fails_and_is_not_sent_again(sink: Sink, sender: Sender) -> None:
    sink.script += [told(None, "KMSAccessDenied", None, None, None)]
    outcome = sender.send("/streams/s/records", ROWS)
    assert outcome.accepted == 4 and outcome.failed == [(ROWS[1], "KMSAccessDenied: no")]
    assert len(sink.got) == 1


def test_an_answer_without_a_verdict_on_each_record_fails_them(sink: Sink, sender: Sender) -> None:
    sink.script += [told(None, None)]
    outcome = sender.send("/streams/s/records", ROWS)
    assert outcome.accepted == 0 and len(outcome.failed) == 5


def test_one_record_is_accepted_by_its_sequence_number(sink: Sink) -> None:
    one = Sender(sink.url, api_format=streaming.PUT_RECORD, tries=1)
    sink.script += [answer(200, {"SequenceNumber": "7", "ShardId": "s"}), answer(200, {"message": "?"})]
    assert one.send("/streams/s/record", ROWS[:1]).accepted == 1
    assert one.send("/streams/s/record", ROWS[:1]).failed


def test_a_batch_is_halved_before_it_is_larger_than_the_api_takes(sink: Sink, sender: Sender) -> None:
    big = [{"ind": n, "text": "x" * 3 * 2**20} for n in range(5)]
    sink.script += [told(None, None), told(None, None, None)]
    assert sender.send("/streams/s/records", big).accepted == 5
    assert all(len(body) <= streaming.PUT_RECORDS.most for _, _, body in sink.got)
    assert [row["ind"] for _, _, body in sink.got for row in sent(body)] == [0, 1, 2, 3, 4]


def test_a_record_that_is_too_large_fails_alone(sink: Sink, sender: Sender) -> None:
    rows = [{"ind": 0, "text": "x" * 11 * 2**20}, *ROWS[1:2]]
    sink.script += [told(None)]
    outcome = sender.send("/streams/s/records", rows)
    assert outcome.accepted == 1 and [row["ind"] for row, _ in outcome.failed] == [0]


@pytest.mark.parametrize(
    ("options", "last"),
    [({}, "records"), ({"batch": 1}, "record"), ({"jitter": 0.1}, "record"), ({"batch": 2}, "records")],
)
def test_single_posts_go_to_record_and_batches_to_records(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], last: str
) -> None:
    used: dict[str, Any] = {}
    monkeypatch.setattr(user_posting_emulation, "run", lambda posts, **given: used.update(given))
    streaming.run(3, **options)
    assert used["api_format"].paths(Names("u1")) == {
        table: f"/streams/streaming-u1-{table}/{last}" for table in ("pin", "geo", "user")
    }


def test_more_than_kinesis_takes_in_a_request_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 500"):
        streaming.run(1000, batch=501)


def test_the_command_says_its_own_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        streaming.main(["--help"])
    assert "python -m helpers.user_posting_emulation_streaming" in capsys.readouterr().out


def test_the_command_refuses_a_batch_that_is_too_large(capsys: pytest.CaptureFixture[str]) -> None:
    assert streaming.main(["--all", "--batch", "501"]) == 2
    assert "at most 500" in capsys.readouterr().err
