"""Check what a stand-in answers against botocore's service model; boto3 itself takes whatever comes.

A complaint is one line: the path in the answer, and what is wrong with it.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from botocore.client import BaseClient
from botocore.model import OperationModel, Shape

PYTHON = {"list": list, "map": dict, "string": str, "boolean": bool, "integer": int, "long": int}
ELSEWHERE = ("header", "headers", "statusCode")  # members that are not in the body
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)")
# Refusals that every service may give and no operation lists.
COMMON = {
    "AccessDeniedException",
    "InvalidSignatureException",
    "MissingAuthenticationTokenException",
    "NotImplementedException",
    "ServiceUnavailableException",
    "UnknownOperationException",
    "UnrecognizedClientException",
    "ValidationException",
}


def insist(client: BaseClient) -> BaseClient:
    """The same client; from now on an answer that the service model does not know is an AssertionError."""

    def seen(http_response: Any, parsed: dict[str, Any], model: OperationModel, **_: Any) -> None:
        if http_response.status_code < 300:
            found = list(answer(model, json.loads(http_response.content or b"{}")))
        else:
            listed = {shape.error_code for shape in model.error_shapes} | {s.name for s in model.error_shapes}
            code = parsed["Error"]["Code"]
            found = [] if code in listed | COMMON else [f"no error {code!r}, but {sorted(listed)}"]
        assert not found, f"{model.name}: " + "; ".join(found)

    client.meta.events.register("after-call", seen)
    return client


def answer(model: OperationModel, body: Any) -> Iterator[str]:
    """Complaints about the JSON body of a success."""
    shape = model.output_shape
    if shape is not None:
        payload = shape.serialization.get("payload")
        yield from walk(shape.members[payload] if payload else shape, body)


def walk(shape: Shape, value: Any, path: str = "") -> Iterator[str]:
    """Complaints about one value and all below it: unknown and missing members, types, enumerations."""
    kind, where = shape.type_name, path or "the answer"
    if kind == "timestamp":
        good = isinstance(value, int | float) or (isinstance(value, str) and ISO.fullmatch(value))
        if not good or isinstance(value, bool):
            yield f"{where}: no time {value!r}"
        return
    wanted = PYTHON.get(kind, dict if kind == "structure" else object)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        yield f"{where}: {type(value).__name__}, not {kind}"
    elif kind == "structure":
        yield from members(shape, value, path)
    elif kind == "list":
        for item in value:
            yield from walk(shape.member, item, path)
    elif kind == "map":
        for key, item in value.items():
            yield from walk(shape.value, item, f"{path}.{key}")
    elif kind == "string" and shape.metadata.get("enum") and value not in shape.metadata["enum"]:
        yield f"{where}: {value!r} is not one of {', '.join(shape.metadata['enum'])}"


def members(shape: Shape, value: dict[str, Any], path: str) -> Iterator[str]:
    """The members of a structure, by the names that they have in JSON."""
    here = {name: member for name, member in shape.members.items()
            if member.serialization.get("location") not in ELSEWHERE}  # fmt: skip
    known = {member.serialization.get("name", name): (name, member) for name, member in here.items()}
    for key, item in value.items():
        below = f"{path}.{key}".lstrip(".")
        if key not in known:
            yield f"{below}: not in the service model"
        else:
            yield from walk(known[key][1], item, below)
    for key, (name, _) in known.items():
        if name in shape.required_members and key not in value:
            yield f"{path}.{key}: missing".lstrip(".")
