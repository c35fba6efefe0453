"""What the emulator lacks of MSK: the versions on offer, and which size of broker takes which of them."""

import json

from local_cloud.stand_ins.http import AwsError

# As MSK lists them: with KRaft, Kafka's own metadata, a version ends in `.kraft`; from 4.0 on all do.
VERSIONS = {
    **dict.fromkeys(("2.8.1", "3.5.1", "3.6.0"), "DEPRECATED"),
    **dict.fromkeys(("3.7.x", "3.7.x.kraft", "3.8.x", "3.8.x.kraft", "3.9.x", "3.9.x.kraft"), "ACTIVE"),
    **dict.fromkeys(("4.0.x.kraft", "4.1.x.kraft", "4.2.x.kraft"), "ACTIVE"),
}
EXPRESS_ONLY = "4.2.x.kraft"


def versions() -> bytes:
    """The answer of ListKafkaVersions."""
    listed = [{"version": version, "status": status} for version, status in VERSIONS.items()]
    return json.dumps({"kafkaVersions": listed}).encode()


def check_cluster(body: bytes) -> None:
    """AwsError for a CreateCluster with a version that is not on offer, or on brokers that do not take it."""
    try:
        asked = json.loads(body)
        version, size = (
            asked.get("kafkaVersion"),
            str(asked.get("brokerNodeGroupInfo", {}).get("instanceType")),
        )
    except (ValueError, AttributeError):
        raise AwsError("BadRequestException", "The request is not valid JSON of a cluster") from None
    active = [one for one, status in VERSIONS.items() if status == "ACTIVE"]
    if version not in active:
        said = f"Unsupported KafkaVersion [{version}]. Valid values: [{', '.join(active)}]"
        raise AwsError("BadRequestException", said)
    express = size.startswith("express.")
    if (size == "kafka.t3.small" and ".kraft" in version) or (version == EXPRESS_ONLY and not express):
        raise AwsError("BadRequestException", f"Unsupported InstanceType specified with {version}: {size}")
