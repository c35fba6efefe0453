"""Integrations with Kinesis: AWS's own proxy templates through the gateway, and what goes wrong."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from tests.control_servers import make_role
from tests.gateway_servers import Cloud, key_for, refused, running

URI = "arn:aws:apigateway:us-east-1:kinesis:action/"
STREAM = '{"StreamName": "$input.params(\'stream-name\')"}'
LIST = "{}"
CREATE = """{
    "ShardCount": #if($input.path('$.ShardCount') == '') 5 #else $input.path('$.ShardCount') #end,
    "StreamName": "$input.params('stream-name')"
}"""
PUT_RECORD = """{
    "StreamName": "$input.params('stream-name')",
    "Data": "$util.base64Encode($input.json('$.Data'))",
    "PartitionKey": "$input.path('$.PartitionKey')"
}"""
PUT_RECORDS = """{
    "StreamName": "$input.params('stream-name')",
    "Records": [
       #foreach($elem in $input.path('$.records'))
          {
            "Data": "$util.base64Encode($elem.data)",
            "PartitionKey": "$elem.partition-key"
          }#if($foreach.hasNext),#end
        #end
    ]
}"""
# Method, path, Kinesis action, template: the proxy of AWS's tutorial.
PROXY = [
    ("GET", "/streams", "ListStreams", LIST),
    ("GET", "/streams/{stream-name}", "DescribeStream", STREAM),
    ("POST", "/streams/{stream-name}", "CreateStream", CREATE),
    ("DELETE", "/streams/{stream-name}", "DeleteStream", STREAM),
    ("PUT", "/streams/{stream-name}/record", "PutRecord", PUT_RECORD),
    ("PUT", "/streams/{stream-name}/records", "PutRecords", PUT_RECORDS),
]
TRICKY = [
    "",
    "plain",
    'a "quoted" word',
    "it's",
    "back\\slash \\u0041",
    "two\nlines\r\n\ttab",
    "non\u00a0breaking",
    "📌 é \u2028",
    "$input.body #foreach #end ##",
    json.dumps({"index": 1, "title": "a \"b\" 'c'", "list": [1, None]}),
]


class Api:
    """One API of Kinesis integrations, made by boto3 as a lesson does."""

    def __init__(self, cloud: Cloud, role: str) -> None:
        self.cloud, self.role, self.api = cloud, role, cloud.api
        self.id = self.api.create_rest_api(name="kinesis")["id"]
        self.resources = {"/": self.api.get_resources(restApiId=self.id)["items"][0]["id"]}

    def where(self, method: str, path: str) -> dict[str, str]:
        """The method's place; the resources of its path are made where they are missing."""
        parent = "/"
        for part in path.strip("/").split("/"):
            inside = f"{parent.rstrip('/')}/{part}"
            if inside not in self.resources:
                made = self.api.create_resource(
                    restApiId=self.id, parentId=self.resources[parent], pathPart=part
                )
                self.resources[inside] = made["id"]
            parent = inside
        return {"restApiId": self.id, "resourceId": self.resources[parent], "httpMethod": method}

    def add(
        self, method: str, path: str, action: str, template: str | None, key: bool = False, **more: Any
    ) -> dict[str, str]:
        """A method with its integration, and responses 200 (default) and 400 (by pattern)."""
        where = self.where(method, path)
        self.api.put_method(**where, authorizationType="NONE", apiKeyRequired=key)
        settings = {
            "type": "AWS",
            "integrationHttpMethod": "POST",
            "uri": URI + action,
            "credentials": self.role,
            "requestParameters": {"integration.request.header.Content-Type": "'application/x-amz-json-1.1'"},
            "requestTemplates": {} if template is None else {"application/json": template},
            "passthroughBehavior": "WHEN_NO_TEMPLATES",
        }
        self.api.put_integration(**where, **(settings | more))
        for status, pattern in (("200", ""), ("400", r"4\d{2}")):
            self.api.put_method_response(**where, statusCode=status)
            self.api.put_integration_response(**where, statusCode=status, selectionPattern=pattern)
        return where

    def deploy(self) -> None:
        """Serve what is defined now."""
        self.stage = self.cloud.deploy(self.id)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and body; `body` is JSON unless it is bytes."""
        sent = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        status, self.headers, got = self.cloud.call(method, self.stage + path, sent, names)
        return status, got

    def put(self, records: list[dict[str, Any]], stream: str) -> tuple[int, Any]:
        return self.call("PUT", f"/streams/{stream}/records", {"records": records})


def policy(*actions: str, resource: str = "*") -> str:
    statement = {"Effect": "Allow", "Action": [f"kinesis:{one}" for one in actions], "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def new_role(cloud: Cloud, *actions: str, resource: str = "*", service: str = "apigateway") -> str:
    """A role with these rights in Kinesis that a service may take on."""
    name = f"role-{uuid4().hex[:8]}"
    arn = make_role(cloud.state, name, f"{service}.amazonaws.com")
    if actions:
        document = policy(*actions, resource=resource)
        cloud.client("iam", "aws").put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document)
    return arn


def received(cloud: Cloud, stream: str) -> list[tuple[str, bytes]]:
    """Partition key and bytes of everything in a stream."""
    kinesis = cloud.client("kinesis", "aws")
    found: list[tuple[str, bytes]] = []
    for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
        at = kinesis.get_shard_iterator(
            StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )
        records = kinesis.get_records(ShardIterator=at["ShardIterator"], Limit=10_000)["Records"]
        found += [(record["PartitionKey"], record["Data"]) for record in records]
    return found


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running(tmp_path_factory.mktemp("gateway")) as made:
        yield made


@pytest.fixture(scope="module")
def proxy(cloud) -> Api:
    """The whole proxy of AWS's tutorial with a role that may do everything in Kinesis."""
    api = Api(cloud, new_role(cloud, "*"))
    for method, path, action, template in PROXY:
        api.add(method, path, action, template)
    api.deploy()
    return api


