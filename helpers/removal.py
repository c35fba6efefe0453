"""How everything of `helpers.inventory` is deleted again, and in which order."""

import functools
from collections.abc import Callable
from graphlib import TopologicalSorter

from botocore.exceptions import ClientError

from helpers import client, wait
from helpers.inventory import FIND, Thing, aws, listed, topics_tool
from helpers.names import Names

LEAVING = ("shutting-down", "deleting")
# Words in the codes of refusals that pass once AWS has noticed that the last user of a thing is gone, or
# has delivered the last log into a bucket.
BUSY = ("DependencyViolation", "InUse", "Conflict", "TooManyRequests", "NotEmpty")
GONE = ("NotFound", "NoSuch")
# What each kind needs while it exists. A machine needs the routes to be reached by Systems Manager, and a
# topic needs the machine to be deleted from.
NEEDS: dict[str, tuple[str, ...]] = {
    "connector": ("topic", "plugin", "worker configuration", "role", "bucket", "security group", "subnet"),
    "environment": ("role", "bucket", "security group", "subnet", "log group"),
    "log group": (),
    "plugin": ("bucket",),
    "worker configuration": (),
    "topic": ("cluster", "instance", "rule"),
    "usage plan": ("REST API", "API key"),
    "API key": (),
    "REST API": ("VPC link", "load balancer", "role", "stream"),
    "stream": (),
    "VPC link": ("subnet", "security group"),
    "load balancer": ("target group", "subnet"),
    "target group": ("instance", "VPC"),
    "instance": ("instance profile", "route table", "security group", "subnet"),
    "instance profile": ("role",),
    "cluster": ("security group", "subnet"),
    "rule": ("security group",),
    "VPC endpoint": ("route table",),
    "route table": ("NAT gateway", "internet gateway", "subnet"),
    "NAT gateway": ("elastic IP", "internet gateway", "subnet"),
    "elastic IP": ("internet gateway",),
    "internet gateway": ("VPC",),
    "security group": ("VPC",),
    "subnet": ("VPC",),
    "VPC": (),
    "role": (),
    "bucket": (),
}
# Minutes that AWS normally takes, where it is more than one.
MINUTES = {
    "environment": 20,
    "connector": 5,
    "VPC link": 3,
    "load balancer": 2,
    "instance": 2,
    "cluster": 15,
    "NAT gateway": 2,
}


def order() -> list[str]:
    """All kinds, each before those that it needs."""
    return list(TopologicalSorter(NEEDS).static_order())[::-1]


def remove(kind: str, names: Names) -> list[Thing]:
    """Delete all of our things of one kind and wait until they are gone; returns what there was.

    What somebody else deletes meanwhile is no error. Raises AWS's own error, or TimeoutError.
    """
    found, minutes = FIND[kind](names), MINUTES.get(kind, 1)
    usual = f" ({minutes} minutes are normal)" if minutes > 1 else ""
    for thing in found:
        if thing.state not in LEAVING:
            told = wait.until(functools.partial(_delete, thing), f"deleting the {kind} {thing.name}", 600, 1)
            if isinstance(told, ClientError):
                raise told
    if found:
        wait.until(lambda: not FIND[kind](names), f"the {kind} to go{usual}", 120 + minutes * 180, every=1)
    return found


def _delete(thing: Thing) -> bool | ClientError:
    """True when it is deleted or gone already, else the error; one that will pass by itself is raised."""
    try:
        DELETE[thing.kind](thing.id)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if any(word in code for word in BUSY):
            raise
        return True if any(word in code for word in GONE) else error
    return True


def one_call(service: str, operation: str, parameter: str) -> Callable[[str], object]:
    """A deletion that is a single call with the thing's id in `parameter`."""
    return lambda identity: getattr(aws(service), operation)(**{parameter: identity})


def delete_topic(topic: str) -> None:
    """Delete one topic: Kafka's tool takes a pattern, in which a dot stands for itself only in brackets."""
    client.run(f"{topics_tool()} --delete --if-exists --topic '{topic.replace('.', '[.]')}'")


def delete_plan(plan: str) -> None:
    """Take a usage plan off its stages, then delete it."""
    stages = aws("apigateway").get_usage_plan(usagePlanId=plan).get("apiStages", [])
    places = [f"{stage['apiId']}:{stage['stage']}" for stage in stages]
    off = [{"op": "remove", "path": "/apiStages", "value": place} for place in places]
    if off:
        aws("apigateway").update_usage_plan(usagePlanId=plan, patchOperations=off)
    aws("apigateway").delete_usage_plan(usagePlanId=plan)


