"""What the HTTP stand-ins share: checks of Host and AWS signature, AWS's error shapes, the server itself."""

import asyncio
import hashlib
import hmac
import json
import re
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

CLOCK_SKEW = 300  # seconds that a signature stays valid, as on AWS
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/,\s]+)/(?P<day>\d{8})/(?P<region>[^/,]+)/(?P<service>[^/,]+)/"
    r"aws4_request,\s*SignedHeaders=(?P<headers>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
# IAM and the other query services name the same refusals differently.
QUERY_CODES = {
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "UnrecognizedClientException": "InvalidClientTokenId",
}


class AwsError(Exception):
    """A refusal in AWS's terms: `code` is the error's name, `status` the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status

    def response(self, protocol: str) -> web.Response:
        """The refusal as botocore's parser for this protocol expects it; see `aws_error`."""
        return aws_error(self.code, self.message, self.status, protocol)


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


def signed_by(request: web.BaseRequest, body: bytes, state_keys: Keys) -> str:
    """The key id whose owner signed this request (SigV4 in the Authorization header); else AwsError 403."""
    given = AUTHORIZATION.fullmatch(request.headers.get("Authorization", ""))
    if not given:
        raise AwsError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
    known = state_keys.find(given["key"])
    if known is None:
        message = "The security token included in the request is invalid."
        raise AwsError("UnrecognizedClientException", message, 403)
    stamp = request.headers.get("X-Amz-Date", "")
    if not _is_recent(stamp) or not stamp.startswith(given["day"]):
        raise AwsError("InvalidSignatureException", f"Signature expired or not yet valid: {stamp!r}", 403)
    expected = _signature(request, body, given, known[0], stamp)
    if expected is None or not hmac.compare_digest(expected, given["signature"]):
        message = "The request signature we calculated does not match the signature you provided."
        raise AwsError("InvalidSignatureException", message, 403)
    return given["key"]


def _is_recent(stamp: str) -> bool:
    try:
        made = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return False
    return abs((datetime.now(UTC) - made).total_seconds()) <= CLOCK_SKEW


def _signature(
    request: web.BaseRequest, body: bytes, given: re.Match[str], secret: str, stamp: str
) -> str | None:
    """botocore's own signature over what arrived; None when the Host or the body is not covered by it."""
    names = given["headers"].split(";")
    declared = request.headers.get("X-Amz-Content-SHA256")
    if "host" not in names or declared not in (None, hashlib.sha256(body).hexdigest()):
        return None
    headers = {name: request.headers.get(name, "") for name in names}
    url = f"http://{request.headers['Host']}{request.raw_path}"
    signed = AWSRequest(method=request.method, url=url, headers=headers, data=body)
    signed.context["timestamp"] = stamp
    auth = SigV4Auth(Credentials(given["key"], secret), given["service"], given["region"])
    text = auth.string_to_sign(signed, auth.canonical_request(signed))
    return str(auth.signature(text, signed))


def aws_error(code: str, message: str, status: int, protocol: str) -> web.Response:
    """An error answer for one of botocore's protocols: `rest-json`, `json-1.1`, `json-1.0` or `query`."""
    if protocol == "query":
        kind = "Receiver" if status >= 500 else "Sender"
        text = (
            f"<ErrorResponse><Error><Type>{kind}</Type><Code>{QUERY_CODES.get(code, code)}</Code>"
            f"<Message>{escape(message)}</Message></Error><RequestId>local</RequestId></ErrorResponse>"
        )
        return web.Response(status=status, text=text, content_type="text/xml")
    body: dict[str, Any] = {"message": message}
    if protocol.startswith("json"):
        body = {"__type": code, "message": message}
    kind = "application/json" if protocol == "rest-json" else f"application/x-amz-{protocol}"
    return web.Response(
        status=status,
        body=json.dumps(body).encode(),
        headers={"x-amzn-ErrorType": code, "Content-Type": kind},
    )


def host_guard(port: int) -> Any:
    """Middleware that refuses a Host other than this loopback port: no web page gets in by DNS rebinding."""
    hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    @web.middleware
    async def guard(request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Host") not in hosts:
            return web.json_response({"message": "Forbidden: not a Host of this machine"}, status=403)
        answer: web.StreamResponse = await handler(request)
        return answer

    return guard


def serve(app: web.Application, port: int, **options: Any) -> None:
    """Serve on 127.0.0.1 until SIGTERM, then finish what is under way; `options` are aiohttp AppRunner's."""
    try:
        asyncio.run(_serve(app, port, options))
    except OSError as error:
        sys.exit(f"port {port} on 127.0.0.1 cannot be used: {error.strerror or error}")


async def _serve(app: web.Application, port: int, options: dict[str, Any]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = web.AppRunner(app, access_log=None, **{"shutdown_timeout": 3.0, **options})
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await stop.wait()
    await runner.cleanup()
