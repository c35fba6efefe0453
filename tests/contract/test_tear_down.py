"""Lesson 17's deletions on the emulated cloud: all of it, half gone already, broken off, and twice."""

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any

import boto3
import pytest

from helpers import config
from helpers.names import Names
from local_cloud.parts import aws
from tear_down import deleting, finding, kinds
from tests.control_servers import Cloud, running
from tests.network import differences
from tests.operations import code, lessons

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
        ],
    }
)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running(tmp_path_factory.mktemp("tear"), "aws", "kafka", "control", "gateway") as state:
        yield state


@pytest.fixture
def mine(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    """A reader's surroundings, and what lessons 02 to 06 make that costs or blocks something else."""
    at = {name: f"http://127.0.0.1:{cloud.port(name)}" for name in ("aws", "control", "gateway")}
    own = {name: at["control"] for name in ("IAM", "SSM", "KAFKACONNECT", "MWAA")}
    own |= {name: at["gateway"] for name in ("API_GATEWAY", "APIGATEWAYV2")}
    lines = {f"AWS_ENDPOINT_URL_{name}": url for name, url in own.items()} | {
        "PIPELINE_TARGET": "local",
        "PIPELINE_USER": "tear42",
        "AWS_ENDPOINT_URL": at["aws"],
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_REGION": aws.REGION,
        "AWS_DEFAULT_REGION": aws.REGION,
        "AWS_ACCESS_KEY_ID": cloud.secret("reader_key_id"),
        "AWS_SECRET_ACCESS_KEY": cloud.secret("reader_secret"),
    }
    cloud.path("cloud.env").write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    for key, value in {**lines, "LOCAL_CLOUD_HOME": str(cloud.home)}.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    finding.aws.cache_clear()
    names = config.use_target().names
    [lesson] = [path for path in lessons() if path.stem == "02_msk_cluster"]
    made: dict[str, Any] = {"__name__": "__main__", "display": lambda *_: None}
    with redirect_stdout(io.StringIO()):
        for source in code(lesson):
            exec(compile(source, lesson.stem, "exec"), made)
    build(names, made)
    yield names
    finding.aws.cache_clear()


def build(mine: Names, made: dict[str, Any]) -> None:
    """The machine, its role, the bucket with old versions, the balancer and the API, as lessons 03 to 06."""
    iam, s3, elb = boto3.client("iam"), boto3.client("s3"), boto3.client("elbv2")
    iam.create_role(RoleName=mine.ec2_role, AssumeRolePolicyDocument=TRUST, Tags=mine.tag_list)
    by_ssm = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
    iam.attach_role_policy(RoleName=mine.ec2_role, PolicyArn=by_ssm)
    iam.create_instance_profile(InstanceProfileName=mine.ec2_role)
    iam.add_role_to_instance_profile(InstanceProfileName=mine.ec2_role, RoleName=mine.ec2_role)
    private = [made["subnets"]["private", nth]["SubnetId"] for nth in (0, 1)]
    made["ec2"].run_instances(
        ImageId="ami-0c2023a1b2c3d4e5f",
        MinCount=1,
        MaxCount=1,
        SubnetId=private[0],
        TagSpecifications=mine.tagged("instance", mine.client_machine),
    )
    s3.create_bucket(Bucket=mine.bucket)
    s3.put_bucket_versioning(Bucket=mine.bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ("a", "a", "b"):
        s3.put_object(Bucket=mine.bucket, Key=key, Body=b"x")
    s3.delete_object(Bucket=mine.bucket, Key="b")
    ids = {name: security_group(mine, made, name) for name in (mine.link_group, mine.balancer_group)}
    known = made["ec2"].describe_security_groups(Filters=mine.filters(mine.client_group))["SecurityGroups"]
    ids[mine.client_group] = known[0]["GroupId"]
    # Each lets in the one before it, so none can go while the next one has its rule.
    for group, caller in ((mine.balancer_group, mine.link_group), (mine.client_group, mine.balancer_group)):
        rule = {"IpProtocol": "tcp", "FromPort": 8082, "ToPort": 8082}
        rule["UserIdGroupPairs"] = [{"GroupId": ids[caller]}]
        made["ec2"].authorize_security_group_ingress(GroupId=ids[group], IpPermissions=[rule])
    wanted = {"Name": mine.load_balancer, "Type": "network", "Scheme": "internal", "Subnets": private}
    wanted["SecurityGroups"] = [ids[mine.balancer_group]]
    balancer = elb.create_load_balancer(**wanted, Tags=mine.tag_list)["LoadBalancers"][0]["LoadBalancerArn"]
    group = elb.create_target_group(
        Name=mine.load_balancer, Protocol="TCP", Port=8082, VpcId=made["vpc"]["VpcId"]
    )["TargetGroups"][0]["TargetGroupArn"]
    forward = [{"Type": "forward", "TargetGroupArn": group}]
    elb.create_listener(LoadBalancerArn=balancer, Protocol="TCP", Port=8082, DefaultActions=forward)
    inside = {"SubnetIds": private, "SecurityGroupIds": [ids[mine.link_group]]}
    boto3.client("apigatewayv2").create_vpc_link(Name=mine.vpc_link, Tags=mine.tags, **inside)
    gateway = boto3.client("apigateway")
    api = gateway.create_rest_api(name=mine.api, tags=mine.tags)["id"]
    root = gateway.get_resources(restApiId=api)["items"][0]["id"]
    where = {"restApiId": api, "resourceId": root, "httpMethod": "GET"}
    gateway.put_method(**where, authorizationType="NONE", apiKeyRequired=True)
    gateway.put_integration(
        **where, type="MOCK", requestTemplates={"application/json": '{"statusCode": 200}'}
    )
    gateway.put_method_response(**where, statusCode="200")
    gateway.put_integration_response(**where, statusCode="200")
    gateway.create_deployment(restApiId=api, stageName="prod")
    plan = gateway.create_usage_plan(
        name=mine.usage_plan, tags=mine.tags, apiStages=[{"apiId": api, "stage": "prod"}]
    )
    key = gateway.create_api_key(name=mine.api_key, enabled=True, tags=mine.tags)
    gateway.create_usage_plan_key(usagePlanId=plan["id"], keyId=key["id"], keyType="API_KEY")


def security_group(mine: Names, made: dict[str, Any], name: str) -> str:
    """The id of a new security group in the network."""
    tags = {"TagSpecifications": mine.tagged("security-group", name)}
    vpc = made["vpc"]["VpcId"]
    return str(
        made["ec2"].create_security_group(GroupName=name, Description="x", VpcId=vpc, **tags)["GroupId"]
    )


def tear_down(mine: Names) -> dict[str, int]:
    """What lesson 17 does; how many of each kind there were."""
    gone = {kind: len(kinds.remove(kind, mine)) for kind in kinds.order()}
    return {kind: number for kind, number in gone.items() if number}


def test_all_of_it_goes_and_twice_does_no_harm(mine: Names) -> None:
    there = set(kinds.everything(mine))
    assert {"cluster", "NAT gateway", "instance", "bucket", "usage plan", "rule", "VPC link"} <= there
    assert set(tear_down(mine)) == there
    assert kinds.everything(mine) == {}
    assert tear_down(mine) == {}


def test_what_somebody_deleted_by_hand_is_not_missed(mine: Names) -> None:
    found = {kind: things[-1].id for kind, things in kinds.everything(mine).items()}
    ec2, iam = boto3.client("ec2"), boto3.client("iam")
    ec2.delete_nat_gateway(NatGatewayId=found["NAT gateway"])
    ec2.terminate_instances(InstanceIds=[found["instance"]])
    iam.remove_role_from_instance_profile(InstanceProfileName=mine.ec2_role, RoleName=mine.ec2_role)
    iam.delete_instance_profile(InstanceProfileName=mine.ec2_role)
    boto3.client("apigateway").delete_api_key(apiKey=found["API key"])
    boto3.client("kafka").delete_cluster(ClusterArn=found["cluster"])
    boto3.client("elbv2").delete_load_balancer(LoadBalancerArn=found["load balancer"])
    deleting.bucket(mine.bucket)
    tear_down(mine)
    assert kinds.everything(mine) == {}


@pytest.mark.parametrize("done", [5, 12, 18])
def test_a_run_that_broke_off_is_simply_begun_again(mine: Names, done: int) -> None:
    for kind in kinds.order()[:done]:
        kinds.remove(kind, mine)
    assert kinds.everything(mine) != {}
    tear_down(mine)
    assert kinds.everything(mine) == {}


def test_another_readers_things_stay(mine: Names) -> None:
    boto3.client("s3").create_bucket(Bucket="user-tear421-bucket")
    other = Names("tear421")
    boto3.client("ec2").create_vpc(CidrBlock="10.9.0.0/16", TagSpecifications=other.tagged("vpc", other.vpc))
    tear_down(mine)
    assert set(kinds.everything(other)) == {"VPC", "bucket"}


def test_a_network_that_is_not_as_drawn_is_noticed(mine: Names) -> None:
    before = set(differences(mine, 2))  # lesson 05's rules, which the drawing of 02 has not yet
    ec2 = boto3.client("ec2")
    groups = ec2.describe_security_groups(Filters=mine.filters(mine.broker_group))["SecurityGroups"]
    world = {
        "IpProtocol": "tcp",
        "FromPort": 9098,
        "ToPort": 9098,
        "IpRanges": [{"CidrIp": "0.0.0.0/0"}],
    }
    ec2.authorize_security_group_ingress(GroupId=groups[0]["GroupId"], IpPermissions=[world])
    assert set(differences(mine, 2)) - before == {"+ 0.0.0.0/0 may call brokers on 9098, 9098"}
