"""Break the parts of a running cloud while posts flow both ways, and count what was lost or doubled.

`python -m tests.faults SEED ROUNDS` works on the cloud of LOCAL_CLOUD_HOME, on which lessons 00 to 06, 12
and 13 have run. Each round breaks one part in one way at a moment drawn from the seed. Writes a JSON list of
`Round` to standard output, and a line a round to standard error.
"""

import itertools
import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from helpers import config, records, session, stream_to_delta, trial, wait
from helpers import user_posting_emulation as batch
from helpers import user_posting_emulation_streaming as stream
from helpers.lookup import find_api
from helpers.names import TABLES
from helpers.posting import KAFKA, ApiFormat, Outcome, Row, Sender
from local_cloud.parts import all_parts
from local_cloud.state import State
from tests import stream_worker
from tests.stream_tools import KEY

POSTS, RATE = 240, 20.0  # of each way in a round: twelve seconds
PAUSE = 8.0  # seconds that a paused part does not answer
KILLED = ("mariadb", "kafka", "connect", "rest_proxy", "gateway", "spark")
# A SIGKILL takes the streams with the AWS emulator, which writes them when it ends; AWS keeps them.
PAUSED = (*KILLED, "aws")
FAULTS = [*((part, "killed") for part in KILLED), *((part, "paused") for part in PAUSED)]


@dataclass
class Round:
    """What one fault did, over all tables; `recovery` in seconds from the fault's end to the next answer."""

    part: str
    fault: str
    accepted: int = 0
    resent: int = 0
    lost: int = 0
    doubled: int = 0
    recovery: float = 0.0
    queries_started_again: int = 0


class Noting(Sender):
    """A sender that notes which posts were accepted, by path."""

    def send(self, path: str, rows: Iterable[Row], key: str = "ind") -> Outcome:
        """Send, and note."""
        rows = list(rows)
        outcome = super().send(path, rows, key)
        taken = Counter(row[key] for row in rows)
        taken.subtract(row[key] for row, _ in outcome.failed)
        self.accepted.setdefault(path, Counter()).update(taken)
        return outcome

    def __post_init__(self, api_key: str) -> None:
        super().__post_init__(api_key)
        self.accepted: dict[str, Counter[int]] = {}


class Way(NamedTuple):
    """One of the two ways in: how it posts, and through which sender."""

    run: Callable[..., Any]
    sender: Noting

    def post(self, seed: int) -> int:
        """Post, and send again what failed until nothing does; returns how many records were sent again."""
        counts, again = self.run(POSTS, seed=seed, rate=RATE, sender=self.sender), 0
        while counts.unsent:
            again += sum(table["failed"] for table in counts.tables.values())
            counts = self.run(resend=counts.unsent, sender=self.sender)
        return again


