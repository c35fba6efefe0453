"""Stand-in for API Gateway: executes deployed REST APIs, answers VPC links V2, passes other calls on.

boto3's `apigateway` is answered by the AWS emulator, which keeps definitions; here a deployment freezes them.
Stages are called at `http://127.0.0.1:<port>/{api_id}/{stage}/{path}`.
"""

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import aiohttp
import botocore.session
from aiohttp import web
from botocore.awsrequest import AWSRequest
from yarl import URL

from local_cloud.stand_ins.api_gateway.definitions import Definitions
from local_cloud.stand_ins.api_gateway.integrations.http_proxy import HOP_BY_HOP, LARGEST_PAYLOAD
from local_cloud.stand_ins.api_gateway.stages import Stages
from local_cloud.stand_ins.aws.pass_on import sign
from local_cloud.stand_ins.http import AwsError, host_guard, serve
from local_cloud.stand_ins.signature import Keys, signer
from local_cloud.state import State

# First segments of boto3's `apigateway` calls; no API id looks like one of them.
CONTROL = {"account", "apikeys", "clientcertificates", "domainnames", "restapis", "sdktypes", "tags"}
CONTROL |= {"usageplans", "vpclinks", "domainnameaccessassociations", "rejectdomainnameaccessassociations"}
DEPLOYMENTS = re.compile(r"/restapis/([^/]+)/deployments(?:/([^/]+))?")
INTEGRATION = re.compile(r"/restapis/([^/]+)/resources/([^/]+)/methods/([^/]+)/integration")
METHOD = re.compile(r"/restapis/([^/]+)/resources/([^/]+)/methods/([^/]+)(?:/responses/(\d+))?")
RESOURCES = re.compile(r"/restapis/([^/]+)/resources(?:/([^/]+)(?:/methods/([^/]+)(/integration)?)?)?")


