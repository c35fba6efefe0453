"""From records of a Kinesis stream to clean Delta tables, a micro-batch at a time."""

import contextlib
import functools
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming import StreamingQuery

from helpers import delta, quality, wait
from helpers.cleaning import clean_geo, clean_pins, clean_users, parse
from helpers.config import Settings

if TYPE_CHECKING:
    import pandas as pd

# Spark gives a Python worker ten seconds to start, which a very busy machine may not keep.
NO_WORKER = "Python worker failed to connect back"
PATIENCE = 120  # seconds in which it is tried again
CLEAN = {"pin": clean_pins, "geo": clean_geo, "user": clean_users}


class StreamError(RuntimeError):
    """What a query has noted and what its tables hold do not belong together; the message says what to do."""


def start(writer: Any, seconds: float = PATIENCE) -> StreamingQuery:
    """Start a streaming query and return it when it is ready; again if its Python worker came too late."""
    until = time.monotonic() + seconds
    while True:
        try:
            query = writer.start()
            wait.until(functools.partial(_is_ready, query), "the query's start", seconds=PATIENCE)
            return query
        except Exception as error:  # a class of its own on every kind of compute
            if NO_WORKER not in str(error) or time.monotonic() > until:
                raise


def _is_ready(query: StreamingQuery) -> bool:
    """True when a query has its first offsets, which a Python worker gets; raises what it died of."""
    if error := query.exception():
        raise error
    return not query.status["message"].startswith(("Initializing", "Getting offsets"))


def into_tables(cloud: Settings, table: str) -> Callable[[DataFrame, int], None]:
    """What `foreachBatch` calls: clean a micro-batch, merge it by key, set aside what cannot be mended.

    A batch that comes again after a crash changes nothing.
    """
    clean, aside = cloud.table(table, "stream"), cloud.table(table, "stream_quarantine")
    checked: set[str] = set()

    def write(batch: DataFrame, number: int) -> None:
        with held(parse(batch.withColumnRenamed("data", "value"), table)) as raw:  # written into two tables
            rows, bad = CLEAN[table](raw), quality.quarantine(raw, table)
            for each, target in ((rows, clean), (bad, aside)):
                if target not in checked:
                    _ensure(each, target, number, table)
                    checked.add(target)
            delta.merge(rows, clean)
            if not bad.isEmpty():  # far cheaper than a merge of nothing
                delta.merge(bad, aside, "_position", "record")

    return write


@contextlib.contextmanager
def held(raw: DataFrame) -> Iterator[DataFrame]:
    """The rows in memory where there is a cache, so that they are read once; serverless compute has none."""
    try:
        raw.persist()
    except Exception:  # a class of its own there
        yield raw
        return
    yield raw
    raw.unpersist()


def _ensure(rows: DataFrame, target: str, number: int, table: str) -> None:
    """Make the table of a query's first micro-batch; StreamError if an earlier one is gone or other."""
    again = f"stream_to_delta.start_over(spark, cloud, {table!r})"
    remedy = f"{again} empties its tables and reads the whole stream again."
    try:
        columns = rows.sparkSession.read.table(target).columns
    except AnalysisException:
        if number:
            raise StreamError(
                f"{target} is gone, but {number} micro-batches were written to it: {remedy}"
            ) from None
        return delta.create_table(rows, target)
    if columns != rows.columns:
        raise StreamError(f"{target} has the columns {columns}, the rules make {rows.columns}: {remedy}")


def noted(cloud: Settings, table: str) -> dict[str, int]:
    """From the checkpoint of a table's query: how many micro-batches were begun, and how many committed."""
    folders = {"begun": "offsets", "committed": "commits"}
    # Spark deletes old notes; the newest says how many there were.
    numbers = {
        what: [int(name) for name in _files(cloud, table, folder) if name.isdigit()]
        for what, folder in folders.items()
    }
    return {what: max(found, default=-1) + 1 for what, found in numbers.items()}


def _files(cloud: Settings, table: str, folder: str) -> list[str]:
    """The names of the files in one folder of a checkpoint."""
    place = f"{cloud.checkpoint(f'{table}_stream')}/{folder}"
    if place.startswith("s3://"):
        return [each.key.rpartition("/")[2] for each in _objects(place)]
    return [file.name for file in Path(place).glob("*")]


def _objects(place: str) -> Any:
    """The objects below an address like s3://bucket/folder."""
    import boto3  # a workspace keeps its checkpoints in a volume

    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    return boto3.resource("s3").Bucket(bucket).objects.filter(Prefix=f"{prefix}/")


def seconds(step: Any) -> float:
    """How long one micro-batch took, from a query's `recentProgress`."""
    return float(step.durationMs["triggerExecution"]) / 1000


def ages(arrived: Iterable[Mapping[str, Any]], steps: Sequence[Any]) -> "pd.Series":
    """Seconds from the arrival of each record to the end of the micro-batch that wrote it, sorted.

    `arrived` are the records of the stream, of which the newest are those that `steps` have processed.
    """
    import pandas as pd

    ends = [pd.Timestamp(step.timestamp) + pd.Timedelta(seconds(step), "s") for step in steps]
    seen = [end for end, step in zip(ends, steps, strict=True) for _ in range(step.numInputRows)]
    came = sorted(pd.Timestamp(record["ApproximateArrivalTimestamp"]) for record in arrived)[-len(seen) :]
    return pd.Series([(end - at).total_seconds() for end, at in zip(seen, came, strict=True)]).sort_values()


def growth(spark: SparkSession, target: str, commits: int) -> "pd.Series":
    """Rows of a Delta table before and after its newest `commits` by MERGE, by seconds since the first."""
    import pandas as pd

    history: Any = spark.sql(f"DESCRIBE HISTORY {target}").where("operation = 'MERGE'").toPandas()
    history = history.sort_values("version").tail(commits)
    inserted = history["operationMetrics"].map(lambda metrics: int(metrics.get("numTargetRowsInserted", 0)))
    before = spark.read.table(target).count() - inserted.sum()
    index = (history["timestamp"] - history["timestamp"].min()).dt.total_seconds()
    return pd.Series([before, *(before + inserted.cumsum())], [0.0, *index])


def start_over(spark: SparkSession, cloud: Settings, table: str) -> None:
    """Forget what a table's query has read, and empty its tables in the columns of today's rules.

    The next run reads all that the stream still keeps: 24 hours, unless it was told to keep more.
    """
    checkpoint = cloud.checkpoint(f"{table}_stream")
    if checkpoint.startswith("s3://"):
        _objects(checkpoint).delete()
    else:
        shutil.rmtree(checkpoint, ignore_errors=True)
    # The checkpoint first: cut off between the two, the next run merges all once more and loses nothing.
    nothing = parse(spark.createDataFrame([], "value BINARY, sequenceNumber STRING"), table)
    delta.overwrite(CLEAN[table](nothing), cloud.table(table, "stream"))
    delta.overwrite(quality.quarantine(nothing, table), cloud.table(table, "stream_quarantine"))
