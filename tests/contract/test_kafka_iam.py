"""The broker lets in whoever signs as MSK wants it, and nobody else."""

import base64
import contextlib
import logging
import os
import select
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aws_msk_iam_sasl_signer import MSKAuthTokenProvider
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import CredentialProvider, Credentials
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from local_cloud.identity import CONNECT_WORKER, READER, role_key, write_identities
from local_cloud.parts import kafka
from local_cloud.state import State
from tests import jvm_servers

ROLE, STRANGER = "producer-role", "role-without-rights"
TOPIC, OTHER_TOPIC = "u1.pin", "u2.pin"
REGION = "us-east-1"
AUTHENTICATION = KafkaError._AUTHENTICATION


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    """A broker on which ROLE may write to the topics that begin with u1, and STRANGER may do nothing."""
    state = jvm_servers.new_state(tmp_path_factory.mktemp("iam"))
    write_identities(state, [ROLE, STRANGER])
    with jvm_servers.kafka_broker(state):
        admin = kafka.admin(state)
        for future in admin.create_topics([NewTopic(TOPIC, 1, 1), NewTopic(OTHER_TOPIC, 1, 1)]).values():
            future.result()
        bindings = [
            AclBinding(
                ResourceType.TOPIC,
                "u1.",
                ResourcePatternType.PREFIXED,
                f"User:{ROLE}",
                "*",
                operation,
                AclPermissionType.ALLOW,
            )
            for operation in (AclOperation.WRITE, AclOperation.DESCRIBE)
        ]
        for future in admin.create_acls(bindings).values():
            future.result()
        yield state


class Given(CredentialProvider):
    """Credentials that the test names."""

    def __init__(self, key_id: str, secret: str, session_token: str | None = None) -> None:
        super().__init__()
        self.credentials = Credentials(key_id, secret, session_token)

    def load(self) -> Credentials:
        return self.credentials


def signed(key: tuple[str, str], region: str = REGION, session_token: str | None = None) -> str:
    """A token of AWS's own signer."""
    given = Given(*key, session_token)
    token, _ = MSKAuthTokenProvider.generate_auth_token_from_credentials_provider(region, given)
    return token


def forged(
    monkeypatch: pytest.MonkeyPatch,
    key: tuple[str, str],
    *,
    host: str = f"kafka.{REGION}.amazonaws.com",
    region: str = REGION,
    service: str = "kafka-cluster",
    action: str = "kafka-cluster:Connect",
    seconds: int = 900,
    age: int = 0,
) -> str:
    """A rightly signed token that differs in one thing from what MSK wants."""
    then = datetime.now(UTC) - timedelta(seconds=age)
    monkeypatch.setattr(auth, "get_current_datetime", lambda *_, **__: then.replace(tzinfo=None))
    request = AWSRequest("GET", f"https://{host}/", params={"Action": action})
    auth.SigV4QueryAuth(Credentials(*key), service, region, expires=seconds).add_auth(request)
    return base64.urlsafe_b64encode(request.url.encode()).decode().rstrip("=")


def connect(state: State, token: str, seconds: float = 15) -> tuple[Producer | None, list[KafkaError]]:
    """A producer that has logged in with the token, or None and what it was told."""
    errors: list[KafkaError] = []
    quiet = logging.getLogger("tests.kafka")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    settings = {
        "bootstrap.servers": f"127.0.0.1:{state.port('kafka')}",
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanisms": "OAUTHBEARER",
        "oauth_cb": lambda _: (token, time.time() + 600),
        "error_cb": errors.append,
        "message.timeout.ms": 10_000,
    }
    producer = Producer(settings, logger=quiet)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        producer.poll(0.1)
        if any(error.code() == AUTHENTICATION for error in errors):
            return None, errors
        try:
            producer.list_topics(timeout=0.3)
            return producer, errors
        except KafkaException:
            continue
    raise AssertionError(f"neither in nor refused: {errors}")


def produce(producer: Producer, topic: str) -> KafkaError | None:
    """The broker's answer to one record."""
    answers: list[KafkaError | None] = []
    producer.produce(topic, b"{}", on_delivery=lambda error, _: answers.append(error))
    producer.flush(15)
    return answers[0]


