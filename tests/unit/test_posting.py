"""helpers.posting against a real HTTP server that answers as the REST proxy and the API do."""

import json
import logging
import random
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from helpers import posting
from helpers.config import ConfigError, Settings, use_target
from helpers.lookup import find_api
from helpers.posting import PostingError, Sender, failed, kafka_payload
from tests.posting_sink import ODD, Sink, accept, answer, refuse, reset, serving, slow

KEY = "s3cret-key-0123456789"


@pytest.fixture
def sink() -> Iterator[Sink]:
    with serving() as server:
        yield server


@pytest.fixture
def sender(sink: Sink) -> Sender:
    return Sender(sink.url, KEY, first_pause=0.01, timeout=5)


def rows(number: int) -> list[dict[str, Any]]:
    return [{"ind": ind, "text": f"row {ind}"} for ind in range(number)]


def test_payload_has_key_and_value_of_each_row() -> None:
    row = {"index": 7, "when": datetime(2018, 3, 4, 5, 6, 7), "day": date(2020, 1, 2), "none": None, "x": 1.5}
    assert json.loads(kafka_payload([row], "index")) == {
        "records": [{"key": 7, "value": {"index": 7, "when": "2018-03-04T05:06:07", "day": "2020-01-02",
                                         "none": None, "x": 1.5}}]
    }  # fmt: skip


@pytest.mark.parametrize(
    "value", [Decimal("1.5"), b"raw", {1, 2}, object(), pd.NaT], ids=lambda value: type(value).__name__
)
def test_unknown_type_raises(value: Any) -> None:
    with pytest.raises(TypeError, match=type(value).__name__):
        kafka_payload([{"ind": 1, "x": value}])


def test_nan_raises() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        kafka_payload([{"ind": 1, "x": float("nan")}])


def test_row_without_key_raises() -> None:
    with pytest.raises(KeyError):
        kafka_payload([{"index": 1}], "ind")


def test_zone_is_kept() -> None:
    assert b"2018-03-04T05:06:07+00:00" in kafka_payload(
        [{"ind": 1, "t": datetime(2018, 3, 4, 5, 6, 7, tzinfo=UTC)}]
    )


def test_failed_names_the_refused_record() -> None:
    assert failed(refuse(None, 1)([])[2]) == [1]
    assert failed(accept([1, 2])[2]) == []
    with pytest.raises(KeyError):
        failed({"message": "Forbidden"})


def test_text_arrives_unchanged_over_one_connection(sink: Sink, sender: Sender) -> None:
    for ind in range(5):
        assert sender.send("/topics/t.pin", [{"index": ind, "text": ODD}], "index").accepted == 1
    path, headers, body = sink.got[0]
    assert path == "/topics/t.pin"
    assert headers["Content-Type"] == "application/vnd.kafka.json.v2+json"
    assert headers["x-api-key"] == KEY
    assert [record["value"]["text"] for record in sink.records()] == [ODD] * 5
    assert "🎉 é".encode() in body
    assert sink.connections == 1


def test_nothing_to_send_is_no_request(sink: Sink, sender: Sender) -> None:
    assert sender.send("/t", []) == posting.Outcome(0, [])
    assert sink.got == []


FAULTS = {
    "503 twice": [answer(503), answer(503)],
    "500, 502, 504": [answer(500), answer(502), answer(504)],
    "429": [answer(429)],
    "reset": [reset],
    "reset, 503": [reset, answer(503)],
    "code 2 each": [refuse(2, 2, 2)],
}


@pytest.mark.parametrize("script", FAULTS.values(), ids=FAULTS.keys())
def test_passing_fault_is_retried(sink: Sink, sender: Sender, script: list[Any]) -> None:
    sink.script = list(script)
    outcome = sender.send("/t", rows(3))
    assert (outcome.accepted, outcome.failed) == (3, [])
    assert len(sink.got) == len(script) + 1


def test_slow_answer_times_out_and_is_sent_again(sink: Sink) -> None:
    sink.script = [slow]
    sender = Sender(sink.url, timeout=0.2, first_pause=0.01)
    assert sender.send("/t", rows(2)).accepted == 2
    assert len(sink.records()) == 4, "the first delivery counted too: at least once"


def test_slow_for_ever_fails_with_the_reason(sink: Sink) -> None:
    sink.script = [slow] * 2
    outcome = Sender(sink.url, timeout=0.15, first_pause=0.01, tries=2).send("/t", rows(1))
    assert outcome.failed == [(rows(1)[0], "no answer within 0.15 s")]


