"""From records of a Kinesis stream to clean Delta tables, a micro-batch at a time."""

from collections.abc import Callable

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from helpers import quality, session
from helpers.cleaning import RAW, clean_geo, clean_pins, clean_users, with_position
from helpers.config import Settings, in_databricks

CLEAN = {"pin": clean_pins, "geo": clean_geo, "user": clean_users}
OPTIONS = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": "_corrupt_record"}


def parse(records: DataFrame, table: str) -> DataFrame:
    """Kinesis records as raw records of a table: RAW's columns, with `_position` instead of `_offset`.

    Text that is no JSON object is kept whole in `_corrupt_record`.
    """
    text = F.col("data").cast("string")
    parsed = F.from_json(text, RAW[table], OPTIONS).alias("r")
    raw = records.select(parsed, text.alias("_text"), "sequenceNumber").select(
        "r.*", "_text", "sequenceNumber"
    )
    # from_json takes an array's first element, and makes nothing but nulls of an empty text.
    whole = F.when(F.col("_text").rlike(r"^\s*\{"), F.col("_corrupt_record")).otherwise(F.col("_text"))
    raw = with_position(raw.withColumn("_corrupt_record", whole))
    return raw.drop("_text", "_offset", "sequenceNumber")


def into_tables(cloud: Settings, table: str) -> Callable[[DataFrame, int], None]:
    """What `foreachBatch` calls: clean a micro-batch, merge it by key, set aside what cannot be mended.

    A batch that comes again after a crash changes nothing.
    """
    clean, aside = cloud.table(table, "stream"), cloud.table(table, "stream_quarantine")
    keep = not in_databricks()  # serverless compute has no cache, and runs `write` in a place of its own

    def write(batch: DataFrame, _: int) -> None:
        raw = parse(batch, table)
        held = raw.persist() if keep else raw  # two tables are written from one batch
        session.merge(CLEAN[table](held), clean)
        bad = quality.quarantine(held, table)
        session.create_table(bad, aside)
        if not bad.isEmpty():  # far cheaper than a merge of nothing
            session.merge(bad, aside, "_position", "record")
        if keep:
            held.unpersist()

    return write
