"""One Spark server for all unit tests, on local folders: no cloud, no addresses, no keys."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from helpers import environment

environment.stay_local()  # whatever account or proxy the shell knows, no test asks for it


class Started(NamedTuple):
    """The session, its folder, and what a reader would have seen at its start and first query."""

    session: Any
    folder: Path
    seen: str


@pytest.fixture(scope="session")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    from helpers import session

    folder = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAL_CLOUD_HOME", str(folder))
        for name in [name for name in os.environ if name.startswith(("AWS_", "SPARK_", "RAW_PATH"))]:
            patch.delenv(name)
        spark, seen = _watched(session, folder / "seen")
        yield Started(spark, folder, seen)
        spark.stop()


def _watched(session: Any, file: Path) -> tuple[Any, str]:
    # The descriptors, not sys.stderr: Java is another process.
    saved = os.dup(1), os.dup(2)
    with file.open("wb") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
        try:
            spark = session.spark()
            spark.range(3).selectExpr("rank() over (order by id)").collect()
        finally:
            os.dup2(saved[0], 1)
            os.dup2(saved[1], 2)
    return spark, file.read_text()


@pytest.fixture(scope="session")
def spark(started: Started) -> Any:
    """The session that `helpers.session` makes."""
    return started.session


@pytest.fixture(scope="session")
def source_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real MariaDB with an empty database."""
    from local_cloud.parts import mariadb
    from tests.jvm_servers import new_state, running

    mariadb.ensure_binaries(print)
    state = new_state(tmp_path_factory.mktemp("source"))
    with running(mariadb.part(state), state):
        yield mariadb.source_url(state)


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """The series first, then Spark's files, short ones last: no process ends with a long file alone."""
    slow = {item.path for item in items if "spark" in item.fixturenames}
    short = ("style", "unit")
    items.sort(
        key=lambda item: (
            "series" not in item.path.parts,
            item.path not in slow,
            item.path.parent.name in short,
        )
    )


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show what a test recorded as its table, also when tests run in other processes."""
    for report in [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]:
        for name, text in report.user_properties:
            if name == "table":
                terminalreporter.write_line(f"\n{text}")
