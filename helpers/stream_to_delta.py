"""From records of a Kinesis stream to clean Delta tables, a micro-batch at a time."""

import contextlib
import shutil
from collections.abc import Callable, Iterator

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from helpers import delta, quality
from helpers.cleaning import clean_geo, clean_pins, clean_users, parse
from helpers.config import Settings

CLEAN = {"pin": clean_pins, "geo": clean_geo, "user": clean_users}


class StreamError(RuntimeError):
    """What a query has noted and what its tables hold do not belong together; the message says what to do."""


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
    remedy = (
        f"streaming.start_over(spark, cloud, {table!r}) empties its tables and reads the whole stream again."
    )
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


def start_over(spark: SparkSession, cloud: Settings, table: str) -> None:
    """Forget what a table's query has read, and empty its tables in the columns of today's rules.

    The next run reads all that the stream still keeps: 24 hours, unless it was told to keep more.
    """
    checkpoint = cloud.checkpoint(f"{table}_stream")
    if checkpoint.startswith("s3://"):
        import boto3  # a workspace keeps its checkpoints in a volume

        bucket, _, folder = checkpoint.removeprefix("s3://").partition("/")
        boto3.resource("s3").Bucket(bucket).objects.filter(Prefix=f"{folder}/").delete()
    else:
        shutil.rmtree(checkpoint, ignore_errors=True)
    # The checkpoint first: cut off between the two, the next run merges all once more and loses nothing.
    nothing = parse(spark.createDataFrame([], "value BINARY, sequenceNumber STRING"), table)
    delta.overwrite(CLEAN[table](nothing), cloud.table(table, "stream"))
    delta.overwrite(quality.quarantine(nothing, table), cloud.table(table, "stream_quarantine"))
