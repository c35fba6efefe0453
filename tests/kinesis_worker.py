"""A Spark driver of its own for the tests of the kinesis source: a JSON request a line, a JSON answer a line.

`{"options": {...}, "trigger": {...}, "folder": "..."}` runs a query into the Delta table `folder/table` with
the checkpoint `folder/checkpoint` until it ends, and answers with its batches or its error.
`{"rows": "..."}` answers with the rows of a table.
"""

import base64
import json
import sys
from typing import Any

from helpers import session


def main() -> None:
    spark = session.spark()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = rows(spark, asked["rows"]) if "rows" in asked else query(spark, asked)
        except Exception as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


def query(spark: Any, asked: dict[str, Any]) -> dict[str, Any]:
    source = spark.readStream.format("kinesis").options(**asked["options"])
    if "schema" in asked:
        source = source.schema(asked["schema"])
    folder = asked["folder"]
    sink = source.load().writeStream.format("delta").option("checkpointLocation", f"{folder}/checkpoint")
    running = sink.trigger(**asked["trigger"]).start(asked.get("table") or f"{folder}/table")
    if asked.get("started"):
        # Tell that `start` has returned, and run on until this process is killed or the query fails.
        print(json.dumps({"started": True}), flush=True)
    running.awaitTermination()
    batches = [each.numInputRows for each in running.recentProgress]
    return {"batches": [rows for rows in batches if rows]}


def rows(spark: Any, table: str) -> dict[str, Any]:
    # Of large data the digest, so that an answer stays small.
    short = "if(length(data) > 10000, cast(sha2(data, 256) as binary), data)"
    frame = spark.read.format("delta").load(table).selectExpr("*", f"{short} as short").drop("data")
    found = [row.asDict() for row in frame.orderBy("stream", "shardId", "sequenceNumber").collect()]
    for row in found:
        row["data"] = base64.b64encode(row.pop("short")).decode()
        row["approximateArrivalTimestamp"] = row["approximateArrivalTimestamp"].timestamp()
    return {"rows": found}


if __name__ == "__main__":
    main()