class Trials:
    """The two ways, the queries of lesson 14, and what must have arrived."""

    def __init__(self, seed: int) -> None:
        self.cloud, self.chance = config.use_target(), random.Random(seed)
        self.state = State(config.state_folder())
        self.parts = {part.name: part for part in all_parts(self.state)}
        self.ways = {
            "batch": self._way(batch.run, KAFKA),
            "stream": self._way(stream.run, stream.PUT_RECORDS),
        }
        self.before = self._arrived()
        self.queries: dict[str, Any] = {}
        self.follow()

    def _way(self, run: Callable[..., Any], form: ApiFormat) -> Way:
        return Way(run, Noting(*find_api(self.cloud), api_format=form, timeout=15))

    def _arrived(self) -> dict[tuple[str, str], Counter[int]]:
        """The posts of each table as each way's log holds them."""
        names, found = self.cloud.names, {}
        for table in TABLES:
            landed = records.in_s3(names.bucket, f"topics/{names.topic[table]}")
            found["batch", table] = Counter(one[KEY[table]] for one in landed)
            sent = (json.loads(one["Data"]) for one in records.in_stream(names.stream[table]))
            found["stream", table] = Counter(one.get(KEY[table], -1) for one in sent)
        return found

    def _lesson(self) -> dict[str, Any]:
        """The functions of lesson 14, on the session that there is now."""
        cloud, modules = self.cloud, {"stream_to_delta": stream_to_delta, "records": records}
        return stream_worker.lesson(cloud=cloud, names=cloud.names, spark=session.spark(), **modules)

    def follow(self) -> int:
        """Start each query that does not run, from its checkpoint; returns how many."""
        lesson, started = self._lesson(), 0
        for table in TABLES:
            if table in self.queries and _runs(self.queries[table]):
                continue
            self.queries[table] = lesson["follow"](table, processingTime="1 second")
            started += 1
        return started

    def round(self, number: int, part: str, fault: str) -> Round:
        """One fault while both ways post."""
        done, already = Round(part, fault), self.accepted()
        resent: list[int] = []
        posting = [
            threading.Thread(target=lambda way=way: resent.append(way.post(number)), daemon=True)
            for way in self.ways.values()
        ]
        for thread in posting:
            thread.start()
        time.sleep(self.chance.uniform(2, 5))
        done.recovery = self.break_(part, fault)
        for thread in posting:
            thread.join(300)
            assert not thread.is_alive(), f"{part} {fault}: posting does not end"
        assert len(resent) == len(posting), f"{part} {fault}: an emulator ended with an error"
        done.resent = sum(resent)
        done.queries_started_again = self.follow()
        done.lost, done.doubled = self.compare()
        done.accepted = self.accepted() - already
        return done

    def accepted(self) -> int:
        """Records that both ways were told to have delivered, so far."""
        return sum(
            sum(posts.values()) for way in self.ways.values() for posts in way.sender.accepted.values()
        )

    def break_(self, part: str, fault: str) -> float:
        """Kill or pause the program that listens for a part; returns the seconds until it is ready again."""
        port = self.state.port(part)
        if fault == "killed":
            trial.kill_listener(port)
        else:
            process = trial.listener(port)
            process.send_signal(signal.SIGSTOP)
            time.sleep(PAUSE)
            process.send_signal(signal.SIGCONT)
        ended = time.monotonic()
        ready = self.parts[part].ready
        wait.until(lambda: ready() is None, f"{part} to answer again", 180, passing=(Exception,))
        return time.monotonic() - ended

    def compare(self) -> tuple[int, int]:
        """Accepted records that are nowhere, and those that are twice where once is promised."""
        names = self.cloud.names
        records.wait_landed(names.bucket, names.topic.values(), seconds=240)
        for query in self.queries.values():
            query.processAllAvailable()
        lost, arrived = 0, self._arrived()
        for way, table in arrived:
            paths = self.ways[way].sender.api_format.paths(names)
            accepted = self.ways[way].sender.accepted.get(paths[table], Counter())
            lost += sum((accepted - (arrived[way, table] - self.before[way, table])).values())
        return lost + self._not_in_delta(), self._twice()

    def _twice(self) -> int:
        """Records that S3 holds in two objects, and posts with two rows in a table of the stream."""
        names, twice = self.cloud.names, 0
        for table in TABLES:
            offsets = [r["_offset"] for r in records.in_s3(names.bucket, f"topics/{names.topic[table]}")]
            rows = session.spark().read.table(self.cloud.table(table, "stream"))
            twice += len(offsets) - len(set(offsets)) + rows.count() - rows.select("ind").distinct().count()
        return twice

    def _not_in_delta(self) -> int:
        """Posts of which the stream's table lacks the latest delivery."""
        lesson, wrong = self._lesson(), 0
        for table in TABLES:
            latest, held = lesson["in_stream"](table), lesson["in_table"](table)
            wrong += sum(held.get(key) != position for key, position in latest.items())
        return wrong


def _runs(query: Any) -> bool:
    """Whether a query is at work; a server that was killed knows nothing of it."""
    try:
        return bool(query.isActive)
    except Exception:
        return False


def main(argv: Sequence[str]) -> int:
    """Break parts, round after round."""
    seed, rounds = (int(text) for text in argv)
    os.environ.pop("RAW_PATH", None)
    trials, done = Trials(seed), []
    order = trials.chance.sample(FAULTS, len(FAULTS))
    for number, (part, fault) in zip(range(rounds), itertools.cycle(order), strict=False):
        done.append(trials.round(seed * 1000 + number, part, fault))
        print(number, done[-1], file=sys.stderr, flush=True)
    for query in trials.queries.values():
        query.stop()
    print(json.dumps([asdict(one) for one in done]))
    return 0 if not any(one.lost or one.doubled for one in done) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
