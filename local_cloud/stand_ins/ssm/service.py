"""SSM Run Command: commands for the client machine run here, in its folder and as its role.

Only `control` calls this, and only for requests that the reader's own key has signed.
"""

import contextlib
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

from local_cloud import client_machine
from local_cloud.parts.aws import ACCOUNT, client
from local_cloud.stand_ins.http import AwsError
from local_cloud.state import State
from local_cloud.supervise import MARK

DOCUMENT = "AWS-RunShellScript"
PLUGIN = "aws:runShellScript"
AGENT_POLICY = "AmazonSSMManagedInstanceCore"
STDOUT_KEPT, STDERR_KEPT = 24_000, 8_000  # characters that GetCommandInvocation gives back
TIMEOUT_DEFAULT, TIMEOUT_MAX = 3_600, 172_800  # seconds
KEPT = 200  # finished commands that can still be asked about
SENT = {"InstanceIds", "DocumentName", "DocumentVersion", "Parameters", "Comment", "TimeoutSeconds"}
PARAMETERS = {"commands", "workingDirectory", "executionTimeout"}
PASSED_ON = ("GetParameter", "GetParameters", "GetParametersByPath")


@dataclass
class Invocation:
    """One command on one machine; times are Unix seconds."""

    command_id: str
    instance_id: str
    comment: str
    role: str
    script: str
    folder: str
    timeout: int
    status: str = "Pending"
    code: int = -1
    began: float = field(default_factory=time.time)
    ended: float = 0.0
    out: str = ""
    err: str = ""


