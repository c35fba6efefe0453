"""The checker of AWS calls finds what botocore lets pass and AWS refuses, and leaves good calls alone."""

import base64
import json
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.context import get_context
from botocore.model import OperationModel
from botocore.stub import Stubber
from botocore.validate import ParamValidator

from helpers import policy
from tests import aws_rules, aws_watch, policy_rules

SERVICES = (
    "ec2 kafka iam ssm kafkaconnect apigateway apigatewayv2 elbv2 s3 sts kinesis mwaa rds secretsmanager"
)
MODELS = {name: botocore.session.get_session().get_service_model(name) for name in SERVICES.split()}
CLUSTER = (
    "arn:aws:kafka:us-east-1:123456789012:cluster/p-bob42-cluster/0a1b2c3d-1111-4222-8333-444455556666-7"
)
ROLE = "arn:aws:iam::123456789012:role/bob42-connect-role"


def operation(name: str) -> OperationModel:
    service, _, what = name.partition(".")
    return MODELS[service].operation_model(what)


def complaints(name: str, params: dict[str, Any]) -> list[str]:
    return aws_rules.complaints(operation(name), params)


BROKERS = {"ClientSubnets": ["subnet-1", "subnet-2"], "InstanceType": "kafka.t3.small"}
KAFKA = {
    "ClusterName": "p-bob42-cluster",
    "KafkaVersion": "3.9.x",
    "NumberOfBrokerNodes": 2,
    "BrokerNodeGroupInfo": BROKERS,
}
CONNECTOR = {
    "connectorName": "bob42-connector",
    "connectorConfiguration": {"connector.class": "a.B", "tasks.max": "3", "topics": "bob42.pin"},
    "capacity": {"provisionedCapacity": {"mcuCount": 1, "workerCount": 1}},
    "kafkaCluster": {
        "apacheKafkaCluster": {
            "bootstrapServers": "b-1:9098",
            "vpc": {"subnets": ["s"], "securityGroups": ["g"]},
        }
    },
    "kafkaClusterClientAuthentication": {"authenticationType": "IAM"},
    "kafkaClusterEncryptionInTransit": {"encryptionType": "TLS"},
    "kafkaConnectVersion": "3.7.x",
    "plugins": [{"customPlugin": {"customPluginArn": "arn:x", "revision": 1}}],
    "serviceExecutionRoleArn": ROLE,
}
ENVIRONMENT = {
    "Name": "p-bob42-airflow",
    "ExecutionRoleArn": "arn:aws:iam::123456789012:role/bob42-airflow-role",
    "SourceBucketArn": "arn:aws:s3:::user-bob42-bucket",
    "DagS3Path": "dags",
    "NetworkConfiguration": {
        "SubnetIds": ["subnet-0a1b2c3d", "subnet-0a1b2c3e"],
        "SecurityGroupIds": ["sg-0a1b2c3d"],
    },
}
INTEGRATION = {
    "restApiId": "a",
    "resourceId": "r",
    "httpMethod": "ANY",
    "type": "HTTP_PROXY",
    "integrationHttpMethod": "ANY",
    "connectionType": "VPC_LINK",
    "connectionId": "v",
    "integrationTarget": "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/net/a/b",
    "uri": "http://internal:8082/{proxy}",
}
COMMAND = {
    "InstanceIds": ["i-0a1b2c3d4e5f60718"],
    "DocumentName": "AWS-RunShellScript",
    "Parameters": {"commands": ["ls"], "workingDirectory": ["/home/ec2-user"], "executionTimeout": ["60"]},
}
MACHINE = {"ImageId": "ami-1", "MinCount": 1, "MaxCount": 1, "InstanceType": "t3.small"}
BACKOFF = "consumer.reconnect.backoff.ms=1000\nproducer.reconnect.backoff.ms=1000\n"
WORKER = {"name": "bob42-worker", "propertiesFileContent": base64.b64encode(BACKOFF.encode()).decode()}
ORDINARY = {"Filters": [{"Name": "zone-type", "Values": ["availability-zone"]}]}
INSIDE = {"IpProtocol": "tcp", "FromPort": 9098, "ToPort": 9098, "UserIdGroupPairs": [{"GroupId": "sg-1"}]}
GROUP = {"GroupName": "p-bob42-brokers", "Description": "MSK brokers", "VpcId": "vpc-1"}
GOOD = {
    "kafka.CreateCluster": KAFKA,
    "kafkaconnect.CreateConnector": CONNECTOR,
    "kafkaconnect.CreateWorkerConfiguration": WORKER,
    "ec2.DescribeAvailabilityZones": ORDINARY,
    "mwaa.CreateEnvironment": ENVIRONMENT,
    "apigateway.PutIntegration": INTEGRATION,
    "apigateway.CreateUsagePlan": {"name": "p", "throttle": {"rateLimit": 200, "burstLimit": 400}},
    "apigateway.CreateResource": {"restApiId": "a", "parentId": "r", "pathPart": "{proxy+}"},
    "ssm.SendCommand": COMMAND,
    "ec2.RunInstances": MACHINE,
    "ec2.CreateVpc": {"CidrBlock": "10.0.0.0/16", "TagSpecifications": [{"ResourceType": "vpc", "Tags": []}]},
    "ec2.AuthorizeSecurityGroupIngress": {"GroupId": "sg-1", "IpPermissions": [INSIDE]},
    "ec2.CreateSecurityGroup": GROUP,
    "ec2.DescribeVpcs": {"Filters": [{"Name": "tag:Name", "Values": ["a"]}]},
    "ec2.DescribeNatGateways": {"Filter": [{"Name": "state", "Values": ["available"]}]},
    "elbv2.CreateLoadBalancer": {
        "Name": "p-bob42-lb",
        "Type": "network",
        "Scheme": "internal",
        "Subnets": ["s"],
    },
    "elbv2.CreateTargetGroup": {"Name": "p-bob42-lb", "Protocol": "TCP", "Port": 8082, "VpcId": "vpc-1"},
    "s3.CreateBucket": {"Bucket": "user-bob42-bucket"},
    "rds.CreateDBInstance": {
        "DBInstanceIdentifier": "p-bob42-db",
        "DBInstanceClass": "db.t3.micro",
        "Engine": "mysql",
    },
    "kinesis.CreateStream": {"StreamName": "streaming-bob42-pin", "ShardCount": 1},
    "iam.CreateRole": {
        "RoleName": "bob42-connect-role",
        "AssumeRolePolicyDocument": policy.document(policy.trust("ec2.amazonaws.com")),
        "Tags": [{"Key": "project", "Value": "pinterest-pipeline-bob42"}],
    },
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_call_is_left_alone(name: str) -> None:
    assert complaints(name, GOOD[name]) == []


def changed(name: str, path: str, value: Any) -> dict[str, Any]:
    """The good call of this name with one parameter changed."""
    params = json.loads(json.dumps(GOOD[name]))
    *way, last = path.split("/")
    below = params
    for step in way:
        below = below[step]
    below[last] = value
    return params


NONSENSE = [
    ("kafka.CreateCluster", "ClusterName", "0a1b-cluster"),
    ("kafka.CreateCluster", "NumberOfBrokerNodes", 3),
    ("kafka.CreateCluster", "NumberOfBrokerNodes", 18),
    ("kafka.CreateCluster", "EnhancedMonitoring", "PER_RECORD"),
    ("kafka.CreateCluster", "BrokerNodeGroupInfo/InstanceType", "t3.small"),
    ("kafka.CreateCluster", "BrokerNodeGroupInfo/ClientSubnets", ["subnet-1", "subnet-1"]),
    ("kafka.CreateCluster", "KafkaVersion", "4.1.x.kraft"),  # the newest, on the smallest brokers
    ("kafka.CreateCluster", "KafkaVersion", "3.9.x.kraft"),
    ("kafka.CreateCluster", "KafkaVersion", "4.3.1"),
    ("kafka.CreateCluster", "BrokerNodeGroupInfo/StorageInfo", {"EbsStorageInfo": {"VolumeSize": 20_000}}),
    ("kafkaconnect.CreateConnector", "connectorName", "c" * 129),
    ("kafkaconnect.CreateConnector", "kafkaConnectVersion", "4.3.1"),
    ("kafkaconnect.CreateConnector", "serviceExecutionRoleArn", "bob42-connect-role"),
    ("kafkaconnect.CreateConnector", "capacity/provisionedCapacity/mcuCount", 3),
    ("kafkaconnect.CreateConnector", "kafkaClusterEncryptionInTransit/encryptionType", "SSL"),
    ("kafkaconnect.CreateConnector", "connectorConfiguration/topics.regex", "bob42.*"),
    ("kafkaconnect.CreateConnector", "connectorConfiguration/rotate.schedule.interval.ms", "5000"),
    ("kafkaconnect.CreateWorkerConfiguration", "propertiesFileContent", "a2V5PXZhbHVl"),  # key=value
    ("ec2.DescribeAvailabilityZones", "Filters", [{"Name": "state", "Values": ["available"]}]),
    ("mwaa.CreateEnvironment", "Name", "0a1b-airflow"),
    ("mwaa.CreateEnvironment", "NetworkConfiguration/SubnetIds", ["subnet-0a1b2c3d"] * 2),
    ("mwaa.CreateEnvironment", "NetworkConfiguration/SubnetIds", ["subnet-0a1b2c3d", "subnet-2", "subnet-3"]),
    ("mwaa.CreateEnvironment", "WebserverAccessMode", "PUBLIC"),
    ("apigateway.PutIntegration", "type", "PROXY"),
    ("apigateway.PutIntegration", "connectionId", ""),
    ("apigateway.PutIntegration", "connectionType", "INTERNET"),
    ("apigateway.PutIntegration", "uri", ""),
    ("apigateway.PutIntegration", "timeoutInMillis", 60_000),
    ("apigateway.CreateUsagePlan", "throttle", {"rateLimit": 0.0, "burstLimit": 10}),
    ("apigateway.CreateUsagePlan", "throttle", {"rateLimit": 10.0}),
    ("apigateway.CreateResource", "pathPart", "/topics"),
    ("apigateway.CreateResource", "pathPart", "proxy+"),
    ("apigateway.CreateResource", "pathPart", "ping"),
    ("apigateway.CreateResource", "pathPart", "sping"),
    ("ssm.SendCommand", "Parameters", {"command": ["ls"]}),
    ("ssm.SendCommand", "Parameters/executionTimeout", ["1h"]),
    ("ssm.SendCommand", "Parameters/executionTimeout", ["172801"]),
    ("ssm.SendCommand", "DocumentName", "AWS RunShellScript"),
    ("ssm.SendCommand", "InstanceIds", []),
    ("ssm.SendCommand", "Comment", "c" * 101),
    ("ec2.RunInstances", "InstanceType", "t3.tiny"),
    ("ec2.RunInstances", "UserData", base64.b64encode(b"x" * 16_385).decode()),
    ("ec2.RunInstances", "MinCount", 2),
    ("ec2.RunInstances", "MetadataOptions", {"HttpTokens": "yes"}),
    ("ec2.CreateVpc", "CidrBlock", "10.0.0.0/8"),
    ("ec2.CreateVpc", "CidrBlock", "10.0.0.1/16"),
    ("ec2.CreateVpc", "CidrBlock", "ten"),
    ("ec2.CreateVpc", "TagSpecifications", [{"ResourceType": "subnet", "Tags": []}]),
    ("ec2.CreateVpc", "TagSpecifications", [{"ResourceType": "VPC", "Tags": []}]),
    ("ec2.AuthorizeSecurityGroupIngress", "IpPermissions", [{**INSIDE, "ToPort": 80}]),
    ("ec2.AuthorizeSecurityGroupIngress", "IpPermissions", [{**INSIDE, "UserIdGroupPairs": []}]),
    ("ec2.CreateSecurityGroup", "GroupName", "sg-brokers"),
    ("ec2.CreateSecurityGroup", "GroupName", "default"),
    ("ec2.CreateSecurityGroup", "Description", "the brokers' group"),
    ("ec2.DescribeVpcs", "Filters", [{"Name": "tags:Name", "Values": ["a"]}]),
    ("ec2.DescribeVpcs", "Filters", [{"Name": "vpc-name", "Values": ["a"]}]),
    ("ec2.DescribeNatGateways", "Filter", [{"Name": "status", "Values": ["available"]}]),
    ("elbv2.CreateLoadBalancer", "Name", "internal-bob42"),
    ("elbv2.CreateLoadBalancer", "Name", "p-bob42-lb-"),
    ("elbv2.CreateLoadBalancer", "Scheme", "private"),
    ("elbv2.CreateTargetGroup", "Name", "p" * 33),
    ("elbv2.CreateTargetGroup", "Port", 70_000),
    ("s3.CreateBucket", "Bucket", "User-bob42-bucket"),
    ("s3.CreateBucket", "Bucket", "user_bob42"),
    ("s3.CreateBucket", "Bucket", "192.168.5.4"),
    ("s3.CreateBucket", "CreateBucketConfiguration", {"LocationConstraint": "us-east-1"}),
    ("rds.CreateDBInstance", "DBInstanceIdentifier", "0a1b-db"),
    ("rds.CreateDBInstance", "DBInstanceIdentifier", "p--db"),
    ("kinesis.CreateStream", "StreamName", "streaming bob42"),
    ("iam.CreateRole", "RoleName", "bob42 role"),
    ("iam.CreateRole", "RoleName", "AWSServiceRoleForBob42"),
    ("iam.CreateRole", "RoleName", "r" * 65),
    ("iam.CreateRole", "Tags", [{"Key": "aws:project", "Value": "a"}]),
    ("iam.CreateRole", "Tags", [{"Key": "project", "Value": "a;b"}]),
    ("iam.CreateRole", "Tags", [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]),
    ("iam.CreateRole", "AssumeRolePolicyDocument", "{'Version': '2012-10-17'}"),
]


@pytest.mark.parametrize(("name", "path", "value"), NONSENSE, ids=lambda part: str(part)[:50])
def test_nonsense_that_botocore_lets_pass_is_found(name: str, path: str, value: Any) -> None:
    params = changed(name, path, value)
    assert not ParamValidator().validate(params, operation(name).input_shape).has_errors()
    found = complaints(name, params)
    assert found and all(line.partition(":")[2] for line in found)


@pytest.mark.parametrize(
    ("version", "size", "number"),
    [
        ("3.9.x", "kafka.t3.small", 0),
        ("3.9.x.kraft", "kafka.t3.small", 1),
        ("4.2.x.kraft", "kafka.t3.small", 2),  # what "the newest that is ACTIVE" chose
        ("4.1.x.kraft", "kafka.m7g.large", 0),
        ("3.9.x", "kafka.m7g.large", 0),
        ("4.2.x.kraft", "kafka.m7g.large", 1),
        ("4.2.x.kraft", "express.m7g.large", 0),
        ("3.5.1", "express.m7g.large", 1),
    ],
)
def test_a_version_fits_the_size_of_the_brokers(version: str, size: str, number: int) -> None:
    brokers = {**BROKERS, "InstanceType": size}
    asked = {**KAFKA, "KafkaVersion": version, "BrokerNodeGroupInfo": brokers}
    assert len(complaints("kafka.CreateCluster", asked)) == number


@pytest.mark.parametrize(
    ("name", "params", "found"),
    [
        ("ec2.DescribeSubnets", {"Filters": [{"Name": "tag:Name", "Values": ["a"]}]}, True),
        ("ec2.DescribeSubnets", {"SubnetIds": ["subnet-1"]}, False),
        ("ec2.DescribeAvailabilityZones", {}, False),  # one answer, no pages
        ("kafka.ListClusters", {"ClusterNameFilter": "p-bob42-cluster"}, True),
        ("apigateway.GetRestApis", {"limit": 500}, True),
        ("elbv2.DescribeLoadBalancers", {"Names": ["p-bob42-lb"]}, False),
        ("kinesis.ListShards", {"StreamName": "streaming-bob42-pin"}, False),
        ("secretsmanager.GetSecretValue", {"SecretId": "a"}, False),
    ],
)
def test_a_listing_is_asked_for_by_a_paginator(name: str, params: dict[str, Any], found: bool) -> None:
    assert bool(list(aws_rules.first_page(operation(name), params, by_paginator=False))) is found
    assert not list(aws_rules.first_page(operation(name), params, by_paginator=True))


def test_botocore_notes_the_paginator_as_the_watch_reads_it() -> None:
    seen = []
    client = boto3.client("kafka", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
    client.meta.events.register(
        "before-parameter-build", lambda **_: seen.append(aws_watch.PAGINATOR in get_context().features)
    )
    with Stubber(client) as stubber:
        for _ in range(2):
            stubber.add_response("list_clusters", {"ClusterInfoList": []})
        client.list_clusters()
        list(client.get_paginator("list_clusters").paginate())
    assert seen == [False, True]


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"flush.size": "500"}, 0),
        ({"flush.size": "0"}, 1),  # runs, one object per record
        ({"flush.size": "0", "topics.dir": "topics/wrong"}, 1),
        ({"flush.size": "many"}, 1),  # fails, or spoils the real objects
        ({"flush.size": "many", "topics.dir": "topics/wrong"}, 0),
    ],
    ids=str,
)
def test_a_connector_that_is_meant_to_fail_fails_and_spoils_nothing(
    settings: dict[str, str], found: int
) -> None:
    good = CONNECTOR["connectorConfiguration"]
    asked = {**CONNECTOR, "connectorConfiguration": {**good, **settings}}
    assert len(complaints("kafkaconnect.CreateConnector", asked)) == found


