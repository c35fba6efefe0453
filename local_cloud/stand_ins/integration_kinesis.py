"""AWS integrations with Kinesis: request template, role, the emulator's answer, integration response.

The emulator asks nobody for rights and takes any text as a record. So here the role is checked against IAM
and the request against the service's model; both are refused in Kinesis' words.
"""

import asyncio
import base64
import json
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote

import aiohttp
import botocore.session
from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError

from local_cloud.parts.aws import ACCOUNT, client
from local_cloud.stand_ins import mapping_template
from local_cloud.stand_ins.api_gateway_call import Call, GatewayError, chosen_response, unknown_response
from local_cloud.stand_ins.mapping_template import BodyError, Params, TemplateError
from local_cloud.state import State

URI = re.compile(r"arn:aws:apigateway:([\w-]+):kinesis:action/(\w+)")
ROLE = re.compile(r"arn:aws:iam::\d{12}:role/[\w+=,.@/-]+")
RETURNED = re.compile(r"'.*'|integration\.response\.header\.[\w-]+")
ACTIONS = {"CreateStream", "DeleteStream", "DescribeStream", "DescribeStreamSummary", "ListShards"}
ACTIONS |= {"ListStreams", "PutRecord", "PutRecords", "GetShardIterator", "GetRecords"}
JSON, SENT_TYPE = "application/json", "application/x-amz-json-1.1"
ROLE_SECONDS = 2  # how long a granted right is believed; a refusal is looked up anew each time
MODEL = botocore.session.get_session().get_service_model("kinesis")
TYPES: dict[str, Any] = {"structure": dict, "list": list, "string": str, "blob": str, "map": dict}
TYPES |= {"integer": int, "boolean": bool, "timestamp": int | float}
Answer = tuple[int, Any, bytes]  # status, headers and body from Kinesis


def cannot(method: dict[str, Any]) -> str | None:
    """Why this stand-in cannot execute the integration; None when it can."""
    integration = method["methodIntegration"]
    parts = [integration, *(integration.get("integrationResponses") or {}).values()]
    found = URI.fullmatch(integration.get("uri") or "")
    sent = (integration.get("requestParameters") or {}).get("integration.request.header.Content-Type")
    names = ", ".join(sorted(ACTIONS))
    wrong = {
        f"the AWS integration {integration.get('uri')} (it does kinesis:action/ with {names})": not found
        or found[2] not in ACTIONS,
        "an integrationHttpMethod other than POST": integration.get("httpMethod") != "POST",
        "credentials that are no role's ARN": not ROLE.fullmatch(integration.get("credentials") or ""),
        f"integration.request.header.Content-Type other than '{SENT_TYPE}'": sent != f"'{SENT_TYPE}'",
        "CONVERT_TO_BINARY": "CONVERT_TO_BINARY" in [part.get("contentHandling") for part in parts],
    }
    try:
        for templates in (part.get(f"{kind}Templates") for part in parts for kind in ("request", "response")):
            for text in (templates or {}).values():
                mapping_template.compiled(text or "")
    except TemplateError as error:
        return str(error)
    return next((reason for reason, holds in wrong.items() if holds), unknown_response(method, RETURNED))


