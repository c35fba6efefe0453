"""Where records lie and how many: in Kafka's topics, in S3's objects, in Kinesis' streams."""

import json
import time
from collections.abc import Iterable
from typing import Any

import boto3

from helpers import client, config, once

PAUSE = 0.2  # seconds between two calls of GetRecords: a shard answers five a second


def cluster() -> tuple[str, str]:
    """The ARN of our MSK cluster and the address of its brokers for clients with IAM."""
    kafka = boto3.client("kafka")
    found = kafka.list_clusters(ClusterNameFilter=config.use_target().names.cluster)["ClusterInfoList"]
    arn = once.needed(found, "the MSK cluster (lesson 02)")["ClusterArn"]
    return arn, kafka.get_bootstrap_brokers(ClusterArn=arn)["BootstrapBrokerStringSaslIam"]


def in_topics(topics: Iterable[str]) -> dict[str, int]:
    """Records in each topic: the sum over its partitions of the offset that the next record will get."""
    counts = dict.fromkeys(topics, 0)
    pattern = "|".join(topic.replace(".", "[.]") for topic in counts)
    where = f"--bootstrap-server {cluster()[1]} --command-config client.properties"
    for line in client.run(f"kafka/bin/kafka-get-offsets.sh {where} --topic '{pattern}'").splitlines():
        topic, _, offset = line.split(":")
        counts[topic] += int(offset)
    return counts


def in_s3(bucket: str, topic: str) -> list[dict[str, Any]]:
    """Every record of a topic that has landed, object by object, in the order of its offsets."""
    s3 = boto3.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"topics/{topic}/")
    keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
    bodies = [s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]
    return [json.loads(line) for body in bodies for line in body.splitlines()]


def landed(bucket: str, topics: Iterable[str]) -> dict[str, int]:
    """Different offsets of each topic in S3: on AWS a worker that dies may leave a record in two objects."""
    return {topic: len({record["_offset"] for record in in_s3(bucket, topic)}) for topic in topics}


def in_stream(stream: str) -> list[dict[str, Any]]:
    """Every record of a Kinesis stream, shard by shard from its oldest, with its `ShardId`."""
    kinesis, records = boto3.client("kinesis"), []
    for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
        start = {"ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
        at, behind = kinesis.get_shard_iterator(StreamName=stream, **start)["ShardIterator"], 1
        while at and behind:  # a closed shard ends without a next iterator
            answer = kinesis.get_records(ShardIterator=at)
            at, behind = answer.get("NextShardIterator"), answer["MillisBehindLatest"]
            records += [{**record, "ShardId": shard["ShardId"]} for record in answer["Records"]]
            time.sleep(PAUSE if behind else 0)
    return records
