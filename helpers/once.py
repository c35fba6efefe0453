"""Create a resource once, so that a lesson can run again without harm."""

from collections.abc import Callable
from typing import TypeVar

from botocore.exceptions import ClientError

T = TypeVar("T")


def named(items: list[dict], field: str, name: str) -> list[dict]:
    """Those items of an answer whose `field` is `name`, for calls that cannot filter by name themselves."""
    return [item for item in items if item[field] == name]


def ensure(found: list[T], make: Callable[[], T]) -> T:
    """The first of what was found, or else what `make` creates."""
    return found[0] if found else make()


def unless(code: str, call: Callable[[], T]) -> T | None:
    """Call and return the answer; None when AWS refuses with the error `code` (it exists already, say)."""
    try:
        return call()
    except ClientError as error:
        if error.response["Error"]["Code"] != code:
            raise
        return None
