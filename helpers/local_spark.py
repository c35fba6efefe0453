"""Spark on this machine: a Spark Connect server, the local cloud's or one program's alone."""

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pyspark

from helpers.config import ROOT, ConfigError, state_folder
from helpers.java import java_home

CORES = 2
TOOLS = ROOT / ".local" / "tools"
KINESIS = ROOT / "local_cloud" / "stand_ins" / "kinesis"  # Spark finds the `kinesis` source there by its name
SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
JAVA_OPTIONS = "-XX:+UseSerialGC -XX:ReservedCodeCacheSize=240m -Xss4m"
# The first compiler alone halves the work of a short session; a server that runs for hours wants both.
SHORT = " -XX:TieredStopAtLevel=1"
CONF = {
    "spark.master": f"local[{CORES}]",
    "spark.app.name": "pinterest-pipeline",
    "spark.driver.memory": "1g",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.connect.grpc.binding.address": "127.0.0.1",
    "spark.authenticate": "true",  # Spark's other ports answer to nobody else
    # Spark's page has no log-in of its own, and would show every query to everybody on this machine.
    "spark.ui.enabled": "false",
    "spark.log.level": "ERROR",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    # Spark's 200 and Delta's 50 are for clusters: here each would cost more than the work itself.
    "spark.sql.shuffle.partitions": f"{CORES}",
    "spark.databricks.delta.snapshotPartitions": f"{CORES}",
    # A filter over many renamed columns makes the planner weigh every combination of old and new names.
    "spark.sql.constraintPropagation.enabled": "false",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    # The cells say s3://, as on Databricks; here Hadoop's S3A answers to that scheme.
    "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
    "spark.delta.logStore.s3.impl": "io.delta.storage.S3SingleDriverLogStore",
    "spark.hadoop.fs.s3a.path.style.access": "true",
    "spark.hadoop.fs.s3a.committer.magic.enabled": "false",
    # Uploads wait in memory, 8 MB at a time: a folder for them could not have a blank in its path.
    "spark.hadoop.fs.s3a.fast.upload.buffer": "array",
    "spark.hadoop.fs.s3a.multipart.size": "8M",
    # Keys come from the environment or the profile, never from the command line, which `ps` shows.
    "spark.hadoop.fs.s3a.aws.credentials.provider": (
        "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider"
    ),
}


def configuration(folder: Path, port: int, aws: Mapping[str, str], java: str = "") -> dict[str, str]:
    """The settings of a server that keeps its files in `folder` and answers on `port`.

    `aws` are the variables that lead to S3, as in the environment; `java` are more options of Java.
    """
    endpoint = aws.get("AWS_ENDPOINT_URL_S3") or aws.get("AWS_ENDPOINT_URL") or ""
    places = {
        "spark.connect.grpc.binding.port": f"{port}",
        # Native libraries unpack there too: not every machine lets programs run from /tmp.
        "spark.driver.extraJavaOptions": f'{JAVA_OPTIONS}{java} "-Djava.io.tmpdir={folder / "tmp"}"',
        # Spark copies what `spark.jars` names at every start; a class path is read in place.
        "spark.driver.extraClassPath": f"{_jars()}/*",
        "spark.sql.warehouse.dir": f"{folder / 'warehouse'}",
        "spark.local.dir": f"{folder / 'tmp'}",
        "spark.hadoop.hadoop.tmp.dir": f"{folder / 'tmp'}",
        "spark.hadoop.fs.s3a.endpoint": endpoint,
        "spark.hadoop.fs.s3a.endpoint.region": aws.get("AWS_REGION", ""),
        "spark.hadoop.fs.s3a.connection.ssl.enabled": "false" if endpoint.startswith("http:") else "",
    }
    return {name: value for name, value in (CONF | places).items() if value}


def command(folder: Path, settings: dict[str, str]) -> list[str]:
    """The command of such a server; writes its settings into the folder."""
    file = folder / "spark.conf"
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{name} {value}\n" for name, value in settings.items()), encoding="utf-8")
    submit = [
        f"{_home(folder)}/bin/spark-submit",
        "--properties-file",
        str(file),
        "--class",
        SERVER,
        "spark-internal",
    ]
    # A worker that runs foreachBatch prints its address, with the server's key in it.
    hide = "exec sed -u 's/token=[^; ]*/token=***/g'"
    return ["bash", "-c", f'exec "$0" "$@" > >({hide}) 2>&1', *submit]


def environment(folder: Path) -> dict[str, str]:
    """What a server in `folder` has in its environment: Java, and where Python workers find packages."""
    python = Path(sys.executable)
    return {
        "JAVA_HOME": str(java_home()),
        "SPARK_HOME": str(_home(folder)),
        "SPARK_LOCAL_IP": "127.0.0.1",
        # By name: Spark puts it into a shell's line as it is, which a folder with a blank would break.
        "PYSPARK_PYTHON": python.name,
        "PATH": os.pathsep.join((str(python.parent), os.environ.get("PATH", os.defpath))),
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, KINESIS))),
        # Spark gives a Python worker ten seconds to start: too little if it compiles every package each time.
        "PYTHONDONTWRITEBYTECODE": "",
    }


def start() -> None:
    """Start a server for this program alone, which ends with it, and lead PySpark to it.

    Raises ConfigError when Java or Spark's jars are missing.
    """
    folder, key = state_folder() / "spark" / f"{os.getpid()}", secrets.token_hex(20)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.parent.chmod(0o700)  # also one that an earlier run has made: what Spark spills is the reader's
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = {"SPARK_REMOTE": f"sc://localhost:{port}", "SPARK_CONNECT_AUTHENTICATE_TOKEN": key}
    server = command(folder, configuration(folder, port, os.environ, SHORT))
    watched = ["bash", "-c", '"$0" "$@" & read -r; kill $!; wait; rm -r "$FOLDER"', *server]
    inside = {"FOLDER": str(folder), "SPARK_CONNECT_AUTHENTICATE_TOKEN": key, **environment(folder)}
    subprocess.Popen(
        watched,
        env=os.environ | inside,
        stdin=subprocess.PIPE,  # closes when this program ends, however it ends
        stdout=(folder.parent / "spark.log").open("wb"),
        stderr=subprocess.STDOUT,
        start_new_session=True,  # Ctrl-C is for the cell, not for the server
    )
    os.environ.update(address)


def _home(folder: Path) -> Path:
    """Spark as pip has installed it, but for the zip of its Python part.

    Python workers would take PySpark from there, and Python keeps nothing that it has compiled out of a zip:
    each start would take twice the time, of which Spark grants ten seconds.
    """
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    for name in ("bin", "jars"):
        installed, link = Path(pyspark.__file__).parent / name, home / name
        if not link.exists() or not link.samefile(installed):
            link.unlink(missing_ok=True)
            link.symlink_to(installed)
    return home


def _jars() -> Path:
    folder = Path(os.environ.get("SPARK_JARS") or TOOLS / "jars" / "spark")
    if not any(folder.glob("delta-spark*.jar")):
        raise ConfigError(f"No Delta and S3 jars for Spark in {folder}: run `make setup`, or set SPARK_JARS.")
    return folder
