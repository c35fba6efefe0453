"""A Databricks workspace as far as helpers look at it: widgets, a catalog's name, a volume as a folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from helpers import databricks


class Widgets:
    """The notebook's widgets; one that was never made raises what no other program raises."""

    def __init__(self, given: dict[str, str]) -> None:
        self.given = given

    def get(self, name: str) -> str:
        if name not in self.given:
            raise type("InputWidgetNotDefined", (Exception,), {})(name)
        return self.given[name]


class Session:
    """Answers the four statements that helpers send before there is any data, and remembers them."""

    user = "anna.bee@example.com"

    def __init__(self, catalog: str, schema: str) -> None:
        self.place = catalog, schema
        self.said: list[str] = []

    def sql(self, statement: str) -> Any:
        self.said.append(statement)
        if statement.startswith("CREATE VOLUME IF NOT EXISTS "):
            name = statement.rpartition(" ")[2].replace("`", "")
            databricks.VOLUMES.joinpath(*name.split(".")).mkdir(parents=True)
            return None
        if statement == "SELECT current_user()":
            return SimpleNamespace(first=lambda: [self.user])
        assert statement == "SELECT current_catalog(), current_schema()"
        return SimpleNamespace(first=lambda: self.place)


@contextmanager
def inside(
    folder: Path, widgets: dict[str, str] | None = None, place: tuple[str, str] = ("workspace", "default")
) -> Iterator[Session]:
    """Run as in a workspace whose volumes lie in `folder`; gives the session that hears the statements."""
    session = Session(*place)
    shell = SimpleNamespace(user_ns={"dbutils": SimpleNamespace(widgets=Widgets(widgets or {}))})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABRICKS_RUNTIME_VERSION", "client.4.17")
        patch.setattr(databricks, "VOLUMES", folder / "Volumes")
        patch.setattr(databricks, "_spark", lambda: session)
        patch.setattr(databricks, "_shell", lambda: shell)
        yield session
