"""Emulated AWS: ministack answers S3, Kinesis, IAM, EC2, MSK and the API Gateway definitions."""

import sys

import boto3
from botocore.config import Config

from local_cloud.part import Part
from local_cloud.state import State

REGION = "us-east-1"
ACCOUNT = "000000000000"


def part(state: State) -> Part:
    """ministack on loopback behind a check of the caller's key; its state is kept at an orderly stop."""
    data = state.path("aws")
    data.mkdir(parents=True, exist_ok=True)
    brokers = f"127.0.0.1:{state.port('kafka')}"
    env = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(state.port("aws")),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(data / "s3"),
        "PERSIST_STATE": "1",
        "STATE_DIR": str(data / "state"),
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": REGION,
        "MINISTACK_MSK_BOOTSTRAP": brokers,
        "MINISTACK_MSK_BOOTSTRAP_SASL_IAM": brokers,
        "IOT_MTLS_ENABLED": "0",  # it would listen on every interface
        "LOG_LEVEL": "WARNING",
    }

    def ready() -> None:
        client(state, "s3").list_buckets()

    command = [sys.executable, "-m", "local_cloud.stand_ins.aws.door"]
    return Part("aws", "emulated", "S3, Kinesis, IAM, EC2, MSK, ...", command, ready, ports=("aws",), env=env)


def client(state: State, service: str) -> boto3.client:
    """A boto3 client of the reader's on the emulator, for the local cloud's own use."""
    return boto3.client(
        service,
        endpoint_url=f"http://127.0.0.1:{state.port('aws')}",
        region_name=REGION,
        aws_access_key_id=state.secret("reader_key_id"),
        aws_secret_access_key=state.secret("reader_secret"),
        config=Config(connect_timeout=2, read_timeout=20, retries={"total_max_attempts": 2}),
    )
