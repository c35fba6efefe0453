"""IAM policy documents without their brackets: the statements themselves stand in the lessons."""

import json
from typing import Any


def allow(actions: str, *resources: str) -> dict[str, Any]:
    """A statement that allows actions, separated by blanks, on these ARNs."""
    return {"Effect": "Allow", "Action": actions.split(), "Resource": list(resources)}


def trust(service: str, **equals: str) -> dict[str, Any]:
    """A statement that lets an AWS service assume the role, where each condition key has the given value."""
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return {**statement, "Condition": {"StringEquals": equals}} if equals else statement


def document(*statements: dict[str, Any]) -> str:
    """The policy document of these statements, as IAM takes it."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def kafka_arn(cluster: str, kind: str, name: str) -> str:
    """The ARN of a `topic` or `group` of an MSK cluster, made from the cluster's own."""
    return f"{cluster.replace(':cluster/', f':{kind}/')}/{name}"
