"""The API Gateway stand-in against the service's published behaviour, through boto3 and plain HTTP."""

import base64
import http.client
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import ThreadingHTTPServer
from typing import Any

import pytest
from botocore.config import Config

from local_cloud.state import free_port
from tests.gateway_servers import Cloud, EchoOnce, key_for, refused, running


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running(tmp_path_factory.mktemp("gateway")) as made:
        yield made


def test_path_query_body_and_headers_reach_the_backend_unchanged(cloud):
    stage = cloud.deploy(cloud.new_api(f"{cloud.backend_url}/{{proxy}}"))
    body = bytes(range(256)) + "naïve 📌".encode()
    path = "/topics/a%2Fb/caf%C3%A9%20x;y?q=1&q=2&empty=&%C3%BC=%26"
    status, headers, got = cloud.call(
        "POST", stage + path, body, {"X-Twice": "one, two", "Content-Type": "a/b"}
    )
    assert (status, got["method"], got["path"]) == (200, "POST", path)
    assert base64.b64decode(got["body"]) == body
    sent = {name.lower(): value for name, value in got["headers"]}
    assert sent["x-twice"] == "one, two" and sent["content-type"] == "a/b"
    assert headers.get_all("Set-Cookie") == ["a=1", "b=2"] and headers["X-Mine"] == "kept"
    assert headers["x-amzn-Remapped-WWW-Authenticate"] == "Basic" and headers["WWW-Authenticate"] is None


def test_a_compressed_body_is_not_touched(cloud):
    stage = cloud.deploy(cloud.new_api(f"{cloud.backend_url}/{{proxy}}"))
    _, _, got = cloud.call("POST", f"{stage}/x", b"\x1f\x8bnot really gzip", {"Content-Encoding": "gzip"})
    assert base64.b64decode(got["body"]) == b"\x1f\x8bnot really gzip"


@pytest.mark.parametrize("status", [201, 301, 404, 422, 500])
def test_the_backends_status_passes_through(cloud, status):
    stage = cloud.deploy(cloud.new_api(f"{cloud.backend_url}/{{proxy}}"))
    assert cloud.call("GET", f"{stage}/status/{status}")[0] == status


def test_parameters_are_mapped(cloud):
    api = cloud.new_api(
        f"{cloud.backend_url}/base/{{proxy}}",
        requestParameters={
            "integration.request.path.proxy": "method.request.path.proxy",
            "integration.request.querystring.wanted": "method.request.querystring.q",
            "integration.request.header.X-Out": "method.request.header.X-In",
            "integration.request.header.X-Fixed": "'always'",
        },
    )
    _, _, got = cloud.call("GET", f"{cloud.deploy(api)}/a/b?q=x%20y", headers={"X-In": "in"})
    sent = {name.lower(): value for name, value in got["headers"]}
    assert got["path"] == "/base/a/b?q=x%20y&wanted=x%20y"
    assert sent["x-out"] == "in" and sent["x-fixed"] == "always"


def test_a_mapping_the_method_does_not_declare_is_refused_when_it_is_put(cloud):
    mapping = {"integration.request.path.proxy": "method.request.path.other"}
    code, message = refused(
        lambda: cloud.new_api(f"{cloud.backend_url}/{{proxy}}", requestParameters=mapping)
    )
    assert code == "BadRequestException" and "method.request.path.other" in message


def test_a_mapping_patched_in_later_is_refused_at_deployment(cloud):
    api = cloud.new_api(f"{cloud.backend_url}/{{proxy}}")
    resource = cloud.proxy_resource(api)
    path = "/requestParameters/integration.request.header.X-Id"
    cloud.api.update_integration(
        restApiId=api,
        resourceId=resource,
        httpMethod="ANY",
        patchOperations=[{"op": "add", "path": path, "value": "context.requestId"}],
    )
    assert "context.requestId" in refused(lambda: cloud.deploy(api))[1]


