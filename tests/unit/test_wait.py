"""Waiting: until true, through passing errors, with a message that tells the last answer."""

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ParamValidationError

from helpers import wait


def answers(*given: object):
    """A check that gives these answers one after the other, raising those that are errors."""
    left = iter(given)

    def check() -> object:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return check


def test_the_first_true_answer_is_returned() -> None:
    assert wait.until(answers(None, [], 0, "ACTIVE", "later"), "the cluster", every=0) == "ACTIVE"


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError("away"),
        RuntimeError("not yet"),
        ClientError({"Error": {"Code": "NotFoundException"}}, "DescribeCluster"),
        EndpointConnectionError(endpoint_url="http://127.0.0.1:1"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_passing_error_is_waited_through(error: Exception) -> None:
    assert wait.until(answers(error, error, True), "the part", every=0) is True


@pytest.mark.parametrize("error", [ParamValidationError(report="wrong"), KeyError("x"), AssertionError("no")])
def test_a_wrong_call_is_raised_at_once(error: Exception) -> None:
    with pytest.raises(type(error)):
        wait.until(answers(error, True), "the part", every=0)


def test_time_out_names_what_and_the_last_answer() -> None:
    with pytest.raises(TimeoutError, match=r"the cluster: not within 0 seconds .*RuntimeError\('CREATING'\)"):
        wait.until(answers(RuntimeError("CREATING")), "the cluster", seconds=0)


def test_at_least_one_look_even_without_time() -> None:
    assert wait.until(answers("there"), "it", seconds=0) == "there"
