"""Executes deployed stages: find the method, check the API key, throttle, run the integration."""

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import aiohttp
from aiohttp import web

from local_cloud.stand_ins.api_gateway.call import Call, GatewayError, refuse
from local_cloud.stand_ins.api_gateway.definitions import Definitions
from local_cloud.stand_ins.api_gateway.integrations import http_proxy, kinesis, mock
from local_cloud.stand_ins.api_gateway.integrations.http_proxy import Target

log = logging.getLogger("gateway")
PERIOD_SECONDS = {"DAY": 86_400, "WEEK": 7 * 86_400, "MONTH": 30 * 86_400}
Found = tuple[str, dict[str, Any], dict[str, str]]


def find_method(resources: list[dict[str, Any]], path: str, method: str) -> Found | None:
    """Resource path, method definition and encoded path parameters; literal beats {name} beats {name+}.

    A resource that lacks the method does not take the request: a greedy one that has it does, as on AWS.
    """
    segments = [part for part in path.split("/") if part]
    best: tuple[list[int], Found] | None = None
    for resource in resources:
        methods = resource.get("resourceMethods") or {}
        definition = methods.get(method) or methods.get("ANY")
        matched = _match([part for part in resource["path"].split("/") if part], segments)
        if definition is None or matched is None:
            continue
        rank, parameters = matched
        if best is None or rank < best[0]:
            best = rank, (resource["path"], definition, parameters)
    return best[1] if best else None


def _match(pattern: list[str], segments: list[str]) -> tuple[list[int], dict[str, str]] | None:
    """How specific each segment matched (0 literal, 1 parameter, 2 greedy), and the parameters; or None."""
    rank: list[int] = []
    parameters: dict[str, str] = {}
    for index, part in enumerate(pattern):
        if index >= len(segments):
            return None
        if part.startswith("{") and part.endswith("+}"):
            parameters[part[1:-2]] = "/".join(segments[index:])
            return [*rank, 2], parameters
        if part.startswith("{"):
            parameters[part[1:-1]] = segments[index]
        elif part != unquote(segments[index]):
            return None
        rank.append(1 if part.startswith("{") else 0)
    return (rank, parameters) if len(pattern) == len(segments) else None


@dataclass
class Limits:
    """Token buckets and quota counters, in memory: a restart forgets them, as AWS's are best effort too."""

    buckets: dict[tuple[Any, ...], tuple[float, float]] = field(default_factory=dict)
    used: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)

    def take(self, slot: tuple[Any, ...], limits: dict[str, Any]) -> None:
        """Take one of `burstLimit` tokens, refilled by `rateLimit` a second; GatewayError 429 without one."""
        rate, burst = limits.get("rateLimit"), limits.get("burstLimit")
        if rate is None and burst is None:
            return
        size, now = float(burst or 0), time.monotonic()
        tokens, at = self.buckets.get((*slot, rate, burst), (size, now))
        tokens = min(size, tokens + (now - at) * float(rate or 0))
        self.buckets[(*slot, rate, burst)] = (tokens - 1 if tokens >= 1 else tokens), now
        if tokens < 1:
            raise GatewayError("THROTTLED")

    def count(self, plan: dict[str, Any], key_id: str) -> None:
        """Count one request of a key against its plan's quota; GatewayError 429 when it is used up."""
        quota = plan.get("quota") or {}
        if quota.get("limit") is None:
            return
        now, slot = time.time(), (plan["id"], key_id)
        used, since = self.used.get(slot, (0, now))
        if now - since >= PERIOD_SECONDS[quota.get("period", "DAY")]:
            used, since = 0, now
        if used >= quota["limit"]:
            raise GatewayError("QUOTA_EXCEEDED")
        self.used[slot] = used + 1, since


