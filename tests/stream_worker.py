"""Lesson 14 in a Spark driver of its own: each line that comes is an expression in JSON, as is its value.

The functions of the lesson's cells are there by name, and beside them those of `Follower`.
"""

import ast
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame

from helpers import cleaning, config, delta, local_spark, quality, schema, session, stream_to_delta
from tests import lesson_queries

LESSON = Path(__file__).resolve().parents[1] / "notebooks" / "14_stream_to_delta.ipynb"
Write = Callable[[DataFrame, int], None]
TAKEN = {"stream_of", "follow", "catch_up", "rows", "in_stream", "in_table"}


def lesson(**names: Any) -> dict[str, Any]:
    """The functions of lesson 14 as its cells have them; KeyError when one is missing."""
    cells = [cell for cell in json.loads(LESSON.read_text())["cells"] if cell["cell_type"] == "code"]
    for cell in cells:
        made = [
            node
            for node in ast.parse("".join(cell["source"])).body
            if isinstance(node, ast.FunctionDef) and node.name in TAKEN
        ]
        exec(compile(ast.Module(made, []), LESSON.stem, "exec"), names)
    return {name: names[name] for name in TAKEN}


def noting(write: Write, target: str, file: Path) -> Write:
    """`write`, and a line with number and time in `file` as soon as a micro-batch's rows can be read.

    It is called in a worker of the server, where `write` merges by the name `delta.merge`.
    """

    def noted(batch: DataFrame, number: int) -> None:
        merge = delta.merge

        def watched(rows: DataFrame, table: str, *keys: str) -> None:
            merge(rows, table, *keys)
            if table == target:
                with file.open("a") as lines:
                    lines.write(f"{number} {time.time()}\n")

        delta.merge = watched
        try:
            write(batch, number)
        finally:
            delta.merge = merge

    return noted


def from_files(table: str, target: str) -> Write:
    """The same cleaning and merge for lines of files, without quarantine."""

    def write(batch: DataFrame, _: int) -> None:
        rows = stream_to_delta.CLEAN[table](cleaning.parse(batch, table))
        delta.create_table(rows, target)
        delta.merge(rows, target)

    return write


class Follower:
    """The lesson's queries and tables, and when each micro-batch could be read."""

    def __init__(self) -> None:
        self.cloud, self.spark = config.use_target(), session.spark()
        self.folder = Path(tempfile.mkdtemp())
        self.live: dict[str, Any] = {}
        functions = {"into_tables": self._into_tables, "start": stream_to_delta.start}
        watched = type("Watched", (), {name: staticmethod(made) for name, made in functions.items()})
        self.lesson = lesson(
            cloud=self.cloud, names=self.cloud.names, spark=self.spark, stream_to_delta=watched
        )

    def _into_tables(self, cloud: config.Settings, table: str) -> Write:
        write = stream_to_delta.into_tables(cloud, table)
        return noting(write, cloud.table(table, "stream"), self.folder / table)

    @property
    def seen(self) -> dict[str, dict[int, float]]:
        """For each table, and for `files`, the number of each micro-batch and when it could be read first."""
        found: dict[str, dict[int, float]] = {table: {} for table in (*self.cloud.names.stream, "files")}
        for file in self.folder.iterdir():
            for line in file.read_text().splitlines():
                number, at = line.split()
                found[file.name].setdefault(int(number), float(at))
        return found

    def start(self, *tables: str, **trigger: Any) -> list[str]:
        """Start queries that work on until they are stopped; returns when they are ready.

        One after the other: Spark gives a source's Python process ten seconds to start.
        """
        for table in tables or self.cloud.names.stream:
            self.live[table] = self.lesson["follow"](table, **trigger)
        return list(self.live)

    def files(self, table: str, folder: str) -> None:
        """Follow a folder of files with JSON lines instead."""
        target = self.cloud.table(table, "files")
        write = noting(from_files(table, target), target, self.folder / "files")
        query = self.spark.readStream.option("lineSep", "\n").text(folder).writeStream.foreachBatch(write)
        query = query.option("checkpointLocation", self.cloud.checkpoint(f"{table}_files"))
        self.live["files"] = query.trigger(processingTime="1 second").start()

    def stop(self) -> None:
        """Stop them."""
        for query in self.live.values():
            query.stop()
        self.live.clear()

    def progress(self, table: str) -> list[dict[str, Any]]:
        """What Spark reports of a running query's micro-batches with rows."""
        return [
            {"batch": each.batchId, "rows": each.numInputRows, "ms": dict(each.durationMs)}
            for each in self.live[table].recentProgress
            if each.numInputRows
        ]

    def failures(self) -> dict[str, str]:
        """The running queries that have failed."""
        return {table: str(query.exception()) for table, query in self.live.items() if query.exception()}

    def save(self, table: str, kind: str, file: str, *columns: str) -> int:
        """Write columns of a table into a Parquet file on this machine; returns the number of rows."""
        frame = self.spark.read.table(self.cloud.table(table, kind)).select(*columns).toPandas()
        frame.attrs.clear()  # Spark Connect puts its metrics there, which Parquet cannot hold
        frame.to_parquet(file)
        return len(frame)

    def batch(self) -> dict[str, int]:
        """Lesson 09: raw JSON from the bucket to clean tables and quarantine; counts what is clean."""
        lines = self.spark.read.option("lineSep", "\n")
        raw = {table: cleaning.parse(lines.text(self.cloud.raw_path(table)), table) for table in schema.KEY}
        for table, frame in raw.items():
            delta.overwrite(stream_to_delta.CLEAN[table](frame), self.cloud.table(table))
        pin, geo, user = (quality.quarantine(frame, table) for table, frame in raw.items())
        delta.overwrite(pin.union(geo).union(user), self.cloud.table("quarantine"))
        return {table: self.spark.read.table(self.cloud.table(table)).count() for table in raw}

    def differing(self, table: str) -> list[int]:
        """Rows that are in the batch's table only, and in the stream's only; the positions do not count."""
        batch, stream = (
            self.spark.read.table(self.cloud.table(table, kind)).drop("_position")
            for kind in ("table", "stream")
        )
        assert batch.schema == stream.schema
        return [batch.exceptAll(stream).count(), stream.exceptAll(batch).count()]

    def aside(self) -> dict[str, list[list[str]]]:
        """What is in quarantine, `table, reason, record` in order: by the batch, and by the stream."""
        stream = [self.spark.read.table(self.cloud.table(table, "stream_quarantine")) for table in schema.KEY]
        both = {
            "batch": self.spark.read.table(self.cloud.table("quarantine")),
            "stream": stream[0].union(stream[1]).union(stream[2]),
        }
        order = ("table", "reason", "record")
        return {
            way: [list(row) for row in frame.select(*order).orderBy(*order).collect()]
            for way, frame in both.items()
        }

    def answers(self, kind: str) -> dict[str, list[str]]:
        """Lesson 10's answers over the tables of one kind."""
        for view, table in {"pin": "pin", "geo": "geo", "users": "user"}.items():
            rows = self.spark.read.table(self.cloud.table(table, kind)).drop("_position")
            rows.createOrReplaceTempView(view)
        asked = lesson_queries.queries()
        return {
            name: [str(tuple(row)) for row in self.spark.sql(query).collect()]
            for name, query in asked.items()
        }


def main() -> None:
    """Answer until the input ends."""
    if os.environ.get("BOTH_COMPILERS"):
        local_spark.SHORT = ""
    follower = Follower()
    names = {
        name: getattr(follower, name) for name in dir(follower) if not name.startswith("_")
    } | follower.lesson
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        try:
            answer = {"value": eval(json.loads(line), names)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
