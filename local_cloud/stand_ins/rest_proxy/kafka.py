"""The REST proxy's Kafka side: settings from kafka-rest.properties, one producer, metadata, exact JSON."""

import asyncio
import contextlib
import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import orjson
from aws_msk_iam_sasl_signer.MSKAuthTokenProvider import generate_auth_token_from_profile
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from local_cloud.stand_ins.rest_proxy import endpoints

log = logging.getLogger("rest_proxy")

NEEDED = {
    "client.sasl.mechanism": "AWS_MSK_IAM",
    "client.sasl.jaas.config": "software.amazon.msk.auth.iam.IAMLoginModule required",
    "client.sasl.client.callback.handler.class": "software.amazon.msk.auth.iam.IAMClientCallbackHandler",
}
PROTOCOLS = ("SASL_SSL", "SASL_PLAINTEXT")
# Milliseconds where the file does not say: well below API Gateway's 29 s (Confluent's are minutes).
WAITS = {
    "producer.max.block.ms": "4000",  # until a broker answers
    "producer.request.timeout.ms": "4000",
    "producer.delivery.timeout.ms": "5000",  # then a record counts as not accepted
}
RECONNECT, RECONNECT_MS = "client.reconnect.backoff.ms", "50"  # as of Kafka's clients
METADATA_SECONDS = 4  # for everything that is no record
QUIET_SECONDS = 60  # the same trouble is logged once in this time
MESSAGE_BYTES = 1_048_576  # max.request.size of the Java client that Confluent's proxy uses
ALL_NINES = bytes.maketrans(b"012345678", b"9" * 9)


def properties(text: str) -> dict[str, str]:
    """The keys and values of a Java properties file (comments, continued lines, = or : or blank)."""
    joined = re.sub(r"\\\r?\n[ \t]*", "", text)
    lines = [line.strip() for line in joined.splitlines()]
    pairs = [re.split(r"\s*[=:]\s*|\s+", line, maxsplit=1) for line in lines if line and line[0] not in "#!"]
    return {pair[0]: pair[1] if len(pair) > 1 else "" for pair in pairs}


def client_settings(given: dict[str, str]) -> dict[str, Any]:
    """librdkafka's settings from kafka-rest.properties; ValueError says what the file lacks."""
    servers = re.sub(r"\w+://", "", given.get("bootstrap.servers", ""))
    if not servers:
        raise ValueError("bootstrap.servers is missing")
    protocol = given.get("client.security.protocol", "PLAINTEXT")
    if protocol not in PROTOCOLS:
        raise ValueError(
            f"client.security.protocol={protocol}: the cluster takes IAM over {PROTOCOLS[0]} only"
        )
    for name, wanted in NEEDED.items():
        if not given.get(name, "").startswith(wanted):
            raise ValueError(
                f"{name} must be {wanted}{';' if ' ' in wanted else ''}: the cluster takes IAM only"
            )
    reconnect = given.get(RECONNECT, RECONNECT_MS)
    if not (reconnect.isascii() and reconnect.isdigit()):
        raise ValueError(f"{RECONNECT} must be a number of milliseconds, not {reconnect!r}")
    used = {*NEEDED, *WAITS, *endpoints.SETTINGS, RECONNECT, "bootstrap.servers", "client.security.protocol"}
    ignored = sorted(given.keys() - used)
    if ignored:
        log.warning("kafka-rest.properties: not used by this stand-in: %s", ", ".join(ignored))
    named = re.search(r'awsProfileName="?([^";\s]+)', given["client.sasl.jaas.config"])
    profile = named[1] if named else os.environ.get("AWS_PROFILE", "")
    if not profile:
        raise ValueError("AWS_PROFILE is not set: start the proxy on the client machine, which has a role")
    region = os.environ.get("AWS_REGION", "us-east-1")

    def token(_: str) -> tuple[str, float]:
        text, expires = generate_auth_token_from_profile(region, profile)
        return text, expires / 1000

    return {
        "bootstrap.servers": servers,
        "security.protocol": protocol,
        "sasl.mechanisms": "OAUTHBEARER",
        "oauth_cb": token,
        "reconnect.backoff.ms": int(reconnect),
        "reconnect.backoff.max.ms": max(1000, int(reconnect)),
        "topic.metadata.propagation.max.ms": 2000,  # a topic unknown for longer is gone
        "allow.auto.create.topics": False,
    }


def waits(given: dict[str, str]) -> tuple[int, int]:
    """Milliseconds for a broker and for delivery; ValueError for what Kafka's own producer would refuse."""
    times = {name: given.get(name, usual) for name, usual in WAITS.items()}
    for name, value in times.items():
        if not (value.isascii() and value.isdigit()):
            raise ValueError(f"{name} must be a number of milliseconds, not {value!r}")
    block, request, delivery = map(int, times.values())
    if delivery < request:
        raise ValueError("producer.delivery.timeout.ms must be at least producer.request.timeout.ms")
    return block, delivery


def exact_json(body: bytes) -> Any:
    """Parse JSON without loss: orjson makes floats of integers over 64 bits, so those go the slow way."""
    if b"9" * 19 not in body.translate(ALL_NINES):
        return orjson.loads(body)

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    document = json.loads(body, parse_constant=refuse)
    json.dumps(
        document, ensure_ascii=False
    ).encode()  # a lone surrogate is no text: ValueError, as from orjson
    return document


