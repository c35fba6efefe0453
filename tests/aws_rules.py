"""Check the parameters of one AWS call against what botocore lets pass and AWS refuses.

The service models know patterns, enumerations and maxima that botocore never enforces; what they lack too
stands in `aws_table`. A complaint is one line: the parameter's path, and what is wrong with it.
"""

import functools
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

import botocore.session
from botocore.exceptions import DataNotFoundError
from botocore.model import OperationModel, Shape

from tests import aws_table, policy_rules

LENGTHS = ("string", "list", "map", "blob")
NUMBERS = ("integer", "long", "float", "double")
TAGS = ("tags", "tagset", "taglist")
# Kinesis refuses a stream's name beside the token of a next page, and boto3's paginator sends both.
NO_PAGES = {"ListShards"}
WANTED = re.compile(r"(Ids|Arns|Names)$")  # a parameter that names the very things that are asked for
# Java writes these classes so; for an AWS pattern the nearest of Python is close enough.
JAVA = {
    r"\p{L}": r"\w",
    r"\p{N}": r"\d",
    r"\p{Z}": r"\s",
    r"\p{M}": "",
    r"\p{P}": r"!-/:-@\[-`{-~",
    r"\w-\/": r"\w\-/",
}


def complaints(operation: OperationModel, params: dict[str, Any]) -> list[str]:
    """Everything that AWS would refuse in the parameters of this call; empty when there is nothing."""
    service, name = operation.service_model.service_name, operation.name
    found = list(walk(operation.input_shape, params)) if operation.input_shape else []
    for path, value in leaves(params):
        for wanted in (f"{service}.{name}.{path}", f"{service}.*.{path}"):
            if wanted in aws_table.TEXTS and not re.fullmatch(aws_table.TEXTS[wanted], str(value), re.ASCII):
                found.append(f"{path}: {value!r} does not match {aws_table.TEXTS[wanted]}")
        if path.lower().rpartition(".")[2] in TAGS:
            found += [f"{path}: {line}" for line in tags(value)]
    for path, text in policy_rules.documents(params):
        found += [f"{path}: {line}" for line in policy_rules.complaints(text)]
    rule = aws_table.RULES.get(f"{service}.{name}")
    return found + list(rule(params) if rule else ()) + list(aws_table.tag_kinds(service, name, params))


def paced(calls: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Calls that follow each other faster than their quota, where boto3 gives up before AWS takes them.

    Each call has `service`, `operation`, `at` in seconds, and `retries`: boto3's mode and attempts.
    """
    last: dict[str, float] = {}
    for call in calls:
        name = f"{call['service']}.{call['operation']}"
        seconds = aws_table.QUOTAS.get(name, 0)
        gap = call["at"] - last.get(name, -math.inf)
        # The waits are random: twice the time on average is enough nearly always.
        if gap < seconds and patience(*call["retries"]) < 2 * seconds:
            yield f"{name}: again within {seconds} s, which AWS refuses; retries are {call['retries']}"
        last[name] = call["at"]


def patience(mode: str, attempts: int) -> float:
    """The seconds that boto3 waits on average before it gives up on a call that is refused each time.

    Source: botocore. Before retry n it waits a random part of 2**n seconds, in the newer modes at most 20.
    """
    waits = [2.0**n for n in range(attempts - 1)]
    if mode == "legacy":
        return sum(wait / 2 for wait in waits)
    return sum(wait / 2 if wait <= 20 else 20 - 200 / wait for wait in waits)


def first_page(operation: OperationModel, params: dict[str, Any], by_paginator: bool) -> Iterator[str]:
    """A listing that comes in pages, asked for without a paginator: the other pages are never seen.

    EC2 filters each page by itself, so that even an empty first page may have others behind it. Source: EC2
    API, "Pagination"; the paginators of botocore. A call that names the ids it wants gets them on one page.
    """
    service = operation.service_model.service_name
    named = any(WANTED.search(name) and value for name, value in params.items())
    if not by_paginator and not named and operation.name in paginated(service):
        yield f"{operation.name} comes in pages: use a paginator"


@functools.cache
def paginated(service: str) -> frozenset[str]:
    """The operations of a service for which boto3 has a paginator."""
    try:
        model = botocore.session.get_session().get_paginator_model(service)
    except DataNotFoundError:
        return frozenset()
    return frozenset(model._paginator_config) - NO_PAGES


def python_pattern(pattern: str) -> re.Pattern[str]:
    """A pattern of the service models, written for Java, as Python's; re.error when that fails."""
    for java, python in JAVA.items():
        pattern = pattern.replace(java, python)
    return re.compile(pattern)


def walk(shape: Shape, value: Any, path: str = "") -> Iterator[str]:
    """Patterns, enumerations, maxima, documented filters, all the way down; types are botocore's business."""
    kind, limit = shape.type_name, shape.metadata.get("max")
    if limit is not None and kind in LENGTHS and hasattr(value, "__len__") and len(value) > limit:
        yield f"{path}: length {len(value)}, at most {limit}"
    if limit is not None and kind in NUMBERS and value > limit:
        yield f"{path}: {value}, at most {limit}"
    if kind == "string":
        yield from text(shape.metadata, value, path)
    elif kind == "structure":
        for name, member in shape.members.items():
            if name in value:
                yield from walk(member, value[name], f"{path}.{name}".lstrip("."))
                if name in ("Filters", "Filter"):
                    yield from filters(member.documentation, value[name], name)
    elif kind == "list":
        for item in value:
            yield from walk(shape.member, item, path)
    elif kind == "map":
        for key, item in value.items():
            yield from walk(shape.key, key, f"{path} key")
            yield from walk(shape.value, item, f"{path}.{key}")


def text(rules: dict[str, Any], value: str, path: str) -> Iterator[str]:
    """Enumeration and pattern of a text; a pattern covers the whole text."""
    if rules.get("enum") and value not in rules["enum"]:
        yield f"{path}: {value!r} is not one of {', '.join(rules['enum'][:12])}"
    if rules.get("pattern") and not python_pattern(rules["pattern"]).fullmatch(value):
        yield f"{path}: {value!r} does not match {rules['pattern']}"


def filters(documentation: str, given: list[dict[str, Any]], path: str) -> Iterator[str]:
    """Filters that the operation's own documentation does not list: AWS refuses them, an emulator may not."""
    known = re.findall(r"<li>\s*<p>\s*<code>([\w.-]+)", documentation)
    for item in given if known else ():
        # Tags are listed as `tag:<key>`.
        if item.get("Name", "").partition(":")[0] not in known:
            yield f"{path}: no filter {item.get('Name')!r} here"


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value below the parameters with its path; items of a list share the list's path."""
    if path:
        yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for item in value:
            if isinstance(item, dict):
                for key, below in item.items():
                    yield from leaves(below, f"{path}.{key}".lstrip("."))


def tags(given: Any) -> Iterator[str]:
    """Limits shared by all services. Source: Tagging AWS Resources, "Tag naming limits and requirements"."""
    pairs = (
        list(given.items()) if isinstance(given, dict) else [(t.get("Key"), t.get("Value")) for t in given]
    )
    if len(pairs) > 50 or len(dict(pairs)) < len(pairs):
        yield "at most 50 tags, each key once"
    for key, value in ((str(key), value or "") for key, value in pairs):
        odd = {c for c in key + value if unicodedata.category(c)[0] not in "LNZ" and c not in "_.:/=+-@"}
        if not 1 <= len(key) <= 128 or len(value) > 256 or key.lower().startswith("aws:") or odd:
            yield f"tag {key!r}: 1 to 128 characters, value up to 256, no aws: before it, no {sorted(odd)}"