def test_an_integration_needs_its_http_method(cloud):
    code, message = refused(lambda: cloud.new_api(cloud.backend_url, integrationHttpMethod=""))
    assert (code, message) == ("BadRequestException", "Enumeration value for HttpMethod must be non-empty")


def test_a_method_and_a_response_are_put_once_and_changed_by_a_patch(cloud):
    api = cloud.new_api(f"{cloud.backend_url}/{{proxy}}", key=True)
    where = {"restApiId": api, "resourceId": cloud.proxy_resource(api), "httpMethod": "ANY"}
    again = refused(lambda: cloud.api.put_method(**where, authorizationType="NONE", apiKeyRequired=False))
    assert again == ("ConflictException", "Method already exists for this resource")
    cloud.api.put_method_response(**where, statusCode="200")
    again = refused(lambda: cloud.api.put_method_response(**where, statusCode="200"))
    assert again == ("ConflictException", "Response already exists for this resource")
    cloud.api.put_method_response(**where, statusCode="404")
    assert cloud.api.get_method(**where)["apiKeyRequired"] is True


def test_a_placeholder_without_a_mapping_is_an_internal_error(cloud):
    stage = cloud.deploy(cloud.new_api(f"{cloud.backend_url}/{{proxy}}", requestParameters={}))
    status, headers, got = cloud.call("GET", f"{stage}/x")
    assert (status, got) == (500, {"message": "Internal server error"})
    assert "{proxy}" in headers["x-local-cloud-reason"]


@pytest.mark.parametrize("given", [None, "wrong", "other API's"])
def test_a_method_with_api_key_refuses_without_the_right_key(cloud, given):
    api = cloud.new_api(f"{cloud.backend_url}/{{proxy}}", key=True)
    stage, right = cloud.deploy(api), key_for(cloud, api)
    assert cloud.call("GET", f"{stage}/x", headers={"x-api-key": right})[0] == 200
    if given == "other API's":
        given = key_for(cloud, cloud.new_api(f"{cloud.backend_url}/{{proxy}}"))
    status, headers, got = cloud.call("GET", f"{stage}/x", headers={"x-api-key": given} if given else {})
    assert (status, got) == (403, {"message": "Forbidden"})
    assert headers["x-amzn-ErrorType"] == "ForbiddenException"


def test_a_deleted_key_stops_at_once(cloud):
    api = cloud.new_api(f"{cloud.backend_url}/{{proxy}}", key=True)
    stage, key = cloud.deploy(api), key_for(cloud, api)
    assert cloud.call("GET", f"{stage}/x", headers={"x-api-key": key})[0] == 200
    found = [k["id"] for k in cloud.api.get_api_keys(includeValues=True)["items"] if k["value"] == key]
    cloud.api.delete_api_key(apiKey=found[0])
    assert cloud.call("GET", f"{stage}/x", headers={"x-api-key": key})[0] == 403


def test_a_burst_over_the_plans_limit_gets_429_and_recovers(cloud):
    api = cloud.new_api(f"{cloud.backend_url}/{{proxy}}", key=True)
    stage = cloud.deploy(api)
    key = key_for(cloud, api, throttle={"rateLimit": 20.0, "burstLimit": 5})
    with ThreadPoolExecutor(10) as pool:
        answers = list(
            pool.map(lambda _: cloud.call("GET", f"{stage}/x", headers={"x-api-key": key}), range(40))
        )
    refusals = [answer for answer in answers if answer[0] == 429]
    assert refusals and len(refusals) < 40
    assert refusals[0][2] == {"message": "Too Many Requests"}
    assert refusals[0][1]["x-amzn-ErrorType"] == "TooManyRequestsException"
    time.sleep(0.3)
    assert cloud.call("GET", f"{stage}/x", headers={"x-api-key": key})[0] == 200


def test_a_used_up_quota_is_told(cloud):
    api = cloud.new_api(f"{cloud.backend_url}/{{proxy}}", key=True)
    stage, key = cloud.deploy(api), key_for(cloud, api, quota={"limit": 2, "period": "DAY"})
    answers = [cloud.call("GET", f"{stage}/x", headers={"x-api-key": key}) for _ in range(3)]
    assert [answer[0] for answer in answers] == [200, 200, 429]
    assert answers[2][2] == {"message": "Limit Exceeded"}


