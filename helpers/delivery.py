"""What both emulators share: reading posts, delivering them table by table, counting, keeping what failed."""

import json
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat, zip_longest
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from helpers import config, source
from helpers.names import TABLES
from helpers.posting import Outcome, PostingError, Row, Sender, to_json

Batch = dict[str, list[Row]]
COUNTED = ("sent", "accepted", "failed")
DAYS = {"first day": source.first_day, "second day": source.second_day}  # of the samples
PATIENCE = 3  # batches in a row of which a table accepted nothing: then the run stops


@dataclass
class Counts:
    """Posts that were tried, and for each table its records: sent = accepted + failed."""

    posts: int = 0
    tables: dict[str, dict[str, int]] = field(
        default_factory=lambda: {table: dict.fromkeys(COUNTED, 0) for table in TABLES}
    )
    stopped: str = ""  # why the run ended early
    interrupted: bool = False
    unsent: Path | None = None  # the file with what failed

    @property
    def ok(self) -> bool:
        """True if all was tried and everything accepted."""
        return not (self.stopped or self.interrupted or any(one["failed"] for one in self.tables.values()))

    def add(self, table: str, outcome: Outcome) -> None:
        """Count one outcome in."""
        one, lost = self.tables[table], len(outcome.failed)
        one["accepted"], one["failed"] = one["accepted"] + outcome.accepted, one["failed"] + lost
        one["sent"] = one["accepted"] + one["failed"]

    def frame(self) -> Any:
        """The counts as a pandas DataFrame, a row a table."""
        import pandas as pd

        return pd.DataFrame.from_dict(self.tables, orient="index").rename_axis("table")


def read(database: Engine, posts: int | str, seed: int, size: int) -> tuple[int | None, Iterator[Batch]]:
    """How many posts will come (None: no end), and their rows in batches. The only use of the source."""
    total, chance = max(source.count(database).values()), random.Random(seed)
    if not total:
        raise ValueError("the source tables are empty: lesson 01 loads them")
    if posts == "all":
        parts = zip_longest(*(source.chunks(database, table, size) for table in TABLES), fillvalue=[])
        return total, (dict(zip(TABLES, rows, strict=True)) for rows in parts)
    if posts == "forever":
        return None, (_batch(database, chance.choices(range(total), k=size)) for _ in repeat(None))
    if not isinstance(posts, int) or not 0 < posts <= total:
        raise ValueError(f"{posts} posts: give a number from 1 to {total} (all there are), all or forever")
    inds = chance.sample(range(total), posts)
    return posts, (_batch(database, inds[at : at + size]) for at in range(0, posts, size))


def day(name: str, size: int) -> tuple[int, Iterator[Batch]]:
    """How many posts a day of the samples has, and their rows in batches; it needs no database."""
    rows = {table: DAYS[name](table) for table in TABLES}
    posts = len(rows["pin"])
    starts = range(0, posts, size)
    return posts, ({table: rows[table][at : at + size] for table in TABLES} for at in starts)


def _batch(database: Engine, inds: list[int]) -> Batch:
    posts = list(source.posts(database, inds))
    return {table: [post[table] for post in posts] for table in TABLES}


def unsent(file: Path, size: int) -> tuple[int, Iterator[Batch]]:
    """The same for a file of what failed before."""
    found: Batch = {table: [] for table in TABLES}
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                one = json.loads(line)
                found[one["table"]].append(one["row"])
            except (ValueError, KeyError, TypeError):
                raise ValueError(f"{file}, line {number}: not a failed record; nothing was sent") from None
    most = max(map(len, found.values()))
    steps = range(0, most, size)
    return most, ({table: rows[at : at + size] for table, rows in found.items()} for at in steps)


def _try(sender: Sender, path: str, rows: list[Row], key: str) -> tuple[Outcome, str]:
    """Send one table's rows; what cannot be accepted at all has failed too, and the second value says why."""
    try:
        return sender.send(path, rows, key), ""
    except PostingError as error:
        return Outcome(0, [(row, str(error)) for row in rows]), str(error)


def _keep(file: Path, table: str, outcome: Outcome) -> None:
    """Append what failed, a JSON line a record: table, error, row."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as lines:
        for row, error in outcome.failed:
            lines.write(to_json({"table": table, "error": error, "row": row}) + "\n")


def deliver(
    batches: Iterator[Batch], sender: Sender, paths: dict[str, str], pace: Callable[[int], float], bar: Any
) -> Counts:
    """Send batch after batch, its tables at once; stop when told, or when nothing gets through."""
    counts, barren = Counts(), 0
    name = f"unsent-{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 10**9:09}.jsonl"
    batch = next(batches, None)
    with ThreadPoolExecutor(len(TABLES)) as pool:
        while batch and not counts.stopped and not sender.stop.wait(pace(counts.posts)):
            sent = {
                table: pool.submit(_try, sender, paths[table], rows, source.KEY[table])
                for table, rows in batch.items()
                if rows
            }
            posts = max(map(len, batch.values()))
            try:
                batch = next(batches, None)  # read while the requests are under way
            except (SQLAlchemyError, LookupError) as error:
                counts.stopped = f"the source: {getattr(error, 'orig', error)}"
            answers = {table: future.result() for table, future in sent.items()}
            for table, (outcome, fatal) in answers.items():
                counts.add(table, outcome)
                counts.stopped = counts.stopped or fatal
                if outcome.failed:
                    counts.unsent = config.state_folder() / name
                    _keep(counts.unsent, table, outcome)
            counts.posts += posts
            bar.update(posts)
            empty = [outcome for outcome, _ in answers.values() if not outcome.accepted]
            barren = barren + 1 if empty else 0
            if barren == PATIENCE and not counts.stopped:
                counts.stopped = f"{PATIENCE} batches in a row did not get through: {empty[0].failed[0][1]}"
    counts.interrupted = sender.stop.is_set() and batch is not None
    return counts


def pace(rate: float | None, jitter: float | None, seed: int) -> Callable[[int], float]:
    """Seconds to wait after so many posts: to a timetable that does not drift, or a user's random pause."""
    start, chance = time.monotonic(), random.Random(seed)
    if jitter:
        return lambda posts: chance.uniform(0, jitter) if posts else 0
    return lambda posts: max(0, start + posts / rate - time.monotonic()) if rate else 0
