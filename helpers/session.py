"""One Spark session, and the Delta tables that it writes. On Databricks it is the workspace's own."""

import fcntl
import functools
import hashlib
import logging
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from helpers import workspace
from helpers.config import ROOT, ConfigError, in_databricks, state_folder

CORES = 2
TOOLS = ROOT / ".local" / "tools"
CONF = {
    "spark.master": f"local[{CORES}]",
    "spark.app.name": "pinterest-pipeline",
    "spark.driver.memory": "1g",
    # Short sessions: the first compiler alone makes them a third cheaper; a long job runs half as fast.
    # With it alone Java keeps 48 MB for compiled code; when streams have filled them, their queries die.
    "spark.driver.extraJavaOptions": (
        "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -Xss4m"
    ),
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "ERROR",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.repl.eagerEval.enabled": "true",
    "spark.sql.repl.eagerEval.maxNumRows": "20",
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
    # Keys come from the environment or the profile, never from the command line, which `ps` shows.
    "spark.hadoop.fs.s3a.aws.credentials.provider": (
        "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider"
    ),
}


def spark() -> SparkSession:
    """The Spark session: Databricks' own, or one on this machine with Delta and S3.

    Call `config.use_target()` first: the session takes endpoint, region and keys from the environment.
    Raises ConfigError when Java or Spark's jars are missing.
    """
    if in_databricks():
        workspace.show_frames()
        return SparkSession.builder.getOrCreate()
    active = SparkSession.getActiveSession()
    return active if active is not None else _local()


def _local() -> SparkSession:
    from pyspark import SparkConf, SparkContext  # a client of Spark Connect has no SparkContext
    from pyspark.java_gateway import launch_gateway

    folder = state_folder() / "spark"
    folder.mkdir(parents=True, exist_ok=True)
    _prepare_environment()
    places = {
        # Spark copies what `spark.jars` names at every start; a class path is read in place.
        "spark.driver.extraClassPath": f"{_jars()}/*",
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.local.dir": str(folder / "tmp"),
        "spark.hadoop.hadoop.tmp.dir": str(folder / "tmp"),
    }
    conf = SparkConf(loadDefaults=False).setAll([*{**CONF, **places, **_s3()}.items()])
    log = folder / "spark.log"
    # Java greets on stderr before any log setting counts, so what it says goes to a file.
    with log.open("ab") as file:
        try:
            gateway = launch_gateway(conf, popen_kwargs={"stdout": file, "stderr": file})
        except Exception as error:
            raise ConfigError(f"Spark did not start: see {log}") from error
    # A failed query raises; that PySpark also writes it to stderr as JSON helps nobody.
    logging.getLogger("SQLQueryContextLogger").disabled = True
    return SparkSession(SparkContext(conf=conf, gateway=gateway))


def _s3() -> dict[str, str]:
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    found = {
        "spark.hadoop.fs.s3a.endpoint": endpoint,
        "spark.hadoop.fs.s3a.endpoint.region": os.environ.get("AWS_REGION"),
        "spark.hadoop.fs.s3a.connection.ssl.enabled": endpoint and str(endpoint.startswith("https")).lower(),
    }
    return {key: value for key, value in found.items() if value}


def _jars() -> Path:
    folder = Path(os.environ.get("SPARK_JARS") or TOOLS / "jars" / "spark")
    if not any(folder.glob("delta-spark*.jar")):
        raise ConfigError(f"No Delta and S3 jars for Spark in {folder}: run `make setup`, or set SPARK_JARS.")
    return folder


def _prepare_environment() -> None:
    import pyspark

    ours = TOOLS / "java"
    if not os.environ.get("JAVA_HOME") and not shutil.which("java"):
        if not (ours / "bin" / "java").exists():
            raise ConfigError("Spark needs Java 17: run `make setup`, or set JAVA_HOME.")
        os.environ["JAVA_HOME"] = str(ours)
    path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    # Python workers, and Spark's search for data sources, see only what stands in PYTHONPATH.
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([str(ROOT), *filter(None, path)]))
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_HOME"] = str(Path(pyspark.__file__).parent)
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"


def one_writer(write: Callable[..., None]) -> Callable[..., None]:
    """Let one process of this machine at a time write a table: Delta's log on S3 is not safe with two.

    On Databricks the workspace itself sees to that, for all of its clusters.
    """

    @functools.wraps(write)
    def alone(rows: DataFrame, target: str, *more: str) -> None:
        if in_databricks():
            return write(rows, target, *more)
        file = state_folder() / "locks" / hashlib.sha256(target.encode()).hexdigest()[:16]
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # waits; the system gives it back when a process dies
            write(rows, target, *more)

    return alone


def _ensure_table(rows: DataFrame, target: str) -> None:
    columns = ", ".join(f"`{field.name}` {field.dataType.simpleString()}" for field in rows.schema)
    rows.sparkSession.sql(f"CREATE TABLE IF NOT EXISTS {target} ({columns}) USING delta")


@one_writer
def create_table(rows: DataFrame, target: str) -> None:
    """Make an empty Delta table with the columns of `rows`, unless there is one.

    `target` is what SQL calls it: "catalog.schema.name", or "delta.`s3://bucket/folder`".
    """
    _ensure_table(rows, target)


@one_writer
def merge(rows: DataFrame, target: str, *keys: str) -> None:
    """Put `rows`, one per key, into a Delta table; doing it again, or in another order, changes nothing.

    A row replaces that of the same `keys` (`ind` if none is named) only if its `_position` is higher.
    """
    _ensure_table(rows, target)
    same = " AND ".join(f"old.{key} = new.{key}" for key in keys or ("ind",))
    rows.sparkSession.sql(
        f"""MERGE INTO {target} AS old USING {{rows}} AS new ON {same}
            WHEN MATCHED AND new._position > old._position THEN UPDATE SET *
            WHEN NOT MATCHED THEN INSERT *""",
        rows=rows,
    )


@one_writer
def overwrite(rows: DataFrame, target: str) -> None:
    """Make these rows all that a Delta table holds."""
    _ensure_table(rows, target)
    rows.write.format("delta").mode("overwrite").saveAsTable(target)
