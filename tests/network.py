"""The network as AWS reports it after a lesson, against the drawing of `images.network`."""

from typing import Any

import boto3

from helpers.names import Names
from images import network


def differences(mine: Names, lesson: int) -> list[str]:
    """What the drawing of a lesson says and AWS does not ("- ..."), or AWS alone ("+ ...")."""
    drawn, there = _drawn(lesson), _reported(mine, lesson)
    return sorted([f"- {one}" for one in drawn - there] + [f"+ {one}" for one in there - drawn])


def _drawn(lesson: int) -> set[str]:
    told = {f"VPC {network.VPC}", f"{network.ZONES} zones", f"NAT gateway in {network.NAT_IN}"}
    told |= {f"subnet {name} {block}" for name, block in network.SUBNETS.items()}
    for name in network.SUBNETS:
        told |= {f"{name} leads to {way}" for way in network.WAY_OUT[name.split("-")[0]]}
    for name, part in network.parts(lesson).items():
        told.add(_part(name, part.subnets, [part.group]))
    told |= {
        f"{rule.caller} may call {rule.called} on {rule.port}, {rule.port}" for rule in network.rules(lesson)
    }
    return told


def _part(name: str, subnets: Any, groups: Any) -> str:
    return f"{name} in {', '.join(sorted(subnets))}; group {', '.join(sorted(groups))}"


def _tag(item: dict[str, Any]) -> str:
    return next(tag["Value"] for tag in item["Tags"] if tag["Key"] == "Name")


class _Found:
    """Our own network, asked once; ids by the names that the drawing uses."""

    def __init__(self, mine: Names) -> None:
        self.mine, self.client = mine, boto3.Session().client
        self.ec2 = self.client("ec2")
        [self.vpc] = self.ec2.describe_vpcs(Filters=mine.filters(mine.vpc))["Vpcs"]
        here = {"Name": "vpc-id", "Values": [self.vpc["VpcId"]]}
        listed = self.ec2.describe_subnets(Filters=[here])["Subnets"]
        self.subnets = {one["SubnetId"]: one for one in listed}
        self.subnet = {id_: _tag(one).removeprefix(f"{mine.vpc}-") for id_, one in self.subnets.items()}
        names = {
            mine.client_group: "clients",
            mine.broker_group: "brokers",
            mine.balancer_group: "balancer",
            mine.link_group: "link",
        }
        found = self.ec2.describe_security_groups(Filters=mine.filters(*names))["SecurityGroups"]
        self.groups = {one["GroupId"]: one for one in found}
        self.group = {id_: names[_tag(one)] for id_, one in self.groups.items()}

    def part(self, name: str, subnets: list[str], groups: list[str]) -> str:
        return _part(name, [self.subnet[one] for one in subnets], [self.group[one] for one in groups])


def _reported(mine: Names, lesson: int) -> set[str]:
    found = _Found(mine)
    told = {f"VPC {found.vpc['CidrBlock']}"}
    told.add(f"{len({one['AvailabilityZone'] for one in found.subnets.values()})} zones")
    told |= {f"subnet {found.subnet[id_]} {one['CidrBlock']}" for id_, one in found.subnets.items()}
    return told | _ways_out(found) | _rules(found) | _parts(found, lesson)


def _ways_out(found: _Found) -> set[str]:
    ec2, mine, told = found.ec2, found.mine, set()
    standing = {"Name": "state", "Values": ["available"]}
    nats = ec2.describe_nat_gateways(Filters=[*mine.filters(mine.vpc), standing])["NatGateways"]
    told |= {f"NAT gateway in {found.subnet[nat['SubnetId']]}" for nat in nats}
    ours = [one for one in ec2.describe_vpc_endpoints()["VpcEndpoints"] if one["VpcId"] == found.vpc["VpcId"]]
    here = {"Name": "vpc-id", "Values": [found.vpc["VpcId"]]}
    for table in ec2.describe_route_tables(Filters=[here])["RouteTables"]:
        out = [route for route in table["Routes"] if route.get("DestinationCidrBlock") == "0.0.0.0/0"]
        ways = ["NAT gateway" if route.get("NatGatewayId") else "internet gateway" for route in out]
        ways += ["S3 endpoint" for one in ours if table["RouteTableId"] in one["RouteTableIds"]]
        inside = [found.subnet[one["SubnetId"]] for one in table["Associations"] if "SubnetId" in one]
        told |= {f"{subnet} leads to {way}" for subnet in inside for way in ways}
    return told


def _rules(found: _Found) -> set[str]:
    told = set()
    for id_, group in found.groups.items():
        for rule in group["IpPermissions"]:
            callers = [found.group.get(pair["GroupId"], "?") for pair in rule["UserIdGroupPairs"]]
            callers += [one["CidrIp"] for one in rule["IpRanges"]]
            callers += [one["CidrIpv6"] for one in rule.get("Ipv6Ranges", [])]
            ports = f"{rule.get('FromPort')}, {rule.get('ToPort')}"
            told |= {f"{caller} may call {found.group[id_]} on {ports}" for caller in callers}
    return told


def _parts(found: _Found, lesson: int) -> set[str]:
    mine, client = found.mine, found.client
    [cluster] = client("kafka").list_clusters(ClusterNameFilter=mine.cluster)["ClusterInfoList"]
    brokers = cluster["BrokerNodeGroupInfo"]
    told = {found.part("cluster", brokers["ClientSubnets"], brokers["SecurityGroups"])}
    wanted = network.parts(lesson)
    if "machine" in wanted:
        running = {"Name": "instance-state-name", "Values": ["running"]}
        machines = found.ec2.describe_instances(Filters=[*mine.filters(mine.client_machine), running])
        [one] = [one for some in machines["Reservations"] for one in some["Instances"]]
        groups = [group["GroupId"] for group in one["SecurityGroups"]]
        told.add(found.part("machine", [one["SubnetId"]], groups))
    if "balancer" in wanted:
        [one] = client("elbv2").describe_load_balancers(Names=[mine.load_balancer])["LoadBalancers"]
        zones = [zone["SubnetId"] for zone in one["AvailabilityZones"]]
        told.add(found.part("balancer", zones, one["SecurityGroups"]))
        links = client("apigatewayv2").get_vpc_links()["Items"]
        [link] = [link for link in links if link["Name"] == mine.vpc_link]
        told.add(found.part("link", link["SubnetIds"], link["SecurityGroupIds"]))
    if "connector" in wanted:
        connect = client("kafkaconnect")
        [arn] = [
            one["connectorArn"]
            for one in connect.list_connectors()["connectors"]
            if one["connectorName"] == mine.connector
        ]
        at = connect.describe_connector(connectorArn=arn)["kafkaCluster"]["apacheKafkaCluster"]["vpc"]
        told.add(found.part("connector", at["subnets"], at["securityGroups"]))
    return told
