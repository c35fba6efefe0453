"""The posting emulator from a real (SQLite) source to a real HTTP server that answers as the proxy does."""

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from helpers import delivery, source
from helpers import user_posting_emulation as emulation
from helpers.names import TABLES
from helpers.posting import Sender
from tests.posting_sink import ODD, Sink, accept, answer, refuse, serving, slow

POSTS = 50
WHEN = dt.datetime(2018, 3, 4, 5, 6, 7)


def row(table: str, ind: int) -> dict[str, Any]:
    times = {"timestamp": WHEN, "date_joined": WHEN}
    values: dict[str, Any] = times | {"age": 30, "latitude": -0.5, "longitude": 7.25, "downloaded": 1}
    columns = source.COLUMNS[table].split()
    return {columns[0]: ind} | {name: values.get(name, f"{name} {ind} {ODD}") for name in columns[1:]}


@pytest.fixture
def sink() -> Iterator[Sink]:
    with serving() as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cloud.env").touch()
    monkeypatch.setenv("LOCAL_CLOUD_HOME", str(tmp_path))
    monkeypatch.setenv("PIPELINE_USER", "u1")
    monkeypatch.setenv("PIPELINE_TARGET", "local")
    return tmp_path


@pytest.fixture
def database(home: Path) -> sa.Engine:
    engine = sa.create_engine(f"sqlite:///{home}/source.db")
    source.METADATA.create_all(engine)
    with engine.begin() as connection:
        for name, table in source.TABLES.items():
            connection.execute(sa.insert(table), [row(name, ind) for ind in range(POSTS)])
    return engine


@pytest.fixture
def options(database: sa.Engine, sink: Sink) -> dict[str, Any]:
    return {"database": database, "sender": Sender(sink.url, tries=2, first_pause=0.01, timeout=5)}


def keys(sink: Sink, table: str) -> list[int]:
    return [
        record["key"]
        for path, _, body in sink.got
        if path == f"/topics/u1.{table}"
        for record in json.loads(body)["records"]
    ]


def values(sink: Sink, table: str) -> dict[int, Any]:
    return {
        record["key"]: record["value"]
        for path, _, body in sink.got
        if path.endswith(table)
        for record in json.loads(body)["records"]
    }


def lines(home: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in home.glob("unsent-*.jsonl") for line in file.open(encoding="utf-8")]


def wanted(table: str, ind: int) -> dict[str, Any]:
    return source.json_ready(row(table, ind))


def test_all_sends_every_row_once_in_key_order(sink: Sink, options: Any, home: Path, capsys: Any) -> None:
    counts = emulation.run("all", batch=7, **options)
    for table in TABLES:
        assert keys(sink, table) == list(range(POSTS))
        assert values(sink, table) == {ind: wanted(table, ind) for ind in range(POSTS)}
    assert counts.ok
    assert counts.posts == POSTS
    assert counts.frame().to_dict("list") == {
        name: [POSTS] * 3 for name in ("sent", "accepted", "failed")
    } | {"failed": [0] * 3}
    assert capsys.readouterr() == ("50 of 50 posts · 150 records sent, 150 accepted, 0 failed\n", "")
    assert lines(home) == []


def test_a_seed_replays_its_posts_and_none_comes_twice(sink: Sink, options: Any) -> None:
    seen = []
    for seed in (1, 1, 2):
        sink.got.clear()
        emulation.run(20, seed=seed, batch=6, **options)
        seen.append(keys(sink, "pin"))
        assert keys(sink, "pin") == keys(sink, "geo") == keys(sink, "user")
    assert seen[0] == seen[1] != seen[2]
    assert len(set(seen[0])) == 20


def test_the_first_and_the_last_post_can_be_drawn(sink: Sink, options: Any) -> None:
    emulation.run(POSTS, **options)
    assert sorted(keys(sink, "user")) == list(range(POSTS))