class ControlPlane:
    """Answers boto3's `apigateway` and the VPC links of `apigatewayv2`."""

    def __init__(self, state: State, definitions: Definitions, session: aiohttp.ClientSession) -> None:
        self.state, self.definitions, self.session = state, definitions, session
        self.keys = Keys(state.path("iam", "keys.properties"))
        self.emulator = f"127.0.0.1:{state.port('aws')}"
        self.lock = asyncio.Lock()
        model = botocore.session.get_session().get_service_model("apigatewayv2")
        self.operations = {name: model.operation_model(name).http for name in model.operation_names}

    async def answer(self, request: web.Request) -> web.Response:
        """Check the signature, then answer or pass on; changes one at a time."""
        try:
            _, body = await signer(request, self.keys, "apigateway")
            if request.path.startswith("/v2/"):
                return self._vpc_links(request, body)
            if request.method == "GET":
                return await self._pass_on(request, body)
            async with self.lock:
                return await self._change(request, body)
        except AwsError as error:
            return error.response("rest-json")

    async def _change(self, request: web.Request, body: bytes) -> web.Response:
        deployment = DEPLOYMENTS.fullmatch(request.path)
        snapshot = None
        self._refuse_stage_options(body)
        integration = INTEGRATION.fullmatch(request.path)
        if integration and request.method in ("PUT", "PATCH"):
            known, (api, resource, method) = self.definitions, integration.groups()
            change = known.check_integration if request.method == "PUT" else known.without_pointers
            body = await asyncio.to_thread(change, api, resource, method, body)
        put = METHOD.fullmatch(request.path) if request.method == "PUT" else None
        if put:
            await asyncio.to_thread(self.definitions.check_new, *put.groups())
        if deployment and request.method == "POST":
            try:
                snapshot = await asyncio.to_thread(self.definitions.read, deployment[1])
            except self.definitions.client.exceptions.NotFoundException:
                raise AwsError("NotFoundException", "Invalid API identifier specified", 404) from None
            self.definitions.check(snapshot)
        try:
            answer = await self._pass_on(request, body)
        finally:
            self.definitions.forget()
        if answer.status < 300:
            if snapshot is not None and deployment and isinstance(answer.body, bytes):
                self.definitions.keep(deployment[1], json.loads(answer.body)["id"], snapshot)
            self._follow_deletion(request)
        return answer

    def _refuse_stage_options(self, body: bytes) -> None:
        for option in (b"canarySettings", b"/cacheClusterEnabled", b'"cacheClusterEnabled": true'):
            if option in body:
                name = option.decode().strip("/").split(":")[0].strip('"')
                raise AwsError("BadRequestException", f"The local gateway does not do {name}")

    def _follow_deletion(self, request: web.Request) -> None:
        if request.method != "DELETE":
            return
        parts = request.path.strip("/").split("/")
        if parts[0] == "restapis" and len(parts) == 2:
            self.definitions.remove(parts[1])
            self.definitions.drop_extras(parts[1])
        deployment = DEPLOYMENTS.fullmatch(request.path)
        if deployment and deployment[2]:
            self.definitions.remove(deployment[1], deployment[2])
        resource = RESOURCES.fullmatch(request.path)
        if resource and resource[2]:
            self.definitions.drop_extras("/".join(part for part in resource.groups()[:3] if part))

    async def _pass_on(self, request: web.Request, body: bytes) -> web.Response:
        """The emulator's answer, with the integration fields put back that it drops."""
        own = HOP_BY_HOP | {"host", "content-length", "authorization", "x-amz-date"}
        headers = {name: value for name, value in request.headers.items() if name.lower() not in own}
        address = f"http://{self.emulator}{request.raw_path}"
        passed = AWSRequest(method=request.method, url=address, headers=headers, data=body)
        headers = dict(sign(self.state, "apigateway", passed).headers.items())
        url = URL(address, encoded=True)
        try:
            async with self.session.request(
                request.method, url, headers=headers, data=body or None
            ) as answer:
                content, status, back = await answer.read(), answer.status, answer.headers
        except (aiohttp.ClientError, TimeoutError) as error:
            raise AwsError(
                "ServiceUnavailableException", f"the AWS emulator does not answer: {error}", 503
            ) from None
        if status < 300:
            content = self._complete(request, body, content)
        drop = HOP_BY_HOP | {"content-length", "date", "server"}
        kept = [(name, value) for name, value in back.items() if name.lower() not in drop]
        return web.Response(status=status, body=content, headers=dict(kept))

    def _complete(self, request: web.Request, body: bytes, content: bytes) -> bytes:
        changed = INTEGRATION.fullmatch(request.path)
        if changed and request.method == "PUT":
            self.definitions.keep_extras("/".join(changed.groups()), json.loads(body), replace=True)
        if changed and request.method == "PATCH":
            operations = json.loads(body).get("patchOperations", [])
            given = {one["path"].strip("/"): one.get("value") for one in operations}
            self.definitions.keep_extras("/".join(changed.groups()), given, replace=False)
        found = RESOURCES.fullmatch(request.path)
        if not found or not content:
            return content
        api, resource, method, integration = found.groups()
        document = json.loads(content)
        if integration:
            document |= self.definitions.extras.get(f"{api}/{resource}/{method}", {})
        elif method:
            self.definitions.complete(api, resource, {"resourceMethods": {method: document}})
        else:
            listed = [document] if resource else document.get("item", [])
            for one in [listed] if isinstance(listed, dict) else listed:
                self.definitions.complete(api, one["id"], one)
        return json.dumps(document).encode()

    def _vpc_links(self, request: web.Request, body: bytes) -> web.Response:
        links, call = self.definitions.links, request.method
        link_id = request.path.removeprefix("/v2/vpclinks").strip("/")
        if not request.path.startswith("/v2/vpclinks") or call not in ("POST", "GET", "DELETE"):
            raise AwsError(
                "NotImplementedException", f"apigatewayv2 {self._operation(request)}: {V2_DOES}", 501
            )
        if call == "POST":
            given = json.loads(body)
            if not given.get("name") or not given.get("subnetIds"):
                raise AwsError("BadRequestException", "A VPC link needs a name and subnets")
            link = {key: given.get(key) or default for key, default in LINK.items()}
            link |= {
                "vpcLinkId": uuid4().hex[:10],
                "createdDate": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            links[link["vpcLinkId"]] = link
            self.definitions.save_links()
            return web.json_response({**link, "vpcLinkStatus": "PENDING", "vpcLinkVersion": "V2"}, status=201)
        if call == "GET" and not link_id:
            return web.json_response({"items": [_described(link) for link in links.values()]})
        if link_id not in links:
            raise AwsError("NotFoundException", f"Unable to find Vpc link by id {link_id}", 404)
        if call == "GET":
            return web.json_response(_described(links[link_id]))
        del links[link_id]
        self.definitions.save_links()
        return web.json_response({}, status=202)

    def _operation(self, request: web.Request) -> str:
        for name, call in self.operations.items():
            pattern = re.sub(r"\{[^}]+\}", "[^/]+", str(call["requestUri"]).split("?")[0])
            if call["method"] == request.method and re.fullmatch(pattern, request.path):
                return name
        return f"{request.method} {request.path}"


V2_DOES = "the local gateway does CreateVpcLink, GetVpcLink, GetVpcLinks and DeleteVpcLink"
LINK: dict[str, Any] = {"name": "", "subnetIds": [], "securityGroupIds": [], "tags": {}}


def _described(link: dict[str, Any]) -> dict[str, Any]:
    return {**link, "vpcLinkStatus": "AVAILABLE", "vpcLinkVersion": "V2"}


def application(state: State) -> web.Application:
    """The whole stand-in on the state's `gateway` port."""
    app = web.Application(
        middlewares=[host_guard(state.port("gateway"))],
        client_max_size=LARGEST_PAYLOAD,
    )

    async def run(app: web.Application) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
            definitions = Definitions(state)
            planes.extend([ControlPlane(state, definitions, session), Stages(definitions, session)])
            yield

    planes: list[Any] = []

    async def route(request: web.Request) -> web.Response:
        first = request.path.lstrip("/").split("/", 1)[0]
        answer: web.Response
        if first in CONTROL or first == "v2":
            answer = await planes[0].answer(request)
        else:
            answer = await planes[1].execute(request)
        return answer

    app.cleanup_ctx.append(run)
    app.router.add_route("*", "/{path:.*}", route)
    return app


def main() -> None:
    """Serve until SIGTERM. Bodies are passed on as they came, so nothing is decompressed here."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    state = State()
    serve(application(state), state.port("gateway"), auto_decompress=False)


if __name__ == "__main__":
    main()
