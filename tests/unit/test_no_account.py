"""Target aws without an account or a network: each lesson stops in one clear line and has asked nobody."""

import io
import re
import socket
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NoReturn

import pytest
from botocore.exceptions import EndpointConnectionError

from helpers import client, config, source
from tests.bare import nothing_set
from tests.operations import code, lessons

LESSONS = pytest.mark.parametrize("path", lessons(), ids=lambda path: path.stem)
# Spark's Python side talks to its Java side by sockets: without any network it cannot even begin.
WITHOUT_SPARK = pytest.mark.parametrize(
    "path",
    [path for path in lessons() if not any("session.spark(" in cell for cell in code(path))],
    ids=lambda path: path.stem,
)


def first_error(path: Path) -> tuple[int, Exception | None]:
    """Run the cells of a lesson until one fails: its number from 0, and the error."""
    names: dict[str, Any] = {"__name__": "__main__", "display": lambda *_: None}
    for number, database in enumerate(code(path)):
        try:
            with redirect_stdout(io.StringIO()):
                exec(compile(database, f"{path.stem}-{number}", "exec"), names)
        except Exception as error:
            return number, error
    return -1, None


def asked(what: str, seen: list[str]) -> Callable[..., NoReturn]:
    """Stands in for a network call: writes down that it was tried, and fails as without a network."""

    def fail(*arguments: Any, **_: Any) -> NoReturn:
        seen.append(f"{what} {arguments}")
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    return fail


@LESSONS
def test_without_settings_and_credentials(path: Path, tmp_path: Path) -> None:
    seen: list[str] = []
    with nothing_set(tmp_path) as patch:
        patch.setenv("PIPELINE_TARGET", "aws")
        patch.setattr(socket, "getaddrinfo", asked("name", seen))
        patch.setattr(socket.socket, "connect", asked("connect", seen))
        number, error = first_error(path)
    assert (number, seen) == (0, [])
    assert isinstance(error, config.ConfigError) and "\n" not in str(error)
    assert all(word in str(error) for word in ("PIPELINE_USER", "AWS_REGION", "aws configure"))


@WITHOUT_SPARK
def test_with_credentials_but_no_network(path: Path, tmp_path: Path) -> None:
    seen: list[str] = []
    given = {
        "PIPELINE_TARGET": "aws",
        "PIPELINE_USER": "bob42",
        "AWS_REGION": "eu-west-1",
        "AWS_MAX_ATTEMPTS": "1",
        "DATABRICKS_HOST": "https://dbc-1.cloud.databricks.com",
        "DATABRICKS_TOKEN": "t",
        "DATABRICKS_NOTEBOOKS": "/Workspace/notebooks",
    }
    with nothing_set(tmp_path) as patch:
        for name, value in {**given, "AWS_ACCESS_KEY_ID": "AKIAREADER", "AWS_SECRET_ACCESS_KEY": "s"}.items():
            patch.setenv(name, value)
        patch.setattr(socket, "getaddrinfo", asked("name", seen))
        patch.setattr(socket.socket, "connect", asked("connect", seen))
        _, error = first_error(path)
    known = (EndpointConnectionError, config.ConfigError, source.SourceError, client.CommandError)
    assert isinstance(error, known), repr(error)
    assert "\n" not in str(error)
    named = r"//\w+[.](eu-west-1[.])?amazonaws[.]com|SOURCE_URL|CATALOG"
    assert re.search(named, str(error))
    # One call was tried, the one that failed: nothing was created before it.
    assert len({line.partition(",")[0] for line in seen}) <= 1
