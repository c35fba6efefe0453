"""The copy of the way from Kafka to S3: like lesson 06's connector, under names of its own, and removed."""

from types import SimpleNamespace
from typing import Any

import pytest

from helpers import trial
from helpers.names import Names


class Connect:
    """As much of MSK Connect as a trial asks for: lesson 06's connector is there."""

    def __init__(self, state: str) -> None:
        self.state, self.made = state, {}  # type: str, dict[str, Any]
        self.model = {name: {"of": name} for name in trial.COPIED} | {"logDelivery": {"of": "06"}}
        self.model["connectorConfiguration"] = {
            "topics.regex": "u.(pin)",
            "flush.size": "500",
            "tasks.max": "3",
        }
        self.names = ["u-connector", "u-connector-other"]

    def describe_connector(self, connectorArn: str) -> dict:
        if connectorArn == "arn:u-connector":
            return self.model
        return {"connectorState": self.state, "stateDescription": {"message": "no such right"}}

    def create_connector(self, **asked: Any) -> None:
        self.made, self.names = asked, [*self.names, asked["connectorName"]]

    def delete_connector(self, connectorArn: str) -> None:
        self.names.remove(connectorArn.removeprefix("arn:"))


class Objects:
    """The versions of a bucket's objects, by key."""

    def __init__(self, keys: list[str]) -> None:
        self.keys, self.prefix = keys, ""

    def filter(self, Prefix: str) -> "Objects":
        self.prefix = Prefix
        return self

    def delete(self) -> None:
        self.keys[:] = [key for key in self.keys if not key.startswith(self.prefix)]

    def __iter__(self) -> Any:
        return iter([key for key in self.keys if key.startswith(self.prefix)])


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """MSK Connect, the bucket and the commands on the client machine."""
    world = SimpleNamespace(connect=Connect("RUNNING"), keys=["topics/u.pin/a"], commands=[])
    bucket = SimpleNamespace(object_versions=Objects(world.keys))
    aws = SimpleNamespace(
        client=lambda service: world.connect,
        resource=lambda service: SimpleNamespace(Bucket=lambda name: bucket),
    )
    monkeypatch.setattr(trial, "boto3", aws)
    monkeypatch.setattr(trial.client, "run", world.commands.append)
    monkeypatch.setattr(trial.lookup, "cluster", lambda: ("arn", "broker:9098"))

    def listed(*asked: object) -> list[dict]:
        return [{"connectorName": name, "connectorArn": f"arn:{name}"} for name in world.connect.names]

    monkeypatch.setattr(trial.lookup, "listed", listed)
    return world


CLOUD = SimpleNamespace(names=Names("u"))


def test_a_copy_has_names_of_its_own_that_the_teardown_finds(world: SimpleNamespace) -> None:
    made = [trial.make(CLOUD, {"flush.size": "1"}) for _ in range(2)]  # type: ignore[arg-type]
    assert len({one.topic for one in made}) == len({one.connector for one in made}) == 2
    assert all(one.topic.startswith("u.") and one.connector.startswith("u-") for one in made)
    settings = {"flush.size": "1", "tasks.max": "3", "topics": made[1].topic}
    assert world.connect.made["connectorConfiguration"] == settings
    assert {name: world.connect.made[name] for name in trial.COPIED} == {n: {"of": n} for n in trial.COPIED}
    assert world.connect.made["tags"] == Names("u").tags
    assert "logDelivery" not in world.connect.made


def test_a_copy_that_fails_says_why(world: SimpleNamespace) -> None:
    world.connect.state = "FAILED"
    with pytest.raises(RuntimeError, match="no such right"):
        trial.make(CLOUD, {})  # type: ignore[arg-type]


def test_a_copy_goes_without_a_trace_and_takes_nothing_else(world: SimpleNamespace) -> None:
    made = trial.make(CLOUD, {})  # type: ignore[arg-type]
    world.keys += [f"topics/{made.topic}/partition=0/a", f"topics/{made.topic}x/a"]
    assert trial.remove(CLOUD, made) == 0  # type: ignore[arg-type]
    assert world.connect.names == ["u-connector", "u-connector-other"]
    assert world.keys == ["topics/u.pin/a", f"topics/{made.topic}x/a"]
    assert f"--delete --topic {made.topic}" in world.commands[-1]
