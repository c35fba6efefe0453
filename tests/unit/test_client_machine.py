"""systemctl on the client machine drives the supervisor's one program."""

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
