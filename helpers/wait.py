"""Wait for something to come true, and say clearly what did not."""

import time
from collections.abc import Callable
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

T = TypeVar("T")
# What a server that is not ready yet may raise. A wrong call is none of these, and is raised at once.
PASSING = (OSError, RuntimeError, ClientError, BotoCoreError)


def until(check: Callable[[], T], what: str, seconds: float = 60, every: float = 0.2) -> T:
    """Call `check` until it returns something true, and return that.

    Raises TimeoutError after `seconds`, naming `what` and the last answer or error; pauses `every` seconds.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            last: object = check()
            if last:
                return last  # type: ignore[return-value]
        except ParamValidationError:
            raise
        except PASSING as error:
            last = error
        if time.monotonic() >= end:
            raise TimeoutError(f"{what}: not within {seconds:g} seconds (last answer: {last!r})")
        time.sleep(every)
