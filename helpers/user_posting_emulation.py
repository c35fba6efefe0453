"""Emulate users who post: rows of the source tables go through the API, a record in each table for a post.

A record that was delivered twice is harmless; a record that failed is kept in a file that --resend takes.
"""

import argparse
import json
import math
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat, zip_longest
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from tqdm import tqdm

from helpers import config, tables
from helpers.names import TABLES
from helpers.posting import Outcome, PostingError, Row, Sender, find_api, to_json

Batch = dict[str, list[Row]]
COUNTED = ("sent", "accepted", "failed")
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


def _read(source: Engine, posts: int | str, seed: int, size: int) -> tuple[int | None, Iterator[Batch]]:
    """How many posts will come (None: no end), and their rows in batches. The only use of the source."""
    total, chance = max(tables.count(source).values()), random.Random(seed)
    if not total:
        raise ValueError("the source tables are empty: lesson 01 loads them")
    if posts == "all":
        parts = zip_longest(*(tables.chunks(source, table, size) for table in TABLES), fillvalue=[])
        return total, (dict(zip(TABLES, rows, strict=True)) for rows in parts)
    if posts == "forever":
        return None, (_batch(source, chance.choices(range(total), k=size)) for _ in repeat(None))
    if not isinstance(posts, int) or not 0 < posts <= total:
        raise ValueError(f"{posts} posts: give a number from 1 to {total} (all there are), all or forever")
    inds = chance.sample(range(total), posts)
    return posts, (_batch(source, inds[at : at + size]) for at in range(0, posts, size))


def _batch(source: Engine, inds: list[int]) -> Batch:
    posts = list(tables.posts(source, inds))
    return {table: [post[table] for post in posts] for table in TABLES}


def _unsent(file: Path, size: int) -> tuple[int, Iterator[Batch]]:
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


def _deliver(
    batches: Iterator[Batch], sender: Sender, paths: dict[str, str], pace: Callable[[int], float], bar: Any
) -> Counts:
    """Send batch after batch, its tables at once; stop when told, or when nothing gets through."""
    counts, barren = Counts(), 0
    name = f"unsent-{time.strftime('%Y%m%d-%H%M%S')}-{time.time_ns() % 10**9:09}.jsonl"
    batch = next(batches, None)
    with ThreadPoolExecutor(len(TABLES)) as pool:
        while batch and not counts.stopped and not sender.stop.wait(pace(counts.posts)):
            sent = {
                table: pool.submit(_try, sender, paths[table], rows, tables.KEY[table])
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


def _pace(rate: float | None, jitter: float | None, seed: int) -> Callable[[int], float]:
    """Seconds to wait after so many posts: to a timetable that does not drift, or a user's random pause."""
    start, chance = time.monotonic(), random.Random(seed)
    if jitter:
        return lambda posts: chance.uniform(0, jitter) if posts else 0
    return lambda posts: max(0, start + posts / rate - time.monotonic()) if rate else 0


def run(
    posts: int | str = "all",
    *,
    seed: int = 0,
    rate: float | None = None,
    batch: int | None = None,
    jitter: float | None = None,
    resend: str | Path | None = None,
    cloud: config.Settings | None = None,
    source: Engine | None = None,
    sender: Sender | None = None,
) -> Counts:
    """Post `posts` (a number, "all" or "forever"), or what a file of unsent records holds, and count.

    `rate` in posts/s, `batch` in posts a request, `jitter` in seconds. Ctrl-C finishes the batch in flight.
    Raises ValueError for a wrong argument, PostingError where there is no API.
    """
    cloud = cloud or config.use_target()
    size = batch or (1 if jitter else min(500, math.ceil(rate / 10)) if rate else 500)
    todo, batches = (
        _unsent(Path(resend), size)
        if resend
        else _read(source or tables.engine(cloud.source_url), posts, seed, size)
    )
    sender = sender or Sender(*find_api(cloud))
    sender.stop.clear()
    paths = {table: f"/topics/{topic}" for table, topic in cloud.names.topic.items()}

    def finish(*_: object) -> None:
        sender.stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C does not wait

    in_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, finish) if in_main else None
    try:
        with tqdm(total=todo, unit=" posts", disable=not sys.stderr.isatty()) as bar:
            counts = _deliver(batches, sender, paths, _pace(rate, jitter, seed), bar)
    finally:
        if in_main:
            signal.signal(signal.SIGINT, before)
    _tell(counts, todo)
    return counts


def _tell(counts: Counts, todo: int | None) -> None:
    """Print one line that is the same each time, and more only where something went wrong."""
    sent, accepted, failed = (sum(one[what] for one in counts.tables.values()) for what in COUNTED)
    of = f" of {todo:,}" if todo else ""
    print(f"{counts.posts:,}{of} posts · {sent:,} records sent, {accepted:,} accepted, {failed:,} failed")
    if counts.stopped:
        print(f"stopped: {counts.stopped}\nWhat was not tried comes with the same command again.")
    if counts.unsent:
        print(f"What failed is in {counts.unsent}: send it again with --resend and this file.")


def _number(kind: type) -> Callable[[str], Any]:
    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
        return value

    return parse


def main(argv: Sequence[str] | None = None, **options: Any) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=100),  # the same on every screen
        prog="python -m helpers.user_posting_emulation",
        description="Emulate users who post: a record in each of the three tables goes through the API.",
        epilog="Exit code: 0 everything accepted, 1 something failed, 2 could not start, 130 after Ctrl-C"
        " (which finishes the batch in flight). What failed is kept in a file for --resend.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--posts", type=_number(int), metavar="N", help="N different posts, picked at random")
    what.add_argument("--all", dest="posts", action="store_const", const="all", help="each once, in order")
    what.add_argument("--forever", dest="posts", action="store_const", const="forever", help="until Ctrl-C")
    what.add_argument("--resend", metavar="FILE", help="what an earlier run could not send")
    parser.add_argument("--seed", type=int, default=0, help="the same seed picks the same posts (default 0)")
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument("--rate", type=_number(float), metavar="R", help="posts a second (default: no limit)")
    pace.add_argument("--jitter", type=_number(float), nargs="?", const=2.0, metavar="SECONDS",
                      help="one post at a time, a random pause of up to SECONDS (2) after each")  # fmt: skip
    parser.add_argument("--batch", type=_number(int), metavar="N", help="posts a request (default 500)")
    given = parser.parse_args(argv)
    if given.jitter and given.batch:
        parser.error("--jitter sends one post at a time: leave --batch out")
    try:
        counts = run(**vars(given), **options)
    except (
        config.ConfigError,
        tables.SourceError,
        PostingError,
        SQLAlchemyError,
        LookupError,
        ValueError,
        OSError,
    ) as error:
        print(error, file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    else:
        for table, one in counts.tables.items():
            print(f"{table:5}" + "".join(f"{one[what]:12,} {what}" for what in COUNTED))
        return 130 if counts.interrupted else 0 if counts.ok else 1
    return 2


if __name__ == "__main__":
    sys.exit(main())