@pytest.mark.parametrize("posts", [0, -1, POSTS + 1, "some", 1.5, None])
def test_impossible_number_of_posts_is_refused(sink: Sink, options: Any, posts: Any) -> None:
    with pytest.raises(ValueError, match="from 1 to 50"):
        emulation.run(posts, **options)
    assert sink.got == []


def test_empty_source_is_named(options: Any) -> None:
    with options["database"].begin() as connection:
        for table in source.TABLES.values():
            connection.execute(sa.delete(table))
    with pytest.raises(ValueError, match="lesson 01"):
        emulation.run("all", **options)


def test_one_refused_record_is_kept_and_told(sink: Sink, options: Any, home: Path, capsys: Any) -> None:
    options["database"].dispose()
    sink.script = [refuse(None, 1, None)]
    assert emulation.main(["--posts", "3"], **options) == 1
    (kept,) = lines(home)
    assert kept["error"] == "1: no"
    assert kept["row"] == wanted(kept["table"], kept["row"][source.KEY[kept["table"]]])
    out = capsys.readouterr().out
    assert "9 records sent, 8 accepted, 1 failed" in out
    assert "--resend" in out


def test_api_away_stops_early_keeps_all_and_resend_delivers(
    sink: Sink,
    options: Any,
    home: Path,
    capsys: Any,
) -> None:
    sink.script = [answer(503)] * 18  # 3 batches x 3 tables x 2 tries
    assert emulation.main(["--all", "--batch", "5"], **options) == 1
    out = capsys.readouterr().out
    assert "15 of 50 posts · 45 records sent, 0 accepted, 45 failed" in out
    assert "stopped: 3 batches in a row did not get through: 503" in out
    assert len(lines(home)) == 45
    sink.got.clear()
    (file,) = home.glob("unsent-*.jsonl")
    assert emulation.main(["--resend", str(file), "--batch", "4"], **options) == 0
    for table in TABLES:
        assert values(sink, table) == {ind: wanted(table, ind) for ind in range(15)}
    assert "15 of 15 posts" in capsys.readouterr().out


def test_refused_key_stops_at_once_with_advice(sink: Sink, options: Any, home: Path, capsys: Any) -> None:
    sink.script = [answer(403, {"message": "Forbidden"})] * 3
    assert emulation.main(["--all", "--batch", "5"], **options) == 1
    assert len(sink.got) == 3
    assert len(lines(home)) == 15
    assert "403: Forbidden; missing or wrong API key" in capsys.readouterr().out


def test_source_that_breaks_off_loses_no_count(sink: Sink, options: Any, capsys: Any) -> None:
    with options["database"].begin() as connection:
        connection.execute(sa.delete(source.TABLES["geo"]).where(source.TABLES["geo"].c.ind == 49))
    counts = emulation.run(POSTS, batch=10, **options)
    assert not counts.ok
    assert "no post 49 in geolocation_data" in counts.stopped
    assert counts.tables["pin"] == {"sent": counts.posts, "accepted": counts.posts, "failed": 0}
    assert len(keys(sink, "pin")) == counts.posts > 0


@pytest.mark.parametrize("text", ["not json", "[]", '{"table": "pin"}', '{"table": "x", "row": {}}'])
def test_bad_resend_file_is_refused_by_line(
    sink: Sink, options: Any, home: Path, text: str, capsys: Any
) -> None:
    file = home / "mine.jsonl"
    file.write_text('{"table": "pin", "error": "", "row": {"index": 1}}\n' + text + "\n")
    assert emulation.main(["--resend", str(file)], **options) == 2
    assert "line 2" in capsys.readouterr().err
    assert sink.got == []


def test_missing_resend_file_is_named(options: Any, capsys: Any) -> None:
    assert emulation.main(["--resend", "/nowhere.jsonl"], **options) == 2
    assert "/nowhere.jsonl" in capsys.readouterr().err


