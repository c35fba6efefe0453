"""The real Kafka broker: MSK IAM on its clients' listener, a password on the local cloud's own."""

import base64
import functools
import json
import logging
import os
import subprocess
import uuid

from confluent_kafka import KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from local_cloud import tools
from local_cloud.identity import CONNECT_WORKER
from local_cloud.part import Part
from local_cloud.state import TOOLS, State, write_private

REGION = "us-east-1"
ADMIN = "admin"  # super user, on the internal listener only
SCRAM = "SCRAM-SHA-512"
WORKER_NAMES = "__amazon_msk_connect_"  # MSK Connect's own topics and group begin so
LOG_CONFIG = tools.HERE / "jvm" / "log4j2.properties"


def java_command(main: str, *arguments: str, heap_mb: int, options: tuple[str, ...] = ()) -> list[str]:
    """The command of a Kafka program, kept small: a short heap, one collector thread, one compiler."""
    class_path = os.pathsep.join(str(TOOLS / "jars" / name / "*") for name in ("kafka", "iam"))
    command = [str(tools.java()), f"-Xmx{heap_mb}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    command += ["-XX:+ExitOnOutOfMemoryError", f"-Dlog4j2.configurationFile={LOG_CONFIG}", *options]
    return [*command, "-cp", class_path, main, *arguments]


def unpack_in(state: State, name: str) -> str:
    """The option by which a part unpacks its native libraries (zstd, snappy): /tmp may forbid to run them."""
    return f"-Djava.io.tmpdir={state.path(name)}"


def scram_login(password: str) -> str:
    """How a Java client logs in as the administrator."""
    module = "org.apache.kafka.common.security.scram.ScramLoginModule"
    return f'{module} required username="{ADMIN}" password="{password}";'


def properties(state: State) -> dict[str, str]:
    """The broker's settings."""
    ports = {
        "INTERNAL": state.port("kafka_internal"),
        "IAM": state.port("kafka"),
        "CONTROLLER": state.port("kafka_controller"),
    }
    at = {name: f"{name}://127.0.0.1:{port}" for name, port in ports.items()}
    # SCRAM never sends the password: who takes these ports while the broker is away learns nothing.
    scram = {
        "sasl.enabled.mechanisms": SCRAM,
        f"{SCRAM.lower()}.sasl.jaas.config": scram_login(state.secret("kafka_admin")),
        f"{SCRAM.lower()}.sasl.server.callback.handler.class": "workbook.iam.AdminScram",
    }
    iam = f'keys="{state.path("iam", "keys.properties")}" region="{REGION}" reserved="{ADMIN}"'
    more = {
        f"{topic}.{setting}": "1"
        for topic in ("transaction.state.log", "share.coordinator.state.topic")
        for setting in ("replication.factor", "min.isr", "num.partitions")
    }
    more |= {f"listener.name.{who}.{n}": v for who in ("internal", "controller") for n, v in scram.items()}
    return more | {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{ports['CONTROLLER']}",
        "listeners": ",".join(at.values()),
        "advertised.listeners": f"{at['INTERNAL']},{at['IAM']}",
        "listener.security.protocol.map": ",".join(f"{name}:SASL_PLAINTEXT" for name in at),
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "INTERNAL",
        "sasl.mechanism.inter.broker.protocol": SCRAM,
        "sasl.mechanism.controller.protocol": SCRAM,
        "listener.name.iam.sasl.enabled.mechanisms": "AWS_MSK_IAM,OAUTHBEARER",
        "listener.name.iam.aws_msk_iam.sasl.jaas.config": (
            f'workbook.iam.MskIamLoginModule required {iam} hosts="127.0.0.1,localhost";'
        ),
        "listener.name.iam.aws_msk_iam.sasl.server.callback.handler.class": (
            "workbook.iam.MskIamCallbackHandler"
        ),
        # The broker logs in too, though it never calls itself here: it wants a name to do so.
        "listener.name.iam.oauthbearer.sasl.jaas.config": (
            "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required "
            f'unsecuredLoginStringClaim_sub="broker" {iam};'
        ),
        "listener.name.iam.oauthbearer.sasl.server.callback.handler.class": (
            "workbook.iam.OAuthTokenValidator"
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{ADMIN}",
        "allow.everyone.if.no.acl.found": "false",
        "auto.create.topics.enable": "false",
        "log.dirs": str(state.path("kafka", "data")),
        "num.partitions": "1",
        "default.replication.factor": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "1",
        "group.initial.rebalance.delay.ms": "0",
        # A few topics on one disk: fewer threads and a smaller deduplication buffer are plenty.
        "num.network.threads": "2",
        "num.io.threads": "4",
        "num.recovery.threads.per.data.dir": "1",
        "log.cleaner.dedupe.buffer.size": "8388608",
    }


def part(state: State) -> Part:
    """One broker that is its own controller."""
    config = state.path("kafka", "server.properties")
    write_private(config, as_properties(properties(state)))

    def before() -> None:
        if not state.path("kafka", "data", "meta.properties").exists():
            format_storage(state)

    return Part(
        "kafka",
        "real",
        "Kafka broker with MSK's IAM",
        java_command("kafka.Kafka", str(config), heap_mb=256, options=(unpack_in(state, "kafka"),)),
        ready=lambda: describe(state),
        ports=("kafka", "kafka_internal", "kafka_controller"),
        before=before,
        after=lambda: grant_worker(state),
        folder=state.path("kafka"),
    )


def as_properties(settings: dict[str, str]) -> str:
    """A Java properties file: a backslash starts an escape, as in JSON, and only Latin-1 is read."""
    return "".join(f"{name}={json.dumps(value)[1:-1]}\n" for name, value in settings.items())


def format_storage(state: State) -> None:
    """Give the empty data folder its cluster id."""
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A", 1)
    config = state.path("kafka", "server.properties")
    command = java_command("kafka.tools.StorageTool", "format", heap_mb=128)
    command += ["--cluster-id", cluster, "--config", str(config), "--ignore-formatted"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"Kafka could not format its storage:\n{(done.stdout + done.stderr)[-1000:]}")


def admin(state: State) -> AdminClient:
    """A client with all rights, over the internal listener; silent while the broker is away."""
    return _admin(tuple(login(state).items()))


@functools.lru_cache(maxsize=2)  # kept alive: an answer to a client that is gone never comes
def _admin(settings: tuple[tuple[str, str], ...]) -> AdminClient:
    silent = logging.getLogger("local_cloud.kafka_admin")
    silent.addHandler(logging.NullHandler())
    silent.propagate = False
    return AdminClient({**dict(settings), "reconnect.backoff.max.ms": 500}, logger=silent)


def login(state: State) -> dict[str, str]:
    """How a client of librdkafka logs in as the administrator."""
    return {
        "bootstrap.servers": f"127.0.0.1:{state.port('kafka_internal')}",
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": SCRAM,
        "sasl.username": ADMIN,
        "sasl.password": state.secret("kafka_admin"),
    }


def describe(state: State) -> None:
    """Raise unless the broker answers, its coordinator of consumer groups included."""
    client = admin(state)
    client.list_topics(timeout=3)
    client.list_consumer_groups(request_timeout=3).result()


def grant_worker(state: State) -> None:
    """Let the Connect worker use its own topics and group, and nothing else; repeating it changes nothing."""
    topic = ("READ", "WRITE", "CREATE", "DESCRIBE", "DESCRIBE_CONFIGS")
    group = ("READ", "DESCRIBE")
    wanted = [(ResourceType.TOPIC, name) for name in topic] + [(ResourceType.GROUP, name) for name in group]
    bindings = [
        AclBinding(
            kind,
            WORKER_NAMES,
            ResourcePatternType.PREFIXED,
            f"User:{CONNECT_WORKER}",
            "*",
            AclOperation[operation],
            AclPermissionType.ALLOW,
        )
        for kind, operation in wanted
    ]
    try:
        for future in admin(state).create_acls(bindings, request_timeout=5).values():
            future.result()
    except KafkaException as error:
        raise RuntimeError(f"Kafka refused the Connect worker's rights: {error.args[0].str()}") from error
