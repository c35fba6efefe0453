"""Repeat a check until it succeeds, and say clearly what did not."""

import time
from collections.abc import Callable
from typing import TypeVar

import requests
from botocore import exceptions as botocore
from botocore.exceptions import ClientError

T = TypeVar("T")


class NotYet(Exception):
    """Raise this in a check to say what is missing; when the time is over, the message shows it."""


# No answer, or a broken one: these may pass. A wrong call, a missing setting or a refused right will not.
RETRYABLE: tuple[type[Exception], ...] = (
    NotYet,
    ConnectionError,
    TimeoutError,
    requests.ConnectionError,
    requests.Timeout,
    botocore.ConnectionError,
    botocore.HTTPClientError,
)
# Parts of AWS's error codes: throttling, temporary server errors, a resource that is not ready or not yet
# visible everywhere.
RETRYABLE_CODES = (
    *("Throttl", "TooManyRequests", "RequestLimitExceeded", "ThroughputExceeded", "SlowDown"),
    *("ServiceUnavailable", "InternalError", "InternalFailure", "InternalServer", "RequestTimeout"),
    *("NotReady", "InUse", "IncorrectInstanceState", "NotFound"),
)


def until(
    check: Callable[[], T],
    what: str,
    seconds: float = 60,
    every: float = 0.2,
    passing: tuple[type[Exception] | str, ...] = (),
) -> T:
    """Call `check` until it returns something true, and return that; pause `every` seconds in between.

    Errors in RETRYABLE count as "not yet", and so do those in `passing`: exception types, or parts of AWS's
    error codes. Every other error is raised at once. TimeoutError after `seconds`, with `what` and the last
    answer or error.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            last: object = check()
            if last:
                return last  # type: ignore[return-value]
        except Exception as error:
            if not may_pass(error, passing):
                raise
            last = error
        if time.monotonic() >= end:
            raise TimeoutError(f"{what}: not within {seconds:g} seconds (last answer: {last!r})")
        time.sleep(every)


def may_pass(error: Exception, passing: tuple[type[Exception] | str, ...] = ()) -> bool:
    """Whether it makes sense to try again after this error."""
    types = tuple(one for one in passing if not isinstance(one, str))
    if not isinstance(error, ClientError):
        return isinstance(error, RETRYABLE + types)
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    words = (*RETRYABLE_CODES, *(one for one in passing if isinstance(one, str)))
    return status >= 500 or isinstance(error, types) or any(word in code for word in words)
