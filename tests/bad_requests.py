"""Bad requests and records against the parts of a running cloud: every one is answered, none does harm.

`python -m tests.bad_requests SEED COUNT` works on the cloud of LOCAL_CLOUD_HOME, on which lessons 00 to 06,
12 and 13 have run. Writes what was answered how often as JSON to standard output.
"""

import gzip
import http.client
import json
import os
import random
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from helpers import config, records
from helpers.lookup import find_api
from helpers.posting import KAFKA_JSON
from local_cloud import supervise
from local_cloud.state import State
from tests.stream_tools import samples

# What a client may be told, besides success: its own fault, or that a path is not there.
ITS_FAULT = {400, 401, 403, 404, 405, 406, 408, 411, 413, 414, 415, 422, 431}
LEAKED = ("Traceback", "site-packages", 'File "', "/local_cloud/")
EVERY = 50  # bad requests between two good ones
DEEP = "[" * 5000 + "]" * 5000
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 10**30, -(2**63), 1e300, "", " ", "null", "NaN", "0x10", "1e5", "١٢٣"),
    *(
        [],
        {},
        [[]],
        {"": ""},
        {"a": {"b": [None]}},
        "\x00",
        "\x1f\x7f",
        "\u2028",
        "\u202eabc",
        "e\u0301" * 50,
    ),
    *("'; DROP TABLE pinterest_data; --", "${jndi:ldap://127.0.0.1/a}", "{{7*7}}", "../../etc/passwd", "<b>"),
    *("$input.json('$')", "a\r\nX-Injected: 1", "\ufeff", "😀" * 200, "x" * 100_000),
)
RAW = (
    b"NaN",
    b"Infinity",
    b"-0",
    b"1e400",
    b"01",
    b'"\\ud800"',
    b'"\xff\xfe"',
    b"'a'",
    DEEP.encode(),
    b"}",
    b"",
)
KINDS = (
    "",
    "text/plain",
    "application/json",
    "application/vnd.kafka.v2+json",
    "application/xml",
    "*/*",
    "é",
    "a" * 5000,
)
PATHS = (
    *("/", "//", "/topics", "/topics/", "/topics//", "/topics/..", "/topics/%2e%2e/brokers", "/topics/a%00b"),
    *(
        "/topics/a%20b",
        "/topics/%F0%9F%98%80",
        "/topics/" + "a" * 250,
        "/topics/" + "a" * 4000,
        "/v3/clusters",
    ),
    *(
        "/brokers",
        "/consumers/x",
        "/topics/__consumer_offsets",
        "/topics/a%0d%0aX:1",
        "/%zz",
        "/topics/a?x=%",
    ),
    *(
        "/topics/a/partitions/0",
        "/topics/a%2fb",
        "/topics/a;b",
        "/topics/*",
        "/streams",
        "/streams/nowhere/record",
    ),
    *("/streams//record", "/streams/a/b/c", "/streams/..%2f..%2f/records", "/favicon.ico", "/topics/a#b"),
)
# Not even a request: sent as they are on a connection of their own.
LINES = (
    b"GARBAGE\r\n\r\n",
    b"GET\r\n\r\n",
    b"POST /topics/a HTTP/9.9\r\n\r\n",
    b"POST /topics/a HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
    b"POST /topics/a HTTP/1.1\r\nHost: a\r\nContent-Length: many\r\n\r\n",
    b"POST /topics/a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 9\r\n\r\nabc",
    b"POST /topics/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /topics/a HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
    b"POST /topics/a HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(500)) + b"\r\n",
    b"POST /topics/a HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\x00" * 1000,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)