def test_a_stages_method_settings_throttle_without_a_key(cloud):
    api = cloud.new_api(f"{cloud.backend_url}/{{proxy}}")
    stage = cloud.deploy(api)
    cloud.api.update_stage(
        restApiId=api,
        stageName="test",
        patchOperations=[
            {"op": "replace", "path": "/*/*/throttling/rateLimit", "value": "1"},
            {"op": "replace", "path": "/*/*/throttling/burstLimit", "value": "1"},
        ],
    )
    assert [cloud.call("GET", f"{stage}/x")[0] for _ in range(2)] == [200, 429]


@pytest.mark.parametrize("path", ["/nothing/test/x", "/{api}/unknown/x", "/{api}", "/"])
def test_an_unknown_api_or_stage_is_forbidden(cloud, path):
    api = cloud.new_api(f"{cloud.backend_url}/{{proxy}}")
    cloud.deploy(api)
    status, _, got = cloud.call("GET", path.format(api=api))
    assert (status, got) == (403, {"message": "Forbidden"})


def test_an_unknown_resource_or_method_misses_a_token_as_on_aws(cloud):
    stage = cloud.deploy(cloud.new_api(f"{cloud.backend_url}/{{proxy}}", method="GET"))
    for method, path in (("POST", "/x"), ("GET", "/")):
        status, headers, got = cloud.call(method, stage + path)
        assert (status, got) == (403, {"message": "Missing Authentication Token"})
        assert headers["x-amzn-ErrorType"] == "MissingAuthenticationTokenException"


def test_a_change_shows_only_after_a_deployment_and_an_old_one_can_be_served_again(cloud):
    api = cloud.new_api(f"{cloud.backend_url}/old/{{proxy}}")
    stage = cloud.deploy(api)
    first = cloud.api.get_stage(restApiId=api, stageName="test")["deploymentId"]
    resource = cloud.proxy_resource(api)
    cloud.api.update_integration(
        restApiId=api,
        resourceId=resource,
        httpMethod="ANY",
        patchOperations=[{"op": "replace", "path": "/uri", "value": f"{cloud.backend_url}/new/{{proxy}}"}],
    )
    assert cloud.call("GET", f"{stage}/x")[2]["path"] == "/old/x"
    cloud.deploy(api)
    assert cloud.call("GET", f"{stage}/x")[2]["path"] == "/new/x"
    cloud.api.update_stage(
        restApiId=api,
        stageName="test",
        patchOperations=[{"op": "replace", "path": "/deploymentId", "value": first}],
    )
    assert cloud.call("GET", f"{stage}/x")[2]["path"] == "/old/x"
    cloud.api.delete_stage(restApiId=api, stageName="test")
    assert cloud.call("GET", f"{stage}/x")[0] == 403


def test_a_deleted_api_is_forbidden_and_leaves_no_snapshot(cloud):
    api = cloud.new_api(f"{cloud.backend_url}/{{proxy}}")
    stage = cloud.deploy(api)
    assert list(cloud.state.path("gateway").glob(f"{api}.*"))
    cloud.api.delete_rest_api(restApiId=api)
    assert cloud.call("GET", f"{stage}/x")[0] == 403
    assert not list(cloud.state.path("gateway").glob(f"{api}.*"))