@pytest.fixture
def stream(cloud) -> str:
    name = f"stream-{uuid4().hex[:8]}"
    cloud.client("kinesis", "aws").create_stream(StreamName=name, ShardCount=1)
    return name


def new_put(cloud: Cloud, template: str | None = PUT_RECORDS, role: str = "", **more: Any) -> Api:
    """An API that does PutRecords only."""
    api = Api(cloud, role or new_role(cloud, "PutRecords"))
    api.add("PUT", "/streams/{stream-name}/records", "PutRecords", template, **more)
    api.deploy()
    return api


def test_the_proxy_of_the_tutorial_works_from_create_to_delete(cloud, proxy):
    name = f"made-{uuid4().hex[:8]}"
    assert proxy.call("POST", f"/streams/{name}", {"ShardCount": 2}) == (200, {})
    assert name in proxy.call("GET", "/streams")[1]["StreamNames"]
    status, got = proxy.call("GET", f"/streams/{name}")
    assert (status, got["StreamDescription"]["StreamName"]) == (200, name)
    assert len(got["StreamDescription"]["Shards"]) == 2
    status, got = proxy.call("PUT", f"/streams/{name}/record", {"Data": "some data", "PartitionKey": "a key"})
    assert (status, set(got) >= {"SequenceNumber", "ShardId"}) == (200, True)
    status, got = proxy.put([{"data": "other data", "partition-key": "another key"}], name)
    assert (status, got["FailedRecordCount"], len(got["Records"])) == (200, 0, 1)
    assert sorted(received(cloud, name)) == [("a key", b'"some data"'), ("another key", b"other data")]
    assert proxy.call("DELETE", f"/streams/{name}")[0] == 200
    assert name not in proxy.call("GET", "/streams")[1]["StreamNames"]


def test_a_template_gives_a_default_for_what_the_caller_leaves_out(cloud, proxy):
    for body in ({}, None):
        name = f"default-{uuid4().hex[:8]}"
        assert proxy.call("POST", f"/streams/{name}", body)[0] == 200
        assert len(cloud.client("kinesis", "aws").list_shards(StreamName=name)["Shards"]) == 5


def test_bytes_out_of_the_stream_are_the_bytes_that_went_in(cloud, proxy, stream):
    records = [{"data": text, "partition-key": f"key-{n} 📌 é"} for n, text in enumerate(TRICKY)]
    assert proxy.put(records, stream)[0] == 200
    wanted = [(record["partition-key"], record["data"].encode()) for record in records]
    assert received(cloud, stream) == wanted


