"""The check of answers sees what boto3 lets pass."""

from typing import Any

import botocore.session
import pytest

from tests.answer_shapes import answer

PLUGIN = {
    "customPluginArn": "arn",
    "customPluginState": "ACTIVE",
    "creationTime": "2030-01-02T03:04:05.678Z",
    "latestRevision": {"revision": 1, "fileDescription": {"fileMd5": "x", "fileSize": 7}},
}


def complaints(service: str, operation: str, body: Any) -> list[str]:
    model = botocore.session.get_session().get_service_model(service)
    return list(answer(model.operation_model(operation), body))


def test_a_right_answer() -> None:
    assert complaints("kafkaconnect", "DescribeCustomPlugin", PLUGIN) == []
    sent = {"Command": {"CommandId": "c" * 36, "RequestedDateTime": 1.5, "InstanceIds": ["i-1"]}}
    assert complaints("ssm", "SendCommand", sent) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"state": "ACTIVE"}, "state: not in the service model"),
        ({"customPluginState": "READY"}, "'READY' is not one of"),
        ({"creationTime": "yesterday"}, "no time"),
        ({"creationTime": True}, "no time"),
        ({"description": None}, "NoneType, not string"),
        ({"latestRevision": {"revision": True}}, "bool, not long"),
        ({"latestRevision": []}, "list, not structure"),
    ],
)
def test_a_wrong_answer(changes: dict[str, Any], said: str) -> None:
    [found] = complaints("kafkaconnect", "DescribeCustomPlugin", PLUGIN | changes)
    assert said in found


def test_a_missing_member() -> None:
    made = {"workerConfigurations": [{"name": "w"}], "nextToken": "t"}
    assert complaints("kafkaconnect", "ListWorkerConfigurations", made) == []
    keyed = {"tags": {"a": 1}}
    assert complaints("kafkaconnect", "ListTagsForResource", keyed) == ["tags.a: int, not string"]
    links = {"items": [{"vpcLinkId": "1"}]}
    missing = complaints("apigatewayv2", "GetVpcLinks", links)
    assert missing == [f"items.{name}: missing" for name in ("name", "securityGroupIds", "subnetIds")]
