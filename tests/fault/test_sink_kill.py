"""Connect is killed again and again while records flow: every one with a value is in S3 exactly once."""

import json
import random
import threading
import time
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

from local_cloud.parts import kafka
from tests import jvm_servers
from tests.sink_tools import BUCKET, Sink, wait_for

TOPICS = ("t.pin", "t.geo", "t.user")
# Counts and the clock both end objects, so that a replay would cut them elsewhere.
SETTINGS = {
    "topics": ",".join(TOPICS),
    "flush.size": "70",
    "rotate.schedule.interval.ms": "300",
    "timezone": "UTC",
    "tasks.max": "3",
    "behavior.on.null.values": "ignore",
}
EMPTY = 37  # every 37th record has no value


class Flow(threading.Thread):
    """Produces numbered records to every topic until told to stop."""

    def __init__(self, sink: Sink, seed: int) -> None:
        super().__init__(daemon=True)
        self.producer, self.random, self.sent, self.ends = sink.producer(), random.Random(seed), 0, False

    def run(self) -> None:
        while not self.ends:
            for _ in range(self.random.randint(1, 40)):
                value = json.dumps({"n": self.sent}).encode() if self.sent % EMPTY else None
                for topic in TOPICS:
                    self.producer.produce(topic, value)
                self.sent += 1
            self.producer.poll(0)
            time.sleep(self.random.uniform(0, 0.2))

    def finish(self) -> int:
        """Stop; returns how many records each topic has got."""
        self.ends = True
        self.join()
        assert self.producer.flush(20) == 0
        return self.sent


def keys(sink: Sink) -> int:
    pages = sink.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    return sum(page["KeyCount"] for page in pages)


def committed(sink: Sink, topic: str) -> int:
    """The connector's committed offset; 0 when there is none yet."""
    asked = ConsumerGroupTopicPartitions("connect-kill", [TopicPartition(topic, 0)])
    answer = kafka.admin(sink.state).list_consumer_group_offsets([asked])["connect-kill"].result()
    return max(0, answer.topic_partitions[0].offset)


def survive(folder: Path, kills: int, seed: int) -> None:
    """Kill the worker `kills` times at seeded moments after it has begun to write, then compare."""
    chance = random.Random(seed)
    state = jvm_servers.new_state(folder)
    with (
        jvm_servers.s3_emulator(state),
        jvm_servers.kafka_broker(state),
        jvm_servers.connect_worker(state) as worker,
    ):
        sink = Sink(state)
        sink.prepare()
        sink.create_topic(*TOPICS)
        assert sink.connector("kill", **SETTINGS).status_code == 201
        flow = Flow(sink, seed)
        flow.start()
        between = 0  # kills that hit after a put and before its commit
        for _ in range(kills):
            before = keys(sink)
            wait_for(lambda before=before: keys(sink) > before, 60, "the worker writes again")
            time.sleep(chance.uniform(0, 1.5))
            worker.kill()
            between += sink.count(TOPICS[0]) > committed(sink, TOPICS[0])
            worker.start(wait=False)
        wanted = [n for n in range(flow.finish()) if n % EMPTY]
        for topic in TOPICS:
            wait_for(lambda topic=topic: sink.count(topic) >= len(wanted), 90, f"all records of {topic}")
        time.sleep(1)  # a late second writer would show now
        for topic in TOPICS:
            assert sink.landed(topic) == wanted
        assert between, "no kill came between a put and its commit: the test proves nothing"


def test_three_kills(tmp_path):
    survive(tmp_path, kills=3, seed=3)


@pytest.mark.soak
def test_twenty_kills(tmp_path):
    survive(tmp_path, kills=20, seed=20)
