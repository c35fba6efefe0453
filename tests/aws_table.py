"""What AWS refuses though its service models do not say so: hand-written, each rule with its source."""

import base64
import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Any

KINDS = {
    "CreateVpc": "vpc", "CreateSubnet": "subnet", "CreateInternetGateway": "internet-gateway",
    "AllocateAddress": "elastic-ip", "CreateNatGateway": "natgateway", "CreateRouteTable": "route-table",
    "CreateVpcEndpoint": "vpc-endpoint", "CreateSecurityGroup": "security-group",
}  # fmt: skip


def tag_kinds(service: str, name: str, params: dict[str, Any]) -> Iterator[str]:
    """The kind in TagSpecifications is that of the thing made. Source: EC2 API, each Create call."""
    for wanted in params.get("TagSpecifications", []) if service == "ec2" else ():
        if name in KINDS and wanted.get("ResourceType") != KINDS[name]:
            yield f"TagSpecifications: {wanted.get('ResourceType')!r}, {name} takes {KINDS[name]!r}"


def cidr(params: dict[str, Any]) -> Iterator[str]:
    """Source: EC2 API, CreateVpc and CreateSubnet: /16 to /28, no bits set beyond the mask."""
    try:
        block = ipaddress.IPv4Network(params["CidrBlock"])
    except (KeyError, ValueError) as error:
        yield f"CidrBlock: {error}"
        return
    if not 16 <= block.prefixlen <= 28:
        yield f"CidrBlock: /{block.prefixlen}, between /16 and /28"


def zones(params: dict[str, Any]) -> Iterator[str]:
    """Source: EC2 API, DescribeAvailabilityZones: it lists local zones too, where an account opted in."""
    if not any(asked["Name"] == "zone-type" for asked in params.get("Filters", [])):
        yield "Filters: no zone-type, so a local zone may be among the answers"


def rules_of_group(params: dict[str, Any]) -> Iterator[str]:
    """Source: EC2 API, IpPermission."""
    for rule in params.get("IpPermissions", []):
        if rule.get("IpProtocol") in ("tcp", "udp", "6", "17"):
            first, last = rule.get("FromPort", -1), rule.get("ToPort", -1)
            if not 0 <= first <= last <= 65535:
                yield f"IpPermissions: ports {first} to {last}"
        if not any(
            rule.get(name) for name in ("IpRanges", "Ipv6Ranges", "UserIdGroupPairs", "PrefixListIds")
        ):
            yield "IpPermissions: a rule for nobody"


def instance(params: dict[str, Any]) -> Iterator[str]:
    """Source: EC2 API, RunInstances: user data is at most 16 KB before base64."""
    if len(base64.b64decode(params.get("UserData", ""))) > 16 * 1024:
        yield "UserData: more than 16 KB"
    if params["MinCount"] > params["MaxCount"]:
        yield "MinCount: above MaxCount"
    if len(params.get("IamInstanceProfile", {"Name": ""})) != 1:
        yield "IamInstanceProfile: either Arn or Name"


def cluster(params: dict[str, Any]) -> Iterator[str]:
    """Source: MSK API, BrokerNodeGroupInfo: a subnet in each of two or three zones, brokers alike."""
    subnets = params["BrokerNodeGroupInfo"]["ClientSubnets"]
    if len(set(subnets)) != len(subnets) or len(subnets) not in (2, 3):
        yield f"BrokerNodeGroupInfo.ClientSubnets: {len(subnets)}, two or three different ones"
    if params["NumberOfBrokerNodes"] % max(len(subnets), 1):
        yield f"NumberOfBrokerNodes: {params['NumberOfBrokerNodes']} is no multiple of {len(subnets)} zones"
    yield from version_on_size(params["KafkaVersion"], params["BrokerNodeGroupInfo"]["InstanceType"])


def version_on_size(version: str, size: str) -> Iterator[str]:
    """Source: aws-cdk's aws-msk-alpha, `cluster-version.ts`; MSK's refusals as reported in 2026.

    From 4.0 on there is KRaft only; kafka.t3.small takes no KRaft; from 4.2 on it takes Express brokers,
    which begin at 3.6.
    """
    number = tuple(int(part) for part in version.split(".") if part.isdigit())
    kraft, express = version.endswith(".kraft"), size.startswith("express.")
    if number >= (4, 0) and not kraft:
        yield f"KafkaVersion: {version!r}, from 4.0 on only as .kraft"
    if size == "kafka.t3.small" and kraft:
        yield f"KafkaVersion: {version!r}, kafka.t3.small takes no KRaft"
    if number >= (4, 2) and not express:
        yield f"KafkaVersion: {version!r}, on Express brokers only, not {size}"
    if number < (3, 6) and express:
        yield f"KafkaVersion: {version!r}, Express brokers begin at 3.6"


