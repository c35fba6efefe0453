"""Find what one reader's pipeline has created, by name or by tag, one service at a time."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
import requests
from botocore.exceptions import ClientError

from helpers import client, config, lookup
from helpers.config import ConfigError
from helpers.names import Names

Item = dict[str, Any]
GONE = ("terminated", "deleted")  # states in which AWS lists a thing for a while
STATES = ("State", "VpcLinkStatus", "connectorState", "customPluginState", "StreamStatus")


@dataclass(frozen=True)
class Thing:
    """One thing that exists: its name, the id or ARN by which its service knows it, its state if any."""

    name: str
    id: str
    state: str = ""


Finder = Callable[[Names], list[Thing]]


@functools.cache
def aws(service: str) -> Any:
    """One boto3 client per service."""
    return boto3.client(service)


def listed(service: str, operation: str, key: str, **params: Any) -> list[Any]:
    """All items of a listing, from all of its pages."""
    api = aws(service)
    if api.can_paginate(operation):
        return lookup.listed(api, operation, key, **params)
    return list(getattr(api, operation)(**params).get(key, []))


def tags(item: Item) -> dict[str, str]:
    """The tags of an item, which some services give as a dict and others as a list."""
    found = item.get("Tags") or item.get("tags") or {}
    return dict(found) if isinstance(found, dict) else {tag["Key"]: tag["Value"] for tag in found}


def state(item: Item) -> str:
    """The state of an item in lower case, "" for things without."""
    found = next((item[field] for field in STATES if field in item), "")
    return str(found.get("Name", found.get("Code", "")) if isinstance(found, dict) else found).lower()


def is_ours(names: Names, name: str, item: Item, test: str) -> bool:
    """Whether a thing is ours by its `test`: "tag", "id" at the start of its name, or names of `Names`."""
    if test == "tag":
        return names.tags.items() <= tags(item).items()
    if test == "id":
        beginnings = (f"{names.user_id}-", f"{names.user_id}_", f"airflow-{names.environment}-")
        return name.startswith((*beginnings, f"streaming-{names.user_id}-"))
    return name in [getattr(names, field) for field in test.split()]


def search(service: str, listing: str, names: Names, test: str) -> list[Thing]:
    """Our things in one listing: its operation, the answer's key, and an item's fields for name and id."""
    operation, key, name_field, id_field = listing.split()
    found = []
    for item in listed(service, operation, key):
        for one in item.get("Instances", [item]):  # EC2 lists its instances by reservation
            name = one.get(name_field) or tags(one).get(name_field, "")
            if is_ours(names, name, one, test) and state(one) not in GONE:
                found.append(Thing(name, one[id_field], state(one)))
    return found


def rules(names: Names) -> list[Thing]:
    """Our security groups that let somebody in: such a rule may name another group, which then cannot go."""
    groups = listed("ec2", "describe_security_groups", "SecurityGroups")
    ours = [group for group in groups if is_ours(names, "", group, "tag") and group["IpPermissions"]]
    return [Thing(tags(group).get("Name", ""), group["GroupId"]) for group in ours]


def topics(names: Names) -> list[Thing]:
    """Our Kafka topics, listed on the client machine; none once the machine or the cluster is away."""
    try:
        found = client.run(f"{lookup.kafka_tool('topics')} --list").split()
    except (ConfigError, client.CommandError, TimeoutError, ClientError):
        return []  # they go with their cluster
    return [
        Thing(name, name) for name in found if name.startswith((f"{names.user_id}.", f"{names.user_id}-"))
    ]


def environments(names: Names) -> list[Thing]:
    """Our Airflow environment, which MWAA lists by its name alone."""
    name = names.environment
    if name not in listed("mwaa", "list_environments", "Environments"):
        return []
    try:
        found = aws("mwaa").get_environment(Name=name)["Environment"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":  # gone in between
            raise
        return []
    return [Thing(name, name, found["Status"].lower())]


def workspace(method: str, path: str, **params: Any) -> Item:
    """One call to the Databricks workspace of the settings; what does not exist there is an empty answer."""
    cloud = config.use_target()
    url, login = f"{cloud.databricks_host}/api/{path}", {"Authorization": f"Bearer {cloud.databricks_token}"}
    sent: Item = {"json" if method == "POST" else "params": params}
    answer = requests.request(method, url, headers=login, timeout=30, **sent)
    if answer.status_code != 404:
        answer.raise_for_status()
    return dict(answer.json()) if answer.ok and answer.content else {}


def in_workspace(path: str, key: str, id_field: str, test: str) -> Finder:
    """A finder for what the workspace of the settings holds; on the local target there is none."""

    def find(names: Names) -> list[Thing]:
        cloud = config.use_target()
        if cloud.target == "local" or not cloud.databricks_host:
            return []
        cloud.need("databricks_token", "catalog", "schema")
        where = {"catalog_name": cloud.catalog, "schema_name": cloud.schema} if "unity" in path else {}
        items, answer = [], workspace("GET", path, **where)
        items += answer.get(key, [])
        while token := answer.get("next_page_token"):
            answer = workspace("GET", path, **where, page_token=token)
            items += answer.get(key, [])
        named = [(item.get("settings", item), str(item[id_field])) for item in items]
        return [Thing(one["name"], id_) for one, id_ in named if is_ours(names, one["name"], one, test)]

    return find
