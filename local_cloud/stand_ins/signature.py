"""AWS Signature Version 4 of requests that arrive here: whose key signed them, and what it covers."""

import hashlib
import hmac
import re
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from aiohttp import web
from botocore.utils import normalize_url_path

from local_cloud.parts.aws import REGION
from local_cloud.stand_ins.http import AwsError

CLOCK_SKEW = 300  # seconds that a signature stays valid, as on AWS
EMPTY = hashlib.sha256(b"").hexdigest()
CHUNKED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"  # each chunk of the body carries a signature
UNSIGNED = "UNSIGNED-PAYLOAD"
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/,\s]+)/(?P<day>\d{8})/(?P<region>[^/,]+)/(?P<service>[^/,]+)/"
    r"aws4_request,\s*SignedHeaders=(?P<headers>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
CHUNK = re.compile(rb"([0-9a-fA-F]{1,8});chunk-signature=([0-9a-f]{64})")  # the line before its bytes
DIFFERS = "The request signature we calculated does not match the signature you provided."


class Keys:
    """The broker's key table (`keyid=secret:principal` a line), read again whenever the file changed."""

    def __init__(self, file: Path) -> None:
        self.file, self.read_at, self.table = file, -1, dict[str, tuple[str, str]]()

    def find(self, key_id: str) -> tuple[str, str] | None:
        """The secret and the principal (role name) of a key id; None when nobody has it."""
        changed = self.file.stat().st_mtime_ns
        if changed != self.read_at:
            lines = [line.partition("=") for line in self.file.read_text().splitlines()]
            self.table = {key: tuple(rest.split(":", 1)) for key, _, rest in lines if ":" in rest}  # type: ignore[misc]
            self.read_at = changed
        return self.table.get(key_id)


class Sent(NamedTuple):
    """A request as it arrived: path and query still percent-encoded, header names in lower case."""

    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]

    def header(self, name: str) -> str:
        """All values of a header, as its signature joins them."""
        return ",".join(" ".join(value.split()) for key, value in self.headers if key == name)


class Signed(NamedTuple):
    """Who signed a request, and what the signatures of its chunks build upon."""

    principal: str
    signing_key: bytes
    stamp: str
    scope: str
    signature: str

    def covers(self, body: bytes, declared: str) -> bool:
        """Whether the body is the one that the header x-amz-content-sha256 declared when it was signed."""
        if declared == CHUNKED:
            return self._chunks_hold(body)
        if declared == UNSIGNED:
            return not body
        return hashlib.sha256(body).hexdigest() == declared

    def _chunks_hold(self, body: bytes) -> bool:
        before, at, size = self.signature, 0, 1
        while size:
            end = body.find(b"\r\n", at)
            head = re.fullmatch(
                rb"([0-9a-fA-F]{1,8});chunk-signature=([0-9a-f]{64})", body[at : max(end, at)]
            )
            if head is None:
                return False
            at, size = end + 2, int(head[1], 16)
            text = f"AWS4-HMAC-SHA256-PAYLOAD\n{self.stamp}\n{self.scope}\n{before}\n{EMPTY}\n"
            text += hashlib.sha256(memoryview(body)[at : at + size]).hexdigest()
            before = _hmac(self.signing_key, text).hex()
            if not hmac.compare_digest(before.encode(), head[2]):
                return False
            at += size + 2
        return at == len(body)


def signed_by(sent: Sent, digest: str, keys: Keys, *services: str) -> Signed:
    """Who signed this request for one of these services; AwsError 403 where that is nobody of this cloud.

    `digest` is the header x-amz-content-sha256, else the SHA-256 of the body.
    """
    given = AUTHORIZATION.fullmatch(sent.header("authorization"))
    if not given:
        raise AwsError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
    known = keys.find(given["key"])
    if known is None:
        message = "The security token included in the request is invalid."
        raise AwsError("UnrecognizedClientException", message, 403)
    stamp = sent.header("x-amz-date")
    if not _is_recent(stamp) or not stamp.startswith(given["day"]):
        raise AwsError("InvalidSignatureException", f"Signature expired or not yet valid: {stamp!r}", 403)
    if given["region"] != REGION or given["service"] not in services:
        message = f"Credential should be scoped to {REGION} and {' or '.join(services)}."
        raise AwsError("InvalidSignatureException", message, 403)
    names = given["headers"].split(";")
    covered = {"host", *(name for name, _ in sent.headers if name.startswith("x-amz-"))}
    scope = f"{given['day']}/{given['region']}/{given['service']}/aws4_request"
    key = _signing_key(known[0], given["day"], given["region"], given["service"])
    request = _canonical(sent, names, digest, given["service"]).encode(errors="surrogateescape")
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request).hexdigest()}"
    equal = hmac.compare_digest(_hmac(key, text).hex(), given["signature"])
    if not equal or not covered <= set(names):
        raise AwsError("InvalidSignatureException", DIFFERS, 403)
    return Signed(known[1], key, stamp, scope, given["signature"])


async def signer(request: web.BaseRequest, keys: Keys, *services: str) -> tuple[str, bytes]:
    """The principal who signed this request for one of these services, and its body; else AwsError 403."""
    body, (path, _, query) = await request.read(), request.raw_path.partition("?")
    headers = [(name.lower(), value) for name, value in request.headers.items()]
    digest = hashlib.sha256(body).hexdigest()
    if request.headers.get("X-Amz-Content-SHA256", digest) != digest:
        raise AwsError("InvalidSignatureException", DIFFERS, 403)
    return signed_by(Sent(request.method, path, query, headers), digest, keys, *services).principal, body


def _canonical(sent: Sent, names: list[str], digest: str, service: str) -> str:
    # S3 signs the path as it was sent; every other service signs it percent-encoded once more.
    path = sent.path if service == "s3" else quote(normalize_url_path(sent.path), safe="/~")
    pairs = sorted(pair.partition("=")[::2] for pair in sent.query.split("&") if pair)
    query = "&".join(f"{name}={value}" for name, value in pairs)
    headers = "".join(f"{name}:{sent.header(name)}\n" for name in names)
    return "\n".join([sent.method, path or "/", query, headers, ";".join(names), digest])


def _is_recent(stamp: str) -> bool:
    try:
        made = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return False
    return abs((datetime.now(UTC) - made).total_seconds()) <= CLOCK_SKEW


@lru_cache(maxsize=64)
def _signing_key(secret: str, *scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (*scope, "aws4_request"):
        key = _hmac(key, part)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