def test_retry_after_is_honoured(sink: Sink, sender: Sender) -> None:
    sink.script = [answer(429, Retry_After="1")]
    assert sender.send("/t", rows(1)).accepted == 1
    assert 1.0 <= sink.times[1] - sink.times[0] < 3


@pytest.mark.parametrize("asked", ["soon", "-5", "Wed, 21 Oct 2015 07:28:00 GMT", "1.5e9"])
def test_odd_retry_after_falls_back_to_the_own_pause(sink: Sink, sender: Sender, asked: str) -> None:
    sink.script = [answer(503, Retry_After=asked)]
    assert sender.send("/t", rows(1)).accepted == 1
    assert sink.times[1] - sink.times[0] < 1


def test_pauses_grow_and_are_jittered(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, float]] = []
    monkeypatch.setattr(random, "uniform", lambda low, high: asked.append((low, high)) or 0)
    sink.script = [answer(503)] * 4
    Sender(sink.url, first_pause=0.5).send("/t", rows(1))
    assert asked[:4] == [(0, 0.5), (0, 1.0), (0, 2.0), (0, 4.0)]


def test_stop_ends_the_waiting(sink: Sink) -> None:
    sink.script = [answer(503, Retry_After="30")] * 9
    sender = Sender(sink.url)
    threading.Timer(0.2, sender.stop.set).start()
    start = time.monotonic()
    assert len(sender.send("/t", rows(2)).failed) == 2
    assert time.monotonic() - start < 5
    assert len(sink.got) == 1


def test_refused_record_fails_alone_and_a_passing_one_is_sent_again(sink: Sink, sender: Sender) -> None:
    sink.script = [refuse(None, 1, 2, None)]
    outcome = sender.send("/t", rows(4))
    assert outcome.accepted == 3
    assert outcome.failed == [({"ind": 1, "text": "row 1"}, "1: no")]
    assert [record["key"] for record in sink.records()] == [0, 1, 2, 3, 2]


ANSWERS = {
    "one record short": refuse(None),
    "not JSON": answer(200, b"<html>"),
    "no offsets": answer(200, {"message": "hello"}),
    "a list": answer(200, [1, 2]),
    "offsets of nothing": answer(200, {"offsets": [None, None]}),
}


@pytest.mark.parametrize("step", ANSWERS.values(), ids=ANSWERS.keys())
def test_a_200_that_does_not_tell_of_every_record_is_a_failure(sink: Sink, sender: Sender, step: Any) -> None:
    sink.script = [step]
    outcome = sender.send("/t", rows(2))
    assert outcome.accepted == 0
    assert [row for row, _ in outcome.failed] == rows(2)


def test_too_large_is_halved_until_one_record_fails(sink: Sink, sender: Sender) -> None:
    large = rows(8)
    large[5]["text"] = "x" * 2000
    sink.limit = 500
    outcome = sender.send("/t", large)
    assert outcome.accepted == 7
    assert [(row["ind"], error[:3]) for row, error in outcome.failed] == [(5, "413")]


PERMANENT = [(400, ""), (403, "API key"), (404, "lesson 03"), (415, "Content-Type"), (422, "lesson 04"),
             (301, ""), (501, "")]  # fmt: skip


@pytest.mark.parametrize(("status", "advice"), PERMANENT)
def test_permanent_error_stops_and_says_what_to_do(
    sink: Sink, sender: Sender, status: int, advice: str, caplog: pytest.LogCaptureFixture
) -> None:
    sink.script = [answer(status, {"message": "because"}, Location="http://127.0.0.1:1/")]
    with caplog.at_level(logging.DEBUG), pytest.raises(PostingError, match=f"{status}: because") as raised:
        sender.send("/t", [{"ind": 1, "text": "private text"}])
    assert advice in str(raised.value)
    assert len(sink.got) == 1
    shown = caplog.text + repr(raised.value) + repr(sender)
    assert KEY not in shown
    assert "private text" not in shown


