"""MOCK integrations with fixed answers: what CORS needs for OPTIONS."""

import json
import re
from typing import Any

from aiohttp import web

from local_cloud.stand_ins.api_gateway.call import Call, chosen_response, unknown_response

STATIC = re.compile("'.*'")


def cannot(method: dict[str, Any]) -> str | None:
    """Why this stand-in cannot execute the integration; None when it can."""
    integration = method["methodIntegration"]
    if _status(integration) is None:
        return 'a MOCK integration whose application/json template is not a fixed {"statusCode": ...}'
    wrong = unknown_response(method, STATIC)
    if wrong:
        return wrong
    for response in (integration.get("integrationResponses") or {}).values():
        if any(
            sign in (text or "")
            for text in (response.get("responseTemplates") or {}).values()
            for sign in "$#"
        ):
            return "a MOCK response template that is not fixed text"
    if chosen_response(integration, _status(integration)) is None:
        return "a MOCK integration without an integration response for its status"
    return None


def run(call: Call) -> web.Response:
    """The fixed answer with its headers."""
    status, response = chosen_response(call.integration, _status(call.integration)) or (500, {})
    mapped = (response.get("responseParameters") or {}).items()
    headers = {target.removeprefix("method.response.header."): value[1:-1] for target, value in mapped}
    body = (response.get("responseTemplates") or {}).get("application/json") or ""
    headers.setdefault("Content-Type", "application/json")
    return web.Response(status=status, headers=headers, body=body.encode())


def _status(integration: dict[str, Any]) -> int | None:
    template = (integration.get("requestTemplates") or {}).get("application/json", "")
    try:
        return int(json.loads(template)["statusCode"])
    except (ValueError, KeyError, TypeError):
        return None