def test_an_object_as_data_arrives_as_json_through_input_json(cloud, proxy, stream):
    sent = {"index": 7, "title": 'it\'s "q" \\ 📌', "none": None, "list": [1, 2.5, True]}
    status, _ = proxy.call("PUT", f"/streams/{stream}/record", {"Data": sent, "PartitionKey": "k"})
    [(_, data)] = received(cloud, stream)
    assert (status, json.loads(data)) == (200, sent)


def test_an_object_without_input_json_arrives_as_java_prints_it(cloud, proxy, stream):
    assert proxy.put([{"data": {"a": 1, "b": None}, "partition-key": "k"}], stream)[0] == 200
    assert received(cloud, stream) == [("k", b"{a=1, b=null}")]


def test_five_hundred_records_in_one_call_keep_their_order(cloud, proxy, stream):
    records = [{"data": f"{n}", "partition-key": "one"} for n in range(500)]
    status, got = proxy.put(records, stream)
    assert (status, len(got["Records"])) == (200, 500)
    assert [data for _, data in received(cloud, stream)] == [str(n).encode() for n in range(500)]
    status, got = proxy.put([*records, records[0]], stream)
    assert (status, got["__type"]) == (400, "ValidationException") and "500" in got["message"]


def test_calls_side_by_side_lose_and_mix_nothing(cloud, proxy, stream):
    batches = [[{"data": f"{b}-{n}", "partition-key": f"k{b}"} for n in range(20)] for b in range(40)]
    with ThreadPoolExecutor(8) as pool:
        statuses = [status for status, _ in pool.map(lambda batch: proxy.put(batch, stream), batches)]
    assert set(statuses) == {200}
    wanted = sorted((one["partition-key"], one["data"].encode()) for batch in batches for one in batch)
    assert sorted(received(cloud, stream)) == wanted


@pytest.mark.parametrize("body", [b"{bad", b'{"records": [}', b'{"records": []} more', b"\xff\xfe{}"])
def test_a_malformed_body_is_a_bad_request_and_nothing_is_sent(cloud, proxy, stream, body):
    status, got = proxy.call("PUT", f"/streams/{stream}/records", body)
    assert (status, got) == (400, {"message": "Could not parse request body into json"})
    assert proxy.headers["x-amzn-ErrorType"] == "BadRequestException"
    assert received(cloud, stream) == []


@pytest.mark.parametrize(
    "records",
    [[], {}, "text", 7, None, [{}], [1], *([{"data": "d", "partition-key": key}] for key in ("", None))],
)
def test_records_of_a_wrong_shape_are_refused_by_kinesis(cloud, proxy, stream, records):
    status, got = proxy.call("PUT", f"/streams/{stream}/records", {"records": records})
    assert (status, got["__type"]) == (400, "ValidationException")
    assert received(cloud, stream) == []


def test_a_missing_partition_key_is_named_in_kinesis_words(proxy, stream):
    _, got = proxy.put([{"data": "d", "partition-key": "k"}, {"data": "d"}], stream)
    what = "Value '' at 'records.2.member.partitionKey' failed to satisfy constraint: "
    what += "Member must have length greater than or equal to 1"
    assert got["message"] == f"1 validation error detected: {what}"


@pytest.mark.parametrize(
    ("behavior", "template", "status"),
    [
        ("WHEN_NO_TEMPLATES", PUT_RECORDS, 415),
        ("NEVER", PUT_RECORDS, 415),
        ("NEVER", None, 415),
        ("WHEN_NO_MATCH", PUT_RECORDS, 200),
        ("WHEN_NO_TEMPLATES", None, 200),
    ],
)
def test_a_content_type_without_a_template(cloud, stream, behavior, template, status):
    api = new_put(cloud, template, passthroughBehavior=behavior)
    body = {"StreamName": stream, "Records": [{"Data": "eA==", "PartitionKey": "k"}]}
    got = api.call("PUT", f"/streams/{stream}/records", body, Content_Type="text/plain")
    assert got[0] == status
    if status == 415:
        assert got[1] == {"message": "Unsupported Media Type"}
    assert received(cloud, stream) == ([("k", b"x")] if status == 200 else [])


def test_kinesis_is_reached_without_a_mapped_content_type_too(cloud, stream):
    api = new_put(cloud, requestParameters={})
    assert api.put([{"data": "d", "partition-key": "k"}], stream)[0] == 200


