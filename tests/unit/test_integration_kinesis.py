"""What the emulator never does: records that fail one by one, and a request checked before it is sent."""

import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from local_cloud.stand_ins.api_gateway.call import Call, GatewayError
from local_cloud.stand_ins.api_gateway.integrations.kinesis import MODEL, _response, problems

PARTLY = {
    "FailedRecordCount": 1,
    "Records": [
        {"SequenceNumber": "1", "ShardId": "shardId-000000000000"},
        {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded"},
    ],
}
COUNT = """#set($kinesis = $input.path('$')){"failed": $kinesis.FailedRecordCount,
    "codes": [#foreach($one in $kinesis.Records)#if("$!one.ErrorCode" != "")"$one.ErrorCode"#end#end]}"""


def answered(answer: dict[str, Any], status: int = 200, **response: Any) -> web.Response:
    """The method's response to an answer of Kinesis."""
    integration = {"integrationResponses": {"200": {"responseTemplates": {}, **response}}}
    method = {"methodIntegration": integration, "methodResponses": {"200": {}}}
    call = Call(make_mocked_request("PUT", "/"), b"", "api", {}, "", method, "test", "/records")
    return _response(call, web.json_response(answer, status=status))


def test_records_that_failed_inside_of_a_200_reach_the_caller():
    got = answered(PARTLY)
    assert (got.status, json.loads(got.body)) == (200, PARTLY)


def test_a_response_template_can_count_them():
    got = answered(PARTLY, responseTemplates={"application/json": COUNT})
    assert json.loads(got.body) == {"failed": 1, "codes": ["ProvisionedThroughputExceededException"]}


@pytest.mark.parametrize("pattern", ["2", "20", "4..", "2001"])
def test_a_pattern_must_cover_the_whole_status(pattern):
    with pytest.raises(GatewayError, match="no default"):
        answered(PARTLY, selectionPattern=pattern)
    assert answered(PARTLY, selectionPattern=r"2\d{2}").status == 200


def said(action: str, request: Any) -> list[str]:
    return list(problems(MODEL.operation_model(action).input_shape, request))


@pytest.mark.parametrize(
    ("action", "request_", "part"),
    [
        ("PutRecord", {"StreamName": "s", "PartitionKey": "k"}, "Value null at 'data'"),
        ("PutRecord", {"StreamName": "s", "PartitionKey": "k", "Data": None}, "Value null at 'data'"),
        (
            "PutRecord",
            {"StreamName": "s", "PartitionKey": "k" * 257, "Data": ""},
            "less than or equal to 256",
        ),
        ("PutRecord", {"StreamName": "a b", "PartitionKey": "k", "Data": ""}, "regular expression pattern"),
        ("CreateStream", {"StreamName": "s", "ShardCount": 0}, "have value greater than or equal to 1"),
        ("CreateStream", {}, "Value null at 'streamName'"),
    ],
)
def test_a_request_that_breaks_a_rule_is_told_so_in_kinesis_words(action, request_, part):
    [problem] = said(action, request_)
    assert part in problem and "failed to satisfy constraint: Member must" in problem


@pytest.mark.parametrize(
    ("action", "request_"),
    [
        ("PutRecord", {"StreamName": "s", "PartitionKey": "k", "Data": "no base64"}),
        ("PutRecord", {"StreamName": "s", "PartitionKey": "k", "Data": {"a": 1}}),
        ("PutRecord", {"StreamName": "s", "PartitionKey": 7, "Data": ""}),
        ("PutRecords", {"StreamName": "s", "Records": {}}),
        ("CreateStream", {"StreamName": "s", "ShardCount": "2"}),
        ("CreateStream", {"StreamName": "s", "ShardCount": True}),
        ("ListStreams", []),
    ],
)
def test_a_request_of_wrong_types_cannot_be_read(action, request_):
    with pytest.raises(ValueError):
        said(action, request_)


def test_a_right_request_has_no_problems():
    records = [{"Data": "eA==", "PartitionKey": "k", "Unknown": 1}] * 500
    assert said("PutRecords", {"StreamName": "s.-_1", "Records": records}) == []
    assert said("ListStreams", {}) == []
