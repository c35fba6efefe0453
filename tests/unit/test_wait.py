"""Waiting: until true, through errors that may pass, with a message that holds the last answer."""

import pytest
import requests
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)

from helpers import wait
from helpers.client import CommandError
from helpers.config import ConfigError


def answers(*given: object):
    """A check that gives these answers one after the other, raising those that are errors."""
    left = iter(given)

    def check() -> object:
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return check


def refusal(code: str, status: int = 400) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "Call")


def test_the_first_true_answer_is_returned() -> None:
    assert wait.until(answers(None, [], 0, "ACTIVE", "later"), "the cluster", every=0) == "ACTIVE"


@pytest.mark.parametrize(
    "error",
    [
        wait.NotYet("two records are missing"),
        ConnectionRefusedError("away"),
        TimeoutError("slow"),
        requests.ConnectionError("away"),
        requests.Timeout("slow"),
        EndpointConnectionError(endpoint_url="http://127.0.0.1:1"),
        ReadTimeoutError(endpoint_url="http://127.0.0.1:1"),
        refusal("NotFoundException"),
        refusal("InvalidInstanceID.NotFound"),
        refusal("IncorrectInstanceState"),
        refusal("ResourceInUseException"),
        refusal("ThrottlingException"),
        refusal("TooManyRequestsException", 429),
        refusal("Whatever", 503),
    ],
    ids=repr,
)
def test_an_error_that_may_pass_is_waited_through(error: Exception) -> None:
    assert wait.until(answers(error, error, True), "the part", every=0) is True


@pytest.mark.parametrize(
    "error",
    [
        ParamValidationError(report="wrong"),
        NoCredentialsError(),
        KeyError("x"),
        AssertionError("no"),
        FileNotFoundError("cloud.env"),
        RuntimeError("no"),
        ConfigError("The local cloud is not up"),
        CommandError(2, "Failed", "no such file"),
        refusal("AccessDeniedException"),
        refusal("UnauthorizedOperation", 403),
        refusal("ForbiddenException", 403),
        refusal("ValidationException"),
        refusal("InvalidParameterValue"),
    ],
    ids=repr,
)
def test_an_error_that_will_not_pass_is_raised_at_once(error: Exception) -> None:
    with pytest.raises(type(error)):
        wait.until(answers(error, True), "the part", every=0)


@pytest.mark.parametrize(
    ("error", "passing"),
    [(refusal("InvalidParameterValue"), "InvalidParameter"), (CommandError(7, "Failed", ""), CommandError)],
    ids=["code", "type"],
)
def test_a_check_may_name_what_else_passes(error: Exception, passing: type[Exception] | str) -> None:
    assert wait.until(answers(error, True), "the new role", every=0, passing=(passing,)) is True
    with pytest.raises(KeyError):
        wait.until(answers(KeyError("x")), "the new role", every=0, passing=(passing,))


def test_time_out_names_what_and_the_last_answer() -> None:
    with pytest.raises(TimeoutError, match=r"the cluster: not within 0 seconds .*NotYet\('CREATING'\)"):
        wait.until(answers(wait.NotYet("CREATING")), "the cluster", seconds=0)


def test_at_least_one_look_even_without_time() -> None:
    assert wait.until(answers("there"), "it", seconds=0) == "there"
