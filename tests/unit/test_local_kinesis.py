"""The local kinesis source without Spark: options, offsets, faults, with boto3 on a Kinesis in memory."""

import json
import pickle
import re
import socket
import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from pyspark.sql.streaming.datasource import ReadAllAvailable, ReadMaxRows
from pyspark.sql.types import BinaryType, StringType, StructField, StructType, TimestampType

import pyspark_local_kinesis
from helpers.config import ROOT
from pyspark_local_kinesis import COLUMNS, DefaultSource, options, reader, shards
from pyspark_local_kinesis.options import KinesisError, parse
from tests.kinesis_server import KinesisServer, serving

ROWS = 50_000
STREAM = {"streamName": "s", "initialPosition": "earliest"}


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> Iterator[KinesisServer]:
    with serving() as found:
        found.create("s")
        monkeypatch.setenv("AWS_ENDPOINT_URL", found.url)
        monkeypatch.delenv("AWS_ENDPOINT_URL_KINESIS", raising=False)
        monkeypatch.delenv("DATABRICKS_RUNTIME_VERSION", raising=False)
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        yield found


@pytest.fixture
def server(unhurried: KinesisServer, monkeypatch: pytest.MonkeyPatch) -> KinesisServer:
    """A server that may be asked without pauses."""
    monkeypatch.setattr(shards, "BUSY", 0.0)
    monkeypatch.setattr(shards, "IDLE", 0.0)
    return unhurried


def columns(text: str) -> StructType:
    kinds = {"string": StringType(), "binary": BinaryType(), "timestamp": TimestampType()}
    pairs = [each.split() for each in text.split(", ")]
    return StructType([StructField(name, kinds[kind]) for name, kind in pairs])


def new_reader(**given: str) -> reader.KinesisReader:
    # Through pickle, as Spark sends the source to the process that reads.
    source = pickle.loads(pickle.dumps(DefaultSource({**STREAM, **given})))
    return source.streamReader(schema=columns(COLUMNS))


def rows(found: reader.KinesisReader, start: Any, end: Any) -> list[dict[str, Any]]:
    parts = [pickle.loads(pickle.dumps(part)) for part in found.partitions(start, end)]
    return [row for part in parts for page in found.read(part) for row in page.to_pylist()]


def data(found: list[dict[str, Any]]) -> list[bytes]:
    return [row["data"] for row in found]


def step(found: reader.KinesisReader, start: Any = None, most: int = ROWS) -> tuple[Any, list[bytes]]:
    """One batch: where it ends, and what is in it."""
    start = json.loads(json.dumps(start or found.initialOffset()))
    end = found.latestOffset(start, ReadMaxRows(most))
    return end, data(rows(found, start, end))


def numbers(count: int, start: int = 0) -> list[bytes]:
    return [b"%d" % n for n in range(start, start + count)]


# ---- options


def test_names_count_in_any_case_and_have_the_defaults_of_databricks() -> None:
    found = parse({"STREAMNAME": " a , b.c-d_e ", "maxrecordsPERfetch": "7"})
    assert (found.streams, found.max_records, found.position) == (("a", "b.c-d_e"), 7, "LATEST")
    assert (parse({"streamName": "a"}).max_records, parse({"streamName": "a"}).login) == (10_000, {})
    for word in ("earliest", "TRIM_HORIZON", "Earliest"):
        assert parse({"streamName": "a", "initialPosition": word}).position == "TRIM_HORIZON"


def test_login_goes_to_boto3_and_is_not_shown() -> None:
    found = parse({"streamName": "a", "region": "eu-west-1", "awsAccessKey": "k", "awsSecretKey": "hidden"})
    assert found.login == {
        "region_name": "eu-west-1", "aws_access_key_id": "k", "aws_secret_access_key": "hidden",
    }  # fmt: skip
    assert "hidden" not in repr(found)


def test_tuning_that_changes_no_row_is_taken() -> None:
    tuning = {"maxFetchRate": "1.5", "maxFetchDuration": "10s", "minFetchPeriod": "400ms"}
    assert parse({"streamName": "a", "fetchBufferSize": "20gb", "consumerMode": "POLLING", **tuning})


