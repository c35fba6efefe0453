"""Runs inside the kernels of `contract/test_aws_calls.py`: checks and records each AWS call as it is made.

The lessons run under PIPELINE_TARGET=aws, so their calls carry what AWS would get: the home folder of the EC2
machine, SASL_SSL, the invoke URL of the region. That is checked and recorded. Only behind the check, on
the way to the local cloud, are the words put in that differ there; neither lessons nor helpers know of it.
"""

import json
import os
import time
from pathlib import Path
from typing import Any

from botocore.context import get_context
from botocore.model import OperationModel
from botocore.validate import ParamValidationDecorator
from requests import PreparedRequest
from requests.adapters import HTTPAdapter

from tests import aws_rules, policy_rules

PAGINATOR = "C"  # how botocore notes, for its User-Agent, that a paginator makes the call


def install() -> None:
    """Watch every call of this process; where to record and what to put in comes from the environment."""
    log = Path(os.environ["CALLS_WATCH_LOG"])
    words: dict[str, str] = json.loads(os.environ["LOCAL_WORDS"])
    gateway = os.environ["LOCAL_GATEWAY"]
    serialize, send = ParamValidationDecorator.serialize_to_request, HTTPAdapter.send

    def watched(self: Any, parameters: dict[str, Any], operation: OperationModel) -> Any:
        record(log, parameters, operation)
        # ssm.SendCommand carries what the client machine runs; no other call holds an address or a folder.
        here = replaced(parameters, words) if operation.name == "SendCommand" else parameters
        return serialize(self, here, operation)

    def sent(self: HTTPAdapter, request: PreparedRequest, *rest: Any, **options: Any) -> Any:
        request.url = stage_here(request.url or "", gateway)
        return send(self, request, *rest, **options)

    ParamValidationDecorator.serialize_to_request = watched
    HTTPAdapter.send = sent


def record(log: Path, parameters: dict[str, Any], operation: OperationModel) -> None:
    """Append one call with its complaints and policy documents, as one line of JSON."""
    if number := parameters.get("StartingSequenceNumber"):
        # The lesson passes on what it was given, and the emulator pads that with zeros, which AWS does not.
        parameters = {**parameters, "StartingSequenceNumber": number.lstrip("0")}
    line = {
        "notebook": os.environ["CALLS_WATCH_NOTEBOOK"],
        "service": operation.service_model.service_name,
        "operation": operation.name,
        "at": time.monotonic(),
        "retries": [os.environ.get("AWS_RETRY_MODE", "legacy"), int(os.environ.get("AWS_MAX_ATTEMPTS", "5"))],
        "complaints": [
            *aws_rules.complaints(operation, parameters),
            *aws_rules.first_page(operation, parameters, PAGINATOR in get_context().features),
        ],
        "policies": [text for _, text in policy_rules.documents(parameters)],
    }
    with log.open("a") as file:
        file.write(json.dumps(line) + "\n")


def replaced(value: Any, words: dict[str, str]) -> Any:
    """The same value with each of the words replaced in every text."""
    if isinstance(value, str):
        for word, here in words.items():
            value = value.replace(word, here)
        return value
    if isinstance(value, dict):
        return {key: replaced(below, words) for key, below in value.items()}
    return [replaced(below, words) for below in value] if isinstance(value, list) else value


def stage_here(url: str, gateway: str) -> str:
    """The local address of a stage for its address on AWS; any other address as it is."""
    start, middle, path = url.partition(".amazonaws.com/")
    api, _, service = start.removeprefix("https://").partition(".")
    return f"{gateway}/{api}/{path}" if middle and service.startswith("execute-api.") else url
