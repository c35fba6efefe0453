"""All kinds of things that the lessons create: how each is found and deleted, what it needs and costs.

A lesson that creates a new kind of thing adds a row here; lesson 17 then finds, prices and deletes it.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from graphlib import TopologicalSorter

import pandas as pd
from botocore.exceptions import ClientError, EndpointConnectionError

from helpers import wait
from helpers.config import ConfigError
from helpers.names import Names
from tear_down import deleting, finding
from tear_down.finding import Finder, Thing

LEAVING = ("shutting-down", "deleting")
# Parts of the codes of refusals that pass once AWS has noticed that the last user of a thing is gone.
BUSY = ("DependencyViolation", "Conflict", "NotEmpty")
GONE = ("NotFound", "NoSuch")


@dataclass(frozen=True)
class Kind:
    """One kind of thing; `needs` are the kinds that one of it uses while it exists.

    `listing` is an operation, the answer's key, and an item's fields for name and id; `deletion` an operation
    and its parameter; or each is a function. `hourly` is in dollars, `minutes` what AWS normally takes to
    delete one; `ours` is the test of `finding.is_ours`.
    """

    service: str
    listing: str | Finder
    deletion: str | Callable[[str], object]
    needs: str = ""
    hourly: float = 0.0
    minutes: int = 1
    ours: str = "tag"


UNITY = "2.1/unity-catalog"
# A machine needs the routes to be reached by Systems Manager, and a topic needs the machine that deletes it.
# Dollars are list prices of us-east-1: two kafka.t3.small, one t3.small, one MCU, two shards, mw1.small with
# its one worker.
KINDS = {
    "job": Kind("databricks", finding.in_workspace("2.2/jobs/list", "jobs", "job_id", "tag"),
        deleting.job, "Delta table, volume"),
    "Delta table": Kind("databricks", finding.in_workspace(f"{UNITY}/tables", "tables", "full_name", "id"),
        deleting.delta_table, "bucket"),
    "volume": Kind("databricks", finding.in_workspace(f"{UNITY}/volumes", "volumes", "full_name", "id"),
        deleting.volume, "bucket"),
    "environment": Kind("mwaa", finding.environments, "delete_environment Name",
        "job, role, bucket, security group, subnet, log group", hourly=0.49, minutes=20),
    "log group": Kind("logs", "describe_log_groups logGroups logGroupName logGroupName",
        "delete_log_group logGroupName", ours="id"),
    "connector": Kind("kafkaconnect", "list_connectors connectors connectorName connectorArn",
        "delete_connector connectorArn",
        "topic, plugin, worker configuration, role, bucket, security group, subnet",
        hourly=0.11, minutes=5, ours="id"),
    "plugin": Kind("kafkaconnect", "list_custom_plugins customPlugins name customPluginArn",
        "delete_custom_plugin customPluginArn", "bucket", ours="id"),
    "worker configuration": Kind("kafkaconnect",
        "list_worker_configurations workerConfigurations name workerConfigurationArn",
        "delete_worker_configuration workerConfigurationArn", ours="id"),
    "topic": Kind("kafka", finding.topics, deleting.topic, "cluster, instance, rule"),
    "usage plan": Kind("apigateway", "get_usage_plans items name id", deleting.usage_plan,
        "REST API, API key"),
    "API key": Kind("apigateway", "get_api_keys items name id", "delete_api_key apiKey"),
    "REST API": Kind("apigateway", "get_rest_apis items name id", "delete_rest_api restApiId",
        "VPC link, load balancer, role, stream"),
    "stream": Kind("kinesis", "list_streams StreamSummaries StreamName StreamName", deleting.stream,
        hourly=0.03, ours="id"),
    "VPC link": Kind("apigatewayv2", "get_vpc_links Items Name VpcLinkId", "delete_vpc_link VpcLinkId",
        "subnet, security group", minutes=3),
    "load balancer": Kind("elbv2", "describe_load_balancers LoadBalancers LoadBalancerName LoadBalancerArn",
        "delete_load_balancer LoadBalancerArn", "target group, security group, subnet",
        hourly=0.0225, minutes=2, ours="load_balancer"),
    "target group": Kind("elbv2", "describe_target_groups TargetGroups TargetGroupName TargetGroupArn",
        "delete_target_group TargetGroupArn", "instance, VPC", ours="load_balancer"),
    "instance": Kind("ec2", "describe_instances Reservations Name InstanceId",
        "terminate_instances InstanceIds",
        "instance profile, route table, security group, subnet", hourly=0.0208, minutes=2),
    "instance profile": Kind("iam",
        "list_instance_profiles InstanceProfiles InstanceProfileName InstanceProfileName",
        deleting.instance_profile, "role", ours="ec2_role"),
    "cluster": Kind("kafka", "list_clusters ClusterInfoList ClusterName ClusterArn",
        "delete_cluster ClusterArn", "security group, subnet", hourly=0.0912, minutes=15, ours="cluster"),
    "rule": Kind("ec2", finding.rules, deleting.rule, "security group"),
    "VPC endpoint": Kind("ec2", "describe_vpc_endpoints VpcEndpoints Name VpcEndpointId",
        "delete_vpc_endpoints VpcEndpointIds", "route table"),
    "route table": Kind("ec2", "describe_route_tables RouteTables Name RouteTableId", deleting.route_table,
        "NAT gateway, internet gateway, subnet"),
    "NAT gateway": Kind("ec2", "describe_nat_gateways NatGateways Name NatGatewayId",
        "delete_nat_gateway NatGatewayId", "elastic IP, internet gateway, subnet", hourly=0.045, minutes=2),
    "elastic IP": Kind("ec2", "describe_addresses Addresses Name AllocationId",
        "release_address AllocationId", "internet gateway", hourly=0.005),
    "internet gateway": Kind("ec2", "describe_internet_gateways InternetGateways Name InternetGatewayId",
        deleting.internet_gateway, "VPC"),
    "security group": Kind("ec2", "describe_security_groups SecurityGroups Name GroupId",
        "delete_security_group GroupId", "VPC"),
    "subnet": Kind("ec2", "describe_subnets Subnets Name SubnetId", "delete_subnet SubnetId", "VPC"),
    "VPC": Kind("ec2", "describe_vpcs Vpcs Name VpcId", "delete_vpc VpcId"),
    "role": Kind("iam", "list_roles Roles RoleName RoleName", deleting.role,
        ours="ec2_role connect_role kinesis_role mwaa_role"),
    "bucket": Kind("s3", "list_buckets Buckets Name Name", deleting.bucket, ours="bucket scratch_bucket"),
}  # fmt: skip


def needs() -> dict[str, list[str]]:
    """For each kind the kinds that it needs while it exists."""
    return {name: kind.needs.split(", ") if kind.needs else [] for name, kind in KINDS.items()}


def order() -> list[str]:
    """All kinds, each before those that it needs."""
    return list(TopologicalSorter(needs()).static_order())[::-1]


def find(name: str, names: Names) -> list[Thing]:
    """Our things of one kind."""
    kind = KINDS[name]
    if isinstance(kind.listing, str):
        return finding.search(kind.service, kind.listing, names, kind.ours)
    return kind.listing(names)


def everything(names: Names) -> dict[str, list[Thing]]:
    """All that exists of one user's pipeline, by kind; ConfigError if the local cloud is not up."""
    try:
        found = {name: find(name, names) for name in KINDS}
    except EndpointConnectionError as error:
        raise ConfigError(f"{error} The local cloud is not up? Run `make up` first.") from None
    return {name: things for name, things in found.items() if things}


