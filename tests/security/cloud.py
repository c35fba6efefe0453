"""One whole cloud for the probes, Airflow and the REST proxy included, where another user could reach it."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from local_cloud import supervise
from local_cloud.cloud import bring_up
from local_cloud.parts import airflow, all_parts, aws, control
from local_cloud.state import ROOT, State, write_private

ROLE = "proxy-role"
AIRFLOW = ("airflow_api", "airflow_tasks", "airflow_dags")
# Valid on AWS is [\w+=,.@-]{1,64}; the others would write keys, or stand for somebody else.
ODD_ROLES = ("a\nAKIAEVILEVILEVILEVI=pw:reader", "a:reader", "*", "reader", "admin", "a b", "x" * 65)
LAST_ROLE = "made-last"
TRUST = '{"Version":"2012-10-17","Statement":[]}'


def command(home: Path, *words: str) -> None:
    """Run `python -m local_cloud` on a state folder of its own, its temporary files beside it."""
    environment = os.environ | {"LOCAL_CLOUD_HOME": str(home), "TMPDIR": str(home.parent / "tmp")}
    call = [sys.executable, "-m", "local_cloud", *words]
    done = subprocess.run(call, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or words == ("down",), done.stderr


@contextlib.contextmanager
def running() -> Iterator[tuple[State, Path]]:
    """A cloud that is up, in a folder that everybody may enter, as a home folder often is."""
    base = Path(tempfile.mkdtemp(prefix="cloud-seen-from-outside-"))
    base.chmod(0o755)
    (base / "tmp").mkdir()
    (base / "tmp").chmod(0o1777)
    home = base / "state"
    try:
        command(home, "up")
        yield State(home), base
    finally:
        command(home, "down")
        shutil.rmtree(base, ignore_errors=True)


def fill(state: State) -> None:
    """What the probes aim at: a bucket, roles, topics, the REST proxy, Airflow."""
    # As MWAA's stand-in does it, in whose place the tests are here.
    call = [sys.executable, "-m", "local_cloud.parts.airflow", "db", "migrate"]
    environment = os.environ | {"LOCAL_CLOUD_HOME": str(state.home)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    migration = subprocess.Popen(call, env=environment, umask=0o077, **quiet)
    aws.client(state, "s3").create_bucket(Bucket="user-1-bucket")
    iam = control.client(state, "iam")
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=TRUST)
    nodes = {"ClientSubnets": ["subnet-1", "subnet-2"], "InstanceType": "kafka.t3.small"}
    arn = aws.client(state, "kafka").create_cluster(
        ClusterName="p-1-cluster", KafkaVersion="3.9.x", NumberOfBrokerNodes=2, BrokerNodeGroupInfo=nodes
    )["ClusterArn"]
    rights = [
        {"Effect": "Allow", "Action": ["kafka-cluster:Connect"], "Resource": [arn]},
        {
            "Effect": "Allow",
            "Action": [f"kafka-cluster:{right}" for right in ("DescribeTopic", "WriteData")],
            "Resource": [arn.replace(":cluster/", ":topic/") + "/open"],
        },
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": rights})
    iam.put_role_policy(RoleName=ROLE, PolicyName="open", PolicyDocument=document)
    _make_topic(state, "open")
    _start_proxy(state)
    make_odd_roles(state)
    assert migration.wait(120) == 0
    for name in AIRFLOW:
        supervise.start(state, name)


def make_odd_roles(state: State) -> None:
    """Try to make each role in both ways there are, then wait until the key file holds a later one."""
    for name in ODD_ROLES:
        for client in (control.client(state, "iam"), aws.client(state, "iam")):
            with contextlib.suppress(Exception):  # that is what should happen
                client.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    control.client(state, "iam").create_role(RoleName=LAST_ROLE, AssumeRolePolicyDocument=TRUST)
    until = time.monotonic() + 20
    while f":{LAST_ROLE}\n" not in state.path("iam", "keys.properties").read_text():
        assert time.monotonic() < until, "the key file does not follow"
        time.sleep(0.2)


def airflow_token(state: State) -> str:
    """A token of Airflow's one user, once Airflow is up."""
    [part] = [part for part in all_parts(state) if part.name == "airflow_api"]
    bring_up(state, part)
    body = json.dumps({"username": airflow.USER, "password": airflow.password(state)}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{airflow.url(state)}/auth/token", body, headers)
    with urllib.request.urlopen(request, timeout=20) as answer:
        return str(json.load(answer)["access_token"])


def _make_topic(state: State, name: str) -> None:
    from confluent_kafka.admin import NewTopic

    from local_cloud.parts import kafka

    made = kafka.admin(state).create_topics([NewTopic(name, 1, 1), NewTopic("closed", 1, 1)])
    for future in made.values():
        future.result()


def _start_proxy(state: State) -> None:
    folder = state.path("client_machine")
    jaas = f'software.amazon.msk.auth.iam.IAMLoginModule required awsProfileName="{ROLE}";'
    settings = {
        "bootstrap.servers": f"127.0.0.1:{state.port('kafka')}",
        "client.security.protocol": "SASL_PLAINTEXT",
        "client.sasl.mechanism": "AWS_MSK_IAM",
        "client.sasl.jaas.config": jaas,
        "client.sasl.client.callback.handler.class": "software.amazon.msk.auth.iam.IAMClientCallbackHandler",
    }
    lines = "".join(f"{name}={value}\n" for name, value in settings.items())
    write_private(folder / "kafka-rest.properties", lines)
    environment = f"AWS_SHARED_CREDENTIALS_FILE={state.path('iam', 'credentials')}\nAWS_REGION=us-east-1\n"
    write_private(folder / "kafka-rest.env", environment)
    [part] = [part for part in all_parts(state) if part.name == "rest_proxy"]
    bring_up(state, part)