BAD = [
    [], ["--posts", "0"], ["--posts", "-3"], ["--posts", "many"], ["--posts", "1.5"],
    ["--posts", "3", "--all"],
    ["--all", "--forever"], ["--all", "--resend", "x"], ["--all", "--rate", "0"], ["--all", "--rate", "nan"],
    ["--all", "--rate", "inf"], ["--all", "--batch", "0"], ["--all", "--rate", "1", "--jitter"],
    ["--all", "--jitter", "--batch", "5"], ["--all", "--jitter", "-1"], ["--all", "--seed", "x"],
]  # fmt: skip


@pytest.mark.parametrize("argv", BAD, ids=" ".join)
def test_bad_arguments_are_refused(argv: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit) as stopped:
        emulation.main(argv)
    assert stopped.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_rate_follows_a_timetable_that_does_not_drift(sink: Sink, options: Any) -> None:
    pace = delivery.pace(10, None, 0)
    time.sleep(0.3)
    assert pace(10) == pytest.approx(0.7, abs=0.1)
    assert pace(2) == 0
    start = time.monotonic()
    emulation.run(6, rate=10, **options)
    assert time.monotonic() - start >= 0.5
    assert len(sink.got) == 18


def test_jitter_sends_one_post_at_a_time(sink: Sink, options: Any) -> None:
    emulation.run(4, jitter=0.05, **options)
    assert [len(json.loads(body)["records"]) for _, _, body in sink.got] == [1] * 12


CHILD = """
import sys, sqlalchemy
from helpers import user_posting_emulation
from helpers.posting import Sender
database = sqlalchemy.create_engine("sqlite:///" + sys.argv[1])
sys.exit(user_posting_emulation.main(sys.argv[3:], database=database, sender=Sender(sys.argv[2])))
"""


def interrupted(sink: Sink, home: Path, *argv: str) -> tuple[int, str, str, float]:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, f"{home}/source.db", sink.url, *argv],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ),
        cwd=Path(emulation.__file__).parents[1],
    )  # fmt: skip
    try:
        end = time.monotonic() + 30
        while len(sink.got) < 6 and time.monotonic() < end and child.poll() is None:
            time.sleep(0.02)
        start = time.monotonic()
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=20)
        return child.returncode, out, err, time.monotonic() - start
    finally:
        child.kill()
        child.wait()


def test_ctrl_c_finishes_the_batch_and_counts(sink: Sink, database: sa.Engine, home: Path) -> None:
    sink.script = [slow] * 99
    code, out, err, _ = interrupted(sink, home, "--forever", "--batch", "3")
    assert code == 130
    assert err == ""
    accepted = len(sink.records())
    assert f"{accepted // 3} posts · {accepted} records sent, {accepted} accepted, 0 failed" in out
    assert {len(keys(sink, table)) for table in TABLES} == {accepted // 3}
    assert lines(home) == []


def test_ctrl_c_while_the_api_is_away_keeps_the_batch(sink: Sink, database: sa.Engine, home: Path) -> None:
    sink.script = [accept] * 3 + [answer(503, Retry_After="30")] * 99
    code, out, err, seconds = interrupted(sink, home, "--all", "--batch", "3")
    assert (code, err) == (130, "")
    assert seconds < 10
    assert "6 of 50 posts · 18 records sent, 9 accepted, 9 failed" in out
    assert sorted(
        (line["table"], line["row"].get("ind", line["row"].get("index"))) for line in lines(home)
    ) == [(table, ind) for table in sorted(TABLES) for ind in (3, 4, 5)]


def test_a_day_of_the_samples_is_posted_in_order_and_needs_no_database(home: Path, sink: Sink) -> None:
    assert emulation.main(["--second-day"], sender=Sender(sink.url, tries=2, timeout=5)) == 0
    for table in TABLES:
        rows = source.second_day(table)
        assert keys(sink, table) == [row[source.KEY[table]] for row in rows]
        assert values(sink, table)[11_154] == rows[0]
