"""From IAM policy documents to Kafka ACLs, as MSK's IAM access control reads them. Pure: no server is asked.

Source: MSK developer guide, "Semantics of IAM authorization policy actions and resources".
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# Action -> (kind of ARN it works on, Kafka operation, action of the same kind that it needs beside itself).
ACTIONS: dict[str, tuple[str, str, str]] = {
    "DescribeCluster": ("cluster", "DESCRIBE", ""),
    "AlterCluster": ("cluster", "ALTER", "DescribeCluster"),
    "DescribeClusterDynamicConfiguration": ("cluster", "DESCRIBE_CONFIGS", ""),
    "AlterClusterDynamicConfiguration": ("cluster", "ALTER_CONFIGS", "DescribeClusterDynamicConfiguration"),
    "WriteDataIdempotently": ("cluster", "IDEMPOTENT_WRITE", ""),
    "CreateTopic": ("topic", "CREATE", ""),
    "DescribeTopic": ("topic", "DESCRIBE", ""),
    "AlterTopic": ("topic", "ALTER", "DescribeTopic"),
    "DeleteTopic": ("topic", "DELETE", "DescribeTopic"),
    "DescribeTopicDynamicConfiguration": ("topic", "DESCRIBE_CONFIGS", ""),
    "AlterTopicDynamicConfiguration": ("topic", "ALTER_CONFIGS", "DescribeTopicDynamicConfiguration"),
    "ReadData": ("topic", "READ", "DescribeTopic"),
    "WriteData": ("topic", "WRITE", "DescribeTopic"),
    "DescribeGroup": ("group", "DESCRIBE", ""),
    "AlterGroup": ("group", "READ", "DescribeGroup"),
    "DeleteGroup": ("group", "DELETE", "DescribeGroup"),
    "DescribeTransactionalId": ("transactional-id", "DESCRIBE", ""),
    "AlterTransactionalId": ("transactional-id", "WRITE", "DescribeTransactionalId"),
}
CONNECT = "Connect"
UNDERSTOOD = (
    "the local cloud understands kafka-cluster statements with Effect, Action and Resource, where * in the "
    "name of a topic, group or transactional id stands at its end only"
)


class PolicyError(ValueError):
    """A statement about kafka-cluster that cannot be turned into ACLs; the message says which and why."""


@dataclass(frozen=True)
class Acl:
    """One Kafka ACL. `name` is the start of the resource's name if `prefixed`, else all of it (`*`: any)."""

    principal: str
    kind: str  # cluster, topic, group or transactional-id
    name: str
    prefixed: bool
    operation: str
    allow: bool = True


def check(document: dict[str, Any]) -> None:
    """Raise PolicyError when a statement about kafka-cluster has no equal among Kafka's ACLs."""
    for statement in statements(document):
        if "NotAction" in statement:
            raise PolicyError(f"NotAction: {UNDERSTOOD}")
        if not kafka_actions(statement):
            continue
        if "NotResource" in statement or "Condition" in statement:
            found = "NotResource" if "NotResource" in statement else "Condition"
            raise PolicyError(f"{found} in a statement about kafka-cluster: {UNDERSTOOD}")
        for pattern in as_list(statement.get("Resource", [])):
            if not _is_understood(pattern):
                raise PolicyError(f"Resource {pattern}: {UNDERSTOOD}")


def acls(role: str, documents: Iterable[dict[str, Any]], cluster_arns: Iterable[str]) -> set[Acl]:
    """All ACLs that a role's policy documents amount to on the given clusters.

    Nothing without kafka-cluster:Connect on the cluster; an action on a wrong kind of ARN grants nothing, nor
    does one whose required action (DescribeTopic for WriteData, ...) is missing. PolicyError as from `check`.
    """
    read = list(documents)
    for document in read:
        check(document)
    rules = [statement for document in read for statement in statements(document)]
    allowed = [rule for rule in rules if rule.get("Effect") == "Allow"]
    denied = [rule for rule in rules if rule.get("Effect") == "Deny"]
    found: set[Acl] = set()
    for cluster in cluster_arns:
        if CONNECT not in _on_cluster(allowed, cluster) or CONNECT in _on_cluster(denied, cluster):
            continue
        grants = {action: _names(allowed, action, cluster) for action in ACTIONS}
        for action, (kind, operation, required) in ACTIONS.items():
            names = _overlap(grants[action], grants[required]) if required else grants[action]
            found |= {_acl(role, kind, name, operation, True) for name in names}
            found |= {_acl(role, kind, name, operation, False) for name in _names(denied, action, cluster)}
    # A right that is denied as a whole needs no two lines that cancel each other.
    return {acl for acl in found if not (acl.allow and _twin(acl) in found)}


