"""systemctl on the client machine drives the supervisor's one program."""

import subprocess

import pytest

from local_cloud import client_machine
from local_cloud.state import State


@pytest.fixture
def state(tmp_path, monkeypatch) -> State:
    """A machine whose supervisor only writes down what it is told."""
    state = State(tmp_path)
    state._ports |= {"rest_proxy": 1, "aws": 2}
    state.told = []
    state.word = "STOPPED"
    monkeypatch.setattr(client_machine.supervise, "start", lambda _, name: state.told.append(("start", name)))
    monkeypatch.setattr(client_machine.supervise, "stop", lambda _, name: state.told.append(("stop", name)))
    known = lambda _: {"rest_proxy": {"statename": state.word}}  # noqa: E731
    monkeypatch.setattr(client_machine.supervise, "status", known)
    monkeypatch.setattr(client_machine, "_answers", lambda port, seconds: True)
    monkeypatch.setattr(client_machine.supervise, "check_listeners", lambda _, ports: None)
    monkeypatch.setenv("AWS_PROFILE", "machine-role")
    return state


def run(state: State, line: str) -> int:
    return client_machine.systemctl(state, line.split())


def test_start_writes_the_callers_identity_first(state):
    assert run(state, "start kafka-rest") == 0
    assert state.told == [("start", "rest_proxy")]
    written = state.path("client_machine", "kafka-rest.env").read_text()
    assert "AWS_PROFILE=machine-role\n" in written and "AWS_REGION=us-east-1\n" in written


def test_restart_stop_enable_disable(state):
    env = state.path("client_machine", "kafka-rest.env")
    assert run(state, "daemon-reload") == 0
    assert run(state, "enable kafka-rest.service") == 0 and state.told == []
    assert run(state, "enable --now kafka-rest") == 0 and state.told == [("start", "rest_proxy")]
    assert run(state, "restart kafka-rest") == 0
    assert state.told[1:] == [("stop", "rest_proxy"), ("start", "rest_proxy")]
    assert run(state, "disable --now kafka-rest") == 0
    assert state.told[-1] == ("stop", "rest_proxy") and not env.exists()


def test_is_active_says_and_returns_what_systemd_does(state, capsys):
    assert run(state, "is-active kafka-rest") == 3 and capsys.readouterr().out == "inactive\n"
    state.word = "RUNNING"
    assert run(state, "is-active kafka-rest") == 0 and capsys.readouterr().out == "active\n"


@pytest.mark.parametrize("line", ["start nginx", "mask kafka-rest", "start", "start kafka-rest sshd"])
def test_anything_else_is_refused_by_name(state, capsys, line):
    assert run(state, line) == 1
    assert "the local cloud" in capsys.readouterr().err and state.told == []


def test_a_unit_that_does_not_answer_is_an_error(state, monkeypatch, capsys):
    monkeypatch.setattr(client_machine, "_answers", lambda port, seconds: False)
    assert run(state, "start kafka-rest") == 1
    assert "does not answer" in capsys.readouterr().err


RIGHT = "# IAM\nsecurity.protocol=SASL_PLAINTEXT\nsasl.mechanism=AWS_MSK_IAM\n"
SERVER = "--bootstrap-server b-1:9098"


@pytest.fixture
def tool(tmp_path, monkeypatch):
    """Runs a line of Kafka's tools in the machine's folder, where `java` only prints what it is given."""
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho ran $*\n")
    java.chmod(0o700)
    monkeypatch.setattr(client_machine.tools, "java", lambda: str(java))
    machine = State(tmp_path / "state")
    client_machine.make(machine)
    folder = client_machine.home(machine)
    (folder / "client.properties").write_text(RIGHT)

    def run_line(line: str) -> subprocess.CompletedProcess[str]:
        command = ["sh", "-c", f"kafka/bin/{line}"]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

    run_line.folder = folder
    return run_line


@pytest.mark.parametrize(
    "config", ["--command-config client.properties", "--command-config=client.properties"]
)
def test_a_tool_with_its_settings_runs(tool, config):
    done = tool(f"kafka-topics.sh {SERVER} {config} --list")
    assert done.returncode == 0 and done.stdout.startswith("ran ")
    assert done.stdout.endswith(f"org.apache.kafka.tools.TopicCommand {SERVER} {config} --list\n")


def test_a_tool_that_asks_no_broker_runs_as_it_is(tool):
    assert tool("kafka-run-class.sh a.B --version").stdout.endswith("a.B --version\n")


def test_a_tool_without_its_settings_is_refused_at_once(tool):
    done = tool(f"kafka-console-producer.sh {SERVER} --topic t")
    assert (done.returncode, done.stdout) == (1, "") and "--command-config is missing" in done.stderr


@pytest.mark.parametrize(
    "line", ["security.protocol=SASL_SSL", "security.protocol = SSL", "", "#security.protocol=X"]
)
def test_another_security_protocol_is_refused_at_once_and_the_right_one_named(tool, line):
    (tool.folder / "client.properties").write_text(f"{line}\nsasl.mechanism=AWS_MSK_IAM\n")
    done = tool(f"kafka-topics.sh {SERVER} --command-config client.properties --list")
    assert (done.returncode, done.stdout) == (1, "")
    assert "client.properties: security.protocol=" in done.stderr and "SASL_PLAINTEXT here" in done.stderr


def test_session_tokens_are_refused_at_once(tool):
    jaas = 'IAMLoginModule required awsRoleArn="arn:aws:iam::1:role/a";'
    (tool.folder / "client.properties").write_text(
        f"security.protocol=SASL_PLAINTEXT\nsasl.jaas.config={jaas}\n"
    )
    done = tool(f"kafka-topics.sh {SERVER} --command-config client.properties --list")
    assert (done.returncode, done.stdout) == (1, "") and "awsRoleArn" in done.stderr


def test_a_settings_file_that_is_not_there_is_the_tools_own_error(tool):
    assert tool(f"kafka-topics.sh {SERVER} --command-config none --list").stdout.startswith("ran ")
