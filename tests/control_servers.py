"""A few parts of a local cloud side by side, and what the contract tests of `control` do with them."""

import contextlib
import json
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local_cloud.parts import aws
from local_cloud.state import State
from tests.answer_shapes import insist
from tests.jvm_servers import Server, new_state
from tests.jvm_servers import running as running_part

STATEMENT = {"Effect": "Allow", "Action": "sts:AssumeRole"}


class Cloud(State):
    """A state folder that knows the running servers of its parts."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.servers: dict[str, Server] = {}


@contextlib.contextmanager
def running(folder: Path, *names: str) -> Iterator[Cloud]:
    """Start the named parts in order, each once the one before is ready; stop them at the end."""
    new_state(folder)
    cloud = Cloud(folder)
    with contextlib.ExitStack() as stack:
        for name in names:
            (folder / name).mkdir(exist_ok=True)
            part = import_module(f"local_cloud.parts.{name}").part(cloud)
            cloud.servers[name] = stack.enter_context(running_part(part, cloud))
        yield cloud


def through_control(state: State, service: str, secret: str = "", host: str = "127.0.0.1") -> boto3.client:
    """The reader's client on `control`, with another secret if one is given; its answers are checked."""
    made = boto3.client(
        service,
        endpoint_url=f"http://{host}:{state.port('control')}",
        region_name=aws.REGION,
        aws_access_key_id=state.secret("reader_key_id"),
        aws_secret_access_key=secret or state.secret("reader_secret"),
        config=Config(retries={"total_max_attempts": 1}),
    )
    return made if service == "iam" else insist(made)  # IAM's answers are the emulator's, in XML


def make_role(state: State, name: str, service: str) -> str:
    """A role that a service may take on, made behind control's back; its ARN."""
    trust = {"Version": "2012-10-17", "Statement": [STATEMENT | {"Principal": {"Service": service}}]}
    made = aws.client(state, "iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    return str(made["Role"]["Arn"])


def make_machine(state: State, role: str, agent: bool = True, tags: dict[str, str] | None = None) -> str:
    """A running EC2 instance with a role of its own; its id."""
    make_role(state, role, "ec2.amazonaws.com")
    iam = aws.client(state, "iam")
    if agent:
        iam.attach_role_policy(
            RoleName=role, PolicyArn="arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
        )
    iam.create_instance_profile(InstanceProfileName=role)
    iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)
    listed = [{"Key": key, "Value": value} for key, value in (tags or {"Name": role}).items()]
    made = aws.client(state, "ec2").run_instances(
        ImageId="ami-0c2023a1b2c3d4e5f",
        MinCount=1,
        MaxCount=1,
        IamInstanceProfile={"Name": role},
        TagSpecifications=[{"ResourceType": "instance", "Tags": listed}],
    )
    return str(made["Instances"][0]["InstanceId"])


def run_on(state: State, instance: str, command: str, **parameters: str) -> dict[str, Any]:
    """Send a command and wait for its end; the invocation as GetCommandInvocation answers it."""
    ssm = through_control(state, "ssm")
    given = {"commands": [command]} | {key: [value] for key, value in parameters.items()}
    sent = ssm.send_command(InstanceIds=[instance], DocumentName="AWS-RunShellScript", Parameters=given)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = ssm.get_command_invocation(CommandId=sent["Command"]["CommandId"], InstanceId=instance)
        if found["Status"] not in ("Pending", "InProgress"):
            return dict(found)
        time.sleep(0.05)
    raise AssertionError(f"{command!r} does not end")