def worker(params: dict[str, Any]) -> Iterator[str]:
    """Source: aws-msk-iam-auth #28 and #45: kafka.t3.small takes four new IAM connections a second."""
    text = base64.b64decode(params["propertiesFileContent"]).decode()
    for client in ("consumer", "producer"):
        told = re.search(rf"^{client}\.reconnect\.backoff\.ms=(\d+)$", text, re.MULTILINE)
        if not told or int(told[1]) < 1000:
            yield f"propertiesFileContent: {client}.reconnect.backoff.ms below 1000"


def connector(params: dict[str, Any]) -> Iterator[str]:
    """Source: MSK Connect API, Capacity; Kafka's sink settings; the S3 sink's rotate.schedule.interval.ms."""
    if len(params["capacity"]) != 1:
        yield "capacity: either autoScaling or provisionedCapacity"
    settings = params["connectorConfiguration"]
    if ("topics" in settings) == ("topics.regex" in settings):
        yield "connectorConfiguration: either topics or topics.regex"
    for needed in ("connector.class", "tasks.max"):
        if needed not in settings:
            yield f"connectorConfiguration: no {needed}"
    if "rotate.schedule.interval.ms" in settings and "timezone" not in settings:
        yield "connectorConfiguration: rotate.schedule.interval.ms wants timezone"
    size = settings.get("flush.size", "1")
    if re.fullmatch(r"-?\d+", size) and int(size) < 1:  # Confluent's sink has no validator on it
        yield f"connectorConfiguration: flush.size {size} runs, and writes one object per record"
    elif not re.fullmatch(r"\d+", size) and settings.get("topics.dir", "topics") == "topics":
        yield f"connectorConfiguration: flush.size {size} fails; if that is meant, use another topics.dir"


def environment(params: dict[str, Any]) -> Iterator[str]:
    """Source: MWAA User Guide, "About networking": exactly two private subnets, in two zones."""
    if len(set(params.get("NetworkConfiguration", {}).get("SubnetIds", []))) != 2:
        yield "NetworkConfiguration.SubnetIds: exactly two"


def integration(params: dict[str, Any]) -> Iterator[str]:
    """Source: API Gateway API, PutIntegration."""
    if params["type"] != "MOCK" and not (params.get("uri") and params.get("integrationHttpMethod")):
        yield "uri, integrationHttpMethod: needed unless the type is MOCK"
    if params.get("connectionType") == "VPC_LINK" and not params.get("connectionId"):
        yield "connectionId: needed with VPC_LINK"
    if params.get("integrationTarget") and params.get("connectionType") != "VPC_LINK":
        yield "integrationTarget: only with VPC_LINK"
    if params["type"] in ("AWS", "AWS_PROXY") and not re.match(
        r"arn:aws[\w-]*:apigateway:[\w-]+:", params.get("uri", "")
    ):
        yield "uri: of an AWS integration it is arn:aws:apigateway:<region>:<service>:action/<action>"
    if not 50 <= params.get("timeoutInMillis", 50) <= 29_000:
        yield "timeoutInMillis: 50 to 29,000"


def usage_plan(params: dict[str, Any]) -> Iterator[str]:
    """Source: API Gateway API, ThrottleSettings: both numbers, the burst at least one call."""
    limits = params.get("throttle", {"rateLimit": 1, "burstLimit": 1})
    if not (limits.get("rateLimit", 0) > 0 and limits.get("burstLimit", 0) >= 1):
        yield f"throttle: {limits}, rateLimit above 0 and burstLimit from 1"


PATCHES = {
    "UpdateUsagePlan": r"/(name|description|apiStages|throttle/(rate|burst)Limit|quota/\w+)",
    "UpdateMethod": r"/(authorizationType|authorizerId|apiKeyRequired|request(Parameters|Models)/.+)",
    "UpdateStage": r"/(deploymentId|description|variables/.+|[^/]+/[A-Z*]+/(throttling|logging|metrics)/\w+)",
}


def patches(operation: str) -> Callable[[dict[str, Any]], Iterator[str]]:
    """Source: API Gateway API, "Patch operations": the paths that can be changed; every value is text."""

    def check(params: dict[str, Any]) -> Iterator[str]:
        for change in params["patchOperations"]:
            path, value = change.get("path", ""), change.get("value", "")
            if not re.fullmatch(PATCHES[operation], path):
                yield f"patchOperations: {operation} cannot change {path!r}"
            if path == "/apiKeyRequired" and value not in ("true", "false"):
                yield f"patchOperations: {path} is 'true' or 'false', not {value!r}"
            if path.startswith("/throttle/") and not re.fullmatch(r"\d+(\.\d+)?", value):
                yield f"patchOperations: {path} is a number, not {value!r}"

    return check