def statements(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The statements of a policy document, which may hold one alone instead of a list."""
    return [dict(statement) for statement in as_list(document.get("Statement", []))]


def kafka_actions(statement: dict[str, Any]) -> set[str]:
    """The kafka-cluster actions that a statement names, with its wildcards expanded."""
    patterns = [_regex(pattern) for pattern in as_list(statement.get("Action", []))]
    known = (CONNECT, *ACTIONS)
    return {action for action in known if any(p.fullmatch(f"kafka-cluster:{action}") for p in patterns)}


def as_list(value: Any) -> list[Any]:
    """IAM lets one thing stand for a list of one."""
    return list(value) if isinstance(value, list | tuple) else [value]


def rests(pattern: str, text: str) -> set[str]:
    """What may be left of an IAM pattern (`*`: any text, slashes too) once it has matched all of `text`."""
    left = {pattern}
    for char in text:
        ahead = left | {rest.lstrip("*") for rest in left}
        left = {rest if rest[0] == "*" else rest[1:] for rest in ahead if rest and rest[0] in ("*", char)}
    return left | {rest.lstrip("*") for rest in left}


def _is_understood(pattern: str) -> bool:
    if pattern == "*":
        return True
    if not pattern.startswith("arn:"):
        return False
    name = pattern.split("/", 3)[3] if pattern.count("/") > 2 else ""
    return not (
        pattern.startswith("arn:aws:kafka:") and ("*" in name[:-1] or "?" in pattern or "$" in pattern)
    )


def _regex(pattern: str) -> re.Pattern[str]:
    body = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)
    return re.compile(body, re.IGNORECASE)  # action names ignore case


def _on_cluster(rules: list[dict[str, Any]], cluster: str) -> set[str]:
    """The actions that some rule names on this cluster's own ARN."""
    found: set[str] = set()
    for rule in rules:
        if any("" in rests(pattern, cluster) for pattern in as_list(rule.get("Resource", []))):
            found |= kafka_actions(rule)
    return found


def _names(rules: list[dict[str, Any]], action: str, cluster: str) -> set[str]:
    """Resource names, or beginnings ending in `*`, on which the rules name an action."""
    kind = ACTIONS[action][0]
    if kind == "cluster":
        return {"kafka-cluster"} if action in _on_cluster(rules, cluster) else set()
    start = cluster.replace(":cluster/", f":{kind}/") + "/"
    found: set[str] = set()
    for rule in rules:
        if action in kafka_actions(rule):
            for pattern in as_list(rule.get("Resource", [])):
                # A rest with a slash would need one in the name; Kafka's topics have none.
                found |= {rest for rest in rests(pattern, start) if rest and "/" not in rest}
    return found


def _overlap(names: set[str], others: set[str]) -> set[str]:
    """Names on which both sets agree: of two that overlap, the narrower."""
    found = set()
    for one in names:
        for other in others:
            if one == other or (other.endswith("*") and one.startswith(other[:-1])):
                found.add(one)
            elif one.endswith("*") and other.startswith(one[:-1]):
                found.add(other)
    return found


def _acl(role: str, kind: str, name: str, operation: str, allow: bool) -> Acl:
    prefixed = name.endswith("*") and len(name) > 1
    return Acl(f"User:{role}", kind, name[:-1] if prefixed else name, prefixed, operation, allow)


def _twin(acl: Acl) -> Acl:
    return Acl(acl.principal, acl.kind, acl.name, acl.prefixed, acl.operation, False)
