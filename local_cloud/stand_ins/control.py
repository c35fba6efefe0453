"""The control plane, one server: IAM, Run Command, MSK Connect and MWAA, for the reader's own key only."""

import asyncio
import json
import logging
import re
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote

import botocore.session
from aiohttp import web
from botocore.model import OperationModel, ServiceModel

from local_cloud import client_machine
from local_cloud.identity import READER
from local_cloud.stand_ins.aws.pass_on import pass_on
from local_cloud.stand_ins.http import AwsError, host_guard, serve
from local_cloud.stand_ins.iam import service as iam
from local_cloud.stand_ins.msk_connect.service import MskConnect
from local_cloud.stand_ins.mwaa.service import Mwaa
from local_cloud.stand_ins.signature import Keys, signer
from local_cloud.stand_ins.ssm import service as ssm
from local_cloud.state import State

LARGEST = 4 * 2**20  # bytes of a request
TARGET = "AmazonSSM."
SIGNED_AS = {"mwaa": "airflow"}  # where the scope of a signature names a service otherwise
REST = {
    "kafkaconnect": ("/v1/",),
    "mwaa": ("/environments", "/restapi/", "/webtoken/", "/clitoken/", "/tags/", "/metrics/"),
}


class Control:
    """The services behind one port."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.keys = Keys(state.path("iam", "keys.properties"))
        self.rights = iam.Rights(state)
        self.commands = ssm.RunCommand(state)
        self.connect, self.airflow = MskConnect(state), Mwaa(state)
        models = {name: botocore.session.get_session().get_service_model(name) for name in REST}
        self.rest = {name: rest_operations(model) for name, model in models.items()}

    async def answer(self, request: web.Request) -> web.Response:
        """One AWS call: whose signature, which service, then that service's own answer in a thread."""
        service, protocol = service_of(request)
        try:
            caller, body = await signer(request, self.keys, SIGNED_AS.get(service, service))
            if caller != READER:
                raise AwsError(
                    "AccessDeniedException", f"{caller} may not call {service}: only {READER} may", 403
                )
            answer: Callable[[web.Request, bytes], web.Response] = getattr(self, service)
            return await asyncio.to_thread(answer, request, body)
        except AwsError as refusal:
            return refusal.response(protocol)
        except (KeyError, TypeError, ValueError) as problem:
            logging.exception("%s: a call that could not be read", service)
            return AwsError("ValidationException", f"the call lacks or misuses {problem}").response(protocol)

    def iam(self, request: web.Request, body: bytes) -> web.Response:
        """Pass an IAM call on and let Kafka follow."""
        return iam.handle(self.state, self.rights, dict(request.headers), body)

    def ssm(self, request: web.Request, body: bytes) -> web.Response:
        """Run Command here, parameters from the emulator."""
        operation = request.headers["X-Amz-Target"].removeprefix(TARGET)
        if operation in ssm.PASSED_ON:
            return pass_on(self.state, "ssm", dict(request.headers), body)
        answer = self.commands.handle(operation, json.loads(body or b"{}"))
        return web.Response(body=json.dumps(answer).encode(), content_type="application/x-amz-json-1.1")

    def kafkaconnect(self, request: web.Request, body: bytes) -> web.Response:
        """One of MSK Connect's REST operations."""
        return web.json_response(self.connect.handle(*self.read_rest("kafkaconnect", request, body)))

    def mwaa(self, request: web.Request, body: bytes) -> web.Response:
        """One of MWAA's REST operations."""
        return web.json_response(self.airflow.handle(*self.read_rest("mwaa", request, body)))

    def read_rest(self, service: str, request: web.Request, body: bytes) -> tuple[str, dict[str, Any]]:
        """The operation of a REST call and its parameters, from path, query and body."""
        method, (path, _, query) = request.method, request.raw_path.partition("?")
        for operation, verb, pattern in self.rest[service]:
            found = pattern.fullmatch(path)
            if found and verb == method:
                asked: dict[str, Any] = {name: unquote(value) for name, value in found.groupdict().items()}
                asked |= read_query(operation, query) | json.loads(body or b"{}")
                return operation.name, asked
        raise AwsError("BadRequestException", f"the local cloud does not do {service} {method} {path}")

    async def run(self, app: web.Application) -> Any:
        """Keep Kafka's ACLs in line while the server runs; end running commands with it."""
        stop = threading.Event()
        watch = threading.Thread(target=self.rights.watch, args=(stop,), daemon=True)
        watch.start()
        threading.Thread(target=self.airflow.watch, daemon=True).start()
        # Whoever waits for this server may then count on the identities of roles made earlier.
        await asyncio.to_thread(self.rights.tried.wait, 10)
        yield
        stop.set()
        self.airflow.stop.set()
        self.commands.close()
        await asyncio.to_thread(watch.join, 5)


def service_of(request: web.Request) -> tuple[str, str]:
    """Which service a request is for, and the protocol of its errors."""
    if request.headers.get("X-Amz-Target", "").startswith(TARGET):
        return "ssm", "json-1.1"
    for service, paths in REST.items():
        if request.path.startswith(paths):
            return service, "rest-json"
    return "iam", "query"


def rest_operations(model: ServiceModel) -> list[tuple[OperationModel, str, re.Pattern[str]]]:
    """Every operation of a REST service, its method and the pattern of its path (ARNs percent-encoded)."""
    found = []
    for operation in (model.operation_model(name) for name in model.operation_names):
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", operation.http["requestUri"])
        found.append((operation, operation.http["method"], re.compile(pattern)))
    return found


def read_query(operation: OperationModel, query: str) -> dict[str, Any]:
    """The query string's parameters in the types of the service model."""
    given, found = parse_qs(query), dict[str, Any]()
    for name, shape in (operation.input_shape.members if operation.input_shape else {}).items():
        values = given.get(shape.serialization.get("name", name))
        if values and shape.serialization.get("location") == "querystring":
            one: Any = int(values[0]) if shape.type_name == "integer" else values[0]
            one = values[0] == "true" if shape.type_name == "boolean" else one
            found[name] = values if shape.type_name == "list" else one
    return found


def main() -> None:
    """Serve on the port `control` until SIGTERM."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    state = State()
    client_machine.make(state)
    control = Control(state)
    app = web.Application(middlewares=[host_guard(state.port("control"))], client_max_size=LARGEST)
    app.router.add_route("*", "/{path:.*}", control.answer)
    app.cleanup_ctx.append(control.run)
    serve(app, state.port("control"))


if __name__ == "__main__":
    main()