def test_snapshots_links_and_integration_fields_survive_a_restart(cloud):
    v2 = cloud.client("apigatewayv2")
    link = v2.create_vpc_link(Name="kept", SubnetIds=["subnet-1"])["VpcLinkId"]
    api = cloud.new_api(f"{cloud.backend_url}/{{proxy}}")
    stage = cloud.deploy(api)
    resource = cloud.proxy_resource(api)
    where = {"restApiId": api, "resourceId": resource, "httpMethod": "ANY"}
    balancer = "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/app/x/1"
    cloud.api.put_integration(
        **where,
        type="HTTP_PROXY",
        integrationHttpMethod="ANY",
        uri="http://changed/{proxy}",
        connectionType="VPC_LINK",
        connectionId=link,
        integrationTarget=balancer,
    )
    cloud.gateway.stop()
    assert cloud.gateway.process.returncode == 0
    cloud.gateway.start()
    assert cloud.call("GET", f"{stage}/x")[2]["path"] == "/x"
    assert v2.get_vpc_link(VpcLinkId=link)["Name"] == "kept"
    got = cloud.api.get_integration(**where)
    assert (got["connectionId"], got["integrationTarget"]) == (link, balancer)
    inside = cloud.api.get_method(**where)["methodIntegration"]
    listed = cloud.api.get_resources(restApiId=api, embed=["methods"])["items"]
    listed = [m["methodIntegration"] for r in listed for m in (r.get("resourceMethods") or {}).values()]
    assert [i.get("integrationTarget") for i in (inside, *listed)] == [balancer, balancer]


def test_a_dead_backend_is_504_and_a_slow_one_times_out(cloud):
    dead = cloud.deploy(cloud.new_api(f"http://127.0.0.1:{free_port(set())}/{{proxy}}"))
    status, headers, got = cloud.call("GET", f"{dead}/x")
    assert (status, got) == (504, {"message": "Network error communicating with endpoint"})
    assert headers["x-amzn-ErrorType"] == "InternalServerErrorException"
    slow = cloud.deploy(cloud.new_api(f"{cloud.backend_url}/{{proxy}}", timeoutInMillis=300))
    started = time.monotonic()
    status, _, got = cloud.call("GET", f"{slow}/slow")
    assert (status, got) == (504, {"message": "Endpoint request timed out"})
    assert time.monotonic() - started < 0.9


def test_ten_megabytes_pass_and_more_is_refused(cloud):
    stage = cloud.deploy(cloud.new_api(f"{cloud.backend_url}/status/200?{{proxy}}"))
    limit = 10 * 1024 * 1024
    connection = http.client.HTTPConnection("127.0.0.1", cloud.state.port("gateway"), timeout=30)
    connection.request("POST", f"{stage}/x", b"x" * (limit - 100))
    assert json.loads(connection.getresponse().read())["length"] == limit - 100
    connection.close()
    connection = http.client.HTTPConnection("127.0.0.1", cloud.state.port("gateway"), timeout=30)
    connection.putrequest("POST", f"{stage}/x")
    connection.putheader("Content-Length", str(limit + 1))
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())) == (413, {"message": "Request Too Long"})
    connection.close()


def test_a_mock_answers_the_cors_preflight(cloud):
    api = cloud.new_api(f"{cloud.backend_url}/{{proxy}}")
    resource = cloud.proxy_resource(api)
    where = {"restApiId": api, "resourceId": resource, "httpMethod": "OPTIONS"}
    header = "method.response.header.Access-Control-Allow-Origin"
    cloud.api.put_method(**where, authorizationType="NONE")
    cloud.api.put_integration(
        **where, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'}
    )
    cloud.api.put_method_response(**where, statusCode="200", responseParameters={header: True})
    cloud.api.put_integration_response(
        **where, statusCode="200", responseParameters={header: "'https://example.com'"}
    )
    stage = cloud.deploy(api)
    status, headers, _ = cloud.call("OPTIONS", f"{stage}/x")
    assert (status, headers["Access-Control-Allow-Origin"]) == (200, "https://example.com")
    assert cloud.call("GET", f"{stage}/x")[2]["path"] == "/x"


@pytest.mark.parametrize("kind", ["AWS_PROXY", "HTTP"])
def test_an_integration_it_cannot_execute_is_refused_at_deployment_by_name(cloud, kind):
    api = cloud.new_api(cloud.backend_url, type=kind)
    code, message = refused(lambda: cloud.deploy(api))
    assert (
        code == "BadRequestException"
        and f"integration type {kind} " in message
        and "ANY /{proxy+}" in message
    )
    assert cloud.api.get_stages(restApiId=api)["item"] == []


