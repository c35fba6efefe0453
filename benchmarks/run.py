"""Measure the pipeline: `make bench` writes results.json and the table in README.md.

`python -m benchmarks.run streaming` measures the streaming part alone and keeps the other results;
`python -m benchmarks.run scale` does so with growth and with appends against MERGE.

What is compared is measured in one run: the same machine is faster or slower an hour later.
It works on a state folder of its own and needs the lessons' API: lessons 00 to 06, 12 and 13 run first.
"""

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".local" / "bench"
RESULTS = ROOT / "benchmarks" / "results.json"
MILLION = 1_000_000
RUNS = 3  # of each short measurement; the median counts

Timed = tuple[float, object]


def timed(work: Callable[[], object]) -> Timed:
    """Seconds, and what the work returned."""
    began = time.perf_counter()
    made = work()
    return time.perf_counter() - began, made


class Memory(threading.Thread):
    """Samples the resident memory of every process of this state folder; keeps each part's peak in MB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peaks: dict[str, float] = {}
        self.total = 0.0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(1):
            now: dict[str, float] = {}
            for process in psutil.process_iter():
                name = self._part(process)
                if name:
                    now[name] = now.get(name, 0) + self._size(process)
            for name, size in now.items():
                self.peaks[name] = max(size, self.peaks.get(name, 0))
            self.total = max(self.total, sum(now.values()))

    @staticmethod
    def _size(process: psutil.Process) -> float:
        try:
            return process.memory_info().rss / 2**20
        except psutil.Error:
            return 0

    @staticmethod
    def _part(process: psutil.Process) -> str:
        try:
            environment = process.environ()
            if environment.get("LOCAL_CLOUD_HOME") != str(HOME):
                return ""
            java = "java" in process.name()
            return environment.get("LOCAL_CLOUD_PART") or ("Spark" if java else "Python of the benchmark")
        except (psutil.Error, OSError):
            return ""


def posting() -> dict:
    """Records a second through API, proxy and Kafka, by records a request, beside the classic loop."""
    from helpers import config, source, user_posting_emulation
    from helpers.lookup import find_api

    cloud = config.use_target()
    unlimited(cloud.names.usage_plan)

    def rate(posts: int | str, batch: int) -> float:
        seconds, counts = timed(lambda: user_posting_emulation.run(posts, batch=batch, seed=1))
        assert counts.ok
        return sum(one["accepted"] for one in counts.tables.values()) / seconds

    url, key = find_api(cloud)
    total = source.count(source.engine(cloud.source_url))["pin"]
    sizes = {1: 150, 50: 3000, 500: total}
    found = {
        f"{size} a request": statistics.median(rate(min(posts, total), size) for _ in range(RUNS))
        for size, posts in sizes.items()
    }
    found["classic loop"] = statistics.median(classic_loop(cloud, url, key, 40) for _ in range(RUNS))
    return {
        "records_per_second": {name: round(value, 1) for name, value in found.items()},
        "ratio_500_to_classic": round(found["500 a request"] / found["classic loop"], 1),
        "ratio_500_to_1": round(found["500 a request"] / found["1 a request"], 1),
    }


def unlimited(usage_plan: str) -> None:
    """Raise the limit of a usage plan of the API until it is none."""
    import boto3

    gateway = boto3.client("apigateway")
    [plan] = [p for p in gateway.get_usage_plans()["items"] if p["name"] == usage_plan]
    raised = [
        {"op": "replace", "path": f"/throttle/{what}", "value": "100000"}
        for what in ("rateLimit", "burstLimit")
    ]
    gateway.update_usage_plan(usagePlanId=plan["id"], patchOperations=raised)
    time.sleep(2)  # the limit is cached for a moment


def streaming() -> dict:
    """The stream's part: see `benchmarks.stream`."""
    from benchmarks import stream
    from helpers import config, source

    cloud = config.use_target()
    unlimited(cloud.names.usage_plan)
    total = source.count(source.engine(cloud.source_url))["pin"]
    return stream.measure(HOME, total)


