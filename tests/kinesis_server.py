"""A Kinesis in memory over HTTP, for tests: boto3 itself talks to it. Faults come when they are told."""

import base64
import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Shard:
    """Records in order. A closed one takes no more and gives no further iterator at its end."""

    records: list[dict[str, Any]] = field(default_factory=list)
    closed: bool = False
    parent: str = ""
    first: int = 1  # its StartingSequenceNumber


class Refusal(Exception):
    """An answer of status 400: the name of the exception."""


class KinesisServer(ThreadingHTTPServer):
    """Streams of shards. `faults` are exceptions to answer with, one a call; `calls` is what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.streams: dict[str, dict[str, Shard]] = {}
        self.iterators: dict[str, tuple[Shard, int]] = {}
        self.faults: list[str] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.empty_pages = 0  # so many pages without records although there are some, as Kinesis may send
        self.one_use = False  # an iterator expires at once when its page was read
        self.after_page: Any = None
        self._numbers = itertools.count(10**55)
        self._tokens = itertools.count()

    def create(self, stream: str, shards: int = 1) -> None:
        """Make a stream."""
        first = next(self._numbers)
        self.streams[stream] = {f"shardId-{n:012}": Shard(first=first) for n in range(shards)}

    def put(
        self, stream: str, *data: bytes, shard: int = 0, key: str = "k", at: float | None = None
    ) -> list[str]:
        """Add records to one shard; returns their sequence numbers."""
        place = self.streams[stream][f"shardId-{shard:012}"]
        assert not place.closed
        numbers = [f"{next(self._numbers)}" for _ in data]
        for number, each in zip(numbers, data, strict=True):
            place.records.append(
                {
                    "SequenceNumber": number,
                    "ApproximateArrivalTimestamp": round(time.time() if at is None else at, 3),
                    "Data": base64.b64encode(each).decode(),
                    "PartitionKey": key,
                }
            )
        return numbers

    def split(self, stream: str, shard: int = 0) -> None:
        """Close a shard; two children take its place."""
        shards = self.streams[stream]
        name = f"shardId-{shard:012}"
        shards[name].closed = True
        for n in range(len(shards), len(shards) + 2):
            shards[f"shardId-{n:012}"] = Shard(parent=name)

    def asked(self, operation: str) -> list[dict[str, Any]]:
        """The bodies of all calls of an operation."""
        return [body for name, body in self.calls if name == operation]

    def answer(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        """What the operation returns; raises Refusal."""
        self.calls.append((operation, body))
        if self.faults:
            raise Refusal(self.faults.pop(0))
        if operation == "ListShards":
            return self._list(body)
        if operation == "GetShardIterator":
            shard = self._stream(body).get(body["ShardId"])
            if shard is None:
                raise Refusal("ResourceNotFoundException")
            return {"ShardIterator": self._token(shard, self._place(shard, body))}
        if operation == "GetRecords":
            return self._page(body)
        raise Refusal("UnknownOperationException")

    def _stream(self, body: dict[str, Any]) -> dict[str, Shard]:
        if body["StreamName"] not in self.streams:
            raise Refusal("ResourceNotFoundException")
        return self.streams[body["StreamName"]]

    def _list(self, body: dict[str, Any]) -> dict[str, Any]:
        # Two a page, so that the reader has to turn it.
        stream, _, done = body.get("NextToken", body.get("StreamName", "") + "/0").partition("/")
        shards = list(self._stream({"StreamName": stream}).items())
        page = shards[int(done) : int(done) + 2]
        more = {"NextToken": f"{stream}/{int(done) + 2}"} if len(shards) > int(done) + 2 else {}
        listed = []
        for name, shard in page:
            numbers = {"StartingSequenceNumber": f"{shard.first}"} | (
                {"EndingSequenceNumber": f"{10**56}"} if shard.closed else {}
            )
            parent = {"ParentShardId": shard.parent} if shard.parent else {}
            keys = {"StartingHashKey": "0", "EndingHashKey": "1"}
            listed.append({"ShardId": name, "SequenceNumberRange": numbers, "HashKeyRange": keys, **parent})
        return {"Shards": listed, **more}

    def _place(self, shard: Shard, body: dict[str, Any]) -> int:
        kind, records = body["ShardIteratorType"], shard.records
        if kind == "TRIM_HORIZON":
            return 0
        if kind == "AFTER_SEQUENCE_NUMBER":
            last = int(body["StartingSequenceNumber"])
            return sum(int(record["SequenceNumber"]) <= last for record in records)
        if kind == "AT_TIMESTAMP":
            return sum(record["ApproximateArrivalTimestamp"] < body["Timestamp"] for record in records)
        raise Refusal("InvalidArgumentException")

    def _token(self, shard: Shard, place: int) -> str:
        token = f"iterator-{next(self._tokens)}"
        self.iterators[token] = (shard, place)
        return token

    def _page(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["ShardIterator"] not in self.iterators:
            raise Refusal("ExpiredIteratorException")
        if not 1 <= body["Limit"] <= 10_000:
            raise Refusal("InvalidArgumentException")
        shard, place = self.iterators[body["ShardIterator"]]
        page = [] if self.empty_pages > 0 else shard.records[place : place + body["Limit"]]
        self.empty_pages -= 1
        after = place + len(page)
        left = after < len(shard.records)
        # In whole milliseconds, as the emulator counts: 0 although a record of this very moment is left.
        age = time.time() - shard.records[after]["ApproximateArrivalTimestamp"] if left else 0
        answer: dict[str, Any] = {"Records": page, "MillisBehindLatest": max(0, int(age * 1000))}
        if left or not shard.closed:
            answer["NextShardIterator"] = self._token(shard, after)
        if self.one_use:
            self.iterators.clear()
        if self.after_page:
            self.after_page()
        return answer


class Handler(BaseHTTPRequestHandler):
    """The wire: JSON 1.1, the operation in a header."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: KinesisServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        operation = self.headers["X-Amz-Target"].split(".")[1]
        try:
            status, found = 200, self.server.answer(operation, body)
        except Refusal as refusal:
            status, found = 400, {"__type": str(refusal), "message": "as told"}
        raw = json.dumps(found).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: Any) -> None:
        """Nothing to the terminal."""


@contextmanager
def serving() -> Iterator[KinesisServer]:
    """A running server."""
    server = KinesisServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
