"""Emulate users who post: rows of the source tables go through the API, a record in each table for a post.

A record that was delivered twice is harmless; a record that failed is kept in a file that --resend takes.
"""

import argparse
import math
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from tqdm import tqdm

from helpers import config, source
from helpers.delivery import COUNTED, DAYS, Counts, day, deliver, pace, read, unsent
from helpers.lookup import find_api
from helpers.posting import KAFKA, ApiFormat, PostingError, Sender


def run(
    posts: int | str = "all",
    *,
    seed: int = 0,
    rate: float | None = None,
    batch: int | None = None,
    jitter: float | None = None,
    resend: str | Path | None = None,
    cloud: config.Settings | None = None,
    database: Engine | None = None,
    sender: Sender | None = None,
    api_format: ApiFormat = KAFKA,
) -> Counts:
    """Post `posts`, or what a file of unsent records holds, and count.

    `posts` is a number, "all" or "forever" of the source tables, or "first day" or "second day" of the
    samples. `rate` in posts per second, `batch` in posts per request, `jitter` in seconds; `api_format` is
    the kind of API. Ctrl-C finishes the batch in flight. Raises ValueError for a wrong argument,
    PostingError where there is no API.
    """
    cloud = cloud or config.use_target()
    size = batch or (1 if jitter else min(500, math.ceil(rate / 10)) if rate else 500)
    todo: int | None
    if resend:
        todo, batches = unsent(Path(resend), size)
    elif posts in DAYS:
        todo, batches = day(str(posts), size)
    else:
        todo, batches = read(database or source.engine(cloud.source_url), posts, seed, size)
    sender = sender or Sender(*find_api(cloud), api_format=api_format)
    sender.stop.clear()
    paths = sender.api_format.paths(cloud.names)

    def finish(*_: object) -> None:
        sender.stop.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C does not wait

    in_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, finish) if in_main else None
    try:
        with tqdm(total=todo, unit=" posts", disable=not sys.stderr.isatty()) as bar:
            counts = deliver(batches, sender, paths, pace(rate, jitter, seed), bar)
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


def main(
    argv: Sequence[str] | None = None,
    run: Callable[..., Counts] = run,
    name: str = "user_posting_emulation",
    **options: Any,
) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=100),  # the same on every screen
        prog=f"python -m helpers.{name}",
        description="Emulate users who post: a record in each of the three tables goes through the API.",
        epilog="Exit code: 0 everything accepted, 1 something failed, 2 could not start, 130 after Ctrl-C"
        " (which finishes the batch in flight). What failed is kept in a file for --resend.",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--posts", type=_number(int), metavar="N", help="N different posts, picked at random")
    what.add_argument("--all", dest="posts", action="store_const", const="all", help="each once, in order")
    for name_ in DAYS:
        option = f"--{name_.replace(' ', '-')}"
        what.add_argument(
            option, dest="posts", action="store_const", const=name_, help=f"the {name_} of the samples"
        )
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
        source.SourceError,
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
