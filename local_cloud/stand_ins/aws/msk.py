"""What the emulator lacks of MSK: the versions on offer, which size of broker takes which, and a reboot."""

import json
import re
import threading

from botocore.exceptions import ClientError

from local_cloud import supervise
from local_cloud.parts.aws import client
from local_cloud.stand_ins.http import AwsError
from local_cloud.state import State

# As MSK lists them: with KRaft, Kafka's own metadata, a version ends in `.kraft`; from 4.0 on all do.
VERSIONS = {
    **dict.fromkeys(("2.8.1", "3.5.1", "3.6.0"), "DEPRECATED"),
    **dict.fromkeys(("3.7.x", "3.7.x.kraft", "3.8.x", "3.8.x.kraft", "3.9.x", "3.9.x.kraft"), "ACTIVE"),
    **dict.fromkeys(("4.0.x.kraft", "4.1.x.kraft", "4.2.x.kraft"), "ACTIVE"),
}
EXPRESS_ONLY = "4.2.x.kraft"
REBOOT = re.compile(r"/v1/clusters/(arn:[^/]+:cluster/[^/]+/[^/]+)/reboot-broker")


def versions() -> bytes:
    """The answer of ListKafkaVersions."""
    listed = [{"version": version, "status": status} for version, status in VERSIONS.items()]
    return json.dumps({"kafkaVersions": listed}).encode()


def check_cluster(body: bytes) -> None:
    """AwsError for a CreateCluster with a version that is not on offer, or on brokers that do not take it."""
    try:
        asked = json.loads(body)
        version, size = asked.get("kafkaVersion"), asked.get("brokerNodeGroupInfo", {}).get("instanceType")
    except (ValueError, AttributeError):
        raise AwsError("BadRequestException", "The request is not valid JSON of a cluster") from None
    active = [one for one, status in VERSIONS.items() if status == "ACTIVE"]
    if version not in active:
        said = f"Unsupported KafkaVersion [{version}]. Valid values: [{', '.join(active)}]"
        raise AwsError("BadRequestException", said)
    express = str(size).startswith("express.")
    if (size == "kafka.t3.small" and ".kraft" in version) or (version == EXPRESS_ONLY and not express):
        raise AwsError("BadRequestException", f"Unsupported InstanceType specified with {version}: {size}")


def reboot(state: State, arn: str, body: bytes) -> bytes:
    """The answer of RebootBroker, after which the one real broker stops and starts.

    AwsError for a cluster or a broker that is not there.
    """
    try:
        info = client(state, "kafka").describe_cluster(ClusterArn=arn)["ClusterInfo"]
    except ClientError as error:
        said, status = error.response["Error"], error.response["ResponseMetadata"]["HTTPStatusCode"]
        raise AwsError(said["Code"], said["Message"], status) from None
    known = [str(number) for number in range(1, info["NumberOfBrokerNodes"] + 1)]
    try:
        brokers = json.loads(body)["brokerIds"]
    except (ValueError, KeyError, TypeError):
        brokers = None
    if brokers not in [[one] for one in known]:
        raise AwsError("BadRequestException", f"brokerIds: one of {', '.join(known)} expected")
    threading.Thread(target=restart, args=(state,)).start()
    operation = arn.replace(":cluster/", ":cluster-operation/") + "/reboot"
    return json.dumps({"clusterArn": arn, "clusterOperationArn": operation}).encode()


def restart(state: State) -> None:
    """Stop the broker in order, and start it."""
    supervise.stop(state, "kafka")
    supervise.start(state, "kafka")