def growth_and_ways() -> dict:
    """How time grows, and appends against MERGE: see `benchmarks.scale`."""
    from benchmarks import scale
    from helpers import config

    unlimited(config.use_target().names.usage_plan)
    return scale.measure()


def classic_loop(cloud: object, url: str, key: str, posts: int) -> float:
    """The loop most repositories have: a new engine a post, `LIMIT n, 1`, a request a row, no session."""
    import random

    import requests
    import sqlalchemy as sa

    chance = random.Random(1)
    began = time.perf_counter()
    for _ in range(posts):
        row = chance.randrange(11_000)
        engine = sa.create_engine(cloud.source_url)  # type: ignore[attr-defined]
        with engine.connect() as connection:
            for table, name in {
                "pin": "pinterest_data",
                "geo": "geolocation_data",
                "user": "user_data",
            }.items():
                [found] = connection.execute(sa.text(f"SELECT * FROM {name} LIMIT {row}, 1")).mappings()
                body = json.dumps({"records": [{"value": dict(found)}]}, default=str)
                topic = cloud.names.topic[table]  # type: ignore[attr-defined]
                headers = {"Content-Type": "application/vnd.kafka.json.v2+json", "x-api-key": key}
                answer = requests.post(f"{url}/topics/{topic}", data=body, headers=headers, timeout=30)
                assert answer.status_code == 200
    return posts * 3 / (time.perf_counter() - began)


def landing() -> dict:
    """Seconds from the first post of all samples until the last record is an object in S3."""
    from helpers import config, records, user_posting_emulation, wait

    cloud = config.use_target()

    def lines() -> int:
        return sum(
            len(records.in_s3(cloud.names.bucket, f"topics/{topic}")) for topic in cloud.names.topic.values()
        )

    settled = [0]

    def still() -> bool:
        before, settled[0] = settled[0], lines()
        return before == settled[0]

    wait.until(still, "what earlier measurements sent to land", seconds=300, every=8)
    began = time.perf_counter()
    posted = user_posting_emulation.run("all")
    sent = sum(one["accepted"] for one in posted.tables.values())
    wait.until(lambda: lines() == settled[0] + sent, "every record in S3", seconds=300, every=0.5)
    return {"records": sent, "seconds": round(time.perf_counter() - began, 1)}


