"""What the tests of the S3 sink share: topics, rights, a reader's connector, the objects read back."""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import requests
from confluent_kafka import Producer
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from local_cloud.identity import write_identities
from local_cloud.parts import aws, connect, kafka
from local_cloud.state import State

BUCKET = "user-test-bucket"
ROLE = "connect-role"
CONFLUENT = "io.confluent.connect."
# AWS's own example for MSK Connect, with the class of this project's sink.
SETTINGS = {
    "connector.class": "workbook.s3.S3SinkConnector",
    "s3.region": "us-east-1",
    "s3.bucket.name": BUCKET,
    "flush.size": "5",
    "schema.compatibility": "NONE",
    "tasks.max": "3",
    "format.class": f"{CONFLUENT}s3.format.json.JsonFormat",
    "partitioner.class": f"{CONFLUENT}storage.partitioner.DefaultPartitioner",
    "storage.class": f"{CONFLUENT}s3.storage.S3Storage",
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "org.apache.kafka.connect.json.JsonConverter",
    "value.converter.schemas.enable": "false",
}


def wait_for(condition: Callable[[], Any], seconds: float = 30, what: str = "") -> Any:
    """The condition's first true value."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = condition()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds} s: {what}")


@dataclass
class Sink:
    """One state folder's Kafka, Connect and S3, seen from a test."""

    state: State

    def prepare(self) -> None:
        """Make the bucket, and the role that the connectors run as with rights on all test topics."""
        self.s3.create_bucket(Bucket=BUCKET)
        write_identities(self.state, [ROLE])
        allow = [(ResourceType.TOPIC, "t.", op) for op in ("READ", "WRITE", "CREATE", "DESCRIBE")]
        allow += [(ResourceType.GROUP, "connect-", op) for op in ("READ", "DESCRIBE")]
        client = kafka.admin(self.state)
        bindings = [
            AclBinding(
                kind,
                name,
                ResourcePatternType.PREFIXED,
                f"User:{ROLE}",
                "*",
                AclOperation[operation],
                AclPermissionType.ALLOW,
            )
            for kind, name, operation in allow
        ]
        for future in client.create_acls(bindings).values():
            future.result()

    @property
    def s3(self) -> Any:
        return aws.client(self.state, "s3")

    def create_topic(self, *names: str) -> None:
        client = kafka.admin(self.state)
        for future in client.create_topics([NewTopic(name, 1, 1) for name in names]).values():
            future.result()

    def producer(self) -> Producer:
        return Producer(kafka.login(self.state))

    def produce(self, topic: str, values: Iterable[bytes | None]) -> None:
        producer = self.producer()
        for value in values:
            if len(producer) > 50_000:
                producer.flush(20)
            producer.produce(topic, value, b"key")
            producer.poll(0)
        assert producer.flush(20) == 0

    def numbers(self, topic: str, start: int, stop: int) -> None:
        """Produce the documents {"n": start} ... {"n": stop - 1}."""
        self.produce(topic, (json.dumps({"n": n}).encode() for n in range(start, stop)))

    def rest(self, method: str, path: str, body: Any = None) -> requests.Response:
        url = f"http://127.0.0.1:{self.state.port('connect')}{path}"
        login = (connect.REST_USER, self.state.secret("connect_rest"))
        return requests.request(method, url, json=body, auth=login, timeout=30)

    def connector(self, name: str, **settings: str | None) -> requests.Response:
        """Create or change a connector that runs as ROLE; a setting of None is left out."""
        login = f'software.amazon.msk.auth.iam.IAMLoginModule required awsProfileName="{ROLE}";'
        clients = {f"{kind}.override.sasl.jaas.config": login for kind in ("consumer", "producer", "admin")}
        wanted = SETTINGS | clients | {key.replace("__", "."): value for key, value in settings.items()}
        body = {key: value for key, value in wanted.items() if value is not None}
        return self.rest("PUT", f"/connectors/{name}/config", body)

    def task_states(self, name: str) -> list[str]:
        answer = self.rest("GET", f"/connectors/{name}/status")
        return [task["state"] for task in answer.json()["tasks"]] if answer.ok else []

    def wait_running(self, name: str) -> None:
        running = lambda: (states := self.task_states(name)) and set(states) == {"RUNNING"}  # noqa: E731
        wait_for(running, what=f"connector {name} is running")

    def delete(self, name: str) -> None:
        """Delete a connector and wait until it has stopped: Connect answers first, and its tasks write on."""
        path, group = f"/connectors/{name}", f"connect-{name}"

        def stopped() -> bool:
            self.rest("DELETE", path)  # again and again: Connect refuses it while it rebalances
            if self.rest("GET", f"{path}/status").status_code != 404:
                return False
            return not kafka.admin(self.state).describe_consumer_groups([group])[group].result().members

        wait_for(stopped, what=f"connector {name} has stopped")

    def objects(self, topic: str) -> dict[str, list[str]]:
        """Object name (without the topic's folder) -> its lines, in the order of names."""
        prefix = f"topics/{topic}/partition=0/"
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        keys = sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))
        return {
            key.removeprefix(prefix): self.s3.get_object(Bucket=BUCKET, Key=key)["Body"]
            .read()
            .decode()
            .splitlines()
            for key in keys
        }

    def landed(self, topic: str, field: str = "n") -> list[int]:
        """One field of every record in S3, in the order of objects and lines."""
        return [json.loads(line)[field] for lines in self.objects(topic).values() for line in lines]

    def count(self, topic: str) -> int:
        """Records in S3."""
        return sum(len(lines) for lines in self.objects(topic).values())
