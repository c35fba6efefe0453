"""Run a command on the client machine, by SSM Run Command: no open port, no key pair."""

from typing import Any

import boto3

from helpers import config, wait

DOCUMENT = "AWS-RunShellScript"
UNFINISHED = ("Pending", "InProgress", "Delayed")


class CommandError(RuntimeError):
    """A command failed on the client machine; the message holds its exit code and the end of stderr."""

    def __init__(self, code: int, status: str, error: str) -> None:
        tail = "\n".join(error.strip().splitlines()[-10:])
        super().__init__(f"{status}, exit code {code}\n{tail}")
        self.code, self.status, self.error = code, status, error


def machine() -> str:
    """The instance id of the running client machine; RuntimeError names the lesson that makes it."""
    names = config.use_target().names
    wanted = {"instance-state-name": "running", "tag:Name": names.client_machine}
    wanted |= {f"tag:{key}": value for key, value in names.tags.items()}
    filters = [{"Name": key, "Values": [value]} for key, value in wanted.items()]
    found = boto3.client("ec2").describe_instances(Filters=filters)["Reservations"]
    if not found:
        raise RuntimeError("There is no running client machine: run 03_ec2_kafka_client first.")
    return str(found[0]["Instances"][0]["InstanceId"])


def run(command: str, seconds: int = 60) -> str:
    """Run shell lines in the machine's home folder and return what they print, stripped.

    Raises CommandError when the exit code is not 0 or `seconds` are over, and RuntimeError without a machine.
    SSM keeps the first 24,000 characters of the output.
    """
    ssm, instance = boto3.client("ssm"), machine()
    parameters = {
        "commands": [command],
        "workingDirectory": [config.use_target().client_home],
        "executionTimeout": [str(seconds)],
    }
    sent = ssm.send_command(InstanceIds=[instance], DocumentName=DOCUMENT, Parameters=parameters)
    command_id = sent["Command"]["CommandId"]

    def ended() -> dict[str, Any]:
        try:
            found = ssm.get_command_invocation(CommandId=command_id, InstanceId=instance)
        except ssm.exceptions.InvocationDoesNotExist:  # on AWS it takes a moment to appear
            return {}
        return {} if found["Status"] in UNFINISHED else dict(found)

    done = wait.until(ended, f"the end of {command.splitlines()[0][:60]!r}", seconds + 30)
    if done["Status"] != "Success":
        raise CommandError(done["ResponseCode"], done["Status"], done["StandardErrorContent"])
    return str(done["StandardOutputContent"]).strip()