def test_a_charset_beside_the_content_type_does_not_matter(proxy, stream):
    body = {"records": [{"data": "d", "partition-key": "k"}]}
    path, kind = f"/streams/{stream}/records", "Application/JSON; charset=utf-8"
    assert proxy.call("PUT", path, body, Content_Type=kind)[0] == 200


@pytest.mark.parametrize(
    "wrong",
    [
        PUT_RECORDS.replace("$util.base64Encode($elem.data)", "$elem.data"),  # no base64
        PUT_RECORDS.replace('"$util.base64Encode($elem.data)"', "$elem"),  # an object printed as Java does
        PUT_RECORDS.replace("#if($foreach.hasNext),#end", ","),
        PUT_RECORDS.replace('"$elem.partition-key"', "7"),
    ],
)
def test_a_wrong_template_is_caught_by_kinesis(cloud, stream, wrong):
    api = new_put(cloud, wrong)
    status, got = api.put([{"data": '{"a": 1}', "partition-key": "k"}], stream)
    assert (status, got) == (400, {"__type": "SerializationException"})
    assert received(cloud, stream) == []


def test_an_apostrophe_breaks_json_made_with_escape_javascript(cloud, stream):
    api = new_put(
        cloud, PUT_RECORDS.replace("$elem.partition-key", "$util.escapeJavaScript($elem.partition-key)")
    )
    assert api.put([{"data": "d", "partition-key": 'say "k"'}], stream)[0] == 200
    assert api.put([{"data": "d", "partition-key": "it's"}], stream)[1] == {
        "__type": "SerializationException"
    }
    assert received(cloud, stream) == [('say "k"', b"d")]


def test_an_unknown_stream_takes_the_response_of_its_pattern(proxy):
    status, got = proxy.put([{"data": "d", "partition-key": "k"}], "nowhere")
    assert (status, got["__type"]) == (400, "ResourceNotFoundException") and "nowhere" in got["message"]


@pytest.mark.parametrize("problem", ["missing", "not trusting", "denying"])
def test_a_role_that_cannot_be_assumed_is_an_internal_error(cloud, stream, problem):
    role = "arn:aws:iam::000000000000:role/nobody"
    if problem != "missing":
        role = new_role(cloud, "*", service="lambda" if problem == "not trusting" else "apigateway")
    if problem == "denying":
        says = {"Principal": {"Service": "apigateway.amazonaws.com"}, "Action": "sts:AssumeRole"}
        trust = {"Version": "2012-10-17", "Statement": [{"Effect": e, **says} for e in ("Allow", "Deny")]}
        iam = cloud.client("iam", "aws")
        iam.update_assume_role_policy(RoleName=role.split("/")[1], PolicyDocument=json.dumps(trust))
    api = new_put(cloud, role=role)
    status, got = api.put([{"data": "d", "partition-key": "k"}], stream)
    assert (status, got) == (500, {"message": "Internal server error"})
    assert f"permission to assume the provided role {role}" in api.headers["x-local-cloud-reason"]
    assert received(cloud, stream) == []


def test_a_role_without_the_action_is_denied_until_it_has_it_and_after_it_lost_it(cloud, stream):
    role, iam = new_role(cloud, "PutRecord"), cloud.client("iam", "aws")
    api, records = new_put(cloud, role=role), [{"data": "d", "partition-key": "k"}]
    status, got = api.put(records, stream)
    assert (status, got["__type"]) == (400, "AccessDeniedException")
    arn = f"arn:aws:kinesis:us-east-1:000000000000:stream/{stream}"
    assert f"is not authorized to perform: kinesis:PutRecords on resource: {arn}" in got["message"]
    name = role.split("/")[1]
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy("PutRecords", resource=arn))
    assert api.put(records, stream)[0] == 200
    assert api.put(records, f"{stream}-2")[1]["__type"] == "AccessDeniedException"
    iam.delete_role_policy(RoleName=name, PolicyName="p")
    until = time.monotonic() + 10
    while api.put(records, stream)[0] == 200 and time.monotonic() < until:
        time.sleep(0.2)
    assert api.put(records, stream)[1]["__type"] == "AccessDeniedException"