class RunCommand:
    """The operations of SSM that the lessons call; each takes the call's parameters."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.invocations: dict[tuple[str, str], Invocation] = {}
        self.running: dict[int, subprocess.Popen[bytes]] = {}
        self.operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "SendCommand": self.send_command,
            "GetCommandInvocation": self.get_command_invocation,
            "ListCommandInvocations": self.list_command_invocations,
            "DescribeInstanceInformation": self.describe_instance_information,
        }

    def handle(self, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Answer one call; AwsError names an operation that is not done."""
        if operation not in self.operations:
            raise AwsError("UnknownOperationException", f"the local cloud does not do ssm.{operation}")
        return self.operations[operation](asked)

    def send_command(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Start a shell script on each instance; answers at once, with the command's id."""
        _refuse_unknown("SendCommand", set(asked) - SENT)
        if asked["DocumentName"] != DOCUMENT:
            raise AwsError(
                "InvalidDocument", f"the local cloud runs {DOCUMENT} only, not {asked['DocumentName']}"
            )
        given = asked.get("Parameters") or {}
        if set(given) - PARAMETERS or not given.get("commands"):
            raise AwsError(
                "InvalidParameters", f"{DOCUMENT} takes commands, workingDirectory, executionTimeout"
            )
        timeout = _seconds(_first(given.get("executionTimeout"), str(TIMEOUT_DEFAULT)))
        folder = _first(given.get("workingDirectory"), str(client_machine.home(self.state)))
        script = "\n".join(given["commands"])
        if "\0" in script + folder:
            raise AwsError("InvalidParameters", "commands and workingDirectory cannot hold a NUL character")
        online = managed_instances(self.state)
        wanted = asked.get("InstanceIds") or []
        if not wanted or any(instance not in online for instance in wanted):
            bad = [instance for instance in wanted if instance not in online]
            message = f"Instances [[{', '.join(bad)}]] not in a valid state for account {ACCOUNT}"
            raise AwsError("InvalidInstanceId", message)
        command_id, comment = str(uuid.uuid4()), asked.get("Comment", "")
        for instance in wanted:
            made = Invocation(command_id, instance, comment, online[instance], script, folder, timeout)
            self.invocations[command_id, instance] = made
            threading.Thread(target=self._run, args=(made,), daemon=True).start()
        self._forget()
        return {
            "Command": {
                "CommandId": command_id,
                "DocumentName": DOCUMENT,
                "DocumentVersion": asked.get("DocumentVersion", "$DEFAULT"),
                "Comment": comment,
                "Parameters": given,
                "InstanceIds": wanted,
                "RequestedDateTime": time.time(),
                "ExpiresAfter": time.time() + timeout + int(asked.get("TimeoutSeconds") or TIMEOUT_DEFAULT),
                "Status": "Pending",
                "StatusDetails": "Pending",
                "TargetCount": len(wanted),
                "CompletedCount": 0,
                "ErrorCount": 0,
            }
        }

    def get_command_invocation(self, asked: dict[str, Any]) -> dict[str, Any]:
        """State and output of one command on one instance."""
        found = self.invocations.get((asked["CommandId"], asked["InstanceId"]))
        if found is None:
            raise AwsError("InvocationDoesNotExist", "")
        if asked.get("PluginName", PLUGIN) != PLUGIN:
            raise AwsError("InvalidPluginName", "")
        ended = found.ended
        return {
            **_head(found),
            "PluginName": PLUGIN,
            "ResponseCode": found.code,
            "ExecutionStartDateTime": _stamp(found.began),
            "ExecutionElapsedTime": f"PT{ended - found.began:.3f}S" if ended else "",
            "ExecutionEndDateTime": _stamp(ended) if ended else "",
            "StandardOutputContent": found.out,
            "StandardErrorContent": found.err,
            "StandardOutputUrl": "",
            "StandardErrorUrl": "",
        }

    def list_command_invocations(self, asked: dict[str, Any]) -> dict[str, Any]:
        """State of the commands sent, newest first, by CommandId or InstanceId."""
        _refuse_unknown("ListCommandInvocations", set(asked) - {"CommandId", "InstanceId", "MaxResults"})
        chosen = [
            found
            for found in reversed(list(self.invocations.values()))
            if asked.get("CommandId", found.command_id) == found.command_id
            and asked.get("InstanceId", found.instance_id) == found.instance_id
        ]
        listed = [{**_head(found), "RequestedDateTime": found.began} for found in chosen]
        return {"CommandInvocations": listed[: asked.get("MaxResults", 50)]}

    def describe_instance_information(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The machines whose agent is online."""
        _refuse_unknown("DescribeInstanceInformation", set(asked) - {"Filters", "MaxResults"})
        online = managed_instances(self.state)
        for one in asked.get("Filters", []):
            if one["Key"] == "InstanceIds":
                online = {key: role for key, role in online.items() if key in one["Values"]}
            elif one["Key"] == "PingStatus":
                online = online if "Online" in one["Values"] else {}
            else:
                raise AwsError("InvalidFilterKey", f"the local cloud does not filter by {one['Key']}")
        return {
            "InstanceInformationList": [
                {
                    "InstanceId": instance,
                    "PingStatus": "Online",
                    "LastPingDateTime": time.time(),
                    "AgentVersion": "local",
                    "IsLatestVersion": True,
                    "PlatformType": "Linux",
                    "PlatformName": "Amazon Linux",
                    "PlatformVersion": "2023",
                    "ResourceType": "EC2Instance",
                    "ComputerName": "client",
                }
                for instance in online
            ]
        }

    def close(self) -> None:
        """End the commands that still run."""
        for process in list(self.running.values()):
            _kill_group(process)

    def _run(self, one: Invocation) -> None:
        one.status = "InProgress"
        try:
            process = subprocess.Popen(
                ["/bin/sh", "-c", one.script],
                cwd=one.folder,
                env={**client_machine.environment(self.state, one.role), MARK: "client_machine"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:  # a letter that no program can be given
            one.err, one.code, one.status, one.ended = str(error), 1, "Failed", time.time()
            return
        self.running[process.pid] = process
        out, err = _Output(process.stdout, STDOUT_KEPT), _Output(process.stderr, STDERR_KEPT)
        try:
            code = process.wait(one.timeout)
            status = "Success" if code == 0 else "Failed"
        except subprocess.TimeoutExpired:
            status, code = "TimedOut", 137
        # What a command leaves in the background ends with it: `down` must leave no process behind.
        _kill_group(process)
        del self.running[process.pid]
        one.out, one.err = out.text(), err.text()
        if code:
            code = code if code > 0 else 128 - code  # as a shell counts a signal
            one.err = f"{one.err.rstrip()}\nfailed to run commands: exit status {code}".lstrip()
        one.ended, one.code = time.time(), code
        one.status = status  # last: who sees it finished sees all of it

    def _forget(self) -> None:
        for key in list(self.invocations)[:-KEPT]:
            if self.invocations[key].ended:
                del self.invocations[key]


class _Output:
    """Reads a pipe to its end in the background and keeps the first `limit` characters only."""

    def __init__(self, pipe: IO[bytes] | None, limit: int) -> None:
        assert pipe is not None
        self.pipe, self.limit, self.kept = pipe, limit, b""
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        with self.pipe:
            while chunk := self.pipe.read1(65_536):  # type: ignore[attr-defined]
                self.kept += chunk[: max(0, self.limit * 4 - len(self.kept))]

    def text(self) -> str:
        """What was kept, as text, cut as SSM cuts it."""
        self.thread.join(5)
        text = self.kept.decode(errors="replace")
        mark = "\n---Output truncated---"
        return text if len(text) <= self.limit else text[: self.limit - len(mark)] + mark


def managed_instances(state: State) -> dict[str, str]:
    """Instance id -> role name of the machines that run with a role that lets the SSM agent report itself."""
    running = [{"Name": "instance-state-name", "Values": ["running"]}]
    found = client(state, "ec2").describe_instances(Filters=running)["Reservations"]
    iam, online = client(state, "iam"), {}
    for instance in (instance for group in found for instance in group["Instances"]):
        profile = (instance.get("IamInstanceProfile") or {}).get("Arn", "").rpartition("/")[2]
        if not profile:
            continue
        try:
            roles = iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]
            role = roles[0]["RoleName"] if roles else ""
            held = iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] if role else []
        except iam.exceptions.NoSuchEntityException:
            continue
        if any(policy["PolicyName"] == AGENT_POLICY for policy in held):
            online[instance["InstanceId"]] = role
    return online


def _head(found: Invocation) -> dict[str, Any]:
    return {
        "CommandId": found.command_id,
        "InstanceId": found.instance_id,
        "Comment": found.comment,
        "DocumentName": DOCUMENT,
        "DocumentVersion": "$DEFAULT",
        "Status": found.status,
        "StatusDetails": "Execution Timed Out" if found.status == "TimedOut" else found.status,
    }


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _stamp(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03d}Z"


def _first(values: list[str] | None, otherwise: str) -> str:
    return values[0] if values and values[0] else otherwise


def _seconds(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= TIMEOUT_MAX:
        raise AwsError("InvalidParameters", f"executionTimeout is {text!r}: 1 to {TIMEOUT_MAX} seconds")
    return int(text)


def _refuse_unknown(operation: str, names: set[str]) -> None:
    if names:
        raise AwsError(
            "ValidationException", f"the local cloud does not do {', '.join(sorted(names))} in {operation}"
        )
