"""Counts that lessons compare from stage to stage, such as "11,154 sent, 11,154 in the topic"."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from helpers.config import in_databricks, state_folder


class LedgerError(AssertionError):
    """Two stages differ, or the stage to compare with was never recorded; the message says which tables."""


def _file() -> Path:
    return state_folder() / "ledger.json"


def read() -> dict[str, dict[str, int]]:
    """Every recorded stage with its count per table, in the order of recording; empty when there is none."""
    return json.loads(_file().read_text()) if _file().exists() else {}


def record(stage: str, counts: Mapping[str, int], equals: str | None = None) -> None:
    """Keep the counts of one stage, by table; a later run of the same stage replaces them.

    With `equals`, the name of an earlier stage, every table must have the same count there, else
    LedgerError names the tables that differ. A Databricks workspace does not know what a laptop
    counted: there the counts are printed, to be compared by hand.
    """
    known = read()
    if equals is not None and equals not in known and in_databricks():
        print(f"{stage}: {dict(counts)}; lesson 07 shows what {equals!r} must be, table by table")
    elif equals is not None:
        if equals not in known:
            raise LedgerError(f"nothing recorded for {equals!r} yet: run the lesson that makes it first")
        _compare(stage, counts, equals, known[equals])
    known[stage] = {table: int(count) for table, count in counts.items()}
    file = _file()
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{os.getpid()}")
    part.write_text(json.dumps(known, indent=1))
    part.replace(file)  # in one step: a reader never sees half a file


def _compare(stage: str, counts: Mapping[str, int], earlier: str, expected: Mapping[str, int]) -> None:
    wrong = [
        f"{table} {counts.get(table, 0):,} instead of {expected.get(table, 0):,}"
        for table in sorted({*counts, *expected})
        if counts.get(table) != expected.get(table)
    ]
    if wrong:
        raise LedgerError(f"{stage!r} differs from {earlier!r}: {'; '.join(wrong)}")


def table(first: str, *others: str) -> pd.DataFrame:
    """One row a table, one column for each named stage; LedgerError names a stage not recorded yet.

    The stages are named one by one, so that a page shows the same on every run.
    """
    known, stages = read(), (first, *others)
    missing = [stage for stage in stages if stage not in known]
    if missing:
        raise LedgerError(f"nothing recorded for {', '.join(map(repr, missing))} yet")
    return pd.DataFrame({stage: known[stage] for stage in stages})