def test_an_attached_policy_counts_like_an_inline_one(cloud, stream):
    role, iam = new_role(cloud), cloud.client("iam", "aws")
    made = iam.create_policy(PolicyName=f"put-{uuid4().hex[:8]}", PolicyDocument=policy("Put*"))["Policy"][
        "Arn"
    ]
    api, records = new_put(cloud, role=role), [{"data": "d", "partition-key": "k"}]
    assert api.put(records, stream)[1]["__type"] == "AccessDeniedException"
    iam.attach_role_policy(RoleName=role.split("/")[1], PolicyArn=made)
    assert api.put(records, stream)[0] == 200


def test_a_right_on_one_stream_does_not_list_streams(cloud):
    api = Api(cloud, new_role(cloud, "*", resource="arn:aws:kinesis:us-east-1:000000000000:stream/mine"))
    api.add("GET", "/streams", "ListStreams", LIST)
    api.deploy()
    assert api.call("GET", "/streams")[1]["__type"] == "AccessDeniedException"


def test_a_change_without_a_deployment_is_not_served(cloud, stream):
    api = new_put(cloud, PUT_RECORDS.replace("$util.base64Encode($elem.data)", "$elem.data"))
    where, records = (
        api.where("PUT", "/streams/{stream-name}/records"),
        [{"data": "{}", "partition-key": "k"}],
    )
    path = "/requestTemplates/application~1json"
    change = {"op": "replace", "path": path, "value": PUT_RECORDS}
    cloud.api.update_integration(**where, patchOperations=[change])
    assert cloud.api.get_integration(**where)["requestTemplates"] == {"application/json": PUT_RECORDS}
    assert api.put(records, stream)[0] == 400
    api.deploy()
    assert api.put(records, stream)[0] == 200
    cloud.api.update_integration(**where, patchOperations=[{"op": "remove", "path": path}])
    assert cloud.api.get_integration(**where).get("requestTemplates", {}) == {}
    nowhere = {**where, "resourceId": "nothing"}
    code, _ = refused(lambda: cloud.api.update_integration(**nowhere, patchOperations=[change]))
    assert code == "NotFoundException"


def test_the_api_key_is_asked_for_here_too(cloud, stream):
    api = new_put(cloud, key=True)
    records = [{"data": "d", "partition-key": "k"}]
    assert api.put(records, stream) == (403, {"message": "Forbidden"})
    key, path = key_for(cloud, api.id), f"/streams/{stream}/records"
    assert api.call("PUT", path, {"records": records}, x_api_key=key)[0] == 200
    assert len(received(cloud, stream)) == 1


def test_a_response_template_and_headers_shape_the_answer(cloud, stream):
    api = Api(cloud, new_role(cloud, "*"))
    where = api.add("PUT", "/streams/{stream-name}/records", "PutRecords", PUT_RECORDS)
    names = {f"method.response.header.{name}": True for name in ("X-Fixed", "X-Error", "X-Lost")}
    cloud.api.put_method_response(**where, statusCode="404", responseParameters=names)
    cloud.api.put_integration_response(
        **where,
        statusCode="404",
        selectionPattern="400",
        responseParameters={
            "method.response.header.X-Fixed": "'text'",
            "method.response.header.X-Error": "integration.response.header.x-amzn-ErrorType",
            "method.response.header.X-Lost": "integration.response.header.X-None",
        },
        responseTemplates={
            "application/json": """{"stream": "$input.params('stream-name')",
            "error": $input.json('$.__type'), "said": "$input.path('$.message')"}"""
        },
    )
    cloud.api.delete_integration_response(**where, statusCode="400")
    api.deploy()
    status, got = api.put([{"data": "d", "partition-key": "k"}], "nowhere")
    assert (status, got["stream"], got["error"]) == (404, "nowhere", "ResourceNotFoundException")
    assert "nowhere" in got["said"]
    assert (api.headers["X-Fixed"], api.headers["X-Error"]) == ("text", "ResourceNotFoundException")
    assert api.headers["X-Lost"] is None and api.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("lost", "reason"), [("integration", "no default"), ("method", "invalid method response: 400")]
)
def test_an_answer_without_its_response_is_an_internal_error(cloud, lost, reason):
    api = Api(cloud, new_role(cloud, "*"))
    where = api.add("PUT", "/streams/{stream-name}/records", "PutRecords", PUT_RECORDS)
    if lost == "integration":
        for status in ("200", "400"):
            cloud.api.delete_integration_response(**where, statusCode=status)
    else:
        cloud.api.delete_method_response(**where, statusCode="400")
    api.deploy()
    assert api.put([{"data": "d", "partition-key": "k"}], "nowhere") == (
        500,
        {"message": "Internal server error"},
    )
    assert reason in api.headers["x-local-cloud-reason"]


