"""Size and price the pipeline for a load, part by part: each part is how many of it, and dollars a month.

Prices and quotas stand in two dated tables, what was measured in a third. Left out are traffic between zones
and out of AWS, logs and metrics, Databricks' own price, support and discounts.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

FOLDER = Path(__file__).parent
SECONDS, HOURS = 2_628_000, 730  # of a month
FLUSH, CLOCK = 500, 5  # the sink of lesson 06: records of an object, seconds until it is written
IN_KAFKA, IN_S3 = 7, 30  # days for which a record is kept
EXPRESS = ("large", "xlarge", "2xlarge", "4xlarge", "8xlarge", "12xlarge", "16xlarge")
Part = tuple[float, float]


@dataclass(frozen=True)
class Load:
    """`posts` a second, sent with `batch` records per request; `sizes`: bytes of a record of each table."""

    posts: float
    batch: int
    sizes: Mapping[str, float]

    @property
    def records(self) -> float:
        """Records a second: one in each table."""
        return self.posts * len(self.sizes)

    @property
    def megabytes(self) -> float:
        """Megabytes a second."""
        return self.posts * sum(self.sizes.values()) / 1e6


@cache
def table(name: str) -> pd.DataFrame:
    """The rows of prices, quotas or capacities, by service and what is counted."""
    return pd.read_csv(FOLDER / f"{name}.csv").set_index(["service", "what"])


def value(service: str, what: str) -> float:
    """A quota, or a capacity that was measured."""
    return _values()[service, what]


@cache
def _values() -> dict[tuple[str, str], float]:
    return {**table("quotas")["value"].astype(float), **table("capacities")["value"].astype(float)}


@cache
def _tiers(service: str, what: str) -> list[tuple[float, float, float]]:
    """Where each tier of a price begins and ends, in units of a month, and the dollars of a unit."""
    rows = table("prices").loc[[(service, what)]].sort_values("above")
    ends = [*rows["above"].iloc[1:], math.inf]
    return list(zip(rows["above"], ends, rows["dollars"], strict=True))


def bill(service: str, what: str, units: float) -> float:
    """Dollars for so many units in a month; a tier of the price holds for the units above its start."""
    tiers = _tiers(service, what)
    return float(sum(max(0, min(units, end) - start) * dollars for start, end, dollars in tiers))


def api(load: Load) -> Part:
    """Requests a second to the API."""
    requests = load.records / load.batch
    return requests, bill("API Gateway", "REST requests", requests * SECONDS / 1e6)


def proxies(load: Load) -> Part:
    """Machines with the REST proxy, behind one load balancer."""
    by_requests = load.records / load.batch / value("REST proxy", "requests to a machine")
    by_records = load.records / value("REST proxy", "records to a machine")
    machines = math.ceil(max(by_requests, by_records))
    dollars = bill("EC2", "t3.small", machines * HOURS) + bill("ELB", "network load balancer", HOURS)
    return machines, dollars + bill("ELB", "GB through a balancer", load.megabytes * SECONDS / 1e3)


def brokers(load: Load) -> Part:
    """Two small brokers while they suffice, then the cheapest size of Express brokers, in threes."""
    stored = load.megabytes * 86.4 * IN_KAFKA  # GB
    if load.megabytes <= 2 * value("MSK", "data into a kafka.t3.small"):
        return 2, bill("MSK", "kafka.t3.small", 2 * HOURS) + bill("MSK", "storage", 2 * max(stored, 10))
    choices = []
    for size in EXPRESS:
        number = 3 * math.ceil(load.megabytes / value("MSK", f"data into an express.m7g.{size}") / 3)
        if number <= value("MSK", "brokers of a cluster"):
            choices.append((bill("MSK", f"express.m7g.{size}", number * HOURS), number))
    if not choices:
        raise ValueError(f"{load.megabytes:,.0f} MB a second are too much for one cluster")
    dollars, number = min(choices)
    written = bill("MSK", "data into Express brokers", load.megabytes * SECONDS / 1e3)
    return number, dollars + written + bill("MSK", "storage", stored)


def partitions(load: Load) -> Part:
    """Partitions of all topics: a task of the connector reads at least one, and an MCU runs a task."""
    of_a_topic = math.ceil(load.posts / value("MSK Connect", "records of an MCU"))
    return len(load.sizes) * of_a_topic, 0


def connector(load: Load) -> Part:
    """MCUs of the connector."""
    mcus = math.ceil(load.records / value("MSK Connect", "records of an MCU"))
    return mcus, bill("MSK Connect", "MCU", mcus * HOURS)


def objects(load: Load) -> Part:
    """Objects a second into S3, and the records of a month that stay there."""
    by_the_clock = min(load.records, partitions(load)[0] / CLOCK)
    number = max(load.records / FLUSH, by_the_clock)
    stored = load.megabytes * 86.4 * IN_S3  # GB
    return number, bill("S3", "PUT requests", number * SECONDS / 1e3) + bill("S3", "storage", stored)


def cleaning(load: Load) -> Part:
    """Cores of Spark for daily runs that read all that is kept, as lesson 09 does."""
    cores = load.records * IN_S3 / value("Spark", "records of a core in batch")
    return cores, bill("EC2", "m5.large (2 cores)", cores / 2 * HOURS)


def network(_: Load) -> Part:
    """A NAT gateway with its address."""
    return 1, bill("VPC", "NAT gateway", HOURS) + bill("VPC", "public address", HOURS)


def shards(load: Load) -> Part:
    """Shards of all streams, by records or by bytes, whichever needs more."""
    number = 0
    for size in load.sizes.values():
        by_records = load.posts / value("Kinesis", "records into a shard")
        by_bytes = load.posts * size / 1e6 / value("Kinesis", "data into a shard")
        number += math.ceil(max(by_records, by_bytes))
    payload = bill("Kinesis", "PUT payload units (25 kB)", load.records * SECONDS / 1e6)
    return number, bill("Kinesis", "shard", number * HOURS) + payload


def streaming(load: Load) -> Part:
    """Cores of Spark for queries that never end: a machine of two at least."""
    cores = max(2, load.records / value("Spark", "records of a core in a stream"))
    return cores, bill("EC2", "m5.large (2 cores)", cores / 2 * HOURS)


WAYS: dict[str, dict[str, Callable[[Load], Part]]] = {
    "Kafka": {
        "API requests": api,
        "proxies": proxies,
        "brokers": brokers,
        "partitions": partitions,
        "MCUs": connector,
        "objects": objects,
        "Spark cores": cleaning,
        "NAT gateway": network,
    },
    "Kinesis": {"API requests": api, "shards": shards, "Spark cores": streaming},
}


def account() -> pd.DataFrame:
    """What a new account may do in a second, and what each limit counts."""
    units = value("MSK Connect", "workers of an account") * value("MSK Connect", "MCUs of a worker")
    megabytes = value("MSK", "brokers of a cluster") * value("MSK", "data into an express.m7g.16xlarge")
    shards_ = value("Kinesis", "shards of an account")
    limits = {
        "API Gateway, requests": (value("API Gateway", "requests to an account"), "requests"),
        "MSK, MB": (megabytes, "MB"),
        "MSK Connect, records": (units * value("MSK Connect", "records of an MCU"), "records"),
        "S3, objects in three folders": (3 * value("S3", "PUT requests below a prefix"), "objects"),
        "Kinesis, records": (shards_ * value("Kinesis", "records into a shard"), "records"),
        "Kinesis, MB": (shards_ * value("Kinesis", "data into a shard"), "MB"),
    }
    rows = {name: (int(most), counts) for name, (most, counts) in limits.items()}
    return pd.DataFrame(rows, index=["a second", "counts"]).T


def size(way: str, load: Load) -> dict[str, float]:
    """How many of each part the way through Kafka or Kinesis needs."""
    return {"MB/s": load.megabytes} | {name: part(load)[0] for name, part in WAYS[way].items()}


def price(way: str, load: Load) -> dict[str, float]:
    """Dollars a month for each part."""
    return {name: part(load)[1] for name, part in WAYS[way].items()}
