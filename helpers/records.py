"""Where records lie and how many: in Kafka's topics, in S3's objects, in Kinesis' streams."""

import json
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import boto3

from helpers import client, config, databricks, lookup, wait

PAUSE = 0.2  # seconds between two calls of GetRecords: a shard answers five a second
UNREADABLE, EMPTY = "unreadable", "without a value"  # why a record is a dead letter
# From Connect's headers, a line a dead letter: its topic, partition and offset, and whether it has no value.
# One that was sent twice counts once. The machine does the counting, because SSM cuts long answers.
BY_ORIGIN = r"""printf '%s\n' "$letters" |
sed -nE 's/^__connect.errors.topic:([^,]*),([^,]*,[^,]*),(.*message:(Skipping null value))?.*/\1 \2 \4/p' |
sort -u | cut -d' ' -f1,3 | sort | uniq -c"""


def in_topics(topics: Iterable[str]) -> dict[str, int]:
    """Records in each topic: the sum over its partitions of the offset that the next record will get."""
    counts = dict.fromkeys(topics, 0)
    pattern = "|".join(topic.replace(".", "[.]") for topic in counts)
    for line in client.run(f"{lookup.kafka_tool('get-offsets')} --topic '{pattern}'").splitlines():
        topic, _, offset = line.split(":")
        counts[topic] += int(offset)
    return counts


def in_s3(bucket: str, prefix: str) -> list[dict[str, Any]]:
    """Every record in the objects below a prefix, in the order of their keys: of a topic, its offsets."""
    s3 = boto3.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    bodies = [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]
    return [json.loads(line) for body in bodies for line in body.splitlines()]


def landed(bucket: str, topics: Iterable[str]) -> dict[str, int]:
    """Different offsets of each topic in S3: on AWS a worker that dies may leave a record in two objects."""
    return {
        topic: len({record["_offset"] for record in in_s3(bucket, f"topics/{topic}")}) for topic in topics
    }


def dead_letters(most: int) -> Counter[tuple[str, str]]:
    """Different records in the dead-letter topic, by their topic and why they are there.

    Reads as many as `most` and wants the sink's `errors.deadletterqueue.context.headers.enable`.
    """
    which = f"--topic {config.use_target().names.dead_letter_topic} --partition 0 --offset earliest"
    shown = "--formatter-property print.headers=true --formatter-property print.value=false"
    until = f"--max-messages {most} --timeout-ms 10000"
    read = f"{lookup.kafka_tool('console-consumer')} {which} {shown} {until}"
    counted: Counter[tuple[str, str]] = Counter()
    for line in client.run(f"letters=$({read}) && {BY_ORIGIN}").splitlines():
        number, topic, *empty = line.split()
        counted[topic, EMPTY if empty else UNREADABLE] = int(number)
    return counted


def landing(bucket: str, topics: Iterable[str]) -> dict[str, dict[str, int]]:
    """Where the records of each topic are: in S3, in the dead-letter topic by reason, or missing."""
    topics, dead = list(topics), config.use_target().names.dead_letter_topic
    in_bucket, held = landed(bucket, topics), in_topics([*topics, dead])
    letters = dead_letters(held[dead]) if held[dead] else Counter()
    found = {}
    for topic in topics:
        arrived = {"in S3": in_bucket[topic], **{why: letters[topic, why] for why in (UNREADABLE, EMPTY)}}
        found[topic] = {"in topic": held[topic], **arrived, "missing": held[topic] - sum(arrived.values())}
    return found


def wait_landed(bucket: str, topics: Iterable[str], seconds: float = 120) -> dict[str, dict[str, int]]:
    """Wait until every record is in S3 or in the dead-letter topic, and return `landing`."""
    topics, dead = list(topics), config.use_target().names.dead_letter_topic

    def all_there() -> dict[str, dict[str, int]]:
        found = landing(bucket, topics)
        if wrong := {topic: row for topic, row in found.items() if row["missing"]}:
            raise wait.NotYet(str(wrong))
        return found

    what = f"every record in S3 or, if the sink cannot write it, in the dead-letter topic {dead}"
    return wait.until(all_there, what, seconds, every=1)


def _kinesis() -> Any:
    """A client of Kinesis; in a workspace with the service credential, as boto3 has no other there."""
    if not config.in_databricks():
        return boto3.client("kinesis")
    cloud = config.use_target()
    return databricks.aws_session(cloud.kinesis_credential, cloud.region).client("kinesis")


def in_stream(stream: str) -> list[dict[str, Any]]:
    """Every record of a Kinesis stream, shard by shard from its oldest, with its `ShardId`."""
    kinesis, records = _kinesis(), []
    for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
        start = {"ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        at, behind = kinesis.get_shard_iterator(StreamName=stream, **start)["ShardIterator"], 1
        while at and behind:  # a closed shard ends without a next iterator
            answer = kinesis.get_records(ShardIterator=at)
            at, behind = answer.get("NextShardIterator"), answer["MillisBehindLatest"]
            records += [{**record, "ShardId": shard["ShardId"]} for record in answer["Records"]]
            time.sleep(PAUSE if behind else 0)
    return records