class Kinesis:
    """Carries out the integrations of one local cloud."""

    def __init__(self, state: State, session: aiohttp.ClientSession) -> None:
        self.session, self.iam = session, client(state, "iam")
        self.url = f"http://127.0.0.1:{state.port('aws')}/"
        self.reader = Credentials(state.secret("reader_key_id"), state.secret("reader_secret"))
        self.lock, self.since = asyncio.Lock(), 0.0
        self.granted: set[tuple[str, ...]] = set()

    async def run(self, call: Call) -> web.Response:
        """The integration's answer; GatewayError when there is none."""
        found = URI.fullmatch(call.integration["uri"])
        assert found is not None  # `cannot` let it pass
        template = _request_template(call)
        try:
            text = call.body.decode()
            sent = mapping_template.render(template, text, *_variables(call)) if template else text
            answer = await self._ask(call, found[1], found[2], sent.encode(errors="replace"))
            return _response(call, answer)
        except (UnicodeDecodeError, BodyError) as error:
            raise GatewayError("BAD_REQUEST_BODY", str(error)) from None
        except TemplateError as error:
            raise GatewayError("API_CONFIGURATION_ERROR", str(error)) from None
        except TimeoutError:
            raise GatewayError("INTEGRATION_TIMEOUT") from None
        except (aiohttp.ClientError, BotoCoreError) as error:
            raise GatewayError("INTEGRATION_FAILURE", str(error)) from None

    async def _ask(self, call: Call, region: str, action: str, body: bytes) -> Answer:
        try:
            asked = mapping_template.parse_json(body)
            wrong = list(problems(MODEL.operation_model(action).input_shape, asked))
        except (BodyError, ValueError):
            return _refusal("SerializationException")
        if wrong:
            count = f"{len(wrong)} validation error{'s' if len(wrong) > 1 else ''}"
            return _refusal("ValidationException", f"{count} detected: {'; '.join(wrong)}")
        stream = f"arn:aws:kinesis:{region}:{ACCOUNT}:stream/{asked.get('StreamName')}"
        resource = asked.get("StreamARN") or (stream if "StreamName" in asked else "*")
        role = call.integration["credentials"]
        if not await self._allowed(role, action, resource):
            who = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role.rpartition('/')[2]}/BackplaneAssumeRoleSession"
            said = (
                f"User: {who} is not authorized to perform: kinesis:{action} on resource: {resource} because "
            )
            said += f"no identity-based policy allows the kinesis:{action} action"
            return _refusal("AccessDeniedException", said)
        headers = {"Content-Type": SENT_TYPE, "X-Amz-Target": f"Kinesis_20131202.{action}"}
        signed = AWSRequest(method="POST", url=self.url, headers=headers, data=body)
        SigV4Auth(self.reader, "kinesis", region).add_auth(signed)
        headers = dict(signed.headers.items())
        limit = aiohttp.ClientTimeout(total=(call.integration.get("timeoutInMillis") or 29_000) / 1000)
        async with self.session.post(self.url, data=body, headers=headers, timeout=limit) as answer:
            return answer.status, answer.headers, await answer.read()

    async def _allowed(self, *asked: str) -> bool:
        """True when a role may do an action on a resource; GatewayError when it may not be assumed."""
        async with self.lock:
            if time.monotonic() - self.since > ROLE_SECONDS:
                self.granted, self.since = set(), time.monotonic()
            if asked not in self.granted and await asyncio.to_thread(self._simulate, *asked):
                self.granted.add(asked)
            return asked in self.granted

    def _simulate(self, role: str, action: str, resource: str) -> bool:
        try:
            found = self.iam.get_role(RoleName=role.rpartition("/")[2])["Role"]
        except self.iam.exceptions.NoSuchEntityException:
            found = {"Arn": "", "AssumeRolePolicyDocument": {"Statement": []}}
        trust = found["AssumeRolePolicyDocument"]["Statement"]
        effects = {
            statement["Effect"]
            for statement in ([trust] if isinstance(trust, dict) else trust)
            if "apigateway.amazonaws.com" in str(statement.get("Principal"))
        }
        if found["Arn"] != role or effects != {"Allow"}:
            reason = f"API Gateway does not have permission to assume the provided role {role}"
            raise GatewayError("API_CONFIGURATION_ERROR", reason)
        decided = self.iam.simulate_principal_policy(
            PolicySourceArn=role, ActionNames=[f"kinesis:{action}"], ResourceArns=[resource]
        )
        return bool(decided["EvaluationResults"][0]["EvalDecision"] == "allowed")


