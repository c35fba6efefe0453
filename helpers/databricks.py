"""What a Databricks workspace needs: parameters of a job, a volume, a page that shows DataFrames."""

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

VOLUMES = Path("/Volumes")
SHOWN = 20  # rows of a DataFrame, as on a laptop
# Older ones take no DataFrame as an argument of SQL, which a MERGE needs.
ENVIRONMENT, RUNTIME = 4, (16, 4)
DONE = "_copied"  # in a copy that is whole; Spark passes over names that begin so


def _spark() -> Any:
    from pyspark.sql import SparkSession

    return SparkSession.builder.getOrCreate()


def _shell() -> Any:
    from IPython.core.getipython import get_ipython

    return get_ipython()


def parameters(names: Iterable[str]) -> dict[str, str]:
    """Those of the named settings that a job or a widget gives this notebook, and that are not empty."""
    shell = _shell()
    tools = shell.user_ns.get("dbutils") if shell else None
    given = {}
    for name in names:
        with contextlib.suppress(Exception):  # no such widget: every runtime raises a class of its own
            given[name] = str(tools.widgets.get(name)) if tools else ""
    return {name: value for name, value in given.items() if value}


def too_old() -> str:
    """What is too old here, with the remedy; empty when the environment or runtime is new enough."""
    version = os.environ.get("DATABRICKS_RUNTIME_VERSION", "")  # "client.4.17" on serverless, else "16.4"
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    if version.startswith("client."):
        remedy = f"choose version {ENVIRONMENT} or newer in the notebook's Environment panel"
        return f"Serverless environment {numbers[0]}: {remedy}." if numbers[0] < ENVIRONMENT else ""
    if len(numbers) < 2 or numbers >= RUNTIME:  # an image that names no version is not refused
        return ""
    needed = ".".join(map(str, RUNTIME))
    return f"Databricks Runtime {version}: use a cluster with {needed} or newer, or serverless compute."


def user_id() -> str:
    """An id of the person or service that runs this: others in the workspace get other tables.

    Letters and digits of the name, and six of its hash: anna.bee and annabee stay apart.
    """
    name = str(_spark().sql("SELECT current_user()").first()[0])
    letters = re.sub(r"[^a-z0-9]", "", name.partition("@")[0].lower())
    return letters[:10] + hashlib.sha256(name.encode()).hexdigest()[:6]


def place() -> tuple[str, str]:
    """The catalog and schema that the session is in; in Free Edition these are `workspace` and `default`."""
    catalog, schema = _spark().sql("SELECT current_catalog(), current_schema()").first()
    return catalog, schema


def volume(catalog: str, schema: str, name: str) -> Path:
    """The folder of a Unity Catalog volume, which is made if it is not there."""
    folder = VOLUMES / catalog / schema / name
    if not folder.exists():
        _spark().sql(f"CREATE VOLUME IF NOT EXISTS `{catalog}`.`{schema}`.`{name}`")
    return folder


def copy(source: Path, target: Path) -> Path:
    """Copy a folder of workspace files into a volume: on serverless compute Spark reads only the copy.

    Each content gets a folder below `target`, so no copy changes under a run that reads it.
    FileNotFoundError when the source has no file.
    """
    files = sorted(file for file in source.rglob("*") if file.is_file())
    if not files:
        raise FileNotFoundError(f"no files in {source}: is RAW_PATH right?")
    content = hashlib.sha256()
    for file in files:
        content.update(f"{file.relative_to(source)} {file.stat().st_size} ".encode())
        content.update(file.read_bytes())
    folder = target / content.hexdigest()[:12]
    if not (folder / DONE).exists():
        for file in files:
            to = folder / file.relative_to(source)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, to)  # not copy(): a volume keeps no permission bits and refuses them
        (folder / DONE).write_text("")
    return folder


def aws_session(credential: str, region: str) -> Any:
    """A boto3 session under a Unity Catalog service credential (Runtime 16.1 or newer)."""
    import boto3

    provider = _shell().user_ns["dbutils"].credentials.getServiceCredentialsProvider(credential)
    return boto3.Session(botocore_session=provider, region_name=region)


def show_frames() -> None:
    """Let a DataFrame that ends a cell show its rows, which through Spark Connect it does not by itself."""
    from pyspark.sql import DataFrame

    if (shell := _shell()) and hasattr(shell, "display_formatter"):
        shell.display_formatter.formatters["text/html"].for_type(DataFrame, as_table)


def as_table(frame: Any) -> str | None:
    """The first rows as an HTML table; nothing for a stream, which has no first rows."""
    import pandas as pd

    if frame.isStreaming:
        return None
    rows = [["NULL" if value is None else value for value in row] for row in frame.take(SHOWN)]
    return str(pd.DataFrame(rows, columns=frame.columns, dtype=object).to_html(index=False))
