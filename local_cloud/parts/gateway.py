"""API Gateway: its stages, VPC links V2, and the way of boto3's `apigateway` calls to the emulator."""

import sys

import boto3

from local_cloud.part import Part
from local_cloud.parts.aws import REGION
from local_cloud.state import State


def part(state: State) -> Part:
    """The stand-in on its recorded port."""

    def ready() -> None:
        boto3.client(
            "apigateway",
            endpoint_url=f"http://127.0.0.1:{state.port('gateway')}",
            region_name=REGION,
            aws_access_key_id=state.secret("reader_key_id"),
            aws_secret_access_key=state.secret("reader_secret"),
        ).get_rest_apis()

    command = [sys.executable, "-m", "local_cloud.stand_ins.api_gateway.server"]
    return Part(
        "gateway", "stand-in", "API Gateway stages", command, ready, ports=("gateway",), needs=("aws",)
    )
