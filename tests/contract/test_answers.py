"""Every answer of lesson 10, recomputed by another program from the raw files."""

from pathlib import Path

import duckdb
import pytest

from data_samples import make_samples
from helpers import cleaning, config
from tests import lesson_queries, reference

SEEDS = (1, 22, 333)


def raw_folder(folder: Path, seed: int, posts: int = 3000) -> Path:
    make_samples.write_topics(make_samples.make(posts, seed), folder)
    return folder


def by_spark(spark, folder: Path) -> dict[str, list[tuple]]:
    read = spark.read.option("lineSep", "\n").option("recursiveFileLookup", "true")
    clean = {"pin": cleaning.clean_pins, "geo": cleaning.clean_geo, "user": cleaning.clean_users}
    for table, function in clean.items():
        raw = cleaning.parse(read.text(f"{folder}/{table}"), table)
        view = {"user": "users"}.get(table, table)
        function(raw).drop("_position").localCheckpoint().createOrReplaceTempView(view)
    asked = lesson_queries.queries()
    return {name: [tuple(row) for row in spark.sql(query).collect()] for name, query in asked.items()}


def by_duckdb(folder: Path) -> dict[str, list[tuple]]:
    with duckdb.connect() as con:
        reference.clean(con, str(folder))
        return reference.answers(con)


def assert_same(ours: dict[str, list[tuple]], theirs: dict[str, list[tuple]]) -> None:
    assert set(ours) == set(theirs)
    for name, rows in ours.items():
        assert rows, f"{name} has no rows"
        assert rows == theirs[name], name


@pytest.mark.parametrize("seed", SEEDS)
def test_answers_on_generated_posts(spark, tmp_path, seed):
    folder = raw_folder(tmp_path / "topics", seed)
    assert_same(by_spark(spark, folder), by_duckdb(folder))


def test_answers_on_the_frozen_samples(spark):
    folder = config.ROOT / "data_samples" / "topics"
    assert_same(by_spark(spark, folder), by_duckdb(folder))


def test_a_dropped_tie_is_noticed(spark):
    by_spark(spark, config.ROOT / "data_samples" / "topics")
    q1 = lesson_queries.queries()["q1"]
    with_ties = spark.sql(q1).count()
    assert spark.sql(q1.replace("rank()", "row_number()")).count() < with_ties