def test_a_patch_must_name_something_that_can_be_changed() -> None:
    change = {"op": "replace", "path": "/throttle/rateLimit", "value": "200"}
    plan = {"usagePlanId": "p", "patchOperations": [change]}
    assert complaints("apigateway.UpdateUsagePlan", plan) == []
    for wrong in ({"path": "/throttle/rate"}, {"value": "fast"}, {"op": "set"}):
        assert complaints("apigateway.UpdateUsagePlan", {**plan, "patchOperations": [change | wrong]}), wrong
    method = {"restApiId": "a", "resourceId": "r", "httpMethod": "ANY"}
    for value, number in (("true", 0), ("True", 1)):
        operations = [{"op": "replace", "path": "/apiKeyRequired", "value": value}]
        assert len(complaints("apigateway.UpdateMethod", {**method, "patchOperations": operations})) == number
    for path, number in (("/deploymentId", 0), ("/*/*/throttling/rateLimit", 0), ("/deployment", 1)):
        operations = [{"op": "replace", "path": path, "value": "abc"}]
        stage = {"restApiId": "a", "stageName": "prod", "patchOperations": operations}
        assert len(complaints("apigateway.UpdateStage", stage)) == number


LEGACY, LONG = ("legacy", 5), ("standard", 10)
LIMIT, LIVE = ("apigateway", "UpdateUsagePlan"), ("apigateway", "CreateDeployment")