def java_topics(state: State, profile: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """`kafka-topics --list` with AWS's Java library."""
    config = folder / "client.properties"
    config.write_text(
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=AWS_MSK_IAM\n"
        f'sasl.jaas.config=software.amazon.msk.auth.iam.IAMLoginModule required awsProfileName="{profile}";\n'
        "sasl.client.callback.handler.class=software.amazon.msk.auth.iam.IAMClientCallbackHandler\n"
    )
    server = f"127.0.0.1:{state.port('kafka')}"
    command = kafka.java_command("org.apache.kafka.tools.TopicCommand", heap_mb=64)
    command += ["--bootstrap-server", server, "--command-config", str(config), "--list"]
    environment = {
        "PATH": os.environ["PATH"],
        "LC_ALL": "C.UTF-8",  # Java takes the names of its files from it
        "AWS_REGION": REGION,
        "AWS_SHARED_CREDENTIALS_FILE": str(state.path("iam", "credentials")),
    }
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def broker_log(state: State) -> str:
    return state.log("kafka").read_text()


def test_a_role_with_rights_writes_to_its_topics_only(state):
    producer, _ = connect(state, signed(role_key(state, ROLE)))
    assert producer
    assert produce(producer, TOPIC) is None
    refused = produce(producer, OTHER_TOPIC)
    assert refused and refused.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_a_role_without_rights_sees_no_topic(state):
    producer, _ = connect(state, signed(role_key(state, STRANGER)))
    assert producer
    assert not producer.list_topics(timeout=5).topics
    refused = produce(producer, TOPIC)
    assert refused and refused.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


@pytest.mark.parametrize("builtin", [READER, CONNECT_WORKER])
def test_built_in_identities_have_no_right_on_the_readers_topics(state, builtin):
    producer, _ = connect(state, signed(role_key(state, builtin)))
    assert producer
    refused = produce(producer, TOPIC)
    assert refused and refused.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_wrong_secret(state):
    key_id, secret = role_key(state, ROLE)
    assert connect(state, signed((key_id, secret[::-1])))[0] is None
    assert "refused: the signature does not match" in broker_log(state)
    assert key_id not in broker_log(state)  # half of a key
    assert secret not in broker_log(state)


def test_unknown_key(state):
    assert connect(state, signed(("AKIANOBODY", "secret")))[0] is None
    assert "refused: unknown access key id" in broker_log(state)
    assert "AKIANOBODY" not in broker_log(state)


def test_session_token_that_was_never_issued(state):
    assert connect(state, signed(role_key(state, ROLE), session_token="made-up"))[0] is None
    assert "no session tokens" in broker_log(state)


def test_no_token_at_all(state):
    assert connect(state, "bm8gdG9rZW4")[0] is None


@pytest.mark.parametrize(
    ("forgery", "reason"),
    [
        ({"age": 901}, "expired"),
        ({"age": -3600}, "in the future"),
        ({"seconds": 3600}, "expiry is not within"),
        ({"region": "eu-west-1", "host": "kafka.eu-west-1.amazonaws.com"}, "signed for region eu-west-1"),
        ({"host": "kafka.eu-west-1.amazonaws.com"}, "the signature does not match"),
        ({"service": "s3"}, "signed for service s3"),
        ({"action": "kafka-cluster:DeleteTopic"}, "the action is not kafka-cluster:Connect"),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, dict) else "",
)
def test_forged_tokens(state, monkeypatch, forgery, reason):
    seen = len(broker_log(state))
    assert connect(state, forged(monkeypatch, role_key(state, ROLE), **forgery))[0] is None
    assert reason in broker_log(state)[seen:]


def test_the_forger_would_get_in_with_nothing_forged(state, monkeypatch):
    assert connect(state, forged(monkeypatch, role_key(state, ROLE)))[0]


def test_key_table_is_read_again_when_it_changes(state):
    late = signed(role_key(state, "late-role"))
    assert connect(state, late)[0] is None
    write_identities(state, [ROLE, STRANGER, "late-role"])
    assert connect(state, late)[0]
    write_identities(state, [ROLE, STRANGER])
    assert connect(state, late)[0] is None


def test_nobody_signs_as_the_super_user(state):
    key_id, secret = role_key(state, kafka.ADMIN)
    with state.path("iam", "keys.properties").open("a") as table:  # `write_identities` refuses the name
        table.write(f"{key_id}={secret}:{kafka.ADMIN}\n")
    assert connect(state, signed((key_id, secret)))[0] is None
    assert "principal admin is reserved" in broker_log(state)


def test_java_library_with_a_right_key(state, tmp_path):
    done = java_topics(state, ROLE, tmp_path)
    assert done.stdout.split() == [TOPIC], done.stdout + done.stderr


def test_java_library_with_a_wrong_secret(state, tmp_path):
    credentials = state.path("iam", "credentials")
    secret = role_key(state, STRANGER)[1]
    credentials.write_text(credentials.read_text().replace(secret, secret[::-1]))
    done = java_topics(state, STRANGER, tmp_path)
    assert done.returncode and "Access denied" in done.stdout + done.stderr


def test_the_internal_listener_wants_its_password(state):
    errors: list[KafkaError] = []
    settings = kafka.login(state) | {"sasl.password": "guess"}
    client = AdminClient({**settings, "error_cb": errors.append, "log_level": 0})
    with pytest.raises(KafkaException):
        client.list_topics(timeout=2)
    client.poll(1)
    assert AUTHENTICATION in [error.code() for error in errors]


def test_the_password_is_never_sent(state):
    """Nor so to a stranger's server that took the port while the broker was away."""
    heard = bytearray()

    class Wiretap(socketserver.BaseRequestHandler):
        def handle(self):
            broker = socket.create_connection(("127.0.0.1", state.port("kafka_internal")), timeout=10)
            with broker, contextlib.suppress(OSError):
                while True:
                    for end in select.select([self.request, broker], [], [], 10)[0]:
                        part = end.recv(65536)
                        if not part:
                            return
                        heard.extend(part)
                        (broker if end is self.request else self.request).sendall(part)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Wiretap) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        at = {"bootstrap.servers": f"127.0.0.1:{server.server_address[1]}"}
        assert AdminClient(kafka.login(state) | at).list_topics(timeout=10).brokers
        server.shutdown()
    assert b"SCRAM-SHA-512" in heard and b"n=admin" in heard
    assert state.secret("kafka_admin").encode() not in heard


def test_files_with_secrets_are_private(state):
    for name in ("kafka/server.properties", "iam/keys.properties", "iam/credentials"):
        assert state.path(name).stat().st_mode & 0o077 == 0
