"""One naming system: names that AWS, Kafka and Spark take, and no name shared by two users."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.names import Names

IDS = st.from_regex(r"[A-Za-z0-9]{1,16}", fullmatch=True)
MUST_START_WITH_LETTER = ("cluster", "environment", "vpc", "load_balancer", "usage_plan")


@given(IDS, IDS)
def test_two_users_share_no_name(one: str, other: str) -> None:
    if one.lower() != other.lower():  # bucket names are lower case
        assert not Names(one).all() & Names(other).all()


@given(IDS)
def test_every_name_of_one_user_is_different(user: str) -> None:
    who = Names(user)
    kinds = [value for key, value in vars(who).items() if key not in ("user_id", "tags")]
    assert len(who.all()) == sum(len(kind) if isinstance(kind, dict) else 1 for kind in kinds) == 31


@given(IDS)
def test_names_are_ones_that_the_services_take(user: str) -> None:
    who = Names(user)
    for bucket in (who.bucket, who.scratch_bucket):
        assert re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", bucket)
    assert len(who.load_balancer) <= 32  # the limit of load balancers and target groups
    assert all(re.match("[a-z]", getattr(who, thing)) for thing in MUST_START_WITH_LETTER)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,249}", topic) for topic in who.topic.values())
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]{1,128}", stream) for stream in who.stream.values())
    assert all(len(getattr(who, role)) <= 64 for role in ("ec2_role", "connect_role", "kinesis_role"))


@given(IDS)
def test_the_sink_would_never_read_its_own_dead_letters(user: str) -> None:
    who = Names(user)
    assert not re.fullmatch(rf"{user}\.(pin|geo|user)", who.dead_letter_topic)
    assert all(re.fullmatch(rf"{user}\.(pin|geo|user)", topic) for topic in who.topic.values())


@pytest.mark.parametrize("user", ["", "with-hyphen", "ünder", "a" * 17, "two words", "x;rm -rf"])
def test_an_id_that_breaks_a_name_is_refused(user: str) -> None:
    with pytest.raises(ValueError, match="PIPELINE_USER"):
        Names(user)


def test_tags_in_the_forms_that_services_want() -> None:
    who = Names("bob42")
    assert who.tags == {"project": "pinterest-pipeline-bob42"}
    assert who.tag_list == [{"Key": "project", "Value": "pinterest-pipeline-bob42"}]
    assert who.tagged("vpc", who.vpc) == [
        {"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": who.vpc}, *who.tag_list]}
    ]
    assert who.filters("a", "b") == [
        {"Name": "tag:Name", "Values": ["a", "b"]},
        {"Name": "tag:project", "Values": ["pinterest-pipeline-bob42"]},
    ]
