"""Check IAM policy documents against AWS's own table of actions, which `policy_sentry` carries.

The table says of each action on which kinds of ARN it works and which other actions it needs.
"""

import fnmatch
import functools
import json
import re
from collections.abc import Iterator
from typing import Any

from policy_sentry.querying.actions import get_action_data, get_actions_for_service

MEMBERS = {"policydocument", "assumerolepolicydocument", "policyinputlist", "policy"}
KEYS = {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Principal", "Condition"}
ARN = re.compile(r"\*|arn:[\w*-]+:[\w*-]+:[^:]*:(\d{12}|aws|\*|):.+")
ACTION = re.compile(r"([a-z0-9-]+):([A-Za-z0-9*?]+)")


def documents(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every policy document in a call's parameters, with its path."""
    if isinstance(value, dict):
        for name, below in value.items():
            here = f"{path}.{name}".lstrip(".")
            if name.lower() in MEMBERS:
                yield from ((here, text) for text in (below if isinstance(below, list) else [below]))
            else:
                yield from documents(below, here)
    elif isinstance(value, list):
        for item in value:
            yield from documents(item, path)


def complaints(text: str) -> list[str]:
    """What IAM would refuse in this document, or accept though it can never allow what it says."""
    try:
        document = json.loads(text)
    except ValueError as error:
        return [f"not JSON: {error}"]
    found = [] if document.get("Version") == "2012-10-17" else ["Version is not 2012-10-17"]
    statements = _list(document.get("Statement"))
    for nth, statement in enumerate(statements):
        found += [f"statement {nth}: {line}" for line in _statement(statement)]
    return found + list(_dependents(statements)) + ([] if statements else ["no Statement"])


@functools.cache
def kinds(action: str) -> tuple[str, ...] | None:
    """ARN forms that an action works on, `*` for each variable; () where it takes only `*`; None: unknown."""
    rows = _rows(action)
    forms = {re.sub(r"\$\{[^}]+\}", "*", row["resource_arn_format"]) for row in rows}
    return tuple(sorted(forms - {"*"})) if rows else None


def _rows(action: str) -> list[dict[str, Any]]:
    service, _, name = action.partition(":")
    known = get_action_data(service, name)
    return known[service] if known else []


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _statement(statement: dict[str, Any]) -> Iterator[str]:
    actions, resources = _list(statement.get("Action")), _list(statement.get("Resource"))
    odd = sorted(set(statement) - KEYS)
    if odd or statement.get("Effect") not in ("Allow", "Deny"):
        yield f"keys {odd}, effect {statement.get('Effect')!r}"
    if not (actions or "NotAction" in statement):
        yield "no Action"
    if not (resources or "NotResource" in statement or "Principal" in statement):
        yield "neither Resource nor Principal"
    yield from (f"resource {one!r} is no ARN" for one in resources if not ARN.fullmatch(one))
    forms: set[str] = set()
    for action in actions:
        if action == "*" or (action.endswith(":*") and "*" in resources):
            yield "allows everything"
        elif not ACTION.fullmatch(action) or not (every := _expanded(action)):
            yield f"AWS has no action {action!r}"
        else:
            usable = {form for one in every for form in kinds(one) or ("*",)}
            forms |= usable
            if resources and not any(_fits(one, form) for one in resources for form in usable):
                yield f"{action} works on {', '.join(sorted(usable))}"
    for one in resources if forms and "*" not in forms else ():
        if not any(_fits(one, form) for form in forms):
            yield f"no action of this statement works on {one}"


def _expanded(action: str) -> list[str]:
    if "*" not in action and "?" not in action:
        return [action] if kinds(action) is not None else []
    known = get_actions_for_service(action.partition(":")[0])
    return fnmatch.filter([one.lower() for one in known], action.lower())


def _fits(resource: str, form: str) -> bool:
    """Whether an ARN, perhaps with wildcards, can name a thing of this form."""
    if resource == "*" or form == "*":
        return resource == "*"
    given, wanted = resource.split(":", 5), form.split(":", 5)
    # A bucket's name has no slash; what has one is an object.
    bucket_only = form.endswith(":s3:::*") and "/" in resource
    return len(given) == len(wanted) and all(map(overlap, given, wanted)) and not bucket_only


@functools.cache
def overlap(one: str, other: str) -> bool:
    """Whether some text matches both patterns, in which `*` stands for any text."""
    if not one or not other:
        return not (one + other).strip("*")
    if one[0] == "*":
        return overlap(one[1:], other) or overlap(one, other[1:])
    if other[0] == "*":
        return overlap(other, one)
    return one[0] == other[0] and overlap(one[1:], other[1:])


def _dependents(statements: list[dict[str, Any]]) -> Iterator[str]:
    """Actions of MSK that another one needs beside itself; elsewhere AWS lists what is needed at times."""
    allowed = {one for s in statements if s.get("Effect") == "Allow" for one in _list(s.get("Action"))}
    patterns = [one.lower() for one in allowed]
    for action in sorted(one for one in allowed if one.startswith("kafka-cluster:") and "*" not in one):
        for needed in sorted({one for row in _rows(action) for one in row["dependent_actions"]}):
            if not any(fnmatch.fnmatch(needed.lower(), pattern) for pattern in patterns):
                yield f"{action} needs {needed}"
