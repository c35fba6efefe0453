"""A stand-in on this machine for Databricks' `kinesis` source; PySpark finds it by the package's name."""

import os
import time
from collections.abc import MutableMapping
from typing import Any

from pyspark import __version__ as spark_version
from pyspark.sql.datasource import DataSource
from pyspark.sql.types import StructType

from pyspark_local_kinesis.options import KinesisError, parse

COLUMNS = (
    "partitionKey string, data binary, stream string, shardId string, sequenceNumber string, "
    "approximateArrivalTimestamp timestamp"
)


class DefaultSource(DataSource):
    """`spark.readStream.format("kinesis")`: the options and columns of Databricks, for the local cloud."""

    def __init__(self, options: MutableMapping[str, str]) -> None:
        if "DATABRICKS_RUNTIME_VERSION" in os.environ:
            raise KinesisError(
                "This stand-in must not run on Databricks, which has a kinesis source of its own."
            )
        if tuple(int(part) for part in spark_version.split(".")[:2]) < (4, 2):
            # Older ones do not tell the source where the checkpoint stands: a restart would read all again.
            raise KinesisError(f"The local kinesis source needs Spark 4.2 or newer, this is {spark_version}.")
        self.asked = parse(options)
        # `latest` means from here: the query itself starts only seconds later, in a process of its own.
        self.loaded = int(time.time() * 1000)

    @classmethod
    def name(cls) -> str:
        """What `format` calls it."""
        return "kinesis"

    def schema(self) -> str:
        """The six columns, as Databricks names them."""
        return COLUMNS

    def streamReader(self, schema: StructType) -> Any:
        """The reader of one query."""
        from pyspark_local_kinesis.reader import KinesisReader

        found = ", ".join(f"{field.name} {field.dataType.simpleString()}" for field in schema)
        if found != COLUMNS:
            raise KinesisError(f"The kinesis source has columns of its own ({COLUMNS}): leave out .schema().")
        return KinesisReader(self.asked, self.loaded)
