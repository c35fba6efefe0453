"""What the HTTP stand-ins share: the check of Host, AWS's error shapes, the server itself."""

import asyncio
import json
import signal
import sys
from typing import Any
from xml.sax.saxutils import escape

from aiohttp import web

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