@pytest.mark.parametrize("name", options.REFUSED)
def test_what_only_databricks_has_is_refused_by_name(name: str) -> None:
    with pytest.raises(KinesisError, match=f"stand-in .* {name}[.]"):
        parse({"streamName": "a", name.upper(): "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("streamname", ""),
        ("streamName", "a,,b"),
        ("streamName", "a, a"),
        ("streamName", "ströme"),
        ("streamName", "x" * 129),
        ("streamName", "arn:aws:kinesis:us-east-1:0:stream/a"),
        ("initialPosition", ""),
        ("initialPosition", "newest"),
        (
            "initialPosition",
            '{"at_timestamp": "06/25/2020 10:23:45 PDT", "format": "MM/dd/yyyy HH:mm:ss ZZZ"}',
        ),
        ("maxRecordsPerFetch", "0"),
        ("maxRecordsPerFetch", "10001"),
        ("maxRecordsPerFetch", "-1"),
        ("maxRecordsPerFetch", "1.5"),
        ("maxRecordsPerFetch", "１０"),
        ("maxRecordsPerFetch", "ten"),
        ("maxRecordsPerFetch", "9" * 5000),
        ("maxFetchRate", "fast"),
        ("maxFetchRate", "3.0"),
        ("maxFetchDuration", "10 parsecs"),
        ("minFetchPeriod", ""),
        ("fetchBufferSize", "-1gb"),
        ("consumerMode", "efo"),
        ("awsAccessKey", "only one"),
        ("awsSecretKey", "only one"),
        ("region", ""),
        ("path", "/tmp/somewhere"),
        ("startingPosition", "earliest"),
    ],
)
def test_a_value_it_cannot_honour_is_refused_with_the_options_name(name: str, value: str) -> None:
    with pytest.raises(KinesisError, match=f"(?i){name}"):
        parse({"streamName": "a", name: value} if name.lower() != "streamname" else {name: value})


def test_stream_name_is_required() -> None:
    with pytest.raises(KinesisError, match="streamName"):
        parse({})


# ---- where it runs


def test_refused_on_databricks_and_on_an_older_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("4.0.1", "4.1.0", "3.5.6"):
        monkeypatch.setattr(pyspark_local_kinesis, "spark_version", version)
        with pytest.raises(KinesisError, match=rf"4\.2 .*{version}"):
            DefaultSource(STREAM)
    for version in ("4.2.0", "4.10.0.dev1", "5.0"):
        monkeypatch.setattr(pyspark_local_kinesis, "spark_version", version)
        DefaultSource(STREAM)
    monkeypatch.setenv("DATABRICKS_RUNTIME_VERSION", "17.3")
    with pytest.raises(KinesisError, match="Databricks"):
        DefaultSource(STREAM)


def test_a_schema_of_ones_own_is_refused(server: KinesisServer) -> None:
    for schema in ("data binary", COLUMNS.replace("data binary", "data string")):
        with pytest.raises(KinesisError, match=r"leave out \.schema"):
            DefaultSource(STREAM).streamReader(schema=columns(schema))