@pytest.mark.parametrize(
    ("calls", "number"),
    [
        ([(LIMIT, 0, LEGACY), (LIMIT, 3, LEGACY)], 1),  # the limit cut down for a moment and set back
        ([(LIMIT, 0, LONG), (LIMIT, 3, LONG)], 0),
        ([(LIMIT, 0, LEGACY), (LIMIT, 21, LEGACY)], 0),
        ([(LIVE, 0, LEGACY), (LIVE, 1, LEGACY), (LIVE, 2, LEGACY)], 2),
        ([(LIVE, 0, LONG), (LIVE, 1, LONG), (LIVE, 2, LONG)], 0),
        ([(LIVE, 0, LEGACY), (LIMIT, 0, LEGACY)], 0),
        ([(("apigateway", "GetStages"), 0, LEGACY)] * 9, 0),
        ([(("apigatewayv2", "DeleteVpcLink"), at, LONG) for at in (0, 1)], 0),
    ],
)
def test_calls_may_follow_each_other_as_fast_as_their_quota_or_boto3s_patience(
    calls: list[tuple[tuple[str, str], float, tuple[str, int]]], number: int
) -> None:
    recorded = [
        {"service": service, "operation": name, "at": at, "retries": list(retries)}
        for (service, name), at, retries in calls
    ]
    assert len(list(aws_rules.paced(recorded))) == number


