"""Post rows to the API: payloads, one keep-alive session, batches, retries, the check of every record.

A POST that got no answer may have arrived all the same. It is sent again, so a record can be delivered twice:
the pipeline keeps one row a key, and absorbs that. It could not absorb a lost one.
"""

import json
import random
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import date
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests

from helpers.names import Names

Row = dict[str, Any]
KAFKA_JSON = "application/vnd.kafka.json.v2+json"
ADDRESS = r"https?://(\[[\da-fA-F:.]+\]|[^\s/:@?#]+)(:\d+)?(/(?!/)[^\s:?#]*)?"  # scheme, host, port, path
# Statuses worth retrying: timeout, throttling, temporary server errors.
RETRYABLE = {408, 429, 500, 502, 503, 504}
LONGEST_PAUSE = 60.0  # seconds between two tries, also where Retry-After asks for more
ADVICE = {
    403: "missing or wrong API key, or a path that the API does not pass: see lesson 05"
    " (on AWS a new key takes minutes to work)",
    400: "no such stream, or a record that the template cannot turn into JSON: lesson 13 has both",
    404: "no such topic or path: lesson 03 makes the topics",
    415: "the Content-Type did not reach the proxy: the integration of lesson 05 must pass it on",
    422: "the proxy does not accept this payload: lesson 04 shows the form of one",
}


class PostingError(RuntimeError):
    """Nothing of this kind can be accepted until something is changed; the message says what."""


class Refusal(NamedTuple):
    """Why one record inside an answer of status 200 was refused, and whether it may pass later."""

    error: str
    retryable: bool


@dataclass(frozen=True)
class ApiFormat:
    """One kind of API: `encode(rows, key column)` writes, `read(answer)` tells of each record.

    `paths` gives each table's path from the pipeline's names; a body is at most `most` bytes.
    """

    method: str
    content_type: str
    encode: Callable[[Sequence[Row], str], bytes]
    read: Callable[[Any], list[Refusal | None]]
    paths: Callable[[Names], dict[str, str]]
    most: int = 10 * 2**20  # what API Gateway takes


@dataclass
class Outcome:
    """What became of one `send`: how many records were accepted, and each failed row with its error."""

    accepted: int = 0
    failed: list[tuple[Row, str]] = field(default_factory=list)


def _iso(value: object) -> str:
    if isinstance(value, date) and type(value).__name__ != "NaTType":  # pandas' NaT is a date, too
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no JSON form here: convert it first")


# NaN is not JSON, and a date is an ISO 8601 string; any other type raises rather than turn into null.
to_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=_iso).encode


def kafka_payload(rows: Sequence[Row], key: str = "ind") -> bytes:
    """Rows as the body of Confluent's REST v2 produce; the record key is the value of column `key`.

    TypeError for a type without a JSON form, KeyError for a row without the key.
    """
    return to_json({"records": [{"key": row[key], "value": row} for row in rows]}).encode()


def kafka_read(answer: Any) -> list[Refusal | None]:
    """Each record in an answer of Confluent's REST v2: None if accepted. Codes 2 and 50003 may pass later."""
    verdicts = [(offset.get("error_code"), offset.get("error")) for offset in answer["offsets"]]
    return [
        Refusal(f"{code}: {why}"[:300], code in (2, 50003)) if code or why else None for code, why in verdicts
    ]


def failed(answer: Any) -> list[int]:
    """The indices of the records that were refused inside an answer of status 200."""
    return [index for index, refusal in enumerate(kafka_read(answer)) if refusal]


def kafka_paths(names: Names) -> dict[str, str]:
    """Where each table's records go: its topic, by the REST proxy."""
    return {table: f"/topics/{topic}" for table, topic in names.topic.items()}


KAFKA = ApiFormat("POST", KAFKA_JSON, kafka_payload, kafka_read, kafka_paths)