def test_aws_itself_is_refused(server: KinesisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    with pytest.raises(KinesisError, match="AWS_ENDPOINT_URL is not set"):
        new_reader().initialOffset()


def test_endpoint_of_kinesis_wins(server: KinesisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_KINESIS", server.url)
    assert new_reader().initialOffset() == {"s": {"shardId-000000000000": "TRIM_HORIZON"}}


# ---- rows and offsets


def test_every_row_once_over_shards_and_streams(server: KinesisServer) -> None:
    server.create("s", 5)
    server.create("t", 1)
    server.create("empty", 2)
    for shard in range(4):  # the fifth stays empty
        server.put("s", *numbers(300, 1000 * shard), shard=shard)
    server.put("t", *numbers(2, 9000))
    found = new_reader(streamName="s,t,empty")
    start = found.initialOffset()
    end = found.latestOffset(start, ReadMaxRows(ROWS))
    asked = len(server.calls)
    parts = found.partitions(start, end)
    got = rows(found, start, end)
    assert len(server.calls) == asked, "the tasks must not fetch what the driver has"
    assert [(part.stream, part.shard[-1]) for part in parts] == [
        *[("s", f"{n}") for n in range(4)],
        ("t", "0"),
    ]
    assert data(got) == [b"%d" % (1000 * s + n) for s in range(4) for n in range(300)] + numbers(2, 9000)
    assert {place: end["s"][place] for place in end["s"] if place[-1] == "4"} == {
        "shardId-000000000004": "TRIM_HORIZON"
    }
    assert (
        end["s"]["shardId-000000000003"]
        == server.streams["s"]["shardId-000000000003"].records[-1]["SequenceNumber"]
    )
    assert found.latestOffset(end, ReadMaxRows(ROWS)) == end
    assert found.partitions(end, end) == []


def test_columns_hold_what_was_put(server: KinesisServer) -> None:
    large = bytes(range(256)) * 4096
    number = server.put("s", large, key="ключ 🔑", at=1_700_000_000.123)[0]
    server.put("s", b"", key="é" * 256)
    first, second = rows(new_reader(), (found := new_reader()).initialOffset(), step(found)[0])
    assert first.pop("approximateArrivalTimestamp").timestamp() == 1_700_000_000.123
    assert first == {
        "partitionKey": "ключ 🔑", "data": large, "stream": "s", "shardId": "shardId-000000000000",
        "sequenceNumber": number,
    }  # fmt: skip
    assert (second["data"], second["partitionKey"]) == (b"", "é" * 256)


def test_a_batch_replayed_by_another_process_has_the_same_rows(server: KinesisServer) -> None:
    server.create("s", 2)
    server.put("s", *numbers(250))
    server.put("s", *numbers(10, 1000), shard=1)
    found = new_reader()
    start = found.initialOffset()
    middle, first = step(found, start, 150)
    end, second = step(found, middle, 60)
    server.put("s", *numbers(500, 5000))
    later = new_reader(maxRecordsPerFetch="7")
    assert later.initialOffset() == start
    assert data(rows(later, start, middle)) == first and len(first) == 150
    assert data(rows(later, middle, end)) == second and len(second) == 60
    assert server.asked("GetRecords")[-1]["Limit"] == 7


def test_a_row_limit_holds_for_all_shards_together(server: KinesisServer) -> None:
    server.create("s", 3)
    for shard in range(3):
        server.put("s", *numbers(40, 100 * shard), shard=shard)
    found = new_reader()
    place, got = found.initialOffset(), []
    sizes = []
    while True:
        place, batch = step(found, place, 50)
        if not batch:
            break
        sizes.append(len(batch))
        got += batch
    assert sizes == [50, 50, 20]
    assert sorted(got) == sorted(b"%d" % (100 * s + n) for s in range(3) for n in range(40))


def test_memory_is_bounded_by_the_size_of_records(
    server: KinesisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "BATCH_BYTES", 40_000)
    monkeypatch.setattr(shards, "PAGE_BYTES", 10_000)
    monkeypatch.setattr(shards, "FIRST_PAGE", 5)
    server.put("s", *[b"x" * 1000] * 200)
    found = new_reader()
    place, batch = step(found)
    assert 36 <= len(batch) <= 50
    assert {each["Limit"] for each in server.asked("GetRecords")[1:]} <= {8, 9}
    monkeypatch.setattr(reader, "TASK_BYTES", 20_000)
    later = found.latestOffset(place, ReadMaxRows(ROWS))
    (part,) = found.partitions(place, later)
    assert part.rows is None, "too large for a task: it fetches the rows itself"
    assert len(rows(found, place, later)) == len(rows(new_reader(), place, later)) > 30


def test_pages_without_records_are_not_the_end(server: KinesisServer) -> None:
    server.put("s", *numbers(3), at=time.time() - 1)
    server.empty_pages = 4
    assert step(new_reader())[1] == numbers(3)


def test_a_full_page_is_not_the_end_whatever_the_lag(server: KinesisServer) -> None:
    server.put("s", *numbers(100), at=time.time() + 60)
    assert step(new_reader(maxRecordsPerFetch="10"))[1] == numbers(100)


def test_latest_is_the_moment_of_loading_in_every_replay(server: KinesisServer) -> None:
    now = time.time()
    server.put("s", b"same second, before", at=now - 0.002)
    found = new_reader(initialPosition="latest")
    server.put("s", *numbers(2))
    start = found.initialOffset()
    first, batch = step(found, start)
    assert batch == [] and start == {"s": {"shardId-000000000000": "LATEST"}} and first != start
    time.sleep(0.01)
    again = new_reader(initialPosition="latest")  # crashed before the first rows: the checkpoint has `first`
    assert again.initialOffset() == start
    assert data(rows(again, start, first)) == []
    end, batch = step(again, first)
    assert batch == numbers(2)
    server.put("s", b"more")
    assert data(rows(new_reader(), first, end)) == numbers(2)
    assert step(again, end)[1] == [b"more"]


def test_latest_on_a_quiet_stream_keeps_its_place(server: KinesisServer) -> None:
    found = new_reader(initialPosition="latest")
    first, _ = step(found)
    assert step(found, first) == (first, [])
    server.put("s", b"1")
    assert step(found, first)[1] == [b"1"]


def test_available_now_ends_although_records_keep_coming(server: KinesisServer) -> None:
    server.create("s", 2)
    server.put("s", *numbers(30))
    found = new_reader(maxRecordsPerFetch="4")
    found.prepareForTriggerAvailableNow()
    server.after_page = lambda: server.put("s", *[b"late"] * 9, at=time.time() + 0.01)
    place, got = found.initialOffset(), []
    for _ in range(10):
        place, batch = step(found, place, 7)
        if not batch:
            break
        got += batch
    assert got == numbers(30)
    asked = len(server.calls)
    assert step(found, place) == (place, []) and len(server.calls) == asked
    server.after_page = None
    time.sleep(0.02)
    server.put("s", b"much later")
    late = new_reader()
    late.prepareForTriggerAvailableNow()
    batch = step(late, place)[1]
    assert set(batch) == {b"late", b"much later"} and batch[-1] == b"much later"


# ---- faults


def test_expired_iterators_are_renewed_without_loss_or_repeat(server: KinesisServer) -> None:
    server.one_use = True
    server.put("s", *numbers(100))
    assert step(new_reader(maxRecordsPerFetch="9"))[1] == numbers(100)
    assert len(server.asked("GetShardIterator")) > 10


def test_an_iterator_that_is_never_right_is_an_error(server: KinesisServer) -> None:
    place = new_reader().initialOffset()
    server.answer = lambda name, body: (_ for _ in ()).throw(refused("ExpiredIteratorException")) if (  # type: ignore[method-assign]
        name == "GetRecords") else {"ShardIterator": "x", "Shards": []}  # fmt: skip
    with pytest.raises(ClientError, match="ExpiredIterator"):
        step(new_reader(), place)


def refused(name: str) -> Exception:
    from tests.kinesis_server import Refusal

    return Refusal(name)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What botocore would have slept."""
    import botocore.endpoint

    slept: list[float] = []

    class Clock:
        sleep = staticmethod(slept.append)

        def __getattr__(self, name: str) -> Any:
            return getattr(time, name)

    monkeypatch.setattr(botocore.endpoint, "time", Clock())
    return slept


def test_throttling_is_waited_for(server: KinesisServer, pauses: list[float]) -> None:
    server.put("s", *numbers(5))
    found = new_reader()
    place = found.initialOffset()
    server.faults = ["ProvisionedThroughputExceededException", "LimitExceededException"] * 2
    assert step(found, place)[1] == numbers(5)
    assert len(pauses) == 4 and len(set(pauses)) == 4
    assert all(0 <= pause <= 2**n for n, pause in enumerate(pauses))


def test_waiting_has_an_end(server: KinesisServer, pauses: list[float]) -> None:
    found = new_reader()
    place = found.initialOffset()
    server.faults = ["ProvisionedThroughputExceededException"] * 100
    with pytest.raises(ClientError, match="ProvisionedThroughputExceeded"):
        step(found, place)
    assert 7 <= len(pauses) <= 8 and sum(pauses) <= 71
    server.faults = []
    assert step(found, place)[1] == []


def test_nobody_at_the_endpoint(
    server: KinesisServer, pauses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(EndpointConnectionError):
            new_reader().initialOffset()
    assert len(pauses) == 7


def test_missing_stream_and_missing_shard(server: KinesisServer) -> None:
    with pytest.raises(KinesisError, match="no stream 'nowhere'"):
        new_reader(streamName="nowhere").initialOffset()
    place = new_reader().initialOffset()
    server.streams["s"] = {}
    with pytest.raises(KinesisError, match="shardId-000000000000 of 's' is gone"):
        step(new_reader(), place)
    del server.streams["s"]
    with pytest.raises(KinesisError, match="'s' is gone"):
        step(new_reader(), place)


def test_a_closed_shard_is_read_to_its_end_before_the_query_stops(server: KinesisServer) -> None:
    server.create("s", 2)
    server.put("s", *numbers(10))
    found = new_reader()
    place = found.initialOffset()
    server.split("s")
    server.put("s", b"child", shard=2)
    server.put("s", b"other", shard=1)
    place, batch = step(found, place)
    assert batch == [*numbers(10), b"other"]
    for each in (found, new_reader()):  # a restart meets the same wall
        with pytest.raises(KinesisError, match=r"reshard.*shardId-000000000000"):
            step(each, place)
    with pytest.raises(KinesisError, match="resharded"):
        new_reader().initialOffset()


def test_available_now_stops_at_a_reshard_too(server: KinesisServer) -> None:
    server.put("s", *numbers(3))
    found = new_reader()
    place = found.initialOffset()
    server.split("s")
    found.prepareForTriggerAvailableNow()
    place, batch = step(found, place)
    assert batch == numbers(3)
    with pytest.raises(KinesisError, match="reshard"):
        step(found, place)


def test_a_record_that_is_gone_stops_the_replay(server: KinesisServer) -> None:
    server.put("s", *numbers(10))
    found = new_reader()
    start = found.initialOffset()
    end, _ = step(found, start)
    del server.streams["s"]["shardId-000000000000"].records[5:]
    with pytest.raises(KinesisError, match="no longer there"):
        rows(new_reader(), start, end)
    server.put("s", b"newer")
    with pytest.raises(KinesisError, match="no longer there"):
        rows(new_reader(), start, end)


def test_a_stream_made_anew_under_an_old_checkpoint_is_refused(server: KinesisServer) -> None:
    server.put("s", *numbers(10))
    found = new_reader()
    place, _ = step(found)
    del server.streams["s"]
    server.create("s")
    server.put("s", *numbers(3, 100))  # lower numbers than the place would be skipped without a word
    for each in (found, new_reader()):
        with pytest.raises(
            KinesisError, match=r"'s' was deleted and made anew.*shardId-000000000000.*new checkpoint"
        ):
            step(each, place)
    fresh = new_reader()
    assert step(fresh)[1] == numbers(3, 100)


def test_a_new_stream_with_more_shards_than_the_checkpoint_knows_is_refused(server: KinesisServer) -> None:
    found = new_reader()
    place, batch = step(found)
    assert batch == [] and set(place["s"].values()) == {"TRIM_HORIZON"}
    server.create("s", 2)
    server.put("s", b"unseen", shard=1)
    with pytest.raises(KinesisError, match=r"made anew.*shardId-000000000001"):
        step(new_reader(), place)


def test_trigger_once_and_the_checkpoint_of_another_stream_are_refused(server: KinesisServer) -> None:
    found = new_reader()
    place = found.initialOffset()
    with pytest.raises(KinesisError, match="availableNow"):
        found.latestOffset(place, ReadAllAvailable())
    server.create("t")
    with pytest.raises(KinesisError, match="belongs to s: t needs"):
        step(new_reader(streamName="t"), place)


def test_a_quiet_shard_is_asked_once_a_second_a_busy_one_four_times(
    unhurried: KinesisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(shards.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(shards.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    found = new_reader(maxRecordsPerFetch="10")
    place = found.initialOffset()
    times: list[float] = []
    unhurried.after_page = lambda: times.append(now[0])
    for _ in range(3):
        place, _ = step(found, place)
    unhurried.put("s", *numbers(35))
    step(found, place)
    gaps = [round(after - before, 2) for before, after in pairwise(times)]
    assert gaps == [1.0, 1.0, 1.0, 0.25, 0.25, 0.25]


def test_nothing_of_the_project_imports_it() -> None:
    # The cells and helpers run on Databricks too, where it must not be.
    files = [*(ROOT / "helpers").rglob("*.py"), *(ROOT / "notebooks").rglob("*.ipynb")]
    assert len(files) > 20
    assert not [
        file for file in files if re.search(r"import\s+pyspark_local|from\s+pyspark_local", file.read_text())
    ]