def test_an_authorizer_is_refused_at_deployment(cloud):
    api = cloud.new_api(f"{cloud.backend_url}/{{proxy}}")
    root = next(r for r in cloud.api.get_resources(restApiId=api)["items"] if r["path"] == "/")["id"]
    cloud.api.put_method(restApiId=api, resourceId=root, httpMethod="GET", authorizationType="AWS_IAM")
    code, message = refused(lambda: cloud.deploy(api))
    assert (code, message) == ("BadRequestException", "No integration defined for method")
    cloud.api.put_integration(
        restApiId=api,
        resourceId=root,
        httpMethod="GET",
        type="HTTP_PROXY",
        integrationHttpMethod="GET",
        uri=cloud.backend_url,
    )
    assert "AWS_IAM" in refused(lambda: cloud.deploy(api))[1]


def test_an_empty_api_cannot_be_deployed(cloud):
    api = cloud.api.create_rest_api(name="empty")["id"]
    assert refused(lambda: cloud.deploy(api)) == (
        "BadRequestException",
        "The REST API doesn't contain any methods",
    )


def test_vpc_links_are_created_listed_and_deleted(cloud):
    v2 = cloud.client("apigatewayv2")
    made = v2.create_vpc_link(Name="link", SubnetIds=["subnet-1"], SecurityGroupIds=["sg-1"], Tags={"a": "b"})
    got = v2.get_vpc_link(VpcLinkId=made["VpcLinkId"])
    assert (made["VpcLinkStatus"], got["VpcLinkStatus"], got["VpcLinkVersion"]) == (
        "PENDING",
        "AVAILABLE",
        "V2",
    )
    assert (got["Name"], got["SubnetIds"], got["Tags"]) == ("link", ["subnet-1"], {"a": "b"})
    assert got["CreatedDate"].tzinfo is not None
    assert made["VpcLinkId"] in [link["VpcLinkId"] for link in v2.get_vpc_links()["Items"]]
    v2.delete_vpc_link(VpcLinkId=made["VpcLinkId"])
    assert refused(lambda: v2.get_vpc_link(VpcLinkId=made["VpcLinkId"]))[0] == "NotFoundException"


def test_other_v2_operations_are_refused_by_name(cloud):
    v2 = cloud.client("apigatewayv2")
    code, message = refused(lambda: v2.create_api(Name="x", ProtocolType="HTTP"))
    assert code == "NotImplementedException" and "CreateApi" in message
    assert "GetModels" in refused(lambda: v2.get_models(ApiId="x"))[1]


def behind_link(cloud: Cloud, kind: str, target_port: int = 8082) -> tuple[str, Any]:
    """A deployed stage whose integration goes through a VPC link to a load balancer."""
    ec2, elb = cloud.client("ec2", "aws"), cloud.client("elbv2", "aws")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24")["Subnet"]["SubnetId"] for n in range(2)
    ]
    link = cloud.client("apigatewayv2").create_vpc_link(Name="l", SubnetIds=subnets)["VpcLinkId"]
    name = f"lb-{time.monotonic_ns() % 10**9}"
    balancer = elb.create_load_balancer(Name=name, Subnets=subnets, Scheme="internal", Type=kind)
    balancer = balancer["LoadBalancers"][0]["LoadBalancerArn"]
    protocol = "HTTP" if kind == "application" else "TCP"
    group = elb.create_target_group(Name=name, Protocol=protocol, Port=8082, VpcId=vpc, TargetType="instance")
    group = group["TargetGroups"][0]["TargetGroupArn"]
    elb.register_targets(TargetGroupArn=group, Targets=[{"Id": "i-0123456789abcdef0", "Port": target_port}])
    elb.create_listener(
        LoadBalancerArn=balancer,
        Protocol=protocol,
        Port=80,
        DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
    )
    api = cloud.new_api(
        "http://internal.example/{proxy}",
        connectionType="VPC_LINK",
        connectionId=link,
        integrationTarget=balancer,
    )
    return cloud.deploy(api), link


