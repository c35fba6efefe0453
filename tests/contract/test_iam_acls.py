"""IAM policies of the reader's roles decide at once what a role may do in Kafka."""

import json
import signal
import time
import uuid

import pytest
from aws_msk_iam_sasl_signer import MSKAuthTokenProvider
from botocore.credentials import CredentialProvider, Credentials
from botocore.exceptions import ClientError
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from helpers import wait
from local_cloud.identity import CONNECT_WORKER, role_key
from local_cloud.parts import aws, kafka
from tests.control_servers import make_machine, run_on, running, through_control

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
TOPIC_ACTIONS = ["CreateTopic", "DescribeTopic", "WriteData", "ReadData"]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with running(tmp_path_factory.mktemp("acls"), "aws", "kafka", "control") as state:
        yield state


@pytest.fixture(scope="module")
def cluster(cloud) -> str:
    return make_cluster(cloud, "p-1-cluster")


@pytest.fixture
def iam(cloud):
    return through_control(cloud, "iam")


@pytest.fixture
def role(iam) -> str:
    name = f"role-{uuid.uuid4().hex[:12]}"
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    return name


def make_cluster(cloud, name: str) -> str:
    nodes = {"ClientSubnets": ["subnet-1", "subnet-2"], "InstanceType": "kafka.t3.small"}
    made = aws.client(cloud, "kafka").create_cluster(
        ClusterName=name, KafkaVersion="3.9.x", NumberOfBrokerNodes=2, BrokerNodeGroupInfo=nodes
    )
    return made["ClusterArn"]


def document(*statements: dict) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions: list[str], resource: str, effect: str = "Allow") -> dict:
    return {"Effect": effect, "Action": [f"kafka-cluster:{a}" for a in actions], "Resource": resource}


def of(kind: str, cluster: str, name: str) -> str:
    return cluster.replace(":cluster/", f":{kind}/") + f"/{name}"


class OneKey(CredentialProvider):
    """Credentials known beforehand."""

    def __init__(self, key_id: str, secret: str) -> None:
        super().__init__()
        self.found = Credentials(key_id, secret)

    def load(self) -> Credentials:
        return self.found


def client_of(cloud, role: str) -> AdminClient:
    """A Kafka client with the role's key, on the listener of the clients."""
    key_id, secret = role_key(cloud, role)

    def token(_: str) -> tuple[str, float]:
        signer = MSKAuthTokenProvider.generate_auth_token_from_credentials_provider
        text, expires = signer(aws.REGION, OneKey(key_id, secret))
        return text, expires / 1000

    return AdminClient(
        {
            "bootstrap.servers": f"127.0.0.1:{cloud.port('kafka')}",
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "OAUTHBEARER",
            "oauth_cb": token,
            "log_level": 0,
        }
    )


def create(cloud, role: str, topic: str) -> str:
    """What Kafka says to the role's wish for a topic: "" or the error's name."""
    client = client_of(cloud, role)
    try:
        client.poll(0.1)  # asks for the token
        client.create_topics([NewTopic(topic, 1, 1)], request_timeout=5)[topic].result()
    except KafkaException as error:
        return error.args[0].name()
    return ""


def test_granting_and_revoking_take_effect_at_once(cloud, cluster, iam, role):
    assert create(cloud, role, "u.pin") == "TOPIC_AUTHORIZATION_FAILED"
    rights = document(allow(["Connect"], cluster), allow(TOPIC_ACTIONS, of("topic", cluster, "u.*")))
    for number in range(3):
        iam.put_role_policy(RoleName=role, PolicyName="kafka", PolicyDocument=rights)
        assert create(cloud, role, f"u.pin{number}") == ""
        assert create(cloud, role, f"another.pin{number}") == "TOPIC_AUTHORIZATION_FAILED"
        iam.delete_role_policy(RoleName=role, PolicyName="kafka")
        assert create(cloud, role, f"u.late{number}") == "TOPIC_AUTHORIZATION_FAILED"


@pytest.mark.parametrize("kind", ["group", "cluster", "without-connect"])
def test_a_wrong_kind_of_arn_grants_nothing(cloud, cluster, iam, role, kind):
    where = {"group": of("group", cluster, "u.*"), "cluster": cluster}.get(kind, of("topic", cluster, "u.*"))
    connect = [] if kind == "without-connect" else [allow(["Connect"], cluster)]
    rights = document(*connect, allow(TOPIC_ACTIONS, where))
    iam.put_role_policy(RoleName=role, PolicyName="kafka", PolicyDocument=rights)
    assert create(cloud, role, f"u.{kind}") == "TOPIC_AUTHORIZATION_FAILED"


