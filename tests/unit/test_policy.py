"""Policy documents: the form that IAM takes, and the ARNs of topics and groups of a cluster."""

import json

from helpers import policy
from tests import policy_rules

CLUSTER = "arn:aws:kafka:eu-west-1:123456789012:cluster/p-bob42-cluster/0a1b-2c3d-1"


def test_allow_names_each_action_and_arn() -> None:
    statement = policy.allow("s3:PutObject  s3:GetObject", "arn:aws:s3:::a/*", "arn:aws:s3:::b/*")
    assert statement == {
        "Effect": "Allow",
        "Action": ["s3:PutObject", "s3:GetObject"],
        "Resource": ["arn:aws:s3:::a/*", "arn:aws:s3:::b/*"],
    }


def test_trust_binds_the_service_and_its_conditions() -> None:
    plain = policy.trust("ec2.amazonaws.com")
    assert plain["Principal"] == {"Service": "ec2.amazonaws.com"} and "Condition" not in plain
    bound = policy.trust("kafkaconnect.amazonaws.com", **{"aws:SourceAccount": "123456789012"})
    assert bound["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    assert "Condition" not in plain


def test_document_is_json_of_the_present_version() -> None:
    text = policy.document(policy.trust("ec2.amazonaws.com"))
    assert json.loads(text)["Version"] == "2012-10-17"
    assert policy_rules.complaints(text) == []


def test_kafka_arns_keep_the_cluster_and_its_id() -> None:
    start = "arn:aws:kafka:eu-west-1:123456789012"
    assert policy.kafka_arn(CLUSTER, "topic", "a.*") == f"{start}:topic/p-bob42-cluster/0a1b-2c3d-1/a.*"
    assert policy.kafka_arn(CLUSTER, "group", "a-*") == f"{start}:group/p-bob42-cluster/0a1b-2c3d-1/a-*"
