"""The model of lesson 16: its tables, its steps, and what it says at both ends."""

import json
import math
import re

import pytest

from sizing import model
from sizing.model import Load
from tear_down.kinds import KINDS

SIZES = {"pin": 590, "geo": 130, "user": 120}
FAR = 1.5  # a slow machine measures less
LOADS = [10**power for power in range(7)]


def load(posts: float, batch: int = 500) -> Load:
    return Load(posts, batch, SIZES)


@pytest.mark.parametrize("name", ["prices", "quotas"])
def test_every_row_has_its_region_date_and_source(name: str) -> None:
    table = model.table(name)
    assert set(table["region"]) == {"us-east-1"}
    assert all(re.fullmatch(r"20\d\d-[01]\d", date) for date in table["date"])
    assert all(source.startswith("https://") for source in table["source"])
    assert set(table["checked"]) <= {"AWS", "elsewhere", "no"}


def test_no_row_is_there_twice() -> None:
    for name in ("prices", "quotas", "capacities"):
        table = model.table(name).reset_index()
        keys = ["service", "what", *(["above"] if name == "prices" else [])]
        assert not table.duplicated(keys).any(), name


def test_a_tier_holds_for_the_units_above_its_start() -> None:
    assert model.bill("API Gateway", "REST requests", 333) == pytest.approx(333 * 3.5)
    assert model.bill("API Gateway", "REST requests", 1001) == pytest.approx(333 * 3.5 + 667 * 2.8 + 2.38)
    assert model.bill("S3", "storage", 0) == 0


def test_what_is_not_in_the_tables_is_an_error() -> None:
    with pytest.raises(KeyError):
        model.bill("S3", "nothing", 1)
    with pytest.raises(KeyError):
        model.value("S3", "nothing")


@pytest.mark.parametrize(
    ("kind", "number", "service", "what"),
    [
        ("cluster", 2, "MSK", "kafka.t3.small"),
        ("connector", 1, "MSK Connect", "MCU"),
        ("stream", 2, "Kinesis", "shard"),
        ("load balancer", 1, "ELB", "network load balancer"),
        ("instance", 1, "EC2", "t3.small"),
        ("NAT gateway", 1, "VPC", "NAT gateway"),
        ("elastic IP", 1, "VPC", "public address"),
        ("environment", 1, "MWAA", "mw1.small"),
    ],
)
def test_lesson_17_has_the_same_prices(kind: str, number: int, service: str, what: str) -> None:
    assert KINDS[kind].hourly == pytest.approx(model.bill(service, what, number))


def test_every_price_by_the_hour_of_lesson_17_is_compared() -> None:
    mark = next(mark for mark in test_lesson_17_has_the_same_prices.pytestmark if mark.name == "parametrize")
    assert {row[0] for row in mark.args[1]} == {name for name, kind in KINDS.items() if kind.hourly}


@pytest.mark.parametrize("way", model.WAYS)
@pytest.mark.parametrize("batch", [1, 500])
def test_a_larger_load_never_needs_or_costs_less(way: str, batch: int) -> None:
    grown = [model.size(way, load(posts, batch)) for posts in LOADS]
    bills = [sum(model.price(way, load(posts, batch)).values()) for posts in LOADS]
    assert bills == sorted(bills)
    for name in grown[0]:
        assert [needs[name] for needs in grown] == sorted(needs[name] for needs in grown), name


@pytest.mark.parametrize("way", model.WAYS)
def test_batching_never_costs_more(way: str) -> None:
    for posts in LOADS:
        one, many = (model.price(way, load(posts, batch)) for batch in (1, 500))
        assert all(many[name] <= one[name] for name in one)


def test_nothing_comes_in_halves() -> None:
    for posts in (1, 999, 1001, 123_456):
        for name in ("proxies", "brokers", "partitions", "MCUs"):
            assert model.size("Kafka", load(posts))[name] >= 1
            assert float(model.size("Kafka", load(posts))[name]).is_integer()
        assert float(model.size("Kinesis", load(posts))["shards"]).is_integer()


def test_a_shard_is_full_by_records_or_by_bytes() -> None:
    assert model.shards(Load(1000, 500, {"pin": 900}))[0] == 1
    assert model.shards(Load(1001, 500, {"pin": 900}))[0] == 2
    assert model.shards(Load(1000, 500, {"pin": 3000}))[0] == 3


def test_objects_are_written_when_full_or_by_the_clock() -> None:
    assert model.objects(load(0.1))[0] == pytest.approx(0.3)  # a record an object
    assert model.objects(load(1))[0] == pytest.approx(3 / model.CLOCK)
    assert model.objects(load(1000))[0] == pytest.approx(3 * 1000 / model.FLUSH)


def test_brokers_are_two_small_ones_then_the_cheapest_in_threes() -> None:
    assert model.brokers(load(1000))[0] == 2
    assert model.brokers(load(10_000))[0] == 3
    assert model.brokers(load(10**6))[0] % 3 == 0
    with pytest.raises(ValueError, match="too much for one cluster"):
        model.brokers(load(10**8))


def test_a_task_has_a_partition() -> None:
    for posts in LOADS:
        needs = model.size("Kafka", load(posts))
        assert needs["partitions"] >= needs["MCUs"]


def test_capacities_are_not_far_above_what_the_benchmarks_measured() -> None:
    found = json.loads((model.FOLDER.parent / "benchmarks" / "results.json").read_text())
    rates = found["posting"]["records_per_second"]
    assert model.value("REST proxy", "requests to a machine") <= FAR * rates["1 a request"]
    assert model.value("REST proxy", "records to a machine") <= FAR * rates["500 a request"]
    landed = found["landing"]["records"] / found["landing"]["seconds"]
    assert model.value("MSK Connect", "records of an MCU") <= FAR * landed
    million = 3_000_000 / found["million"]["spark_clean_s"] / 2
    assert model.value("Spark", "records of a core in batch") <= FAR * million
    stream = found["streaming"]["sustained_records_per_second"] / 2
    assert model.value("Spark", "records of a core in a stream") <= FAR * stream


def test_an_account_is_limited_by_the_api_first_and_by_the_connector_once_batched() -> None:
    limits = model.account()
    assert math.prod((60, 8, 4000)) == limits.loc["MSK Connect, records", "a second"]
    full = {}
    for batch in (1, 500):
        used = {"requests": 3 / batch, "records": 3, "MB": 0.00084, "objects": 3 / model.FLUSH}
        posts = limits["a second"].astype(float) / limits["counts"].map(used)
        full[batch] = (posts.idxmin(), round(posts.min()))
    assert full == {1: ("API Gateway, requests", 3333), 500: ("MSK Connect, records", 640_000)}
