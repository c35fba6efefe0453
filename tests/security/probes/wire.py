"""What a stranger sends to a port, written on sockets alone: no library's politeness stands in between.

Each function returns (outcome, what was seen). The outcome is "in" when the server did what was asked,
"refused" when it did not, "fault" when it broke over the question.
"""

import base64
import hashlib
import hmac
import socket
import struct
from typing import Any

Seen = tuple[str, str]
SECONDS = 6
OPEN_STATUS = range(200, 400)


def connect(port: int, host: str = "127.0.0.1") -> socket.socket:
    return socket.create_connection((host, port), timeout=SECONDS)


def everything(connection: socket.socket, most: int = 1 << 18) -> bytes:
    """All bytes until the server closes, falls silent, or has said enough."""
    found = b""
    try:
        while len(found) < most and (more := connection.recv(65536)):
            found += more
    except (TimeoutError, ConnectionError):
        pass
    return found


def exactly(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = connection.recv(size - len(found))
        if not more:
            raise ConnectionError("the server closed the connection")
        found += more
    return found


def http(  # noqa: PLR0917
    port: int,
    method: str = "GET",
    path: str = "/",
    headers: dict[str, str] | None = None,
    body: str = "",
    sign_of_entry: str = "",
) -> Seen:
    """One HTTP request, sent as given; with `sign_of_entry` only an answer that holds it is a way in."""
    given = {"Host": f"127.0.0.1:{port}", "Connection": "close"} | (headers or {})
    payload = body.encode("utf-8", "surrogateescape")
    if payload or method in ("POST", "PUT", "PATCH"):
        given["Content-Length"] = str(len(payload))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    with connect(port) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + payload)
        answer = everything(connection).decode("latin-1")
    status = int(answer.split(" ", 2)[1]) if answer.startswith("HTTP/") else 0
    said = f"{status} {answer.partition(chr(13) + chr(10) * 2)[2]}"
    way_in = sign_of_entry.lower() in answer.lower() if sign_of_entry else status in OPEN_STATUS
    return ("in" if way_in else "fault" if status >= 500 else "refused"), said


def mariadb(port: int, user: str, password: str = "", host: str = "127.0.0.1") -> Seen:
    """Log in with the native password method."""
    with connect(port, host) as connection:
        salt = _packet(connection)
        salt = salt[salt.index(b"\0") + 5 :]
        salt = salt[:8] + salt[8 + 19 : 8 + 19 + 12]
        name, plugin = user.encode() + b"\0", b"mysql_native_password\0"
        proof = _scramble(password, salt)
        hello = struct.pack("<IIB23x", 0x88201, 1 << 24, 33) + name + bytes([len(proof)]) + proof + plugin
        connection.sendall(struct.pack("<I", len(hello))[:3] + b"\1" + hello)
        answer = _packet(connection)
        if answer[:1] == b"\xfe":  # asked to prove it another way, with another salt
            proof = _scramble(password, answer[answer.index(b"\0") + 1 :][:20])
            connection.sendall(struct.pack("<I", len(proof))[:3] + b"\3" + proof)
            answer = _packet(connection)
    return ("in" if answer[:1] == b"\0" else "refused"), answer[9:].decode(errors="replace")


def _packet(connection: socket.socket) -> bytes:
    size = int.from_bytes(exactly(connection, 4)[:3], "little")
    return exactly(connection, size)


def _scramble(password: str, salt: bytes) -> bytes:
    if not password:
        return b""
    once = hashlib.sha1(password.encode()).digest()
    mask = hashlib.sha1(salt + hashlib.sha1(once).digest()).digest()
    return bytes(one ^ other for one, other in zip(once, mask, strict=True))


def kafka(port: int, mechanism: str = "", login: str = "") -> Seen:
    """Log in with SASL if a mechanism is given, then ask for the list of topics.

    `login` is what is sent; for SCRAM-SHA-512 it is the user's name and password with a NUL between them.
    """
    with connect(port) as connection:
        if mechanism:
            answer = _ask(connection, 17, 1, struct.pack(">h", len(mechanism)) + mechanism.encode())
            if struct.unpack(">h", answer[:2])[0]:
                return "refused", f"{mechanism} is not spoken here"
            try:
                if mechanism.startswith("SCRAM"):
                    return "in", _scram(connection, *login.split("\0"))
                answer = _authenticate(connection, login)
            except PermissionError as error:
                return "refused", str(error)
            if b'"status"' in answer:  # OAUTHBEARER tells a refusal in the next step's words
                return "refused", answer.decode(errors="replace")
            return "in", "logged in"
        return "in", f"{len(_ask(connection, 3, 1, struct.pack('>i', -1)))} bytes about the topics"