def cleaning(folder: Path, work: Path, queries: dict[str, str], runs: int) -> dict:
    """Seconds to clean raw JSON and answer every question, by Spark and by DuckDB, with equal results."""
    import duckdb

    from helpers import cleaning as rules
    from helpers import session
    from tests import reference

    spark = session.spark()
    lines = spark.read.option("lineSep", "\n")
    clean = {"pin": rules.clean_pins, "geo": rules.clean_geo, "user": rules.clean_users}

    def by_spark(target: Path) -> None:
        for table, function in clean.items():
            raw = rules.parse(lines.text(f"{folder}/{table}"), table)
            function(raw).write.format("delta").mode("overwrite").save(f"{target}/{table}")

    def by_duckdb(target: Path) -> None:
        target.mkdir(parents=True, exist_ok=True)
        for table in ("pin", "geo", "users"):
            (target / f"{table}.parquet").unlink(missing_ok=True)
        with duckdb.connect() as con:
            con.execute("SET threads = 2")
            reference.clean(con, folder)
            for table in ("pin", "geo", "users"):
                con.execute(f"COPY {table} TO '{target}/{table}.parquet' (FORMAT parquet)")

    def spark_answers() -> dict[str, list[tuple]]:
        for table, view in {"pin": "pin", "geo": "geo", "user": "users"}.items():
            rows = spark.read.format("delta").load(f"{work}/spark/{table}")
            rows.drop("_position").createOrReplaceTempView(view)
        return {name: [tuple(row) for row in spark.sql(query).collect()] for name, query in queries.items()}

    def duckdb_answers() -> dict[str, list[tuple]]:
        with duckdb.connect() as con:
            con.execute("SET threads = 2")
            con.execute("SET TimeZone = 'UTC'")
            for table in ("pin", "geo", "users"):
                con.execute(f"CREATE VIEW {table} AS SELECT * FROM '{work}/duckdb/{table}.parquet'")
            con.execute(reference.VIEWS)
            return reference.answers(con)

    by_spark(work / "warm")
    cleaned = [
        (timed(lambda: by_spark(work / "spark"))[0], timed(lambda: by_duckdb(work / "duckdb"))[0])
        for _ in range(runs)
    ]
    answered = [(timed(spark_answers), timed(duckdb_answers)) for _ in range(runs)]
    (_, ours), (_, theirs) = answered[-1]
    assert ours == theirs, "Spark and DuckDB differ in an answer"
    differing = compare(spark, work)
    assert differing == 0, f"Spark and DuckDB differ in {differing} rows"
    spark_clean, duckdb_clean = (statistics.median(column) for column in zip(*cleaned, strict=True))
    spark_answer, duckdb_answer = (statistics.median(run[who][0] for run in answered) for who in (0, 1))
    return {
        "spark_clean_s": round(spark_clean, 1),
        "duckdb_clean_s": round(duckdb_clean, 1),
        "clean_ratio": round(spark_clean / duckdb_clean, 2),
        "spark_answers_s": round(spark_answer, 1),
        "duckdb_answers_s": round(duckdb_answer, 1),
        "rows_that_differ": differing,
    }


def compare(spark: object, work: Path) -> int:
    """Rows of the clean tables that are not the same, cell by cell, in both programs' files."""
    import duckdb

    differing = 0
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        for table, other in {"pin": "pin", "geo": "geo", "user": "users"}.items():
            files = spark.read.format("delta").load(f"{work}/spark/{table}").inputFiles()  # type: ignore[attr-defined]
            names = [file.removeprefix("file://") for file in files]
            columns = con.execute(f"DESCRIBE SELECT * FROM '{work}/duckdb/{other}.parquet'").fetchall()
            wanted = ", ".join(
                f"{name}::TIMESTAMP AS {name}" if kind.startswith("TIMESTAMP") else name
                for name, kind, *_ in columns
            )
            ours = f"SELECT {wanted} FROM read_parquet({names})"
            theirs = f"SELECT {wanted} FROM '{work}/duckdb/{other}.parquet'"
            both = f"SELECT count(*) FROM (({ours}) EXCEPT ALL ({theirs}))"
            back = f"SELECT count(*) FROM (({theirs}) EXCEPT ALL ({ours}))"
            differing += con.execute(both).fetchone()[0] + con.execute(back).fetchone()[0]  # type: ignore[index]
    return differing


def table(results: dict) -> str:
    """The results as the Markdown that README.md shows."""
    rates = results["posting"]["records_per_second"]
    lines = ["| what | measured |", "| --- | --- |"]
    lines += [f"| posting, {name} | {value:,.0f} records/s |" for name, value in rates.items()]
    lines.append(
        f"| 500 a request, the classic loop's | {results['posting']['ratio_500_to_classic']:,.0f} times |"
    )
    land = results["landing"]
    lines.append(f"| {land['records']:,} records from MySQL to objects in S3 | {land['seconds']} s |")
    for name, what in (("samples", "11,154 posts"), ("million", "1,000,000 posts")):
        run = results[name]
        seconds = run["spark_clean_s"] + run["spark_answers_s"]
        lines.append(f"| {what}: clean and answer everything, Spark, session warm | {seconds:.1f} s |")
        lines.append(
            f"| {what}: clean to tables, Spark's time over DuckDB's, equal cells | {run['clean_ratio']} |"
        )
    peak = f"{results['memory_mb']['total'] / 1024:.1f} GiB"
    lines.append(f"| memory of everything at its peak in the batch run, without Airflow | {peak} |")
    if "scale" in results:
        from benchmarks import scale

        lines += scale.rows(results["scale"])
    if "streaming" in results:
        from benchmarks import stream

        lines += stream.rows(results["streaming"])
        if results["streaming"]["measured_alone"]:
            lines += ["", "The rows on streams are of a run of their own: compare them with each other only."]
    return "\n".join(lines) + "\n"


