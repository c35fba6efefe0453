"""The API Gateway stand-in before the AWS emulator, an HTTP backend, and what its contract tests share."""

import base64
import contextlib
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local_cloud.parts import aws, gateway
from tests.answer_shapes import insist
from tests.jvm_servers import Server, new_state


class Echo(BaseHTTPRequestHandler):
    """Answers with what it got; /slow waits, /status/N answers N."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/slow"):
            time.sleep(1)
        status = int(self.path.split("/")[2].split("?")[0]) if self.path.startswith("/status/") else 200
        got = {
            "method": self.command,
            "path": self.path,
            "headers": self.headers.items(),
            "body": base64.b64encode(body[:10_000]).decode(),
            "length": len(body),
        }
        content = json.dumps(got).encode()
        self.send_response(status)
        self.send_header("Set-Cookie", "a=1")
        self.send_header("Set-Cookie", "b=2")
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Mine", "kept")
        self.send_header("WWW-Authenticate", "Basic")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def log_message(self, *args: Any) -> None:
        """Stay quiet."""


class EchoOnce(Echo):
    """Closes each connection, so that nothing answers once its server is closed."""

    protocol_version = "HTTP/1.0"


class Cloud:
    """The emulator, the gateway before it, and a backend."""

    def __init__(self, folder: Path) -> None:
        self.state = new_state(folder)
        self.backend = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
        threading.Thread(target=self.backend.serve_forever, daemon=True).start()
        self.aws = Server(aws.part(self.state), self.state)
        self.gateway = Server(gateway.part(self.state), self.state)
        self.aws.start()
        self.gateway.start()
        self.api = self.client("apigateway")

    @property
    def backend_url(self) -> str:
        return f"http://127.0.0.1:{self.backend.server_address[1]}"

    def client(self, service: str, port: str = "gateway", **keys: Any) -> Any:
        default = {
            "aws_access_key_id": self.state.secret("reader_key_id"),
            "aws_secret_access_key": self.state.secret("reader_secret"),
        }
        url = f"http://127.0.0.1:{self.state.port(port)}"
        made = boto3.client(service, endpoint_url=url, region_name="us-east-1", **{**default, **keys})
        return insist(made) if service == "apigatewayv2" else made  # the others' answers are the emulator's

    def call(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, http.client.HTTPMessage, Any]:
        """Status, headers and JSON body of one call to a stage."""
        connection = http.client.HTTPConnection("127.0.0.1", self.state.port("gateway"), timeout=30)
        try:
            connection.request(method, path, body or None, headers or {})
            answer = connection.getresponse()
            content = answer.read()
            is_json = "json" in (answer.headers.get("Content-Type") or "json")
            return answer.status, answer.headers, json.loads(content) if content and is_json else content
        finally:
            connection.close()

    def new_api(self, uri: str, method: str = "ANY", key: bool = False, **more: Any) -> str:
        """An API whose `{proxy+}` goes on to `uri`; not deployed yet."""
        api = self.api.create_rest_api(name="test")["id"]
        root = self.api.get_resources(restApiId=api)["items"][0]["id"]
        made = self.api.create_resource(restApiId=api, parentId=root, pathPart="{proxy+}")["id"]
        where = {"restApiId": api, "resourceId": made, "httpMethod": method}
        self.api.put_method(
            **where,
            authorizationType="NONE",
            apiKeyRequired=key,
            requestParameters={
                "method.request.path.proxy": True,
                "method.request.querystring.q": False,
                "method.request.header.X-In": False,
            },
        )
        settings = {
            "type": "HTTP_PROXY",
            "integrationHttpMethod": "ANY",
            "uri": uri,
            "requestParameters": {"integration.request.path.proxy": "method.request.path.proxy"},
        }
        self.api.put_integration(**where, **(settings | more))
        return api

    def proxy_resource(self, api: str) -> str:
        listed = self.api.get_resources(restApiId=api)["items"]
        return next(resource["id"] for resource in listed if resource["path"] == "/{proxy+}")

    def deploy(self, api: str, stage: str = "test") -> str:
        self.api.create_deployment(restApiId=api, stageName=stage)
        return f"/{api}/{stage}"


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Cloud]:
    """The cloud of a test module."""
    made = Cloud(folder)
    try:
        yield made
    finally:
        made.gateway.stop()
        made.aws.stop()
        made.backend.shutdown()


def key_for(cloud: Cloud, api: str, **plan: Any) -> str:
    key = cloud.api.create_api_key(name="k", enabled=True)
    made = cloud.api.create_usage_plan(name="p", apiStages=[{"apiId": api, "stage": "test"}], **plan)
    cloud.api.create_usage_plan_key(usagePlanId=made["id"], keyId=key["id"], keyType="API_KEY")
    return cloud.api.get_api_key(apiKey=key["id"], includeValue=True)["value"]


def refused(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call()
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]