def test_managed_policies_and_their_versions(cloud, cluster, iam, role):
    rights = document(allow(["Connect"], cluster), allow(TOPIC_ACTIONS, of("topic", cluster, "m.*")))
    arn = iam.create_policy(PolicyName="managed", PolicyDocument=rights)["Policy"]["Arn"]
    assert create(cloud, role, "m.0") == "TOPIC_AUTHORIZATION_FAILED"
    iam.attach_role_policy(RoleName=role, PolicyArn=arn)
    assert create(cloud, role, "m.1") == ""
    denied = document(
        allow(["Connect"], cluster), allow(["CreateTopic"], of("topic", cluster, "m.*"), "Deny")
    )
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=denied, SetAsDefault=True)
    assert create(cloud, role, "m.2") == "TOPIC_AUTHORIZATION_FAILED"
    iam.put_role_policy(RoleName=role, PolicyName="inline", PolicyDocument=rights)
    assert create(cloud, role, "m.3") == "TOPIC_AUTHORIZATION_FAILED"  # Deny goes before Allow
    iam.detach_role_policy(RoleName=role, PolicyArn=arn)
    assert create(cloud, role, "m.4") == ""


def test_a_policy_that_is_not_understood_is_refused_and_not_stored(cloud, cluster, iam, role):
    rights = document(allow(["ReadData"], of("topic", cluster, "u.*.pin")))
    with pytest.raises(ClientError, match="the local cloud understands") as caught:
        iam.put_role_policy(RoleName=role, PolicyName="kafka", PolicyDocument=rights)
    assert caught.value.response["Error"]["Code"] == "MalformedPolicyDocument"
    assert iam.list_role_policies(RoleName=role)["PolicyNames"] == []


def test_a_deleted_role_loses_its_identity(cloud, cluster, iam, role):
    key_id, _ = role_key(cloud, role)
    table = cloud.path("iam", "keys.properties")
    assert key_id in table.read_text()
    iam.delete_role(RoleName=role)
    assert key_id not in table.read_text()
    assert create(cloud, role, "u.gone") == KafkaError(KafkaError._TIMED_OUT).name()


@pytest.mark.parametrize("name", ["admin", "reader", "msk-connect-service", "Admin"])
def test_names_of_the_local_cloud_itself_are_kept(iam, name):
    with pytest.raises(ClientError, match="for itself"):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))


def test_simulate_principal_policy_passes_through(cloud, cluster, iam, role):
    rights = document(allow(["Connect"], cluster), allow(TOPIC_ACTIONS, of("topic", cluster, "u.*")))
    iam.put_role_policy(RoleName=role, PolicyName="kafka", PolicyDocument=rights)
    wanted = [of("topic", cluster, "u.pin"), of("topic", cluster, "another.pin")]
    found = {}
    for resource in wanted:
        answer = iam.simulate_principal_policy(
            PolicySourceArn=iam.get_role(RoleName=role)["Role"]["Arn"],
            ActionNames=["kafka-cluster:WriteData"],
            ResourceArns=[resource],
        )
        found[resource] = answer["EvaluationResults"][0]["EvalDecision"]
    assert found == {wanted[0]: "allowed", wanted[1]: "implicitDeny"}


def test_a_cluster_made_after_the_policy_counts_soon(cloud, iam, role):
    pattern = "arn:aws:kafka:us-east-1:000000000000:{}/p-late-cluster/*"
    rights = document(
        allow(["Connect"], pattern.format("cluster")),
        allow(TOPIC_ACTIONS, pattern.format("topic")),
    )
    iam.put_role_policy(RoleName=role, PolicyName="kafka", PolicyDocument=rights)
    assert create(cloud, role, "late.0") == "TOPIC_AUTHORIZATION_FAILED"
    arn = make_cluster(cloud, "p-late-cluster")
    until = time.monotonic() + 12
    while create(cloud, role, "late.1") and time.monotonic() < until:
        time.sleep(0.3)
    assert create(cloud, role, "late.1") == "TOPIC_ALREADY_EXISTS"
    aws.client(cloud, "kafka").delete_cluster(ClusterArn=arn)