def test_api_that_is_away_fails_without_the_key(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, not listening: refused
        sender = Sender(f"http://127.0.0.1:{held.getsockname()[1]}", KEY, tries=3, first_pause=0.01)
        with caplog.at_level(logging.DEBUG):
            outcome = sender.send("/t", rows(2))
    assert [row for row, _ in outcome.failed] == rows(2)
    assert "connection" in outcome.failed[0][1]
    assert KEY not in caplog.text + str(outcome.failed)


@pytest.mark.parametrize("key", [KEY + "\n", " " + KEY, KEY + "é"], ids=["line end", "blank", "accent"])
def test_key_that_cannot_be_a_header_is_not_shown(key: str) -> None:
    with pytest.raises(ValueError, match="API key") as raised:
        Sender("http://127.0.0.1:9", key)
    assert KEY not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nowhere",
        "127.0.0.1:9/v1",
        "http://http://127.0.0.1:9/v1",
        "http://https//127.0.0.1:9/v1",
        "https://127.0.0.1:9/v1http://127.0.0.1:9/v1",
        "http://127.0.0.1:9 /v1",
        " http://127.0.0.1:9/v1",
        "http://127.0.0.1:port/v1",
        "http:///v1",
        "ftp://127.0.0.1/v1",
        f"http://user:{KEY}@127.0.0.1:9/v1",
    ],
)
def test_bad_address_is_named(url: str) -> None:
    with pytest.raises(PostingError, match="is the address right") as raised:
        Sender(url, KEY)
    assert KEY not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:4568/abc/prod",
        "https://abc.execute-api.eu-west-1.amazonaws.com/prod",
        "http://localhost:8082/",
        "http://[::1]:8082",
    ],
)
def test_good_address_is_taken(url: str) -> None:
    assert Sender(url, KEY).url == url


def test_proxy_of_the_environment_is_not_used_on_this_machine(
    sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert Sender(sink.url, tries=1).send("/t", rows(1)).accepted == 1


class Definitions(BaseHTTPRequestHandler):
    """The three answers of API Gateway's control plane that `find_api` reads."""

    lists: dict[str, list[dict[str, Any]]] = {}  # noqa: RUF012

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        data = json.dumps({"item": self.lists[path]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


API = {"id": "abc", "name": "u1-api"}
LISTS = {
    "/restapis": [{"id": "other", "name": "x-api"}, API],
    "/restapis/abc/stages": [{"stageName": "dev"}],
    "/apikeys": [
        {"id": "1", "name": "u1-key-old", "value": "no"},
        {"id": "2", "name": "u1-key", "value": KEY},
    ],
}


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Settings]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Definitions)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    monkeypatch.setattr(Definitions, "lists", dict(LISTS))
    (tmp_path / "cloud.env").write_text(
        f"AWS_ENDPOINT_URL_API_GATEWAY=http://127.0.0.1:{server.server_port}\n"
        "AWS_ACCESS_KEY_ID=a\nAWS_SECRET_ACCESS_KEY=b\nAWS_DEFAULT_REGION=us-east-1\n"
    )
    monkeypatch.setenv("LOCAL_CLOUD_HOME", str(tmp_path))
    monkeypatch.setenv("API_INVOKE_BASE", "http://127.0.0.1:1")
    monkeypatch.setenv("PIPELINE_USER", "u1")
    yield use_target()
    server.shutdown()
    server.server_close()
    thread.join()


def test_find_api_gives_address_and_key(cloud: Settings) -> None:
    assert find_api(cloud) == ("http://127.0.0.1:1/abc/dev", KEY)


@pytest.mark.parametrize(
    ("path", "there", "stage", "said"),
    [
        ("/restapis", [], "", "name u1-api (none); lesson 05"),
        ("/restapis", [API, API], "", "u1-api, u1-api"),
        ("/restapis/abc/stages", [], "", "stageName"),
        ("/restapis/abc/stages", [{"stageName": "dev"}, {"stageName": "prod"}], "", "dev, prod"),
        ("/restapis/abc/stages", [{"stageName": "dev"}], "prod", "stageName prod (dev)"),
        ("/apikeys", [], "", "name u1-key (none); lesson 05"),
    ],
    ids=["no API", "two APIs", "no stage", "two stages", "other stage", "no key"],
)
def test_find_api_says_what_is_missing(cloud: Settings, path: str, there: Any, stage: str, said: str) -> None:
    Definitions.lists[path] = there
    with pytest.raises(ConfigError) as raised:
        find_api(cloud, stage)
    assert said in str(raised.value)


def test_find_api_takes_the_named_one_of_two_stages(cloud: Settings) -> None:
    Definitions.lists["/restapis/abc/stages"] = [{"stageName": "dev"}, {"stageName": "prod"}]
    assert find_api(cloud, "prod")[0] == "http://127.0.0.1:1/abc/prod"
