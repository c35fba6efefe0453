"""Run a command on the client machine, by SSM Run Command: no open port, no key pair."""

from typing import Any

import boto3

from helpers import config, lookup, wait

DOCUMENT = "AWS-RunShellScript"
UNFINISHED = ("Pending", "InProgress", "Delayed")


class CommandError(RuntimeError):
    """A command failed on the client machine; the message holds its exit code and the end of stderr."""

    def __init__(self, code: int, status: str, error: str) -> None:
        tail = "\n".join(error.strip().splitlines()[-10:])
        super().__init__(f"{status}, exit code {code}\n{tail}")
        self.code, self.status, self.error = code, status, error


def run(command: str, seconds: int = 60) -> str:
    """Run shell lines in the machine's home folder and return what they print, stripped.

    Raises CommandError when the exit code is not 0 or `seconds` are over, and ConfigError without a machine.
    SSM keeps the first 24,000 characters of the output.
    """
    ssm, instance = boto3.client("ssm"), lookup.machine()
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