def table(found: dict[str, list[Thing]]) -> pd.DataFrame:
    """One row per kind: service, kind, how many things, dollars an hour for all of them."""
    rows = [
        (KINDS[name].service, name, len(some), len(some) * KINDS[name].hourly) for name, some in found.items()
    ]
    frame = pd.DataFrame(sorted(rows), columns=["service", "kind", "things", "$ an hour"])
    return frame.astype({"things": int, "$ an hour": float})


def remove(name: str, names: Names) -> list[Thing]:
    """Delete all of our things of one kind and wait until they are gone; returns what there was.

    A thing that is gone already is no error. Raises AWS's own error if trying again cannot help, or
    TimeoutError.
    """
    things, minutes = find(name, names), KINDS[name].minutes
    for thing in things:
        if thing.state not in LEAVING:
            what = f"deleting the {name} {thing.name}"
            wait.until(functools.partial(delete, name, thing), what, 600, 1, passing=BUSY)
    if things:
        what = f"the {name} to go ({minutes} minutes are normal)"
        wait.until(lambda: not find(name, names), what, 120 + minutes * 180, every=1)
    return things


def delete(name: str, thing: Thing) -> bool:
    """Delete one thing; True also if it is gone already."""
    kind = KINDS[name]
    try:
        if callable(kind.deletion):
            kind.deletion(thing.id)
        else:
            operation, parameter = kind.deletion.split()
            value = [thing.id] if parameter.endswith("Ids") else thing.id
            getattr(finding.aws(kind.service), operation)(**{parameter: value})
    except ClientError as error:
        if not any(word in error.response["Error"]["Code"] for word in GONE):
            raise
    return True