def _authenticate(connection: socket.socket, message: str) -> bytes:
    """One step of SASL; PermissionError when the server ends it."""
    answer = _ask(connection, 36, 0, struct.pack(">i", len(message.encode())) + message.encode())
    if code := struct.unpack(">h", answer[:2])[0]:
        raise PermissionError(f"error {code}: {answer[4:].decode(errors='replace')}")
    return answer[8:]


def _scram(connection: socket.socket, user: str, password: str) -> str:
    first = f"n={user},r=probe"
    challenge = _authenticate(connection, f"n,,{first}").decode()
    told = dict(part.split("=", 1) for part in challenge.split(","))
    salt, rounds = base64.b64decode(told["s"]), int(told["i"])
    salted = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, rounds)
    key = hmac.digest(salted, b"Client Key", "sha512")
    last = f"c=biws,r={told['r']}"
    signed = f"{first},{challenge},{last}".encode()
    mask = hmac.digest(hashlib.sha512(key).digest(), signed, "sha512")
    proof = bytes(one ^ other for one, other in zip(key, mask, strict=True))
    return _authenticate(connection, f"{last},p={base64.b64encode(proof).decode()}").decode()


def _ask(connection: socket.socket, call: int, version: int, body: bytes) -> bytes:
    asked = struct.pack(">hhihs", call, version, 1, 1, b"x") + body
    connection.sendall(struct.pack(">i", len(asked)) + asked)
    size = struct.unpack(">i", exactly(connection, 4))[0]
    return exactly(connection, size)[4:]


def spark(port: int, token: str = "") -> Seen:
    """Ask a Spark Connect server for a setting: HTTP/2 frames with gRPC in them."""

    def field(name: str, value: str) -> bytes:
        one, other = name.encode(), value.encode()
        return b"\0" + bytes([len(one)]) + one + bytes([len(other)]) + other

    def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
        return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload

    named = {":method": "POST", ":scheme": "http", ":path": "/spark.connect.SparkConnectService/Config"}
    named |= {":authority": f"localhost:{port}", "content-type": "application/grpc", "te": "trailers"}
    named |= {"authorization": f"Bearer {token}"} if token else {}
    headers = b"".join(field(name, value) for name, value in named.items())
    with connect(port) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b""))
        connection.sendall(frame(1, 4, 1, headers) + frame(0, 1, 1, b"\0" * 5))
        connection.settimeout(2)  # the server keeps the connection
        answer = everything(connection)
    at = answer.find(b"grpc-status")
    if at < 0:
        return "refused", f"no gRPC answer in {len(answer)} bytes"
    code = answer[at + 12 : at + 12 + answer[at + 11]].decode(errors="replace")
    return ("refused" if code == "16" else "in"), f"gRPC status {code}"  # 16: unauthenticated


def zeromq(port: int) -> Seen:
    """Greet a Jupyter kernel's socket without a key."""
    with connect(port) as connection:
        connection.sendall(b"\xff" + b"\0" * 8 + b"\x7f\3\0" + b"NULL".ljust(20, b"\0") + b"\0" * 32)
        mechanism = exactly(connection, 64)[12:32].rstrip(b"\0").decode(errors="replace")
    return ("in" if mechanism == "NULL" else "refused"), f"mechanism {mechanism}"


def raw(port: int, text: str) -> Seen:
    """Say something to a port nobody has told of; an answer in plain words is a way in."""
    with connect(port) as connection:
        connection.sendall(text.encode())
        connection.settimeout(2)
        answer = everything(connection)
    return ("in" if answer.startswith((b"HTTP/1.1 2", b"HTTP/1.0 2")) else "refused"), repr(answer[:80])


CALLS: dict[str, Any] = {
    call.__name__: call for call in (http, mariadb, kafka, spark, zeromq, raw)
}  # what an attempt may name
