"""The door before the AWS emulator, in its own process: only callers who know a key of this cloud come in.

ministack answers anybody. Access key ids here are random and kept private, so the id in the signature serves
as the token; the signature itself is checked where something is executed (`control`, `gateway`, Kafka).
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack.app import app as ministack

from local_cloud.state import TOOLS, State

Scope = MutableMapping[str, Any]
CREDENTIAL = re.compile(rb"Credential=([A-Z0-9]+)(?:/|%2F)")
REFUSED = (
    b"<Error><Code>InvalidClientTokenId</Code><Message>This cloud does not know the key.</Message></Error>"
)


class Door:
    """An ASGI application that passes to `inside` what carries a known key id and a loopback Host."""

    def __init__(
        self, inside: Callable[..., Awaitable[None]], keys: Path, hosts: set[bytes], own: dict[str, bytes]
    ) -> None:
        self.inside, self.keys, self.hosts, self.own = inside, keys, hosts, own
        self.known: set[bytes] = set()
        self.read_at = -1

    def knows(self, key_id: bytes) -> bool:
        """True when the key id stands in the key table, which is read again whenever it changed."""
        changed = self.keys.stat().st_mtime_ns
        if changed != self.read_at:
            self.known = {line.split(b"=")[0] for line in self.keys.read_bytes().splitlines()}
            self.read_at = changed
        return key_id in self.known

    async def __call__(self, scope: Scope, receive: Callable, send: Callable) -> None:
        if scope["type"] != "lifespan":
            headers = dict(scope["headers"])
            signed = headers.get(b"authorization", b"") + b" " + scope.get("query_string", b"")
            found = CREDENTIAL.search(signed)
            if headers.get(b"host") not in self.hosts or not found or not self.knows(found[1]):
                return await answer(send, 403, REFUSED)
            if scope["path"] in self.own:
                return await answer(send, 200, self.own[scope["path"]])
        await self.inside(scope, receive, send)


async def answer(send: Callable, status: int, body: bytes) -> None:
    """A whole response."""
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})


def kafka_versions() -> bytes:
    """What MSK's ListKafkaVersions, which the emulator lacks, answers here: the broker's own version."""
    jar = next((TOOLS / "jars" / "kafka").glob("kafka_2.13-*.jar"))
    version = jar.stem.removeprefix("kafka_2.13-")
    return json.dumps({"kafkaVersions": [{"version": version, "status": "ACTIVE"}]}).encode()


def main() -> None:
    """Serve until SIGTERM; hypercorn then ends the emulator's lifespan, which writes its state."""
    state = State()
    port = state.port("aws")
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.keep_alive_timeout = 75
    config.loglevel = "WARNING"
    hosts = {f"{name}:{port}".encode() for name in ("127.0.0.1", "localhost")}
    own = {"/v1/kafka-versions": kafka_versions()}
    door = Door(ministack, state.path("iam", "keys.properties"), hosts, own)
    asyncio.run(serve(door, config))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