def run_command(params: dict[str, Any]) -> Iterator[str]:
    """Source: the SSM document AWS-RunShellScript, and SendCommand: 48 hours, 64 KB of parameters."""
    given = params.get("Parameters", {})
    if bool(params.get("InstanceIds")) == bool(params.get("Targets")):
        yield "InstanceIds, Targets: one of them"
    if params["DocumentName"] != "AWS-RunShellScript":
        return
    if set(given) - {"commands", "workingDirectory", "executionTimeout"} or not given.get("commands"):
        yield f"Parameters: {sorted(given)}, not commands, workingDirectory, executionTimeout"
    for seconds in given.get("executionTimeout", ["1"]):
        if not (seconds.isdigit() and 1 <= int(seconds) <= 172_800):
            yield f"Parameters.executionTimeout: {seconds!r}, seconds from 1 to 172800"
    if sum(len(line.encode()) for line in given.get("commands", [])) > 64 * 1024:
        yield "Parameters.commands: more than 64 KB"


RULES: dict[str, Callable[[dict[str, Any]], Iterator[str]]] = {
    "ec2.CreateVpc": cidr, "ec2.CreateSubnet": cidr, "ec2.RunInstances": instance,
    "ec2.DescribeAvailabilityZones": zones, "kafkaconnect.CreateWorkerConfiguration": worker,
    "ec2.AuthorizeSecurityGroupIngress": rules_of_group, "ec2.RevokeSecurityGroupIngress": rules_of_group,
    "kafka.CreateCluster": cluster, "kafkaconnect.CreateConnector": connector,
    "mwaa.CreateEnvironment": environment,
    "apigateway.PutIntegration": integration, "apigateway.CreateUsagePlan": usage_plan,
    "apigateway.UpdateUsagePlan": patches("UpdateUsagePlan"),
    "apigateway.UpdateMethod": patches("UpdateMethod"),
    "apigateway.UpdateStage": patches("UpdateStage"),
    "ssm.SendCommand": run_command,
}  # fmt: skip

# Seconds from one call to the next that an account may make, fixed. Source: API Gateway Developer Guide,
# "Quotas for creating, deploying and managing an API".
QUOTAS = {
    "apigateway.CreateRestApi": 3, "apigateway.CreateDeployment": 5, "apigateway.UpdateUsagePlan": 20,
    "apigateway.UpdateAccount": 20, "apigateway.DeleteRestApi": 30,
    "apigatewayv2.CreateVpcLink": 15, "apigatewayv2.DeleteVpcLink": 30,
}  # fmt: skip

BALANCED = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?"
GROUP = r"[A-Za-z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}"
# Parameter -> the whole text's pattern; `*` stands for every operation of the service.
TEXTS = {
    # MSK Developer Guide, "Create a cluster": letters, digits, hyphens, a letter first.
    "kafka.CreateCluster.ClusterName": r"[A-Za-z][A-Za-z0-9-]{0,63}",
    "kafka.CreateCluster.BrokerNodeGroupInfo.InstanceType": r"(kafka|express)\.[a-z0-9]+\.[a-z0-9]+",
    # RDS API, CreateDBInstance: a letter first, no hyphen at the end, no two in a row.
    "rds.CreateDBInstance.DBInstanceIdentifier": r"[A-Za-z](?:-?[A-Za-z0-9]){0,62}",
    # MWAA API, CreateEnvironment (in the model today; kept, for it was not always).
    "mwaa.CreateEnvironment.Name": r"[A-Za-z][\w-]{0,79}",
    # Elastic Load Balancing API, CreateLoadBalancer and CreateTargetGroup: 32, no hyphen at either end.
    "elbv2.CreateLoadBalancer.Name": rf"(?!internal-){BALANCED}",
    "elbv2.CreateTargetGroup.Name": BALANCED,
    # EC2 API, CreateSecurityGroup: a name cannot look like an id, and every network has its own `default`.
    "ec2.CreateSecurityGroup.GroupName": rf"(?!sg-|default$){GROUP}",
    "ec2.CreateSecurityGroup.Description": GROUP,
    # S3 User Guide, "Bucket naming rules".
    "s3.*.Bucket": r"(?!xn--|sthree-|[\d.]+$)(?!.*(\.\.|-s3alias$|--ol-s3$))[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
    # API Gateway API, CreateResource, CreateDeployment, CreateApiKey.
    # Its Developer Guide, "Important notes": /ping and /sping are kept for health checks of the service.
    "apigateway.CreateResource.pathPart": r"(?!s?ping$)[\w.:-]+|\{[\w.-]+\+?\}",
    # IAM User Guide, "Service-linked roles": names that only services give.
    "iam.CreateRole.RoleName": r"(?!AWSServiceRole).+",
    "apigateway.CreateDeployment.stageName": r"[\w-]{1,128}",
    "apigateway.CreateApiKey.value": r"[\x21-\x7e]{20,128}",
    # MSK Connect Developer Guide, "Kafka Connect versions"; IAM's form of a role's ARN.
    "kafkaconnect.CreateConnector.kafkaConnectVersion": r"2\.7\.1|3\.7\.x",
    "kafkaconnect.CreateConnector.serviceExecutionRoleArn": r"arn:aws[\w-]*:iam::\d{12}:role/[\w+=,.@/-]+",
    "kafkaconnect.CreateConnector.capacity.provisionedCapacity.mcuCount": r"1|2|4|8",
}
