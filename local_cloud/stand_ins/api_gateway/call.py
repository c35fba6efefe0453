"""One call of a deployed method: what integrations get, how parameters map, how API Gateway refuses."""

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, unquote_plus
from uuid import uuid4

from aiohttp import web

# Type of gateway response -> status, message, x-amzn-ErrorType, as documented or as AWS was seen to answer.
RESPONSES = {
    "INVALID_API_KEY": (403, "Forbidden", "ForbiddenException"),
    "MISSING_AUTHENTICATION_TOKEN": (
        403,
        "Missing Authentication Token",
        "MissingAuthenticationTokenException",
    ),
    # AWS adds its parser's words to this one.
    "BAD_REQUEST_BODY": (400, "Could not parse request body into json", "BadRequestException"),
    "UNSUPPORTED_MEDIA_TYPE": (415, "Unsupported Media Type", "BadRequestException"),
    "REQUEST_TOO_LARGE": (413, "Request Too Long", "RequestTooLargeException"),
    "THROTTLED": (429, "Too Many Requests", "TooManyRequestsException"),
    "QUOTA_EXCEEDED": (429, "Limit Exceeded", "LimitExceededException"),
    "API_CONFIGURATION_ERROR": (500, "Internal server error", "InternalServerErrorException"),
    # A refused or broken connection is 504 on a REST API, not 502.
    "INTEGRATION_FAILURE": (504, "Network error communicating with endpoint", "InternalServerErrorException"),
    "INTEGRATION_TIMEOUT": (504, "Endpoint request timed out", "InternalServerErrorException"),
}
SOURCE = re.compile(r"method\.request\.(path|querystring|header)\.([\w.$-]+)")


class GatewayError(Exception):
    """API Gateway's own refusal; `reason` is for the log and for a header, as AWS has its execution log."""

    def __init__(self, kind: str, reason: str = "") -> None:
        super().__init__(f"{kind} {reason}".strip())
        self.kind, self.reason = kind, reason


@dataclass
class Call:
    """One request to a method. Path parameters and the query stay encoded as they came."""

    request: web.Request
    body: bytes
    api_id: str
    path_parameters: dict[str, str]
    query: str
    method: dict[str, Any]
    stage: str
    resource_path: str
    request_id: str = field(default_factory=lambda: str(uuid4()))

    @property
    def integration(self) -> dict[str, Any]:
        """The integration of the deployed method."""
        found: dict[str, Any] = self.method["methodIntegration"]
        return found

    def value(self, source: str) -> str | None:
        """What a mapping source stands for (a path parameter stays encoded); None when it is not there."""
        if len(source) > 1 and source[0] == source[-1] == "'":
            return source[1:-1]
        found = SOURCE.fullmatch(source)
        if not found:
            return None
        place, name = found.groups()
        if place == "path":
            return self.path_parameters.get(name)
        if place == "header":
            return self.request.headers.get(name)
        values = [value for key, value in parse_qsl(self.query, keep_blank_values=True) if key == name]
        return values[-1] if values else None

    def mapped(self, place: str) -> dict[str, str]:
        """Name -> value of the mappings to `integration.request.<place>.<name>` that have a value."""
        prefix = f"integration.request.{place}."
        pairs = (self.integration.get("requestParameters") or {}).items()
        named = {
            key.removeprefix(prefix): self.value(source) for key, source in pairs if key.startswith(prefix)
        }
        return {name: value for name, value in named.items() if value is not None}

    def mapped_query(self) -> str:
        """The caller's query as it came, with mapped parameters set or added."""
        mapped = self.mapped("querystring")
        parts = [part for part in self.query.split("&") if part]
        kept = [part for part in parts if unquote_plus(part.partition("=")[0]) not in mapped]
        return "&".join(
            kept + [f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in mapped.items()]
        )


def unknown_mapping(method: dict[str, Any]) -> str | None:
    """The first request mapping that this stand-in cannot do or the method does not declare; else None."""
    declared = set(method.get("requestParameters") or {})
    for target, source in (method["methodIntegration"].get("requestParameters") or {}).items():
        if not re.fullmatch(r"integration\.request\.(path|querystring|header)\.[\w.$-]+", target):
            return target
        if not (SOURCE.fullmatch(source) and source in declared) and source[:1] + source[-1:] != "''":
            return str(source)
    return None


def unknown_response(method: dict[str, Any], source: re.Pattern[str]) -> str | None:
    """The first thing in the integration responses that this stand-in cannot do or AWS refuses; else None."""
    for status, response in (method["methodIntegration"].get("integrationResponses") or {}).items():
        try:
            re.compile(response.get("selectionPattern") or "")
        except re.error as error:
            return f"the selection pattern {response['selectionPattern']!r}: {error}"
        declared = (method.get("methodResponses") or {}).get(status, {}).get("responseParameters") or {}
        for target, value in (response.get("responseParameters") or {}).items():
            if not source.fullmatch(value):
                return f"the response mapping {value}"
            if target not in declared:
                return f"{target}, which the method response {status} does not declare"
    return None


def chosen_response(integration: dict[str, Any], status: int | None) -> tuple[int, dict[str, Any]] | None:
    """The integration response whose pattern covers a status, else the one without a pattern."""
    default = None
    for code, response in (integration.get("integrationResponses") or {}).items():
        pattern = response.get("selectionPattern")
        if pattern and re.fullmatch(pattern, str(status)):
            return int(code), response
        if not pattern:
            default = int(code), response
    return default


def refuse(error: GatewayError, gateway_responses: dict[str, dict[str, Any]]) -> web.Response:
    """API Gateway's answer for its own refusal, with the static headers of a customised gateway response."""
    status, message, kind = RESPONSES[error.kind]
    chosen = gateway_responses.get(error.kind) or gateway_responses.get(f"DEFAULT_{status // 100}XX") or {}
    headers = {"x-amzn-RequestId": str(uuid4()), "x-amzn-ErrorType": kind}
    for target, value in (chosen.get("responseParameters") or {}).items():
        headers[target.removeprefix("gatewayresponse.header.")] = value.strip("'")
    if error.reason:
        headers["x-local-cloud-reason"] = " ".join(error.reason.split())[:500]
    return web.json_response({"message": message}, status=status, headers=headers)