class Kafka:
    """One idempotent producer with its polling thread, and the metadata it sees."""

    def __init__(
        self,
        settings: dict[str, Any],
        block_ms: int,
        delivery_ms: int,
        make: Callable[[dict[str, Any]], Producer] = Producer,
    ) -> None:
        quiet = logging.getLogger("librdkafka")
        if not log.isEnabledFor(logging.DEBUG):
            quiet.setLevel(logging.CRITICAL + 1)  # a broker that is away is told by `_trouble`
        self.settings = {**settings, "error_cb": self._trouble, "logger": quiet}
        self.make, self.block_ms, self.delivery_ms = make, block_ms, delivery_ms
        self.fatal: KafkaError | None = None
        self.unauthenticated: KafkaError | None = None
        self.told: dict[int, float] = {}
        self.known: dict[str, dict[int, Any]] = {}
        self.admin: AdminClient | None = None
        self.closing = False
        self.renewing = threading.Lock()
        self.producer = self._new_producer()
        self.thread = threading.Thread(target=self._poll, name="kafka-poll", daemon=True)
        self.thread.start()

    def _new_producer(self) -> Producer:
        return self.make(
            {
                **self.settings,
                "enable.idempotence": True,
                "partitioner": "murmur2_random",  # the Java client's, so keys go where its producers put them
                "linger.ms": 2,
                "message.timeout.ms": self.delivery_ms,
                "message.max.bytes": MESSAGE_BYTES,
                "queue.buffering.max.kbytes": 128 * 1024,
            }
        )

    def _poll(self) -> None:
        while not self.closing:
            try:
                self.producer.poll(0.2)
            except KafkaException as error:  # only a fatal error comes this way
                self.fatal = error.args[0]
                time.sleep(0.2)

    def renew(self) -> None:
        """Replace a producer after a fatal error (a refused idempotent one): a new one has today's rights."""
        with self.renewing:
            if self.fatal is None:
                return
            log.warning("new producer after: %s", self.fatal.str())
            broken, self.producer = self.producer, self._new_producer()
            with contextlib.suppress(KafkaException):
                broken.purge()
                broken.flush(1)
            self.fatal = None

    def _trouble(self, error: KafkaError) -> None:
        now = time.monotonic()
        if now - self.told.get(error.code(), -QUIET_SECONDS) >= QUIET_SECONDS:
            self.told[error.code()] = now
            log.warning("Kafka: %s", error.str())
        if error.code() == KafkaError._AUTHENTICATION:
            self.unauthenticated = error

    def as_json(self, value: Any) -> bytes:
        """Compact UTF-8 JSON, as Confluent's proxy writes it."""
        try:
            return orjson.dumps(value)
        except TypeError:  # an integer over 64 bits
            return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()

    def _metadata(self, topic: str | None, seconds: float = METADATA_SECONDS) -> Any:
        try:
            found = self.producer.list_topics(topic, seconds) if topic else None
            found = found or self.producer.list_topics(timeout=seconds)
        except KafkaException:
            if self.unauthenticated is not None:
                raise KafkaException(self.unauthenticated) from None
            raise
        self.unauthenticated = None
        return found.topics

    async def topics(self) -> list[str]:
        """Names of all visible topics; KafkaException when the cluster does not answer."""
        return list(await asyncio.to_thread(self._metadata, None))

    async def partitions_of(self, topic: str, fresh: bool = False) -> dict[int, Any]:
        """Partition number -> Confluent's description; KafkaException for an unknown or forbidden topic."""
        if fresh or topic not in self.known:
            seconds = METADATA_SECONDS if fresh else self.block_ms / 1000
            found = (await asyncio.to_thread(self._metadata, topic, seconds))[topic]
            if found.error is not None:
                self.forget(topic)
                raise KafkaException(found.error)
            self.known[topic] = {number: _described(p) for number, p in sorted(found.partitions.items())}
        return self.known[topic]

    def forget(self, topic: str) -> None:
        """Look the topic up again at its next use."""
        self.known.pop(topic, None)

    async def configuration(self, topic: str) -> dict[str, str | None]:
        """The topic's settings by name; KafkaException without the right to describe them."""
        return await asyncio.to_thread(self._configuration, topic)

    def _configuration(self, topic: str) -> dict[str, str | None]:
        self.admin = self.admin or AdminClient(self.settings)
        asked = self.admin.describe_configs(
            [ConfigResource(ResourceType.TOPIC, topic)], request_timeout=METADATA_SECONDS
        )
        answer = next(iter(asked.values()))
        until = time.monotonic() + METADATA_SECONDS + 1
        while not answer.done() and time.monotonic() < until:
            self.admin.poll(0.05)  # serves the token callback of this client
        return {name: entry.value for name, entry in sorted(answer.result(timeout=1).items())}

    def close(self) -> None:
        """Deliver what is queued, then stop polling."""
        self.producer.flush(self.delivery_ms / 1000)
        self.closing = True
        self.thread.join(2)


def _described(partition: Any) -> dict[str, Any]:
    replicas = [
        {"broker": broker, "leader": broker == partition.leader, "in_sync": broker in partition.isrs}
        for broker in partition.replicas
    ]
    return {"partition": partition.id, "leader": partition.leader, "replicas": replicas}
