"""AWS integrations with Kinesis: request template, role, the emulator's answer, integration response.

The emulator asks nobody for rights and takes any text as a record. So here the role is checked against IAM
and the request against the service's model; both are refused in Kinesis' words.
"""

import asyncio
import base64
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote

import botocore.session
from aiohttp import web
from botocore.exceptions import BotoCoreError

from local_cloud.parts.aws import ACCOUNT, REGION, client
from local_cloud.stand_ins.api_gateway import mapping_template
from local_cloud.stand_ins.api_gateway.call import Call, GatewayError, chosen_response, unknown_response
from local_cloud.stand_ins.api_gateway.mapping_template import BodyError, Params, TemplateError
from local_cloud.stand_ins.aws.pass_on import pass_on
from local_cloud.stand_ins.http import AwsError
from local_cloud.state import State

URI = f"arn:aws:apigateway:{REGION}:kinesis:action/"
ROLE = re.compile(r"arn:aws:iam::\d{12}:role/[\w+=,.@/-]+")
RETURNED = re.compile(r"'.*'|integration\.response\.header\.[\w-]+")
ACTIONS = {"CreateStream", "DeleteStream", "DescribeStream", "DescribeStreamSummary", "ListShards"}
ACTIONS |= {"ListStreams", "PutRecord", "PutRecords", "GetShardIterator", "GetRecords"}
JSON, SENT_TYPE = "application/json", "application/x-amz-json-1.1"
ROLE_SECONDS = 2  # how long a granted right is believed; a refusal is looked up anew each time
MODEL = botocore.session.get_session().get_service_model("kinesis")
TYPES: dict[str, Any] = {"structure": dict, "list": list, "string": str, "blob": str, "map": dict}
TYPES |= {"integer": int, "boolean": bool, "timestamp": int | float}