class Stages:
    """The data plane of one local cloud."""

    def __init__(self, definitions: Definitions, session: aiohttp.ClientSession) -> None:
        self.definitions, self.session, self.limits = definitions, session, Limits()
        self.kinesis = kinesis.Kinesis(definitions.state)

    async def execute(self, request: web.Request) -> web.Response:
        """Answer a call of `/{api}/{stage}/{path}?{query}` as API Gateway would."""
        path, _, query = request.raw_path.partition("?")
        api_id, stage_name, rest = (*path.lstrip("/").split("/", 2), "", "")[:3]
        snapshot: dict[str, Any] = {}
        try:
            stage = (await self._stages(api_id)).get(stage_name)
            if stage is None:
                raise GatewayError("INVALID_API_KEY")  # AWS answers Forbidden for an unknown API or stage
            snapshot = self.definitions.deployed(api_id, stage) or {}
            if not snapshot:
                raise GatewayError("API_CONFIGURATION_ERROR", "the stage's deployment is not of this gateway")
            found = find_method(snapshot["resources"], rest, request.method)
            if found is None:
                raise GatewayError("MISSING_AUTHENTICATION_TOKEN")
            resource_path, method, parameters = found
            await self._admit(request, method, api_id, stage, resource_path)
            body = await self._body(request)
            call = Call(request, body, api_id, parameters, query, method, stage_name, resource_path)
            answer = await self._run(call)
            answer.headers.setdefault("x-amzn-RequestId", call.request_id)
            return answer
        except GatewayError as error:
            if error.reason:
                log.warning("%s %s: %s", request.method, request.path, error)
            return refuse(error, snapshot.get("responses", {}))

    async def _stages(self, api_id: str) -> dict[str, Any]:
        known = self.definitions.live_stages.get(api_id)
        return known if known is not None else await asyncio.to_thread(self.definitions.stages, api_id)

    async def _admit(
        self, request: web.Request, method: dict[str, Any], api_id: str, stage: dict[str, Any], path: str
    ) -> None:
        """Check the key and take from every limit that holds for this call."""
        name, verb = stage["stageName"], method["httpMethod"]
        if method.get("apiKeyRequired"):
            known = self.definitions.live_keys
            keys = known if known is not None else await asyncio.to_thread(self.definitions.keys)
            key = keys.get(request.headers.get("x-api-key", "")) or {"id": "", "plans": []}
            plans = [
                (plan, entry)
                for plan in key["plans"]
                for entry in plan.get("apiStages") or []
                if (entry.get("apiId"), entry.get("stage")) == (api_id, name)
            ]
            if not plans:
                raise GatewayError("INVALID_API_KEY")
            for plan, entry in plans:
                self.limits.take(("plan", plan["id"], key["id"]), plan.get("throttle") or {})
                own = (entry.get("throttle") or {}).get(f"{path}/{verb}")
                self.limits.take(("method", plan["id"], key["id"], path, verb), own or {})
                self.limits.count(plan, key["id"])
        settings = stage.get("methodSettings") or {}
        names = (f"{path}/{verb}", f"{path[1:]}/{verb}", "*/*")
        chosen: dict[str, Any] = next((settings[key] for key in names if key in settings), {})
        limits = {f"{kind}Limit": chosen.get(f"throttling{kind.title()}Limit") for kind in ("rate", "burst")}
        self.limits.take(("stage", api_id, name, path, verb), limits)

    async def _body(self, request: web.Request) -> bytes:
        if (request.content_length or 0) > http_proxy.LARGEST_PAYLOAD:
            raise GatewayError("REQUEST_TOO_LARGE")
        try:
            return await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise GatewayError("REQUEST_TOO_LARGE") from None

    async def _run(self, call: Call) -> web.Response:
        if call.integration["type"] == "MOCK":
            return mock.run(call)
        if call.integration["type"] == "AWS":
            return await self.kinesis.run(call)
        return await http_proxy.run(call, self.session, self._target)

    async def _target(self, link_id: str, balancer: str, port: int) -> Target:
        try:
            return await asyncio.to_thread(self.definitions.target, link_id, balancer, port)
        except LookupError as error:
            raise GatewayError("INTEGRATION_FAILURE", str(error)) from None
