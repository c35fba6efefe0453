"""Create once: the second time finds, and only the expected refusal is swallowed."""

import pytest
from botocore.exceptions import ClientError

from helpers import lookup, once
from helpers.config import ConfigError


def refuse(code: str) -> None:
    raise ClientError({"Error": {"Code": code, "Message": "no"}}, "CreateRole")


def never() -> str:
    raise AssertionError("it exists already")


def test_what_was_found_is_not_made_again() -> None:
    assert once.ensure(["there"], never) == "there"
    assert once.ensure([], lambda: "made") == "made"


def test_unless_swallows_the_named_refusal_only() -> None:
    assert once.unless("EntityAlreadyExists", lambda: {"Role": 1}) == {"Role": 1}
    assert once.unless("EntityAlreadyExists", lambda: refuse("EntityAlreadyExists")) is None
    with pytest.raises(ClientError, match="AccessDenied"):
        once.unless("EntityAlreadyExists", lambda: refuse("AccessDenied"))


def test_named_compares_the_whole_name() -> None:
    items = [{"name": "a-plugin"}, {"name": "a-plugin-2"}]
    assert once.named(items, "name", "a-plugin") == items[:1]
    assert once.named(items, "name", "plugin") == []


def test_needed_says_what_is_missing() -> None:
    assert lookup.needed([3, 4], "the cluster (lesson 02)") == 3
    with pytest.raises(ConfigError, match=r"Missing: the cluster \(lesson 02\)\."):
        lookup.needed([], "the cluster (lesson 02)")
