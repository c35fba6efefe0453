"""What a Databricks workspace needs: parameters of a job, a volume, a page that shows DataFrames."""

import contextlib
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

VOLUMES = Path("/Volumes")
SHOWN = 20  # rows of a DataFrame, as on a laptop


def _spark() -> Any:
    from pyspark.sql import SparkSession

    return SparkSession.builder.getOrCreate()


def _shell() -> Any:
    from IPython.core.getipython import get_ipython

    return get_ipython()


def parameters(names: Iterable[str]) -> dict[str, str]:
    """Those of the named settings that a job or a widget gives this notebook, and that are not empty."""
    shell = _shell()
    tools = shell.user_ns.get("dbutils") if shell else None
    given = {}
    for name in names:
        with contextlib.suppress(Exception):  # no such widget: every runtime raises a class of its own
            given[name] = str(tools.widgets.get(name)) if tools else ""
    return {name: value for name, value in given.items() if value}


def place() -> tuple[str, str]:
    """The catalog and schema that the session is in; in Free Edition these are `workspace` and `default`."""
    catalog, schema = _spark().sql("SELECT current_catalog(), current_schema()").first()
    return catalog, schema


def volume(catalog: str, schema: str, name: str) -> Path:
    """The folder of a Unity Catalog volume, which is made if it is not there."""
    folder = VOLUMES / catalog / schema / name
    if not folder.exists():
        _spark().sql(f"CREATE VOLUME IF NOT EXISTS `{catalog}`.`{schema}`.`{name}`")
    return folder


def copy(source: Path, target: Path) -> Path:
    """Copy a folder of workspace files into a volume: on serverless compute Spark reads only the copy.

    What the target held before is gone. FileNotFoundError when the source has no file.
    """
    files = [file for file in source.rglob("*") if file.is_file()]
    if not files:
        raise FileNotFoundError(f"no files in {source}: is RAW_PATH right?")
    shutil.rmtree(target, ignore_errors=True)
    for file in files:
        to = target / file.relative_to(source)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, to)  # not copy(): a volume keeps no permission bits and refuses them
    return target


def show_frames() -> None:
    """Let a DataFrame that ends a cell show its rows, which through Spark Connect it does not by itself."""
    from pyspark.sql import DataFrame

    if shell := _shell():
        shell.display_formatter.formatters["text/html"].for_type(DataFrame, as_table)


def as_table(frame: Any) -> str | None:
    """The first rows as an HTML table; nothing for a stream, which has no first rows."""
    import pandas as pd

    if frame.isStreaming:
        return None
    rows = [["NULL" if value is None else value for value in row] for row in frame.take(SHOWN)]
    return str(pd.DataFrame(rows, columns=frame.columns, dtype=object).to_html(index=False))
