"""Write Delta tables: make, merge into and overwrite them, again when another writer got in the way."""

import functools
from collections.abc import Callable

from pyspark.sql import DataFrame

TRIES = 5  # of a write that another one got in the way of
# How Delta calls that: rows were added or removed, or the table was just made or changed.
CONFLICTS = ("DELTA_CONCURRENT", "DELTA_PROTOCOL_CHANGED", "DELTA_METADATA_CHANGED")


def again_on_conflict(write: Callable[..., None]) -> Callable[..., None]:
    """Try a write again when another one changed the table meanwhile: Delta lets the first of two win."""

    @functools.wraps(write)
    def patient(rows: DataFrame, target: str, *more: str) -> None:
        for left in reversed(range(TRIES)):
            try:
                return write(rows, target, *more)
            except Exception as error:  # a class of its own on every kind of compute
                if not left or not any(name in str(error) for name in CONFLICTS):
                    raise

    return patient


@again_on_conflict
def create_table(rows: DataFrame, target: str) -> None:
    """Make an empty Delta table with the columns of `rows`, unless there is one.

    `target` is what SQL calls it: "catalog.schema.name", or "delta.`s3://bucket/folder`".
    """
    columns = ", ".join(f"`{field.name}` {field.dataType.simpleString()}" for field in rows.schema)
    rows.sparkSession.sql(f"CREATE TABLE IF NOT EXISTS {target} ({columns}) USING delta")


@again_on_conflict
def merge(rows: DataFrame, target: str, *keys: str) -> None:
    """Put `rows`, one per key, into a Delta table; doing it again, or in another order, changes nothing.

    A row replaces that of the same `keys` (`ind` if none is named) unless its `_position` is lower.
    """
    same = " AND ".join(f"old.{key} = new.{key}" for key in keys or ("ind",))
    rows.sparkSession.sql(
        f"""MERGE INTO {target} AS old USING {{rows}} AS new ON {same}
            WHEN MATCHED AND new._position >= old._position THEN UPDATE SET *
            WHEN NOT MATCHED THEN INSERT *""",
        rows=rows,
    )


@again_on_conflict
def overwrite(rows: DataFrame, target: str) -> None:
    """Make these rows all that a Delta table holds, in one commit."""
    create_table(rows, target)
    rows.write.format("delta").mode("overwrite").option("overwriteSchema", "true").saveAsTable(target)