class Bad(NamedTuple):
    """One request."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str]


def changed(good: bytes, chance: random.Random) -> bytes:
    """A body with one wrong field."""
    document = json.loads(good)
    first = document["records"][0] if "records" in document else document
    within = chance.choice([document, first, first.get("value", first)])
    name = chance.choice(list(within))
    match chance.choice(("value", "raw", "missing", "renamed")):
        case "value":
            within[name] = chance.choice(VALUES)
        case "raw":
            within[name] = "@@"
            return json.dumps(document).encode().replace(b'"@@"', chance.choice(RAW), 1)
        case "missing":
            del within[name]
        case "renamed":
            within[chance.choice(["", name.upper(), f"{name} ", "é"])] = within.pop(name)
    return json.dumps(document).encode()


def mangled(good: bytes, chance: random.Random) -> bytes:
    """A body that is not what it was: cut, too long, with other bytes, or another document."""
    at = chance.randrange(len(good))
    whole = (b"", b" \n", b"null", b"[]", b"{}", b'""', b"7", b"\xef\xbb\xbf" + good, gzip.compress(good))
    ways = (
        good[:at],
        good + chance.choice([b"}", good, b"\x00", b" 1", b"// comment"]),
        good[:at] + chance.randbytes(3) + good[at + 1 :],
        good.replace(b"{", b'{"records": 1, "data": 1, "ind": 1, ', 1),
        chance.choice(whole),
    )
    return chance.choice(ways)


class Target:
    """One door that takes requests: its address, and a good request for it."""

    def __init__(self, name: str, url: str, good: Bad) -> None:
        place = urlsplit(url)
        self.name, self.good, self.base = name, good, place.path
        self.host, self.port = place.hostname or "", place.port or 80
        self.answers: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.throttled = 0
        self._connection: http.client.HTTPConnection | None = None

    def send(self, one: Bad) -> tuple[str, bytes]:
        """The status of the answer, or how the connection ended; and the body. Again where it is too fast."""
        told = self._send(one)
        while told[0] == "429":  # the usage plan's limit, which lesson 05 sets
            self.throttled += 1
            time.sleep(0.1)
            told = self._send(one)
        return told

    def _send(self, one: Bad) -> tuple[str, bytes]:
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
            self._connection.request(one.method, self.base + one.path, one.body, one.headers)
            answer = self._connection.getresponse()
            return str(answer.status), answer.read()
        except (http.client.HTTPException, ConnectionError) as end:
            self._connection = None
            return type(end).__name__, b""
        except TimeoutError:
            self._connection = None
            return "no answer in 30 s", b""

    def raw(self, line: bytes) -> tuple[str, bytes]:
        """The same for bytes that are no request."""
        try:
            with socket.create_connection((self.host, self.port), timeout=5) as connection:
                connection.sendall(line)
                said = b"".join(iter(lambda: connection.recv(65536), b""))
        except TimeoutError:
            return "raw: waits", b""  # for the rest of the request
        except ConnectionError:
            return "raw: closed", b""
        return f"raw: {said.split(b' ')[1].decode()[:3] if said.startswith(b'HTTP/') else 'closed'}", said

    def note(self, what: str, told: tuple[str, bytes]) -> None:
        """Count an answer; one that says too much, or that blames the server, is kept."""
        status, body = told
        self.answers[status] += 1
        word = status.removeprefix("raw: ")
        number = int(word) if word.isdigit() else 0
        fine = 200 <= number < 300 or number in ITS_FAULT
        if not fine or any(word.encode() in body for word in LEAKED):
            self.wrong.append(f"{self.name}: {what[:200]}: {status} {body[:200]!r}")

    def try_good(self) -> None:
        """The request that must pass whatever came before."""
        status, body = self.send(self.good)
        if status != "200" or (b"error" in body.lower() and b'"error":null' not in body.replace(b" ", b"")):
            self.wrong.append(f"{self.name}: a good request after bad ones: {status} {body[:200]!r}")
        self.answers["good"] += 1


def bad_requests(good: Bad, chance: random.Random) -> Iterator[Bad]:
    """Named ones first, then as many generated as are asked for."""
    for path in PATHS:
        for method in ("GET", "POST", "PUT"):
            yield good._replace(method=method, path=path)
    for kind in KINDS:
        yield good._replace(headers={**good.headers, "Content-Type": kind})
    for method in ("GET", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "FOO"):
        yield good._replace(method=method)
    for key in ("", "wrong", "x" * 5000, "' OR 1=1 --"):
        yield good._replace(headers={**good.headers, "x-api-key": key})
    yield good._replace(body=good.body[:-1] + b" " * 10_500_000 + b"}")
    while True:
        one = good._replace(body=chance.choice([changed, mangled])(good.body, chance))
        if chance.random() < 0.1:
            one = one._replace(path=chance.choice(PATHS))
        if chance.random() < 0.1:
            one = one._replace(headers={**good.headers, "Content-Type": chance.choice(KINDS[:-2])})
        yield one


def targets() -> list[Target]:
    """The API for both ways, and the proxy behind it."""
    cloud = config.use_target()
    url, key = find_api(cloud)
    pin = samples("pin")[0]
    topic, stream = cloud.names.topic["pin"], cloud.names.stream["pin"]
    headers = {"x-api-key": key, "Content-Type": KAFKA_JSON}
    batch = json.dumps({"records": [{"key": pin["index"], "value": pin}]}).encode()
    record = {"data": json.dumps(pin), "partition-key": str(pin["index"])}
    put = {**headers, "Content-Type": "application/json"}
    return [
        Target("API, topics", url, Bad("POST", f"/topics/{topic}", batch, headers)),
        Target("API, record", url, Bad("PUT", f"/streams/{stream}/record", json.dumps(record).encode(), put)),
        Target(
            "API, records",
            url,
            Bad("PUT", f"/streams/{stream}/records", json.dumps({"records": [record]}).encode(), put),
        ),
        Target(
            "REST proxy",
            cloud.rest_proxy,
            Bad("POST", f"/topics/{topic}", batch, {"Content-Type": KAFKA_JSON}),
        ),
    ]


def main(argv: Sequence[str]) -> int:
    """Send them all; 1 if something was answered badly, or a part did not survive."""
    seed, count = (int(text) for text in argv)
    os.environ.pop("RAW_PATH", None)
    cloud, state = config.use_target(), State(config.state_folder())
    before = {name: one["pid"] for name, one in supervise.status(state).items()}
    doors = targets()
    for door in doors:
        chance = random.Random(f"{seed} {door.name}")
        door.try_good()
        for line in LINES:
            door.note(repr(line[:60]), door.raw(line))
        for number, one in zip(range(count // len(doors)), bad_requests(door.good, chance), strict=False):
            door.note(f"{one.method} {one.path[:60]} {one.body[:120]!r}", door.send(one))
            if number % EVERY == 0:
                door.try_good()
        print(door.name, dict(door.answers), "throttled", door.throttled, file=sys.stderr, flush=True)
    landed = records.wait_landed(cloud.names.bucket, cloud.names.topic.values())
    after = {name: one["pid"] for name, one in supervise.status(state).items()}
    wrong = [line for door in doors for line in door.wrong]
    wrong += [f"{name} was started again" for name in before if before[name] != after[name]]
    answers = {door.name: dict(door.answers) for door in doors}
    print(json.dumps({"answers": answers, "landed": landed, "wrong": wrong[:50]}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