@dataclass
class Sender:
    """One keep-alive session to the API at `url`, which threads may share.

    `tries` a batch; `timeout` and `first_pause` in seconds. Setting the event `stop` ends all waiting.
    """

    url: str
    api_key: InitVar[str] = ""
    api_format: ApiFormat = KAFKA
    tries: int = 5
    timeout: float = 30
    first_pause: float = 0.5
    stop: threading.Event = field(default_factory=threading.Event, repr=False)

    def __post_init__(self, api_key: str) -> None:
        # requests would quote a key that it cannot send in its exception.
        if not re.fullmatch(r"[\x21-\x7e]*", api_key):
            raise ValueError("the API key holds a blank, a line end or a letter outside ASCII")
        if not re.fullmatch(ADDRESS, self.url):
            shown = self.url.rpartition("@")[2]  # a login before it stays unseen
            raise PostingError(f"{shown!r}: is the address right? One of an API is like https://host/stage")
        self.session = requests.Session()
        self.session.headers["Content-Type"] = self.api_format.content_type
        if api_key:
            self.session.headers["x-api-key"] = api_key
        # A company's proxy in the environment must not be asked for an address on this machine.
        self.session.trust_env = urlsplit(self.url).hostname not in ("127.0.0.1", "localhost")

    def send(self, path: str, rows: Iterable[Row], key: str = "ind") -> Outcome:
        """Send `rows` in one request, and again what may pass later. Every row ends accepted or failed.

        Raises PostingError where trying again cannot help.
        """
        left, outcome, error = list(rows), Outcome(), ""
        for attempt in range(self.tries if left else 0):
            pause = 0.0
            body = self.api_format.encode(left, key)
            if len(body) > self.api_format.most:
                return self._halves(path, left, key, outcome)
            answer = self._post(path, body)
            if isinstance(answer, str):
                error = answer
            elif answer.status_code == 200:
                left, error = self._sort(answer, left, outcome), "refused each time"
            elif answer.status_code == 413:
                return self._halves(path, left, key, outcome)
            elif answer.status_code in RETRYABLE:
                error, asked = _said(answer), answer.headers.get("Retry-After", "")
                pause = min(float(asked), LONGEST_PAUSE) if asked.isdecimal() else 0.0
            else:
                advice = ADVICE.get(answer.status_code, "trying again cannot help")
                raise PostingError(f"{path}: {_said(answer)}; {advice}")
            # Full jitter: many senders that failed together must not come back together.
            pause = max(pause, random.uniform(0, min(LONGEST_PAUSE, self.first_pause * 2**attempt)))
            if not left or attempt + 1 == self.tries or self.stop.wait(pause):
                break
        outcome.failed += [(row, error) for row in left]
        return outcome

    def _post(self, path: str, body: bytes) -> requests.Response | str:
        """The answer, or why there was none."""
        try:
            return self.session.request(
                self.api_format.method,
                self.url + path,
                data=body,
                timeout=self.timeout,
                allow_redirects=False,
            )
        except requests.Timeout:
            return f"no answer within {self.timeout:g} s"
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
            return f"no connection, or it broke ({type(error).__name__})"
        except requests.RequestException as error:
            raise PostingError(f"{self.url}: {type(error).__name__}: is the address right?") from None

    def _sort(self, answer: requests.Response, rows: list[Row], outcome: Outcome) -> list[Row]:
        """Enter the accepted and the refused in `outcome`; return the rows to send again."""
        try:
            verdicts = self.api_format.read(json.loads(answer.content))
        except (ValueError, KeyError, TypeError, AttributeError):
            verdicts = []
        if len(verdicts) != len(rows):
            # Records missing from the response may be lost, so all count as failed and can be resent.
            verdicts = [Refusal("the answer does not tell of every record", False)] * len(rows)
        outcome.accepted += verdicts.count(None)
        refused = [(row, one) for row, one in zip(rows, verdicts, strict=True) if one]
        outcome.failed += [(row, one.error) for row, one in refused if not one.retryable]
        return [row for row, one in refused if one.retryable]

    def _halves(self, path: str, rows: list[Row], key: str, outcome: Outcome) -> Outcome:
        """Send a batch that is too large in two halves; a single record that is too large has failed."""
        if len(rows) == 1:
            outcome.failed.append((rows[0], "413: larger than the API takes"))
            return outcome
        for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
            part = self.send(path, half, key)
            outcome.accepted += part.accepted
            outcome.failed += part.failed
        return outcome


def _said(answer: requests.Response) -> str:
    """Status and message of an answer; never more of the body, which may repeat the records."""
    try:
        message = json.loads(answer.content)
        message = message.get("message") or message.get("error_code") or ""
    except (ValueError, AttributeError):
        message = ""
    return f"{answer.status_code}: {message or answer.reason}"[:200]