def problems(shape: Any, value: Any, path: str = "") -> Iterator[str]:
    """What Kinesis finds wrong with a part of a request; ValueError where it cannot even read it."""
    kind, rules = shape.type_name, shape.metadata
    if not isinstance(value, TYPES[kind]) or isinstance(value, bool) != (kind == "boolean"):
        raise ValueError(path)
    for name, member in shape.members.items() if kind == "structure" else ():
        inside = f"{path}.{name[0].lower()}{name[1:]}".lstrip(".")
        if value.get(name) is not None:
            yield from problems(member, value[name], inside)
        elif name in shape.required_members:
            yield f"Value null at '{inside}' failed to satisfy constraint: Member must not be null"
    for number, one in enumerate(value if kind == "list" else (), 1):
        yield from problems(shape.member, one, f"{path}.{number}.member")
    failed = f"Value '{str(value)[:60]}' at '{path}' failed to satisfy constraint: Member must"
    size = len(base64.b64decode(value, validate=True)) if kind == "blob" else value
    what, size = ("value", size) if isinstance(value, int | float) else ("length", size)
    size = size if isinstance(size, int | float) else len(size)
    if not rules.get("min", size) <= size <= rules.get("max", size):
        limit = ("greater", rules["min"]) if size < rules.get("min", size) else ("less", rules["max"])
        yield f"{failed} have {what} {limit[0]} than or equal to {limit[1]}"
    if "pattern" in rules and not re.fullmatch(rules["pattern"], value):
        yield f"{failed} satisfy regular expression pattern: {rules['pattern']}"


def _refusal(code: str, message: str = "") -> Answer:
    """An error as Kinesis answers it."""
    said = {"__type": code} | ({"message": message} if message else {})
    return 400, {"x-amzn-ErrorType": code, "Content-Type": SENT_TYPE}, json.dumps(said).encode()


def _request_template(call: Call) -> str | None:
    """The template for the call's content type; None lets the body through as it is."""
    templates = call.integration.get("requestTemplates") or {}
    kind = call.request.headers.get("Content-Type", JSON).partition(";")[0].strip().lower()
    behavior = call.integration.get("passthroughBehavior")
    if kind not in templates and (behavior == "NEVER" or (behavior == "WHEN_NO_TEMPLATES" and templates)):
        raise GatewayError("UNSUPPORTED_MEDIA_TYPE")
    return templates.get(kind)


def _variables(call: Call) -> tuple[Params, dict[str, Any]]:
    """What `$input.params()` and `$context` stand for."""
    request = call.request
    params: Params = {
        "path": {name: unquote(value) for name, value in call.path_parameters.items()},
        "querystring": dict(parse_qsl(call.query, keep_blank_values=True)),
        "header": request.headers,
    }
    context = {
        "accountId": ACCOUNT,
        "apiId": call.api_id,
        "httpMethod": request.method,
        "identity": {"sourceIp": request.remote, "userAgent": request.headers.get("User-Agent")},
        "path": request.path.removeprefix(f"/{call.api_id}"),
        "protocol": "HTTP/1.1",
        "requestId": call.request_id,
        "requestTimeEpoch": int(time.time() * 1000),
        "resourcePath": call.resource_path,
        "stage": call.stage,
    }
    return params, context


def _response(call: Call, answer: Answer) -> web.Response:
    """The method's response to Kinesis' answer, by the integration response for its status."""
    status, response = chosen_response(call.integration, answer[0]) or (0, {})
    if str(status) not in (call.method.get("methodResponses") or {}):
        reason = f"Output mapping refers to an invalid method response: {status}"
        reason = reason if status else f"No match for output mapping and no default: status {answer[0]}"
        raise GatewayError("API_CONFIGURATION_ERROR", reason)
    templates = response.get("responseTemplates") or {}
    wanted = [call.request.headers.get("Accept"), JSON, *templates]
    kind = next((name for name in wanted if name in templates), JSON)
    body = answer[2]
    if templates.get(kind):
        try:
            text = mapping_template.render(templates[kind], body.decode(), *_variables(call))
        except BodyError as error:
            raise TemplateError(f"Kinesis' answer is no JSON: {error}") from None
        body = text.encode(errors="replace")
    headers = {"Content-Type": kind}
    for target, source in (response.get("responseParameters") or {}).items():
        value = source[1:-1] if source[0] == "'" else answer[1].get(source.rpartition(".")[2])
        headers |= {target.removeprefix("method.response.header."): value} if value is not None else {}
    return web.Response(status=status, headers=headers, body=body)