def test_a_vpc_link_leads_to_the_load_balancers_target(cloud):
    stage, link = behind_link(cloud, "network")
    status, _, got = cloud.call("GET", f"{stage}/x")  # nothing listens on the proxy's port yet
    assert (status, got) == (504, {"message": "Network error communicating with endpoint"})
    proxy = ThreadingHTTPServer(("127.0.0.1", cloud.state.port("rest_proxy")), EchoOnce)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        status, _, got = cloud.call("POST", f"{stage}/topics/t?x=1", b"[]")
        assert (status, got["path"]) == (200, "/topics/t?x=1")
        assert dict(got["headers"])["Host"] == f"127.0.0.1:{cloud.state.port('rest_proxy')}"
        cloud.client("apigatewayv2").delete_vpc_link(VpcLinkId=link)
        assert cloud.call("GET", f"{stage}/x")[0] == 504
    finally:
        proxy.shutdown()
        proxy.server_close()


def test_an_application_load_balancer_answers_for_its_dead_target(cloud):
    stage, _ = behind_link(cloud, "application")
    status, headers, got = cloud.call("GET", f"{stage}/x")
    assert status == 502 and b"502 Bad Gateway" in got and headers["Content-Type"].startswith("text/html")


def test_a_target_that_is_no_local_server_is_told(cloud):
    stage, _ = behind_link(cloud, "network", target_port=9999)
    status, headers, _ = cloud.call("GET", f"{stage}/x")
    assert status == 504 and "8082" in headers["x-local-cloud-reason"]


def test_a_vpc_link_that_does_not_exist_is_refused_at_deployment(cloud):
    balancer = "arn:aws:elasticloadbalancing:us-east-1:000000000000:loadbalancer/app/x/1"
    api = cloud.new_api(
        "http://x/{proxy}", connectionType="VPC_LINK", connectionId="nolink", integrationTarget=balancer
    )
    assert "nolink" in refused(lambda: cloud.deploy(api))[1]


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"aws_secret_access_key": "wrong"}, "InvalidSignatureException"),
        ({"aws_access_key_id": "AKIAUNKNOWN000000000"}, "UnrecognizedClientException"),
    ],
)
def test_a_wrong_signature_is_refused(cloud, keys, code):
    for service, call in (("apigateway", "get_rest_apis"), ("apigatewayv2", "get_vpc_links")):
        assert refused(getattr(cloud.client(service, **keys), call))[0] == code


def test_a_call_without_a_signature_is_refused(cloud):
    status, headers, _ = cloud.call("GET", "/restapis")
    assert (status, headers["x-amzn-ErrorType"]) == (403, "MissingAuthenticationTokenException")


def test_a_body_changed_after_signing_is_refused(cloud):
    signed: dict[str, Any] = {}
    client = cloud.client("apigateway")
    client.meta.events.register("before-send.*", lambda request, **_: signed.update(request=request))
    client.create_rest_api(name="signed")
    headers = {k: v if isinstance(v, str) else v.decode() for k, v in signed["request"].headers.items()}
    status, answered, _ = cloud.call(
        "POST", "/restapis", b'{"name": "changed"}', headers | {"Content-Length": "19"}
    )
    assert (status, answered["x-amzn-ErrorType"]) == (403, "InvalidSignatureException")


@pytest.mark.parametrize("path", ["/restapis", "/api/test/x"])
def test_a_foreign_host_is_refused(cloud, path):
    status, _, got = cloud.call("GET", path, headers={"Host": "evil.example"})
    assert status == 403 and "Host" in got["message"]


def test_an_emulator_that_is_away_is_told(cloud):
    cloud.aws.stop()
    try:
        code, message = refused(
            cloud.client("apigateway", config=Config(retries={"total_max_attempts": 1})).get_account
        )
        assert code == "ServiceUnavailableException" and "emulator" in message
    finally:
        cloud.aws.start()
