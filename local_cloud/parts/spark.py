"""The real Spark: one Spark Connect server with Delta and S3, which every notebook is a client of."""

import grpc
from pyspark.sql.connect import proto

from helpers import local_spark
from local_cloud.part import Part
from local_cloud.parts.aws import REGION
from local_cloud.state import State


def remote(state: State) -> dict[str, str]:
    """What leads PySpark to the server; with a key it speaks plain text to a host called localhost alone."""
    return {
        "SPARK_REMOTE": f"sc://localhost:{state.port('spark')}",
        "SPARK_CONNECT_AUTHENTICATE_TOKEN": state.secret("spark"),
    }


def part(state: State) -> Part:
    """The server with the reader's keys, on its recorded port."""
    folder = state.path("spark")
    aws = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{state.port('aws')}",
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": state.secret("reader_key_id"),
        "AWS_SECRET_ACCESS_KEY": state.secret("reader_secret"),
    }
    key = {"SPARK_CONNECT_AUTHENTICATE_TOKEN": state.secret("spark")}
    return Part(
        "spark",
        "real",
        "Spark Connect server with Delta",
        local_spark.command(folder, local_spark.configuration(folder, state.port("spark"), aws)),
        lambda: ready(state),
        ports=("spark",),
        env={**aws, **key, **local_spark.environment(folder)},
        start_seconds=120,
        folder=folder,
    )


def ready(state: State) -> None:
    """Raise unless the server says which Spark it is to a caller with its key."""
    address, key = f"localhost:{state.port('spark')}", state.secret("spark")
    asked = proto.AnalyzePlanRequest(
        session_id="00000000-0000-4000-8000-000000000000",
        user_context=proto.UserContext(user_id="local_cloud"),
        spark_version=proto.AnalyzePlanRequest.SparkVersion(),
    )
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        call = proto.SparkConnectServiceStub(channel).AnalyzePlan
        call(asked, timeout=5, metadata=[("authorization", f"Bearer {key}")])