def delete_profile(profile: str) -> None:
    """Take the role out of an instance profile, then delete the profile."""
    name = {"InstanceProfileName": profile}
    for role in aws("iam").get_instance_profile(**name)["InstanceProfile"]["Roles"]:
        aws("iam").remove_role_from_instance_profile(**name, RoleName=role["RoleName"])
    aws("iam").delete_instance_profile(**name)


def delete_role(role: str) -> None:
    """Take all policies off a role, then delete it; policies of AWS's own stay where they are."""
    name = {"RoleName": role}
    for policy in listed("iam", "list_attached_role_policies", "AttachedPolicies", **name):
        aws("iam").detach_role_policy(**name, PolicyArn=policy["PolicyArn"])
    for inline in listed("iam", "list_role_policies", "PolicyNames", **name):
        aws("iam").delete_role_policy(**name, PolicyName=inline)
    aws("iam").delete_role(**name)


def delete_bucket(bucket: str) -> None:
    """Delete every version of every object and every delete marker, a page at a time, then the bucket."""
    for page in aws("s3").get_paginator("list_object_versions").paginate(Bucket=bucket):
        both = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        doomed = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in both]
        if doomed:
            answer = aws("s3").delete_objects(Bucket=bucket, Delete={"Objects": doomed, "Quiet": True})
            if answer.get("Errors"):
                raise RuntimeError(f"S3 keeps {answer['Errors'][0]['Key']}: {answer['Errors'][0]['Message']}")
    aws("s3").delete_bucket(Bucket=bucket)


def close_group(group: str) -> None:
    """Revoke all rules that let somebody into a security group."""
    [found] = aws("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"]
    # Without empty lists and owners of groups: a rule is revoked by what it was made with.
    rules = [{field: value for field, value in rule.items() if value} for rule in found["IpPermissions"]]
    for rule in rules:
        for pair in rule.get("UserIdGroupPairs", []):
            pair.pop("UserId", None)
    aws("ec2").revoke_security_group_ingress(GroupId=group, IpPermissions=rules)


def delete_route_table(table: str) -> None:
    """Take a route table off its subnets, then delete it."""
    [found] = aws("ec2").describe_route_tables(RouteTableIds=[table])["RouteTables"]
    for link in found.get("Associations", []):
        aws("ec2").disassociate_route_table(AssociationId=link["RouteTableAssociationId"])
    aws("ec2").delete_route_table(RouteTableId=table)


def delete_internet_gateway(gateway: str) -> None:
    """Detach an internet gateway from its network, then delete it."""
    [found] = aws("ec2").describe_internet_gateways(InternetGatewayIds=[gateway])["InternetGateways"]
    for link in found.get("Attachments", []):
        aws("ec2").detach_internet_gateway(InternetGatewayId=gateway, VpcId=link["VpcId"])
    aws("ec2").delete_internet_gateway(InternetGatewayId=gateway)


DELETE: dict[str, Callable[[str], object]] = {
    "connector": one_call("kafkaconnect", "delete_connector", "connectorArn"),
    "environment": one_call("mwaa", "delete_environment", "Name"),
    "log group": one_call("logs", "delete_log_group", "logGroupName"),
    "plugin": one_call("kafkaconnect", "delete_custom_plugin", "customPluginArn"),
    "worker configuration": one_call("kafkaconnect", "delete_worker_configuration", "workerConfigurationArn"),
    "topic": delete_topic,
    "usage plan": delete_plan,
    "API key": one_call("apigateway", "delete_api_key", "apiKey"),
    "REST API": one_call("apigateway", "delete_rest_api", "restApiId"),
    "VPC link": one_call("apigatewayv2", "delete_vpc_link", "VpcLinkId"),
    "load balancer": one_call("elbv2", "delete_load_balancer", "LoadBalancerArn"),
    "target group": one_call("elbv2", "delete_target_group", "TargetGroupArn"),
    "instance": lambda instance: aws("ec2").terminate_instances(InstanceIds=[instance]),
    "instance profile": delete_profile,
    "cluster": one_call("kafka", "delete_cluster", "ClusterArn"),
    "rule": close_group,
    "VPC endpoint": lambda endpoint: aws("ec2").delete_vpc_endpoints(VpcEndpointIds=[endpoint]),
    "route table": delete_route_table,
    "NAT gateway": one_call("ec2", "delete_nat_gateway", "NatGatewayId"),
    "elastic IP": one_call("ec2", "release_address", "AllocationId"),
    "internet gateway": delete_internet_gateway,
    "security group": one_call("ec2", "delete_security_group", "GroupId"),
    "subnet": one_call("ec2", "delete_subnet", "SubnetId"),
    "VPC": one_call("ec2", "delete_vpc", "VpcId"),
    "role": delete_role,
    "bucket": delete_bucket,
    "stream": lambda name: aws("kinesis").delete_stream(StreamName=name, EnforceConsumerDeletion=True),
}
