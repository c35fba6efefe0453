"""An HTTP server that answers as the REST proxy does, or fails as it is told."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ODD = 'quote " back\\slash new\nline\u2028 nbsp\u00a0 emoji 🎉 é'


def accept(records: list[Any]) -> tuple[int, dict[str, str], Any]:
    return 200, {}, {"offsets": [{"partition": 0, "offset": n, "error_code": None, "error": None}
                                 for n, _ in enumerate(records)]}  # fmt: skip


def answer(status: int, body: Any = None, **headers: str) -> Callable[[list[Any]], Any]:
    return lambda records: (status, {k.replace("_", "-"): v for k, v in headers.items()}, body or {})


def refuse(*codes: int | None) -> Callable[[list[Any]], Any]:
    return answer(200, {"offsets": [{"error_code": code, "error": code and "no"} for code in codes]})


def reset(records: list[Any]) -> Any:
    return None


def slow(records: list[Any]) -> Any:
    time.sleep(0.6)
    return accept(records)


class Sink(ThreadingHTTPServer):
    """Takes each request by the next answer of `script`, then accepts; keeps what it got."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[Callable[[list[Any]], Any]] = []
        self.limit = 10**9
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.times: list[float] = []
        self.connections = 0
        self.url = f"http://127.0.0.1:{self.server_port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections += 1
        super().process_request(request, client_address)

    def records(self) -> list[Any]:
        return [record for _, _, body in self.got for record in json.loads(body)["records"]]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Sink

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.times.append(time.monotonic())
        self.server.got.append((self.path, dict(self.headers), body))
        step = self.server.script.pop(0) if self.server.script else accept
        content = json.loads(body)
        records = content.get("records", [content])  # one alone is a body of its own
        result = (413, {}, {}) if len(body) > self.server.limit else step(records)
        if result is None:
            # RST instead of FIN: the peer sees "connection reset".
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.close_connection = True
            self.connection.close()
            return
        status, headers, content = result
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_PUT = do_POST

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving() -> Iterator[Sink]:
    server = Sink()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
