"""The door before the AWS emulator, in its own process: only what a key of this cloud has signed comes in.

ministack answers anybody. Presigned addresses are refused: no lesson makes one, and an address is easily
passed on. Beyond being signed no right is asked for.
"""

import asyncio
import hashlib
import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from xml.sax.saxutils import escape

from hypercorn.asyncio import serve
from hypercorn.config import Config

from local_cloud.stand_ins.aws import msk
from local_cloud.stand_ins.http import QUERY_CODES, AwsError
from local_cloud.stand_ins.signature import Keys, Sent, signed_by
from local_cloud.state import State

Scope = MutableMapping[str, Any]
# What ministack calls a service -> what the scope of its signatures says.
SAME = ("s3", "kinesis", "iam", "sts", "ec2", "kafka", "apigateway", "ssm", "tagging", "logs")
SERVICES = {**dict(zip(SAME, SAME, strict=True)), "elbv2": "elasticloadbalancing"}
CREATE_CLUSTER = ("POST", "/v1/clusters")
LARGEST_UNDECLARED = 32 * 2**20  # bytes of a body that must be here before its signature can be checked


class Door:
    """An ASGI application that passes to `inside` what arrives as it was signed, for a loopback Host."""

    def __init__(
        self, inside: Callable[..., Awaitable[None]], keys: Keys, hosts: set[str], state: State
    ) -> None:
        self.inside, self.keys, self.hosts, self.state = inside, keys, hosts, state

    async def __call__(self, scope: Scope, receive: Callable, send: Callable) -> None:
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close"})
        if scope["type"] == "http":
            try:
                body = await self.checked(scope, receive)
                ours = await self.own(scope["method"], scope["path"], body)
            except AwsError as refused:
                is_json = any(name == b"x-amz-target" for name, _ in scope["headers"])
                is_json = is_json or scope["path"].startswith("/v1/clusters")
                return await refuse(send, refused, is_json)
            if ours is not None:
                return await answer(send, 200, ours)
            receive = Once(body, receive)
        await self.inside(scope, receive, send)

    async def own(self, method: str, path: str, body: bytes) -> bytes | None:
        """What the emulator cannot answer, or not refuse; None for all that it can."""
        if (method, path) == CREATE_CLUSTER:
            msk.check_cluster(body)
        if path == "/v1/kafka-versions":
            return msk.versions()
        if method == "PUT" and (asked := msk.REBOOT.fullmatch(path)):
            return await asyncio.to_thread(msk.reboot, self.state, asked[1], body)
        return None

    async def checked(self, scope: Scope, receive: Callable) -> bytes:
        """The body of a request that is signed; AwsError for any other. It is kept once, in one piece."""
        sent = as_sent(scope)
        if sent.header("host") not in self.hosts:
            raise AwsError("AccessDeniedException", "not a Host of this machine", 403)
        if declared := sent.header("x-amz-content-sha256"):
            signed = signed_by(sent, declared, self.keys, *SERVICES.values())
            body = await read(receive)
            if signed.covers(body, declared):
                return body
            raise AwsError("XAmzContentSHA256Mismatch", "The body is not the one that was signed.")
        body = await read(receive, LARGEST_UNDECLARED)
        signed_by(sent, hashlib.sha256(body).hexdigest(), self.keys, *SERVICES.values())
        return body


class Once:
    """What an ASGI application receives: the whole body, then what the connection says."""

    def __init__(self, body: bytes, then: Callable) -> None:
        self.body, self.then = [body], then

    async def __call__(self) -> Any:
        """The next message."""
        if self.body:
            return {"type": "http.request", "body": self.body.pop(), "more_body": False}
        return await self.then()


def as_sent(scope: Scope) -> Sent:
    """The request of an ASGI scope."""
    headers = [
        (name.decode().lower(), value.decode(errors="surrogateescape")) for name, value in scope["headers"]
    ]
    raw = scope["raw_path"].decode(errors="surrogateescape").partition("?")[0]
    return Sent(scope["method"], raw, scope["query_string"].decode(errors="surrogateescape"), headers)


async def read(receive: Callable, most: int = 0) -> bytes:
    """The body; AwsError when it breaks off, or is longer than `most` bytes where that is not 0."""
    chunks, more, size = [], True, 0
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise AwsError("IncompleteBody", "The connection ended before the body did.")
        chunks.append(message.get("body", b""))
        size, more = size + len(chunks[-1]), message.get("more_body", False)
        if most and size > most:
            raise AwsError(
                "RequestEntityTooLargeException", f"More than {most} bytes without a signed hash", 413
            )
    return b"".join(chunks)


async def refuse(send: Callable, refused: AwsError, is_json: bool) -> None:
    """A refusal, in JSON or in XML as S3 has it, which botocore reads for the other services too."""
    if is_json:
        body = json.dumps({"__type": refused.code, "message": refused.message})
    else:
        code = QUERY_CODES.get(refused.code, refused.code)
        body = f"<Error><Code>{code}</Code><Message>{escape(refused.message)}</Message></Error>"
    await answer(send, refused.status, body.encode())


async def answer(send: Callable, status: int, body: bytes) -> None:
    """A whole response."""
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Serve until SIGTERM; hypercorn then ends the emulator's lifespan, which writes its state."""
    os.environ["SERVICES"] = ",".join(SERVICES)  # ministack reads it when it is imported
    from ministack.app import app as ministack

    state = State()
    port = state.port("aws")
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"
    hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
    door = Door(ministack, Keys(state.path("iam", "keys.properties")), hosts, state)
    asyncio.run(serve(door, config))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
