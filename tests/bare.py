"""A process without settings, credentials, .env and local cloud, for tests of what is said then."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest

from helpers import config

SETTINGS = (
    "RAW_PATH",
    "TABLES_PATH",
    "SOURCE_URL",
    "CATALOG",
    "SCHEMA",
    "CLIENT_HOME",
    "REST_PROXY",
    "SINK_ZIP",
    "KINESIS_CREDENTIAL",
)
SETTINGS += ("SPARK_REMOTE", "SPARK_CONNECT_AUTHENTICATE_TOKEN")
SETTINGS += ("KAFKA_SECURITY_PROTOCOL", "DATABRICKS_RUNTIME_VERSION")
SETTINGS += ("DATABRICKS_HOST", "DATABRICKS_TOKEN", "DATABRICKS_NOTEBOOKS")


@contextmanager
def nothing_set(folder: Path) -> Iterator[pytest.MonkeyPatch]:
    """Nothing that config or boto3 could find; `folder` stands for the project's. Put back at the end."""
    before = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch:
        for name in before:
            if name in SETTINGS or name.startswith(("AWS_", "PIPELINE_", "API_INVOKE")):
                patch.delenv(name)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
        patch.setenv("LOCAL_CLOUD_HOME", str(folder / "state"))
        (folder / "dags").symlink_to(config.ROOT / "dags")  # a lesson reads it; it holds no setting
        patch.setattr(config, "ROOT", folder)
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        yield patch
    os.environ.clear()
    os.environ.update(before)  # use_target writes to the environment too
