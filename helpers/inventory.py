"""Everything that the lessons make on AWS, found again service by service, and what it costs by the hour.

A lesson that makes a new kind of thing adds it to `FIND`, to `HOURLY` if it costs by the hour, and to
`helpers.removal`; lesson 17 then finds, prices and deletes it.
"""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import boto3
import pandas as pd
from botocore.exceptions import ClientError, EndpointConnectionError

from helpers import client, lookup, once
from helpers.config import ConfigError
from helpers.names import Names

Item = dict[str, Any]
GONE_STATES = ("terminated", "deleted")  # AWS lists such things for a while
STATE_FIELDS = ("State", "VpcLinkStatus", "connectorState", "customPluginState", "StreamStatus")


@dataclass(frozen=True)
class Thing:
    """One thing that exists: where, what, its name, the id or ARN by which AWS knows it, its state if any."""

    service: str
    kind: str
    name: str
    id: str
    state: str = ""


Finder = Callable[[Names], list[Thing]]


@functools.cache
def aws(service: str) -> Any:
    """One boto3 client a service."""
    return boto3.client(service)


def listed(service: str, operation: str, key: str, **asked: Any) -> list[Any]:
    """All items of a listing, from all of its pages."""
    api = aws(service)
    if api.can_paginate(operation):
        return list(api.get_paginator(operation).paginate(**asked).build_full_result().get(key, []))
    return list(getattr(api, operation)(**asked).get(key, []))


def tags(item: Item) -> dict[str, str]:
    """The tags of an item, which some services give as a dict and others as a list."""
    given = item.get("Tags") or item.get("tags") or {}
    return dict(given) if isinstance(given, dict) else {tag["Key"]: tag["Value"] for tag in given}


def state(item: Item) -> str:
    """The state of an item in lower case, "" for things without."""
    given = next((item[field] for field in STATE_FIELDS if field in item), "")
    return str(given.get("Name", given.get("Code", "")) if isinstance(given, dict) else given).lower()


def things(service: str, kind: str, items: Iterable[Item], fields: str) -> list[Thing]:
    """Items of an answer as things, without those that are gone; `fields` are those for name and id."""
    name, identity = fields.split()
    found = [
        Thing(service, kind, item.get(name) or tags(item).get(name, ""), item[identity], state(item))
        for item in items
    ]
    return [thing for thing in found if thing.state not in GONE_STATES]


def by_name(kind: str, call: str, fields: str, ours: Callable[[Names, str], bool]) -> Finder:
    """A finder where names are unique, so that the name alone tells.

    `call` is service, operation and the answer's key; `fields` are those of an item for name and id.
    """
    service, operation, key = call.split()

    def find(names: Names) -> list[Thing]:
        every = things(service, kind, listed(service, operation, key), fields)
        return [thing for thing in every if ours(names, thing.name)]

    return find


def by_tag(kind: str, call: str, fields: str) -> Finder:
    """A finder where others may have things of the same name: ours carry the project's tag."""
    service, operation, key = call.split()

    def find(names: Names) -> list[Thing]:
        items = listed(service, operation, key)
        # EC2 lists its instances by reservation.
        flat = [one for item in items for one in item.get("Instances", [item])]
        return things(service, kind, [item for item in flat if _ours(item, names)], fields)

    return find


def find_topics(names: Names) -> list[Thing]:
    """Our Kafka topics, asked on the client machine; none once the machine or the cluster is out of reach."""
    try:
        found = client.run(f"{topics_tool()} --list").split()
    except (RuntimeError, TimeoutError, ClientError):
        return []  # they go with their cluster
    ours = [name for name in found if name.startswith(f"{names.user_id}.") or name == names.dead_letter_topic]
    return [Thing("kafka", "topic", name, name) for name in ours]


def topics_tool() -> str:
    """The start of a command line for Kafka's topics on the client machine."""
    where = f"--bootstrap-server {lookup.cluster()[1]} --command-config client.properties"
    return f"kafka/bin/kafka-topics.sh {where}"


def find_environments(names: Names) -> list[Thing]:
    """Our Airflow environment, which MWAA lists by its name alone."""
    name = names.environment
    if name not in listed("mwaa", "list_environments", "Environments"):
        return []
    # It may go in between.
    found = once.unless("ResourceNotFoundException", lambda: aws("mwaa").get_environment(Name=name))
    return [Thing("mwaa", "environment", name, name, found["Environment"]["Status"].lower())] if found else []


