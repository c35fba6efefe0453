"""Which lessons call AWS, and the table of their operations with the part that answers each locally."""

import ast
from collections.abc import Iterable
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
EMULATED = "emulated by ministack"
PASSED = "emulated by ministack, through the stand-in {}"
ANSWERED = {
    "ec2": EMULATED,
    "elbv2": EMULATED,
    "kafka": f"{EMULATED}; the brokers are the real Kafka",
    "kinesis": EMULATED,
    "logs": EMULATED,
    "resourcegroupstaggingapi": EMULATED,
    "s3": EMULATED,
    "sts": EMULATED,
    "iam": PASSED.format("`control`: a change of rights becomes Kafka ACLs first"),
    "apigateway": PASSED.format("`gateway`"),
    "apigatewayv2": "stand-in `gateway`",
    "ssm": "stand-in `control`: Run Command in the client machine's folder",
    "kafkaconnect": "stand-in `control`, carried out by the real Kafka Connect",
    "mwaa": "stand-in `control`, carried out by the real Airflow",
}
# Where an operation differs from the rest of its service.
SINGLE = {
    ("kafka", "ListKafkaVersions"): "the door before the emulator",
    ("kafka", "CreateCluster"): f"{EMULATED}, once the door before it has checked version and size",
    ("kafka", "RebootBroker"): "the door before the emulator, which restarts the real Kafka",
    ("ssm", "GetParameter"): PASSED.format("`control`"),
    ("apigateway", "CreateDeployment"): PASSED.format("`gateway`, which keeps a snapshot and serves it"),
}

# `config` looks whether there are any, `databricks` gets those of a workspace; neither makes a call.
CREDENTIALS = {"helpers.config", "helpers.databricks"}


def modules(source: str) -> set[str]:
    """Names of the modules that some code imports, `helpers.x` for `from helpers import x`."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def calls_aws(source: str, seen: frozenset[str] = frozenset()) -> bool:
    """Whether code, or a helper that it imports, uses boto3, but for what takes credentials alone."""
    wanted = modules(source)
    helpers = {name for name in wanted if name.startswith("helpers.")} - seen - CREDENTIALS
    files = [ROOT / f"{name.replace('.', '/')}.py" for name in helpers]
    return "boto3" in wanted or any(
        calls_aws(file.read_text(), seen | helpers) for file in files if file.exists()
    )


def code(path: Path) -> list[str]:
    """The code cells of a notebook."""
    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def lessons() -> list[Path]:
    """The notebooks with AWS calls, in order, the tear-down last."""
    found = []
    for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        if calls_aws("\n".join(code(path))):
            found.append(path)
    return found


def answered_by(service: str, operation: str) -> str:
    """Which part answers locally; KeyError for a service that nobody has told of."""
    return SINGLE.get((service, operation)) or ANSWERED[service]


def table(called: Iterable[tuple[str, str, str]]) -> str:
    """The Markdown page, from (notebook, service, operation)."""
    rows = [
        f"| {notebook} | {service}.{operation} | {answered_by(service, operation)} |"
        for notebook, service, operation in sorted(set(called))
    ]
    head = [
        "# AWS operations that the lessons call",
        "",
        "Written by `tests/contract/test_aws_calls.py`, which runs every lesson and records each call;"
        " helpers' calls count for the lesson that makes them.",
        "",
        "| notebook | operation | answered locally by |",
        "| --- | --- | --- |",
    ]
    return "\n".join([*head, *rows, ""])