def lessons(*numbers: int) -> None:
    """Run lessons, one after the other."""
    for number in numbers:
        subprocess.run([sys.executable, "-m", "runner.lessons", "lesson", f"{number:02}"], check=True)


def batch(memory: Memory) -> dict:
    """The batch's part: posting, landing, cleaning and answers; and the memory of it all."""
    from data_samples import make_samples
    from tests import lesson_queries

    results: dict = {}
    memory.start()
    for name, work in {"posting": posting, "landing": landing}.items():
        results[name] = work()
        print(name, json.dumps(results[name]), flush=True)
    queries = lesson_queries.queries()
    raw = HOME / "million" / "topics"
    print("making 1,000,000 posts", flush=True)
    make_samples.write_topics(make_samples.make(MILLION, 7), raw, per_file=250_000, plain=True)
    samples = ROOT / "data_samples" / "topics"
    for name, folder, runs in (("samples", samples, RUNS), ("million", raw, 1)):
        results[name] = cleaning(folder, HOME / "work" / name, queries, runs)
        print(name, json.dumps(results[name]), flush=True)
    peaks = {name: round(size) for name, size in sorted(memory.peaks.items())}
    return {**results, "memory_mb": {"parts": peaks, "total": round(memory.total)}}


def main(argv: list[str]) -> None:
    """Measure everything, or with `streaming` or `scale` that alone; prints each result as it comes."""
    os.environ.update(LOCAL_CLOUD_HOME=str(HOME), PIPELINE_TARGET="local")
    os.environ.pop("RAW_PATH", None)
    cloud = [sys.executable, "-m", "local_cloud"]
    alone = argv[0] if argv in (["streaming"], ["scale"]) else ""
    results: dict = json.loads(RESULTS.read_text()) if alone else {}
    machine = {"cores": psutil.cpu_count(), "memory_gib": round(psutil.virtual_memory().total / 2**30)}
    memory = Memory()
    try:
        subprocess.run([*cloud, "reset"], check=True)
        subprocess.run([*cloud, "up"], check=True)
        # The streams first: no other session of Spark is up then, and none counts to the memory of the batch.
        lessons(0, 1, 2, 3, 4, 5)
        if alone != "scale":
            lessons(12, 13)
            found = streaming()
            print("streaming", json.dumps(found), flush=True)
        if alone != "streaming":
            lessons(6)
        if not alone:
            results = {"machine": machine, **batch(memory)}
        if alone != "streaming":
            results["scale"] = growth_and_ways()
            print("scale", json.dumps(results["scale"]), flush=True)
        if alone != "scale":
            results["streaming"] = {**found, "measured_alone": bool(alone)}
    finally:
        memory.done.set()
        subprocess.run([*cloud, "down"], check=False)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    (ROOT / "benchmarks" / "README.md").write_text(HEADER + table(results))
    from benchmarks import front_page

    front_page.main()
    print(table(results))


HEADER = """# Benchmarks

`make bench` measures everything below on one machine and writes `results.json` and this page;
`python -m benchmarks.run streaming` measures the streaming part alone, `... scale` growth and MERGE.
Trust the ratios more than the seconds. [Where the time of a micro-batch goes](micro_batches.md) explains
the rows on streams.

"""


if __name__ == "__main__":
    main(sys.argv[1:])