def find_log_groups(names: Names) -> list[Thing]:
    """The log groups that MWAA makes for an environment, and leaves behind."""
    prefix = f"airflow-{names.environment}-"
    found = listed("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=prefix)
    return things("logs", "log group", found, "logGroupName logGroupName")


def find_rules(names: Names) -> list[Thing]:
    """Our security groups that let somebody in: such a rule may name another group, which then cannot go."""
    groups = [g for g in listed("ec2", "describe_security_groups", "SecurityGroups") if _ours(g, names)]
    return things("ec2", "rule", [group for group in groups if group["IpPermissions"]], "Name GroupId")


def _ours(item: Item, names: Names) -> bool:
    return names.tags.items() <= tags(item).items()


def _begins(names: Names, name: str) -> bool:
    return name.startswith(f"{names.user_id}-")  # with the trials of lesson 06


def _is(*fields: str) -> Callable[[Names, str], bool]:
    return lambda names, name: name in [getattr(names, field) for field in fields]


CONNECT, REST, HTTP, LB = "kafkaconnect", "apigateway", "apigatewayv2", "elbv2"
FIND: dict[str, Finder] = {
    kind: by_tag(kind, f"ec2 {call}", f"Name {identity}")
    for kind, call, identity in (
        ("instance", "describe_instances Reservations", "InstanceId"),
        ("NAT gateway", "describe_nat_gateways NatGateways", "NatGatewayId"),
        ("elastic IP", "describe_addresses Addresses", "AllocationId"),
        ("VPC endpoint", "describe_vpc_endpoints VpcEndpoints", "VpcEndpointId"),
        ("route table", "describe_route_tables RouteTables", "RouteTableId"),
        ("internet gateway", "describe_internet_gateways InternetGateways", "InternetGatewayId"),
        ("subnet", "describe_subnets Subnets", "SubnetId"),
        ("security group", "describe_security_groups SecurityGroups", "GroupId"),
        ("VPC", "describe_vpcs Vpcs", "VpcId"),
    )
} | {
    kind: by_tag(kind, call, fields)
    for kind, call, fields in (
        ("REST API", f"{REST} get_rest_apis items", "name id"),
        ("usage plan", f"{REST} get_usage_plans items", "name id"),
        ("API key", f"{REST} get_api_keys items", "name id"),
        ("VPC link", f"{HTTP} get_vpc_links Items", "Name VpcLinkId"),
    )
}
FIND |= {
    kind: by_name(kind, call, fields, ours)
    for kind, call, fields, ours in (
        ("connector", f"{CONNECT} list_connectors connectors", "connectorName connectorArn", _begins),
        ("plugin", f"{CONNECT} list_custom_plugins customPlugins", "name customPluginArn", _begins),
        ("worker configuration", f"{CONNECT} list_worker_configurations workerConfigurations",
         "name workerConfigurationArn", _begins),
        ("load balancer", f"{LB} describe_load_balancers LoadBalancers", "LoadBalancerName LoadBalancerArn",
         _is("load_balancer")),
        ("target group", f"{LB} describe_target_groups TargetGroups", "TargetGroupName TargetGroupArn",
         _is("load_balancer")),
        ("cluster", "kafka list_clusters ClusterInfoList", "ClusterName ClusterArn", _is("cluster")),
        ("bucket", "s3 list_buckets Buckets", "Name Name", _is("bucket", "scratch_bucket")),
        ("instance profile", "iam list_instance_profiles InstanceProfiles",
         "InstanceProfileName InstanceProfileName", _is("ec2_role")),
        ("role", "iam list_roles Roles", "RoleName RoleName",
         _is("ec2_role", "connect_role", "kinesis_role", "mwaa_role")),
        ("stream", "kinesis list_streams StreamSummaries", "StreamName StreamName",
         lambda names, name: name.startswith(f"streaming-{names.user_id}-")),
    )
}  # fmt: skip
FIND |= {"topic": find_topics, "rule": find_rules}
FIND |= {"environment": find_environments, "log group": find_log_groups}
# Dollars an hour for one, list prices of us-east-1: two kafka.t3.small; a t3.small; one MCU; two shards.
HOURLY = {
    "cluster": 0.0912,
    "connector": 0.11,
    "environment": 0.49,  # mw1.small with its one worker
    "NAT gateway": 0.045,
    "elastic IP": 0.005,
    "load balancer": 0.0225,
    "instance": 0.0208,
    "stream": 0.03,
}


def everything(names: Names) -> list[Thing]:
    """All that exists of one user's pipeline, by service and kind; ConfigError when a service is away."""
    try:
        found = [thing for find in FIND.values() for thing in find(names)]
    except EndpointConnectionError as error:
        raise ConfigError(f"{error} The local cloud is not up? Run `make up` first.") from None
    return sorted(found, key=lambda thing: (thing.service, thing.kind, thing.name))


def table(found: Iterable[Thing]) -> pd.DataFrame:
    """One row a thing: service, kind, name, dollars an hour."""
    rows = [(thing.service, thing.kind, thing.name, HOURLY.get(thing.kind, 0.0)) for thing in found]
    return pd.DataFrame(rows, columns=["service", "kind", "name", "$ an hour"])