def test_boto3s_own_retries_last_seconds_and_ours_a_minute() -> None:
    assert aws_rules.patience(*LEGACY) == 7.5
    assert 60 < aws_rules.patience(*LONG) < 100


@pytest.mark.parametrize("service", MODELS)
def test_every_pattern_of_the_models_can_be_read(service: str) -> None:
    patterns = {
        shape.metadata["pattern"]
        for shape in map(MODELS[service].shape_for, MODELS[service].shape_names)
        if "pattern" in shape.metadata
    }
    assert all(aws_rules.python_pattern(pattern) for pattern in patterns)


def test_the_path_of_a_complaint_leads_to_the_parameter() -> None:
    params = changed("kafka.CreateCluster", "BrokerNodeGroupInfo/InstanceType", "t3.small")
    found = complaints("kafka.CreateCluster", params)
    assert [line.partition(":")[0] for line in found] == ["BrokerNodeGroupInfo.InstanceType"]


def linted(*statements: dict[str, Any]) -> list[str]:
    return policy_rules.complaints(policy.document(*statements))


TOPIC, MSK_GROUP = (
    policy.kafka_arn(CLUSTER, "topic", "bob42.*"),
    policy.kafka_arn(CLUSTER, "group", "bob42-*"),
)
CONNECT = policy.allow("kafka-cluster:Connect", CLUSTER)


