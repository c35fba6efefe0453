"""HTTP_PROXY integrations: the request goes on as it came, to a public address or through a VPC link V2."""

import re
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from local_cloud.stand_ins.api_gateway.call import Call, GatewayError

LARGEST_PAYLOAD = 10 * 1024 * 1024
HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
NOT_SENT = HOP_BY_HOP | {"host", "content-length", "expect"}
# API Gateway writes these itself; the backend's own come under another name.
REMAPPED = {"content-length", "date", "server", "www-authenticate"}


class Target(NamedTuple):
    """The local server behind a load balancer; an application one answers itself for a dead target."""

    address: str  # host:port
    application: bool


Resolve = Callable[[str, str, int], Awaitable[Target]]


def cannot(method: dict[str, Any], links: dict[str, Any]) -> str | None:
    """Why this stand-in cannot execute the integration; None when it can."""
    integration = method["methodIntegration"]
    uri = integration.get("uri") or ""
    if not re.match(r"https?://[^/{]+", uri) or "stageVariables" in uri:
        return f"the uri {uri!r}"
    if integration.get("responseTransferMode") == "STREAM":
        return "responseTransferMode STREAM"
    if integration.get("connectionType") != "VPC_LINK":
        return None
    if integration.get("connectionId") not in links:
        return f"the connection {integration.get('connectionId')!r}, which is no VPC link V2"
    if ":loadbalancer/" not in (integration.get("integrationTarget") or ""):
        return "a VPC link without the load balancer's ARN as integrationTarget"
    return None


async def run(call: Call, session: aiohttp.ClientSession, resolve: Resolve) -> web.Response:
    """Send the request to the backend and give its answer back; GatewayError when it cannot be had."""
    integration = call.integration
    uri, target = _address(call), None
    if integration.get("connectionType") == "VPC_LINK":
        uri, target = await _through_link(integration, uri, resolve)
    method = integration.get("httpMethod") or "ANY"
    try:
        async with session.request(
            call.request.method if method == "ANY" else method,
            URL(uri, encoded=True),
            headers=_sent(call),
            data=call.body or None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=(integration.get("timeoutInMillis") or 29_000) / 1000),
        ) as answer:
            body = await answer.read()
            status, headers = answer.status, _returned(answer.headers)
    except TimeoutError:
        raise GatewayError("INTEGRATION_TIMEOUT") from None
    except aiohttp.ClientError as error:
        if target and target.application:
            return _balancer_error(502, "Bad Gateway")
        raise GatewayError("INTEGRATION_FAILURE", str(error)) from None
    if len(body) > LARGEST_PAYLOAD:
        raise GatewayError("API_CONFIGURATION_ERROR", "the answer is over 10 MB")
    return web.Response(status=status, headers=headers, body=body)


def _address(call: Call) -> str:
    """The integration's uri with path parameters and the query put in."""
    uri: str = call.integration["uri"]
    for name, value in call.mapped("path").items():
        uri = uri.replace(f"{{{name}}}", value)
    if "{" in uri:
        raise GatewayError("API_CONFIGURATION_ERROR", f"no value for the {{}} in {call.integration['uri']}")
    query = call.mapped_query()
    return uri + ("&" if "?" in uri else "?") + query if query else uri


async def _through_link(integration: dict[str, Any], uri: str, resolve: Resolve) -> tuple[str, Target]:
    """On AWS the uri's host would only be the Host header; the local target wants its own."""
    origin = re.match(r"(https?)://[^/:?]+(?::(\d+))?", uri)
    assert origin is not None  # `cannot` let it pass
    port = int(origin[2] or (443 if origin[1] == "https" else 80))
    target = await resolve(integration["connectionId"], integration["integrationTarget"], port)
    return f"http://{target.address}{uri[origin.end() :]}", target


def _sent(call: Call) -> CIMultiDict[str]:
    headers = CIMultiDict((k, v) for k, v in call.request.headers.items() if k.lower() not in NOT_SENT)
    headers.add("X-Forwarded-For", call.request.remote or "127.0.0.1")
    headers["X-Forwarded-Proto"] = "https"
    headers["X-Amzn-Apigateway-Api-Id"] = call.api_id
    headers.setdefault("User-Agent", f"AmazonAPIGateway_{call.api_id}")
    for name, value in call.mapped("header").items():
        headers[name] = value
    return headers


def _returned(headers: Any) -> CIMultiDict[str]:
    back: CIMultiDict[str] = CIMultiDict()
    for name, value in headers.items():
        if name.lower() in REMAPPED:
            back.add(f"x-amzn-Remapped-{name}", value)
        elif name.lower() not in HOP_BY_HOP:
            back.add(name, value)
    return back


def _balancer_error(status: int, reason: str) -> web.Response:
    title = f"{status} {reason}"
    text = f"<html><head><title>{title}</title></head><body><center><h1>{title}</h1></center></body></html>"
    return web.Response(status=status, text=text, headers={"Content-Type": "text/html"})
