"""For breaking things: a small copy of the way from Kafka to S3, and the sudden end of a server here."""

import contextlib
import os
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import boto3

from helpers import client, lookup, wait
from helpers.config import Settings

# What the copy takes over from lesson 06's connector: AWS describes these in the form in which it wants them.
COPIED = (
    *("capacity", "kafkaCluster", "kafkaClusterClientAuthentication", "kafkaClusterEncryptionInTransit"),
    *("kafkaConnectVersion", "plugins", "serviceExecutionRoleArn", "workerConfiguration"),
)


class Trial(NamedTuple):
    """The names of a copy: its topic, and the connector that copies it to topics/<topic> in the bucket."""

    topic: str
    connector: str


def make(cloud: Settings, changes: Mapping[str, str]) -> Trial:
    """Make a topic of one partition, and a connector like lesson 06's that reads it, and wait until it runs.

    `changes` go over the connector's own settings. The names are new each time, because Kafka Connect
    remembers by name how far it has read.
    """
    names, connect = cloud.names, boto3.client("kafkaconnect")
    topic = f"{names.user_id}.trial-{uuid.uuid4().hex[:6]}"
    model = connect.describe_connector(connectorArn=_arn(names.connector))
    settings = {key: value for key, value in model["connectorConfiguration"].items() if key != "topics.regex"}
    client.run(f"{lookup.kafka_tool('topics')} --create --partitions 1 --topic {topic}")
    made = Trial(topic, topic.replace(".", "-"))
    connect.create_connector(
        connectorName=made.connector,
        connectorConfiguration={**settings, "topics": topic, **changes},
        tags=names.tags,
        **{name: model[name] for name in COPIED},
    )

    def running() -> bool:
        found = connect.describe_connector(connectorArn=_arn(made.connector))
        if found["connectorState"] == "FAILED":
            raise RuntimeError(found["stateDescription"]["message"])
        return bool(found["connectorState"] == "RUNNING")

    wait.until(running, f"{made.connector} (5 to 10 minutes are normal on AWS)", seconds=1200)
    return made


def remove(cloud: Settings, made: Trial) -> int:
    """Delete connector, topic and objects, with all versions; returns how many objects there still are."""
    connect = boto3.client("kafkaconnect")
    connect.delete_connector(connectorArn=_arn(made.connector))
    wait.until(
        lambda: not _found(made.connector), f"{made.connector} to go (minutes are normal)", seconds=900
    )
    client.run(f"{lookup.kafka_tool('topics')} --delete --topic {made.topic}")
    objects = boto3.resource("s3").Bucket(cloud.names.bucket).object_versions
    objects.filter(Prefix=f"topics/{made.topic}/").delete()
    return len(list(objects.filter(Prefix=f"topics/{made.topic}/")))


def listener(port: int) -> Any:
    """Your process that listens on a port of this machine, a psutil.Process; LookupError without one."""
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # it has just ended, or is somebody else's
            sockets = process.net_connections("tcp")
            if any(one.laddr.port == port and one.status == psutil.CONN_LISTEN for one in sockets):
                return process
    raise LookupError(f"no server of yours on this machine listens on port {port}")


def kill_listener(port: int) -> None:
    """Kill the program of this machine that listens on a port, as a crash would; the local cloud restarts it.

    The signal is SIGKILL, which no program can catch. LookupError when no program of yours listens there.
    """
    process = listener(port)
    process.kill()
    process.wait(timeout=30)


def kill_server() -> None:
    """Kill Spark's server here; call `session.spark()` for a new session. LookupError when none runs here."""
    kill_listener(urlsplit(os.environ["SPARK_REMOTE"]).port or 0)


def _found(connector: str) -> list[dict]:
    listed = lookup.listed(boto3.client("kafkaconnect"), "list_connectors", "connectors")
    return [one for one in listed if one["connectorName"] == connector]


def _arn(connector: str) -> str:
    return str(lookup.needed(_found(connector), f"the connector {connector} (lesson 06)")["connectorArn"])
