"""MOCK integrations with fixed answers: what CORS needs for OPTIONS."""

import json
from typing import Any

from aiohttp import web

from local_cloud.stand_ins.api_gateway_call import Call

STATIC = "'"


def cannot(method: dict[str, Any]) -> str | None:
    """Why this stand-in cannot execute the integration; None when it can."""
    integration = method["methodIntegration"]
    if _status(integration) is None:
        return 'a MOCK integration whose application/json template is not a fixed {"statusCode": ...}'
    for status, response in (integration.get("integrationResponses") or {}).items():
        declared = (method.get("methodResponses") or {}).get(status, {}).get("responseParameters") or {}
        for target, value in (response.get("responseParameters") or {}).items():
            if not (value.startswith(STATIC) and value.endswith(STATIC)):
                return f"the response mapping {value}"
            if target not in declared:
                return f"{target}, which the method response {status} does not declare"
        if any(
            sign in (text or "")
            for text in (response.get("responseTemplates") or {}).values()
            for sign in "$#"
        ):
            return "a MOCK response template that is not fixed text"
    if _chosen(integration) is None:
        return "a MOCK integration without an integration response for its status"
    return None


def run(call: Call) -> web.Response:
    """The fixed answer with its headers."""
    status, response = _chosen(call.integration) or (500, {})
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


def _chosen(integration: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
    """The response whose pattern is the status, else the one without a pattern."""
    wanted, default = str(_status(integration)), None
    for status, response in (integration.get("integrationResponses") or {}).items():
        pattern = response.get("selectionPattern")
        if pattern == wanted:
            return int(status), response
        if not pattern:
            default = int(status), response
    return default
