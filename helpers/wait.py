"""Wait for something to come true, and say clearly what did not."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(check: Callable[[], T], what: str, seconds: float = 60, every: float = 0.2) -> T:
    """Call `check` until it returns something true, and return that.

    Raises TimeoutError after `seconds`, naming `what` and the last answer or error. `every` is the pause in seconds.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            last: object = check()
            if last:
                return last  # type: ignore[return-value]
        except Exception as error:  # the thing waited for may not answer at all yet
            last = error
        if time.monotonic() >= end:
            raise TimeoutError(f"{what}: not within {seconds:g} seconds (last answer: {last!r})")
        time.sleep(every)