def test_the_command_line_tools_of_the_client_machine(cloud, cluster, iam):
    machine = make_machine(cloud, "tools-role")
    rights = [
        allow(["Connect"], cluster),
        allow(TOPIC_ACTIONS, of("topic", cluster, "t.*")),
        allow(["AlterGroup", "DescribeGroup"], of("group", cluster, "*")),
    ]
    iam.put_role_policy(RoleName="tools-role", PolicyName="kafka", PolicyDocument=document(*rights))
    settings = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "AWS_MSK_IAM",
        "sasl.jaas.config": "software.amazon.msk.auth.iam.IAMLoginModule required;",
        "sasl.client.callback.handler.class": "software.amazon.msk.auth.iam.IAMClientCallbackHandler",
    }
    lines = "".join(f"{key}={value}\n" for key, value in settings.items())
    server = f"--bootstrap-server 127.0.0.1:{cloud.port('kafka')} --command-config client.properties"

    def run(command: str) -> dict:
        return run_on(cloud, machine, command)

    run(f"cat > client.properties <<'END'\n{lines}END")
    made = run(f"kafka/bin/kafka-topics.sh {server} --create --topic t.pin --partitions 1")
    assert made["StandardOutputContent"].splitlines()[-1] == "Created topic t.pin."
    refused = run(f"kafka/bin/kafka-topics.sh {server} --create --topic x.pin")
    assert refused["ResponseCode"] == 1 and "uthorization" in refused["StandardOutputContent"]
    listed = run(f"kafka/bin/kafka-topics.sh {server} --list")
    assert (listed["StandardOutputContent"], listed["StandardErrorContent"]) == ("t.pin\n", "")
    run(f"echo hello | kafka/bin/kafka-console-producer.sh {server} --topic t.pin")
    read = f"kafka/bin/kafka-console-consumer.sh {server} --topic t.pin --from-beginning --max-messages 1"
    assert run(read + " 2>/dev/null")["StandardOutputContent"] == "hello\n"
    offsets = run(f"kafka/bin/kafka-get-offsets.sh {server} --topic t.pin")
    assert (offsets["StandardOutputContent"], offsets["StandardErrorContent"]) == ("t.pin:0:1\n", "")


def test_with_kafka_away_the_change_is_stored_and_follows_later(cloud, cluster, iam, role):
    rights = document(allow(["Connect"], cluster), allow(TOPIC_ACTIONS, of("topic", cluster, "away.*")))
    cloud.servers["kafka"].process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(ClientError, match="is stored, but Kafka does not follow") as caught:
            iam.put_role_policy(RoleName=role, PolicyName="kafka", PolicyDocument=rights)
    finally:
        cloud.servers["kafka"].process.send_signal(signal.SIGCONT)
    assert caught.value.response["Error"]["Code"] == "ServiceFailure"
    assert iam.list_role_policies(RoleName=role)["PolicyNames"] == ["kafka"]
    until = time.monotonic() + 20
    while create(cloud, role, "away.pin") and time.monotonic() < until:
        time.sleep(0.3)
    assert create(cloud, role, "away.pin") == "TOPIC_ALREADY_EXISTS"


def test_what_was_written_into_kafka_by_hand_goes_when_control_starts(cloud, cluster, iam, role):
    """The Connect worker's own rights stay."""
    stray = AclBinding(
        ResourceType.TOPIC,
        "stray",
        ResourcePatternType.PREFIXED,
        f"User:{role}",
        "*",
        AclOperation.READ,
        AclPermissionType.ALLOW,
    )
    admin = kafka.admin(cloud)
    cloud.servers["control"].stop()  # first: it might be at work on the ACLs of the test before
    admin.create_acls([stray])[stray].result()
    # The controller has it then; the broker follows a moment later.
    wait.until(lambda: stray in all_acls(admin), "the broker shows the new ACL", seconds=10)
    before = all_acls(admin)
    assert f"User:{CONNECT_WORKER}" in {acl.principal for acl in before}
    cloud.servers["control"].start()
    assert set(all_acls(admin)) == set(before) - {stray}


def all_acls(admin: AdminClient) -> list[AclBinding]:
    every = AclBindingFilter(
        ResourceType.ANY,
        None,
        ResourcePatternType.ANY,
        None,
        None,
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    return admin.describe_acls(every).result()
