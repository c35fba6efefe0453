"""Find what earlier lessons have made, by its name; a ConfigError says which lesson makes what is missing."""

from typing import Any, TypeVar

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from helpers import config
from helpers.config import ConfigError

T = TypeVar("T")


def needed(found: list[T], what: str) -> T:
    """The first of what was found; a ConfigError that says `what` is missing if nothing was."""
    if not found:
        raise ConfigError(f"Missing: {what}.")
    return found[0]


def listed(client: Any, operation: str, key: str, **asked: Any) -> list[Any]:
    """Everything that a listing holds under `key`, from all of its pages."""
    found = []
    for page in client.get_paginator(operation).paginate(**asked):
        found += page.get(key, [])
    return found


def cluster() -> tuple[str, str]:
    """The ARN of our MSK cluster and the address of its brokers for clients with IAM."""
    kafka, name = boto3.client("kafka"), config.use_target().names.cluster
    clusters = listed(kafka, "list_clusters", "ClusterInfoList", ClusterNameFilter=name)
    # The filter takes every name that begins so, and one that is being deleted is listed for a while.
    found = [one for one in clusters if one["ClusterName"] == name and one["State"] != "DELETING"]
    arn = needed(found, "the MSK cluster (lesson 02)")["ClusterArn"]
    return arn, kafka.get_bootstrap_brokers(ClusterArn=arn)["BootstrapBrokerStringSaslIam"]


def kafka_tool(name: str) -> str:
    """The start of a command line for one of Kafka's tools on the client machine, `topics` for instance."""
    return f"kafka/bin/kafka-{name}.sh --bootstrap-server {cluster()[1]} --command-config client.properties"


def machine() -> str:
    """The instance id of the running client machine."""
    names = config.use_target().names
    running = {"Name": "instance-state-name", "Values": ["running"]}
    filters = [running, *names.filters(names.client_machine)]
    found = listed(boto3.client("ec2"), "describe_instances", "Reservations", Filters=filters)
    return str(needed(found, "a running client machine (lesson 03)")["Instances"][0]["InstanceId"])


def find_api(cloud: config.Settings, stage: str = "") -> tuple[str, str]:
    """Invoke URL and API key of the API that lesson 05 makes, found by name; `stage` if there are several.

    Raises ConfigError that says what is missing.
    """
    names, gateway = cloud.names, boto3.client("apigateway")
    try:
        api = _one(listed(gateway, "get_rest_apis", "items"), "name", names.api)
        stages = gateway.get_stages(restApiId=api["id"])["item"]
        asked = {"nameQuery": names.api_key, "includeValues": True}
        keys = listed(gateway, "get_api_keys", "items", **asked)
    except (BotoCoreError, ClientError) as error:
        raise ConfigError(f"API Gateway does not answer ({error}): is the local cloud up?") from None
    url = cloud.invoke_url(api["id"], _one(stages, "stageName", stage)["stageName"])
    return url, _one(keys, "name", names.api_key)["value"]


def _one(items: list[dict[str, Any]], field_: str, name: str) -> dict[str, Any]:
    found = [item for item in items if not name or item[field_] == name]
    if len(found) != 1:
        there = ", ".join(item[field_] for item in items) or "none"
        raise ConfigError(f"API Gateway: not exactly one {field_} {name} ({there}); lesson 05 makes it")
    return found[0]
