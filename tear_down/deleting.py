"""Delete what takes more than one call."""

from helpers import client, lookup
from tear_down.finding import aws, listed, workspace


def topic(name: str) -> None:
    """Delete one topic: Kafka's tool takes a pattern, in which a dot stands for itself only in brackets."""
    client.run(f"{lookup.kafka_tool('topics')} --delete --if-exists --topic '{name.replace('.', '[.]')}'")


def usage_plan(plan: str) -> None:
    """Take a usage plan off its stages, then delete it."""
    stages = aws("apigateway").get_usage_plan(usagePlanId=plan).get("apiStages", [])
    places = [f"{stage['apiId']}:{stage['stage']}" for stage in stages]
    changes = [{"op": "remove", "path": "/apiStages", "value": place} for place in places]
    if changes:
        aws("apigateway").update_usage_plan(usagePlanId=plan, patchOperations=changes)
    aws("apigateway").delete_usage_plan(usagePlanId=plan)


def instance_profile(profile: str) -> None:
    """Take the role out of an instance profile, then delete the profile."""
    name = {"InstanceProfileName": profile}
    for attached in aws("iam").get_instance_profile(**name)["InstanceProfile"]["Roles"]:
        aws("iam").remove_role_from_instance_profile(**name, RoleName=attached["RoleName"])
    aws("iam").delete_instance_profile(**name)


def role(role_name: str) -> None:
    """Take all policies off a role, then delete it; AWS's own policies are only detached."""
    name = {"RoleName": role_name}
    for policy in listed("iam", "list_attached_role_policies", "AttachedPolicies", **name):
        aws("iam").detach_role_policy(**name, PolicyArn=policy["PolicyArn"])
    for inline in listed("iam", "list_role_policies", "PolicyNames", **name):
        aws("iam").delete_role_policy(**name, PolicyName=inline)
    aws("iam").delete_role(**name)


def bucket(name: str) -> None:
    """Delete every version of every object and every delete marker, a page at a time, then the bucket."""
    for page in aws("s3").get_paginator("list_object_versions").paginate(Bucket=name):
        versions = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        objects = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in versions]
        if objects:
            answer = aws("s3").delete_objects(Bucket=name, Delete={"Objects": objects, "Quiet": True})
            if answer.get("Errors"):
                raise RuntimeError(f"S3 keeps {answer['Errors'][0]['Key']}: {answer['Errors'][0]['Message']}")
    aws("s3").delete_bucket(Bucket=name)


def rule(group: str) -> None:
    """Revoke all rules that let somebody into a security group."""
    [found] = aws("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"]
    # Without empty lists and owners of groups: a rule is revoked by what it was made with.
    rules = [{field: value for field, value in each.items() if value} for each in found["IpPermissions"]]
    for each in rules:
        for pair in each.get("UserIdGroupPairs", []):
            pair.pop("UserId", None)
    aws("ec2").revoke_security_group_ingress(GroupId=group, IpPermissions=rules)


def route_table(table: str) -> None:
    """Take a route table off its subnets, then delete it."""
    [found] = aws("ec2").describe_route_tables(RouteTableIds=[table])["RouteTables"]
    for link in found.get("Associations", []):
        aws("ec2").disassociate_route_table(AssociationId=link["RouteTableAssociationId"])
    aws("ec2").delete_route_table(RouteTableId=table)


def internet_gateway(gateway: str) -> None:
    """Detach an internet gateway from its network, then delete it."""
    [found] = aws("ec2").describe_internet_gateways(InternetGatewayIds=[gateway])["InternetGateways"]
    for link in found.get("Attachments", []):
        aws("ec2").detach_internet_gateway(InternetGatewayId=gateway, VpcId=link["VpcId"])
    aws("ec2").delete_internet_gateway(InternetGatewayId=gateway)


def stream(name: str) -> None:
    """Delete a stream with the consumers that are registered on it."""
    aws("kinesis").delete_stream(StreamName=name, EnforceConsumerDeletion=True)


def delta_table(name: str) -> None:
    """Drop a table or a view of Unity Catalog."""
    workspace("DELETE", f"2.1/unity-catalog/tables/{name}")


def volume(name: str) -> None:
    """Drop a volume of Unity Catalog; the files of a managed one go with it."""
    workspace("DELETE", f"2.1/unity-catalog/volumes/{name}")


def job(job_id: str) -> None:
    """Delete a job of the workspace."""
    workspace("POST", "2.2/jobs/delete", job_id=int(job_id))