def cannot(method: dict[str, Any]) -> str | None:
    """Why this stand-in cannot execute the integration; None when it can."""
    integration = method["methodIntegration"]
    parts = [integration, *(integration.get("integrationResponses") or {}).values()]
    uri = integration.get("uri") or ""
    sent = (integration.get("requestParameters") or {}).get("integration.request.header.Content-Type")
    does = f"{URI} with {', '.join(sorted(ACTIONS))}"
    wrong = {
        f"the AWS integration {uri} (it does {does})": uri not in {URI + action for action in ACTIONS},
        "an integrationHttpMethod other than POST": integration.get("httpMethod") != "POST",
        "credentials that are no role's ARN": not ROLE.fullmatch(integration.get("credentials") or ""),
        f"the Content-Type {sent}: Kinesis takes '{SENT_TYPE}'": sent not in (None, f"'{SENT_TYPE}'"),
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

    def __init__(self, state: State) -> None:
        self.state, self.iam = state, client(state, "iam")
        self.lock, self.since = asyncio.Lock(), 0.0
        self.granted: set[tuple[str, ...]] = set()

    async def run(self, call: Call) -> web.Response:
        """The integration's answer; GatewayError when there is none."""
        template = _request_template(call)
        seconds = (call.integration.get("timeoutInMillis") or 29_000) / 1000
        try:
            text = call.body.decode()
            sent = mapping_template.render(template, text, *_variables(call)) if template else text
            async with asyncio.timeout(seconds):
                answer = await self._ask(call.integration, sent.encode(errors="replace"))
            return _response(call, answer)
        except (UnicodeDecodeError, BodyError) as error:
            raise GatewayError("BAD_REQUEST_BODY", str(error)) from None
        except TemplateError as error:
            raise GatewayError("API_CONFIGURATION_ERROR", str(error)) from None
        except TimeoutError:
            raise GatewayError("INTEGRATION_TIMEOUT") from None
        except (AwsError, BotoCoreError) as error:
            raise GatewayError("INTEGRATION_FAILURE", str(error)) from None

    async def _ask(self, integration: dict[str, Any], body: bytes) -> web.Response:
        action, role = integration["uri"].removeprefix(URI), integration["credentials"]
        try:
            asked = mapping_template.parse_json(body)
            wrong = list(problems(MODEL.operation_model(action).input_shape, asked))
        except (BodyError, ValueError):
            return _refusal("SerializationException")
        if wrong:
            count = f"{len(wrong)} validation error{'s' if len(wrong) > 1 else ''}"
            return _refusal("ValidationException", f"{count} detected: {'; '.join(wrong)}")
        stream = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{asked.get('StreamName')}"
        resource = asked.get("StreamARN") or (stream if "StreamName" in asked else "*")
        if not await self._allowed(role, action, resource):
            who = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role.rpartition('/')[2]}/BackplaneAssumeRoleSession"
            said = f"User: {who} is not authorized to perform: kinesis:{action} on resource: {resource}"
            why = f"because no identity-based policy allows the kinesis:{action} action"
            return _refusal("AccessDeniedException", f"{said} {why}")
        headers = {"Content-Type": SENT_TYPE, "X-Amz-Target": f"Kinesis_20131202.{action}"}
        return await asyncio.to_thread(pass_on, self.state, "kinesis", headers, body)

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
        elif name in (*shape.required_members, "PartitionKey"):  # as streams of the default strategy want it
            yield f"Value null at '{inside}' failed to satisfy constraint: Member must not be null"
    for number, one in enumerate(value if kind == "list" else (), 1):
        yield from problems(shape.member, one, f"{path}.{number}.member")
    if kind == "blob":
        value = base64.b64decode(value, validate=True)
    what, size = ("value", value) if isinstance(value, int | float) else ("length", len(value))
    for broken, rule in (
        (size < rules.get("min", size), f"have {what} greater than or equal to {rules.get('min')}"),
        (size > rules.get("max", size), f"have {what} less than or equal to {rules.get('max')}"),
        (
            "pattern" in rules and not re.fullmatch(rules["pattern"], value),
            f"satisfy regular expression pattern: {rules.get('pattern')}",
        ),
    ):
        if broken:
            yield f"Value '{str(value)[:60]}' at '{path}' failed to satisfy constraint: Member must {rule}"


def _refusal(code: str, message: str = "") -> web.Response:
    """An error as Kinesis answers it."""
    said = {"__type": code} | ({"message": message} if message else {})
    return web.json_response(said, status=400, headers={"x-amzn-ErrorType": code})


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
        "apiId": call.api_id,
        "httpMethod": request.method,
        "identity": {"sourceIp": request.remote, "userAgent": request.headers.get("User-Agent")},
        "requestId": call.request_id,
        "resourcePath": call.resource_path,
        "stage": call.stage,
    }
    return params, context


def _response(call: Call, answer: web.Response) -> web.Response:
    """The method's response to Kinesis' answer, by the integration response for its status."""
    status, response = chosen_response(call.integration, answer.status) or (0, {})
    if str(status) not in (call.method.get("methodResponses") or {}):
        reason = f"Output mapping refers to an invalid method response: {status}"
        reason = reason if status else f"No match for output mapping and no default: status {answer.status}"
        raise GatewayError("API_CONFIGURATION_ERROR", reason)
    templates = response.get("responseTemplates") or {}
    wanted = [call.request.headers.get("Accept"), JSON, *templates]
    kind = next((name for name in wanted if name in templates), JSON)
    text = answer.text or ""
    if templates.get(kind):
        text = mapping_template.render(templates[kind], text, *_variables(call))
    headers = {"Content-Type": kind}
    for target, source in (response.get("responseParameters") or {}).items():
        value = source[1:-1] if source[0] == "'" else answer.headers.get(source.rpartition(".")[2])
        headers |= {target.removeprefix("method.response.header."): value} if value is not None else {}
    return web.Response(status=status, headers=headers, body=text.encode(errors="replace"))
