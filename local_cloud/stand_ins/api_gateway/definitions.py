"""What the gateway knows: definitions read through boto3, a snapshot a deployment, VPC links, who may call.

The emulator keeps the definitions. Here is what it lacks: snapshots, VPC links V2, some integration fields.
"""

import json
import re
import time
from typing import Any

from local_cloud.parts import aws
from local_cloud.stand_ins.api_gateway.call import RESPONSES, unknown_mapping
from local_cloud.stand_ins.api_gateway.integrations import http_proxy, kinesis, mock
from local_cloud.stand_ins.api_gateway.integrations.http_proxy import Target
from local_cloud.stand_ins.http import AwsError
from local_cloud.state import State, write_private

DROPPED_FIELDS = ("connectionId", "integrationTarget", "tlsConfig", "responseTransferMode")  # by the emulator
LOCAL_PORTS = {8082: "rest_proxy"}  # port of a registered target -> the local part that listens there
TARGET_SECONDS = 5  # how long a load balancer's target is believed: elbv2 calls do not pass through here


class Definitions:
    """Definitions of one local cloud; the methods that read through boto3 block and run in a thread."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.client = aws.client(state, "apigateway")
        self.elb = aws.client(state, "elbv2")
        self.links: dict[str, dict[str, Any]] = self._load("vpc_links")
        self.extras: dict[str, dict[str, Any]] = self._load("integrations")
        self.snapshots: dict[str, dict[str, Any]] = {}
        self.changes = 0
        self.live_stages: dict[str, dict[str, Any]] = {}
        self.live_keys: dict[str, dict[str, Any]] | None = None
        self.targets: dict[tuple[str, int], tuple[float, Target]] = {}

    def _load(self, name: str) -> dict[str, Any]:
        file = self.state.path("gateway", f"{name}.json")
        found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
        return found

    def _save(self, name: str, content: object) -> None:
        write_private(self.state.path("gateway", f"{name}.json"), json.dumps(content, indent=1))

    def forget(self) -> None:
        """Read stages, keys and plans again: something was changed."""
        self.live_stages, self.live_keys = {}, None
        self.changes += 1

    # VPC links and the integration fields that the emulator drops

    def save_links(self) -> None:
        """Write the VPC links down."""
        self._save("vpc_links", self.links)

    def keep_extras(self, key: str, given: dict[str, Any], replace: bool) -> None:
        """Remember the dropped fields of the integration `api/resource/METHOD`."""
        old = {} if replace else self.extras.get(key, {})
        self.extras[key] = old | {name: given[name] for name in DROPPED_FIELDS if name in given}
        self._save("integrations", self.extras)

    def drop_extras(self, prefix: str) -> None:
        """Forget the fields of a deleted method, resource or API."""
        kept = {key: value for key, value in self.extras.items() if not (key + "/").startswith(prefix + "/")}
        if kept != self.extras:
            self.extras = kept
            self._save("integrations", kept)

    def complete(self, api_id: str, resource_id: str, resource: dict[str, Any]) -> None:
        """Put the dropped fields back into a resource's integrations."""
        for name, method in (resource.get("resourceMethods") or {}).items():
            if method.get("methodIntegration"):
                method["methodIntegration"] |= self.extras.get(f"{api_id}/{resource_id}/{name}", {})

    # Deployments

    def read(self, api_id: str) -> dict[str, Any]:
        """The definitions of an API as they are now."""
        api = self.client.get_rest_api(restApiId=api_id)
        resources: list[dict[str, Any]] = []
        for page in self.client.get_paginator("get_resources").paginate(restApiId=api_id, embed=["methods"]):
            resources += page["items"]
        for resource in resources:
            self.complete(api_id, resource["id"], resource)
        customised = self.client.get_gateway_responses(restApiId=api_id).get("items", [])
        return {
            "api": {
                key: api[key] for key in ("apiKeySource", "policy", "minimumCompressionSize") if key in api
            }
            | {"private": "PRIVATE" in api.get("endpointConfiguration", {}).get("types", [])},
            "resources": [
                {key: r[key] for key in ("path", "resourceMethods") if key in r} for r in resources
            ],
            "responses": {r["responseType"]: r for r in customised if not r.get("defaultResponse")},
        }

    def check_new(self, api_id: str, resource_id: str, method: str, status: str | None) -> None:
        """AwsError for a method, or its response, that is there: AWS refuses it, the emulator overwrites."""
        try:
            found = self.client.get_method(restApiId=api_id, resourceId=resource_id, httpMethod=method)
        except self.client.exceptions.NotFoundException:
            return
        if status is None:
            raise AwsError("ConflictException", "Method already exists for this resource", 409)
        if status in (found.get("methodResponses") or {}):
            raise AwsError("ConflictException", "Response already exists for this resource", 409)

    def check_integration(self, api_id: str, resource_id: str, method: str, body: bytes) -> bytes:
        """The body as it came; AwsError for what AWS refuses at PutIntegration and the emulator takes."""
        given = json.loads(body)
        if given.get("type") != "MOCK" and not given.get("httpMethod"):
            raise AwsError("BadRequestException", "Enumeration value for HttpMethod must be non-empty")
        if given.get("type") == "AWS" and not re.match(r"arn:aws:.+:(action|path)/", given.get("uri") or ""):
            raise AwsError("BadRequestException", "AWS ARN for integration must contain path or action")
        if given.get("type") == "AWS" and ":lambda:" not in given["uri"] and not given.get("credentials"):
            raise AwsError("BadRequestException", "Role ARN must be specified for AWS integrations")
        try:
            found = self.client.get_method(restApiId=api_id, resourceId=resource_id, httpMethod=method)
        except self.client.exceptions.NotFoundException:
            return body  # the emulator says so itself
        wrong = unknown_mapping({**found, "methodIntegration": given})
        if wrong:
            message = "Invalid mapping expression specified: Validation Result: warnings : [], errors : "
            message += f"[Invalid mapping expression parameter specified: {wrong}]"
            raise AwsError("BadRequestException", message)
        return body

    def without_pointers(self, api_id: str, resource_id: str, method: str, body: bytes) -> bytes:
        """The patch of an integration without `application~1json`, which the emulator takes for a name."""
        given = json.loads(body)
        where = {"restApiId": api_id, "resourceId": resource_id, "httpMethod": method}
        try:
            now = self.client.get_integration(**where) if b"~1" in body else {}
        except self.client.exceptions.NotFoundException:
            return body  # the emulator says so itself
        for operation in given.get("patchOperations", []):
            field, _, key = operation["path"].strip("/").partition("/")
            if "~1" in key:
                values = now.setdefault(field, {})
                values.pop(key := key.replace("~1", "/"), None)
                values |= {key: operation.get("value")} if operation["op"] != "remove" else {}
                operation |= {"op": "replace", "path": f"/{field}", "value": values}
        return json.dumps(given).encode()

    def check(self, snapshot: dict[str, Any]) -> None:
        """AwsError (BadRequestException) names the first thing that AWS or this stand-in would not deploy."""
        methods = [
            (r["path"], n, m)
            for r in snapshot["resources"]
            for n, m in (r.get("resourceMethods") or {}).items()
        ]
        if not methods:
            raise AwsError("BadRequestException", "The REST API doesn't contain any methods")
        if not all(method.get("methodIntegration") for *_, method in methods):
            raise AwsError("BadRequestException", "No integration defined for method")
        for path, name, method in methods:
            reason = self._cannot(method)
            if reason:
                raise AwsError(
                    "BadRequestException", f"The local gateway cannot execute {name} {path}: {reason}"
                )
        reason = _api_reason(snapshot)
        if reason:
            raise AwsError("BadRequestException", f"The local gateway cannot execute this API: {reason}")

    def _cannot(self, method: dict[str, Any]) -> str | None:
        if (method.get("authorizationType") or "NONE") != "NONE":
            return f"authorization {method['authorizationType']}"
        if method.get("requestValidatorId"):
            return "a request validator"
        mapping = unknown_mapping(method)
        if mapping:
            return f"the mapping {mapping} (only method.request values that the method declares, and 'text')"
        kind = method["methodIntegration"]["type"]
        if kind == "HTTP_PROXY":
            return http_proxy.cannot(method, self.links)
        checks = {"MOCK": mock.cannot, "AWS": kinesis.cannot}
        if kind not in checks:
            return f"the integration type {kind} (it does HTTP_PROXY, MOCK and AWS with Kinesis)"
        return checks[kind](method)

    def keep(self, api_id: str, deployment_id: str, snapshot: dict[str, Any]) -> None:
        """Write down what this deployment serves from now on."""
        self.snapshots[f"{api_id}.{deployment_id}"] = snapshot
        self._save(f"{api_id}.{deployment_id}", snapshot)

    def remove(self, api_id: str, deployment_id: str = "*") -> None:
        """Remove the snapshots of a deleted API or deployment."""
        for file in self.state.path("gateway").glob(f"{api_id}.{deployment_id}.json"):
            file.unlink()
            self.snapshots.pop(file.stem, None)

    def deployed(self, api_id: str, stage: dict[str, Any]) -> dict[str, Any] | None:
        """The snapshot that a stage serves."""
        name = f"{api_id}.{stage.get('deploymentId')}"
        if name not in self.snapshots:
            self.snapshots[name] = self._load(name)
        return self.snapshots[name] or None

    # What is live, not part of a deployment

    def stages(self, api_id: str) -> dict[str, Any]:
        """Stage name -> stage; empty for an unknown API."""
        cache = self.live_stages  # a change during the call puts another in its place
        if api_id not in cache:
            try:
                found = self.client.get_stages(restApiId=api_id)["item"]
            except self.client.exceptions.NotFoundException:
                return {}
            cache[api_id] = {stage["stageName"]: stage for stage in found}
        return cache[api_id]

    def keys(self) -> dict[str, dict[str, Any]]:
        """Value of an enabled API key -> its id and its usage plans."""
        known, changes = self.live_keys, self.changes
        if known is None:
            keys: dict[str, dict[str, Any]] = {}
            for page in self.client.get_paginator("get_api_keys").paginate(includeValues=True):
                enabled = [key for key in page["items"] if key.get("enabled", True)]
                keys |= {key["id"]: {"id": key["id"], "value": key["value"], "plans": []} for key in enabled}
            for page in self.client.get_paginator("get_usage_plans").paginate():
                for plan in page["items"]:
                    members = self.client.get_paginator("get_usage_plan_keys").paginate(
                        usagePlanId=plan["id"]
                    )
                    for key in (key for found in members for key in found["items"]):
                        if key["id"] in keys:
                            keys[key["id"]]["plans"].append(plan)
            known = {key["value"]: key for key in keys.values()}
            if changes == self.changes:
                self.live_keys = known
        return known

    def target(self, link_id: str, balancer: str, port: int) -> Target:
        """The local server behind a load balancer's listener; LookupError says what lacks."""
        if link_id not in self.links:
            raise LookupError(f"the VPC link {link_id} is gone")
        known = self.targets.get((balancer, port))
        if known is None or time.monotonic() - known[0] > TARGET_SECONDS:
            known = time.monotonic(), self._find_target(balancer, port)
            self.targets[balancer, port] = known
        return known[1]

    def _find_target(self, balancer: str, port: int) -> Target:
        try:
            kind = self.elb.describe_load_balancers(LoadBalancerArns=[balancer])["LoadBalancers"][0]["Type"]
            listeners = self.elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"]
        except self.elb.exceptions.ClientError as error:
            raise LookupError(str(error)) from None
        for action in (
            a for one in listeners if one.get("Port") == port for a in one.get("DefaultActions", [])
        ):
            groups = [action, *(action.get("ForwardConfig") or {}).get("TargetGroups", [])]
            for arn in (group["TargetGroupArn"] for group in groups if group.get("TargetGroupArn")):
                health = self.elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
                for number in (one["Target"].get("Port") for one in health):
                    if number in LOCAL_PORTS:
                        local = self.state.port(LOCAL_PORTS[number])
                        return Target(f"127.0.0.1:{local}", kind == "application")
                raise LookupError(f"no target with port {', '.join(map(str, LOCAL_PORTS))} in {arn}")
        raise LookupError(f"no listener that forwards port {port} on {balancer}")


def _api_reason(snapshot: dict[str, Any]) -> str | None:
    api = snapshot["api"]
    unknown = {
        "API keys from an authorizer": api.get("apiKeySource") == "AUTHORIZER",
        "a resource policy": bool(api.get("policy")),
        "a PRIVATE endpoint": api["private"],
        "compression": api.get("minimumCompressionSize") is not None,
    }
    for reason in (name for name, used in unknown.items() if used):
        return reason
    for kind, response in snapshot["responses"].items():
        values = (response.get("responseParameters") or {}).values()
        templates = response.get("responseTemplates") or {}
        status = str(response.get("statusCode") or "")
        default = str(RESPONSES[kind][0]) if kind in RESPONSES else ""
        if not all(re.fullmatch(r"'[^']*'", value) for value in values) or status not in ("", default):
            return f"the gateway response {kind}, except for static headers"
        if any(text != '{"message":$context.error.messageString}' for text in templates.values()):
            return f"a template of the gateway response {kind}"
    return None