def test_policies_as_they_should_be() -> None:
    joins = policy.allow("kafka-cluster:AlterGroup kafka-cluster:DescribeGroup", MSK_GROUP)
    reads = policy.allow("kafka-cluster:DescribeTopic kafka-cluster:ReadData", TOPIC)
    assert linted(CONNECT, joins, reads) == []
    assert linted(policy.allow("kafka-cluster:*Topic kafka-cluster:Connect", TOPIC, CLUSTER)) == []
    assert (
        linted(
            policy.allow("s3:PutObject", "arn:aws:s3:::b/topics/*"),
            policy.allow("s3:ListBucket", "arn:aws:s3:::b"),
        )
        == []
    )
    assert linted(policy.allow("kinesis:ListStreams", "*")) == []
    logs = "arn:aws:logs:us-east-1:123456789012:log-group:/msk/connect:*"
    assert linted(policy.allow("logs:CreateLogStream logs:PutLogEvents", logs)) == []


WRONG_POLICIES = {
    "topic action on the cluster": [CONNECT, policy.allow("kafka-cluster:CreateTopic", CLUSTER)],
    "group action on a topic": [CONNECT, policy.allow("kafka-cluster:DescribeGroup", TOPIC)],
    "an ARN that no action uses": [CONNECT, policy.allow("kafka-cluster:CreateTopic", TOPIC, MSK_GROUP)],
    "topic ARN without the topic": [
        CONNECT,
        policy.allow("kafka-cluster:CreateTopic", CLUSTER.replace(":cluster/", ":topic/")),
    ],
    "the action's service in the ARN": [
        CONNECT,
        policy.allow("kafka-cluster:CreateTopic", TOPIC.replace(":kafka:", ":kafka-cluster:")),
    ],
    "an action that is none": [CONNECT, policy.allow("kafka-cluster:ProduceData", TOPIC)],
    "without what it needs": [policy.allow("kafka-cluster:CreateTopic", TOPIC)],
    "object action on the bucket": [policy.allow("s3:PutObject", "arn:aws:s3:::b")],
    "bucket action on objects": [policy.allow("s3:ListBucket", "arn:aws:s3:::b/*")],
    "an action without resources on one": [
        policy.allow("kinesis:ListStreams", "arn:aws:kinesis:us-east-1:123456789012:stream/a")
    ],
    "no ARN": [policy.allow("s3:PutObject", "b/topics/*")],
    "everything": [policy.allow("*", "*")],
    "all of a service everywhere": [policy.allow("kafka-cluster:*", "*")],
    "unknown effect": [{**CONNECT, "Effect": "Permit"}],
    "unknown key": [{**CONNECT, "Resources": []}],
    "nobody to whom": [{"Effect": "Allow", "Action": "sts:AssumeRole"}],
}


@pytest.mark.parametrize("what", WRONG_POLICIES)
def test_policies_that_never_do_what_they_say_are_found(what: str) -> None:
    assert linted(*WRONG_POLICIES[what])


def test_every_document_of_a_call_is_found() -> None:
    call = {
        "PolicyInputList": ["a", "b"],
        "Below": [{"PolicyDocument": "c"}],
        "PolicyArn": "d",
        "PolicyName": "e",
    }
    assert list(policy_rules.documents(call)) == [
        ("PolicyInputList", "a"),
        ("PolicyInputList", "b"),
        ("Below.PolicyDocument", "c"),
    ]