def test_a_json_path_it_does_not_do_is_an_internal_error_with_its_name(cloud, stream):
    api = new_put(cloud, PUT_RECORDS.replace("$.records", "$.records[*]"))
    assert api.put([{"data": "d", "partition-key": "k"}], stream)[0] == 500
    assert "$.records[*]" in api.headers["x-local-cloud-reason"]


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"uri": "arn:aws:apigateway:us-east-1:dynamodb:action/PutItem"}, "dynamodb:action/PutItem"),
        ({"uri": URI + "UpdateShardCount"}, "UpdateShardCount"),
        ({"integrationHttpMethod": "PUT"}, "POST"),
        ({"credentials": "arn:aws:iam::*:user/*"}, "credentials"),
        ({"requestParameters": {"integration.request.header.Content-Type": "'text/xml'"}}, "text/xml"),
        ({"contentHandling": "CONVERT_TO_BINARY"}, "CONVERT_TO_BINARY"),
        ({"requestTemplates": {"application/json": "$util.toJson($input.path('$'))"}}, "$util.toJson"),
        ({"requestTemplates": {"application/json": "#if(1 == 1"}}, "line 1"),
    ],
)
def test_what_it_cannot_execute_is_refused_at_deployment_by_name(cloud, more, named):
    api = Api(cloud, new_role(cloud))
    api.add("PUT", "/streams/{stream-name}/records", "PutRecords", PUT_RECORDS, **more)
    code, message = refused(api.deploy)
    assert (
        code == "BadRequestException" and "PUT /streams/{stream-name}/records" in message and named in message
    )


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"selectionPattern": "4("}, "selection pattern"),
        ({"responseTemplates": {"application/json": "$oops"}}, "$oops"),
        ({"responseParameters": {"method.response.header.X": "'undeclared'"}}, "method.response.header.X"),
        ({"responseParameters": {"method.response.header.X": "integration.response.body.a"}}, "body.a"),
    ],
)
def test_a_response_it_cannot_give_is_refused_at_deployment_by_name(cloud, more, named):
    api = Api(cloud, new_role(cloud))
    where = api.add("PUT", "/streams/{stream-name}/records", "PutRecords", PUT_RECORDS)
    cloud.api.put_integration_response(**where, statusCode="400", **more)
    assert named in refused(api.deploy)[1]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"uri": "https://kinesis.example/"}, "AWS ARN for integration must contain path or action"),
        ({"credentials": ""}, "Role ARN must be specified for AWS integrations"),
    ],
)
def test_what_aws_refuses_at_put_integration(cloud, more, message):
    api = Api(cloud, new_role(cloud))
    path = "/streams/{stream-name}/records"
    got = refused(lambda: api.add("PUT", path, "PutRecords", PUT_RECORDS, **more))
    assert got == ("BadRequestException", message)


def test_a_payload_over_ten_megabytes_is_refused(proxy, stream):
    body = b'{"records": [{"partition-key": "k", "data": "' + b"x" * (10 * 1024 * 1024) + b'"}]}'
    assert proxy.call("PUT", f"/streams/{stream}/records", body) == (413, {"message": "Request Too Long"})


def test_one_record_of_a_megabyte_arrives_whole(cloud, proxy, stream):
    data = "é" * (512 * 1024)
    assert proxy.put([{"data": data, "partition-key": "k"}], stream)[0] == 200
    assert received(cloud, stream) == [("k", data.encode())]


def test_thousands_of_records_a_second_pass(proxy, stream):
    records = [
        {"data": json.dumps({"index": n, "text": "x" * 500}), "partition-key": f"{n}"} for n in range(500)
    ]
    started = time.monotonic()
    assert {proxy.put(records, stream)[0] for _ in range(10)} == {200}
    assert 5_000 / (time.monotonic() - started) > 2_000


def test_an_emulator_that_is_away_is_told(cloud, proxy):
    cloud.aws.stop()
    try:
        status, got = proxy.call("GET", "/streams")
        assert (status, got) == (504, {"message": "Network error communicating with endpoint"})
    finally:
        cloud.aws.start()
