"""The control plane's stand-in: IAM with Kafka's ACLs, SSM Run Command, MSK Connect, MWAA."""

import sys

import boto3
from botocore.config import Config

from local_cloud.part import Part
from local_cloud.parts.aws import REGION
from local_cloud.state import State


def part(state: State) -> Part:
    """One server; ready when it answers a signed call, which IAM of the emulator answers through it."""

    def ready() -> None:
        client(state, "iam").list_roles(MaxItems=1)

    command = [sys.executable, "-m", "local_cloud.stand_ins.control"]
    return Part(
        "control",
        "stand-in",
        "IAM, Run Command, MSK Connect, MWAA",
        command,
        ready,
        ports=("control",),
        needs=("aws", "kafka"),
    )


def client(state: State, service: str) -> boto3.client:
    """A boto3 client of the reader's on this server."""
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{state.port('control')}",
        region_name=REGION,
        aws_access_key_id=state.secret("reader_key_id"),
        aws_secret_access_key=state.secret("reader_secret"),
        config=Config(connect_timeout=2, read_timeout=60, retries={"total_max_attempts": 1}),
    )
