"""The S3 sink on the real Connect, with the settings that a reader gives to Confluent's."""

import json
import subprocess
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from helpers import lookup, records
from local_cloud import client_machine
from local_cloud.parts import aws, kafka
from local_cloud.state import write_private
from tests import jvm_servers
from tests.sink_tools import BUCKET, CONFLUENT, SETTINGS, Sink, wait_for


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sink, jvm_servers.Server]]:
    state = jvm_servers.new_state(tmp_path_factory.mktemp("sink"))
    with (
        jvm_servers.s3_emulator(state) as emulator,
        jvm_servers.kafka_broker(state),
        jvm_servers.connect_worker(state),
    ):
        sink = Sink(state)
        sink.prepare()
        yield sink, emulator


@pytest.fixture(scope="module")
def sink(servers) -> Sink:
    return servers[0]


@pytest.fixture(autouse=True)
def only_own_connectors(sink) -> Iterator[None]:
    yield
    for name in sink.rest("GET", "/connectors").json():
        sink.delete(name)


def problems(sink: Sink, **settings: str) -> dict[str, list[str]]:
    changed = {
        "name": "x",
        "topics": "t.x",
        **SETTINGS,
        **{k.replace("__", "."): v for k, v in settings.items()},
    }
    answer = sink.rest("PUT", "/connector-plugins/S3SinkConnector/config/validate", changed)
    assert answer.status_code == 200, answer.text
    values = [config["value"] for config in answer.json()["configs"]]
    return {value["name"]: value["errors"] for value in values if value["errors"]}


def test_rest_interface_asks_for_the_password(sink):
    import requests

    url = f"http://127.0.0.1:{sink.state.port('connect')}"
    for path in ("/", "/connectors", "/connector-plugins"):
        assert requests.get(url + path, timeout=5).status_code == 401
        assert requests.get(url + path, auth=("control", "guess"), timeout=5).status_code == 401
    assert requests.post(f"{url}/connectors/x/tasks", json=[], timeout=5).status_code in (400, 401, 403)


def test_the_readers_settings_are_valid(sink):
    assert problems(sink, rotate__schedule__interval__ms="60000", timezone="UTC") == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format.class", f"{CONFLUENT}s3.format.avro.AvroFormat"),
        ("partitioner.class", f"{CONFLUENT}storage.partitioner.TimeBasedPartitioner"),
        ("storage.class", "io.confluent.connect.hdfs.storage.HdfsStorage"),
        ("schema.compatibility", "BACKWARD"),
        ("flush.size", "many"),
        ("s3.part.size", "1000"),
        ("s3.compression.type", "gzip"),
        ("s3.acl.canned", "public-read"),
        ("rotate.interval.ms", "1000"),
        ("timezone", "Mars/Olympus"),
        ("store.url", "http://127.0.0.1:1"),
        ("s3.unheard.of", "1"),
        ("rotate.sometimes", "1"),
        ("path.format", "YYYY"),
        ("behavior.on.null.values", "write"),
        ("report.null.values.to.dlq", "perhaps"),
    ],
)
def test_a_setting_it_cannot_honour_is_refused_by_name(sink, name, value):
    assert list(problems(sink, **{name: value})) == [name]


def test_a_flush_size_that_is_no_number_gets_kafkas_own_refusal(sink):
    said = problems(sink, flush__size="many")["flush.size"]
    assert said == ["Invalid value many for configuration flush.size: Not a number of type INT"]


def test_a_flush_size_below_one_is_one_as_in_confluents_sink(sink):
    sink.create_topic("t.single")
    sink.numbers("t.single", 0, 3)
    assert sink.connector("single", topics="t.single", flush__size="0").status_code == 201
    wait_for(lambda: sink.count("t.single") == 3, what="the records")
    assert [len(lines) for lines in sink.objects("t.single").values()] == [1, 1, 1]


def test_clock_rotation_needs_a_timezone(sink):
    assert list(problems(sink, rotate__schedule__interval__ms="1000")) == ["timezone"]
    assert sink.connector("bad", topics="t.x", rotate__schedule__interval__ms="1000").status_code == 400


def test_names_and_content_of_objects(sink):
    topics = ["t.pin", "t.geo", "t.user"]
    sink.create_topic(*topics)
    for topic in topics:
        sink.numbers(topic, 0, 12)
    settings = {
        "topics.regex": "t[.](pin|geo|user)",
        "transforms": "pos",
        "transforms.pos.type": "org.apache.kafka.connect.transforms.InsertField$Value",
        "transforms.pos.offset.field": "_offset",
    }
    assert sink.connector("names", **settings).status_code == 201
    for topic in topics:
        wait_for(lambda topic=topic: sink.count(topic) == 10, what=f"two full objects of {topic}")
        found = sink.objects(topic)
        assert list(found) == [f"{topic}+0+0000000000.json", f"{topic}+0+0000000005.json"]
        rows = [json.loads(line) for lines in found.values() for line in lines]
        assert rows == [{"n": n, "_offset": n} for n in range(10)]
    consumers = sink.rest("GET", "/connectors/names/status").json()["tasks"]
    assert [task["state"] for task in consumers] == ["RUNNING"] * 3


def test_topics_spread_over_tasks(sink):
    sink.create_topic("t.s1", "t.s2", "t.s3")
    sink.connector("spread", topics="t.s1,t.s2,t.s3")

    def busy() -> bool:
        group = (
            kafka.admin(sink.state).describe_consumer_groups(["connect-spread"])["connect-spread"].result()
        )
        sizes = [len(member.assignment.topic_partitions) for member in group.members]
        return sizes == [1, 1, 1]

    wait_for(busy, what="one partition for each of three tasks")


def test_clock_rotation_writes_what_there_is(sink):
    sink.create_topic("t.clock")
    sink.connector(
        "clock", topics="t.clock", flush__size="1000", rotate__schedule__interval__ms="2000", timezone="UTC"
    )
    sink.wait_running("clock")
    for n in range(4):
        sink.numbers("t.clock", n, n + 1)
        wait_for(lambda n=n: sink.count("t.clock") == n + 1, 15, "the next clock rotation")
    assert sink.landed("t.clock") == list(range(4))
    written = sink.s3.list_objects_v2(Bucket=BUCKET, Prefix="topics/t.clock/")["Contents"]
    late = [entry["LastModified"].timestamp() % 2 for entry in written]
    assert sorted(late)[2] < 1, f"seconds after the last even second: {late}"


def dead_letters_of(topic: str) -> dict[str, str]:
    """Settings by which a connector keeps what it cannot read in a topic of its own."""
    return {
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": f"{topic}.dead-letter",
        "errors.deadletterqueue.topic.replication.factor": "1",
        "errors.deadletterqueue.context.headers.enable": "true",
    }


def test_a_record_that_is_not_json_goes_to_the_dead_letter_topic(sink):
    sink.create_topic("t.bad", "t.bad.dead-letter")
    good = [json.dumps({"n": n}).encode() for n in range(6)]
    sink.produce("t.bad", [*good[:2], b"not JSON", *good[2:]])
    sink.connector("bad", topics="t.bad", flush__size="3", **dead_letters_of("t.bad"))
    wait_for(lambda: sink.count("t.bad") == 6, what="the good records")
    assert sink.landed("t.bad") == list(range(6))
    assert list(sink.objects("t.bad")) == ["t.bad+0+0000000000.json", "t.bad+0+0000000004.json"]
    assert end_offset(sink, "t.bad.dead-letter") == 1


def end_offset(sink: Sink, topic: str) -> int:
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import OffsetSpec

    partition = TopicPartition(topic, 0)
    asked = kafka.admin(sink.state).list_offsets({partition: OffsetSpec.latest()})
    return asked[partition].result().offset


def test_without_tolerance_a_record_that_is_not_json_stops_the_task(sink):
    sink.create_topic("t.strict")
    sink.produce("t.strict", [b"not JSON"])
    sink.connector("strict", topics="t.strict", tasks__max="1")
    wait_for(lambda: sink.task_states("strict") == ["FAILED"], what="the task gives up")
    assert sink.count("t.strict") == 0


def test_a_record_without_value(sink):
    sink.create_topic("t.null")
    sink.produce("t.null", [b'{"n": 0}', None, b'{"n": 2}', b'{"n": 3}'])
    sink.connector("null", topics="t.null", tasks__max="1", flush__size="3")
    wait_for(lambda: sink.task_states("null") == ["FAILED"], what="'fail' is the default")
    ignore = {"behavior.on.null.values": "IGNORE"}  # Confluent's sink reads it whatever the case
    sink.connector("null", topics="t.null", tasks__max="1", flush__size="3", **ignore)
    sink.rest("POST", "/connectors/null/restart?includeTasks=true")
    wait_for(lambda: sink.count("t.null") == 3, what="the others land")
    assert sink.landed("t.null") == [0, 2, 3]


@pytest.mark.parametrize(("reported", "dead_letters"), [("true", 2), ("false", 0)])
def test_ignored_records_leave_holes_and_dead_letters(sink, reported, dead_letters):
    """Names, resuming and the committed offset keep to the topic's offsets."""
    topic = f"t.holes-{reported}"
    sink.create_topic(topic, f"{topic}.dead-letter")
    documents = [json.dumps({"n": n}).encode() for n in range(12)]
    sink.produce(topic, [None, *documents[1:5], None, *documents[6:]])
    settings = {
        "topics": topic,
        "behavior.on.null.values": "ignore",
        "report.null.values.to.dlq": reported,
        **dead_letters_of(topic),
    }
    sink.connector(f"holes1-{reported}", flush__size="5", **settings)
    wait_for(lambda: sink.count(topic) == 10, what="two objects")
    names = [f"{topic}+0+0000000001.json", f"{topic}+0+0000000007.json"]
    assert list(sink.objects(topic)) == names
    sink.delete(f"holes1-{reported}")
    assert end_offset(sink, f"{topic}.dead-letter") == dead_letters

    sink.produce(topic, [None, b'{"n": 13}', None])
    sink.connector(f"holes2-{reported}", flush__size="1", **settings)
    wait_for(lambda: sink.count(topic) == 11, what="the new record")
    assert sink.landed(topic) == [1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 13]
    assert list(sink.objects(topic)) == [*names, f"{topic}+0+0000000013.json"]


@pytest.fixture
def counting(sink, monkeypatch):
    """`helpers.records` on this broker and this S3; the client machine's commands run here."""
    client_machine.make(sink.state)
    properties = {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": kafka.SCRAM,
        "sasl.jaas.config": kafka.scram_login(sink.state.secret("kafka_admin")),
    }
    home = client_machine.home(sink.state)
    write_private(home / "client.properties", kafka.as_properties(properties))

    def run(command: str) -> str:
        return subprocess.run(
            ["sh", "-c", command], cwd=home, check=True, capture_output=True, text=True
        ).stdout

    monkeypatch.setattr(records.client, "run", run)
    monkeypatch.setattr(lookup, "cluster", lambda: ("", f"127.0.0.1:{sink.state.port('kafka_internal')}"))
    boto3 = SimpleNamespace(client=lambda service: aws.client(sink.state, service))
    monkeypatch.setattr(records, "boto3", boto3)
    names = SimpleNamespace(dead_letter_topic="t.count.dead-letter")
    monkeypatch.setattr(records.config, "use_target", lambda: SimpleNamespace(names=names))


def test_every_record_is_counted_in_s3_or_among_the_dead_letters(sink, counting):
    sink.create_topic("t.count.pin", "t.count.geo", "t.count.dead-letter")
    twice = json.dumps(json.dumps({"n": 1})).encode()  # encoded twice: a text, not an object
    sink.produce("t.count.pin", [b'{"n": 0}', twice, None, b"null", b"not JSON", b'{"n": 5}'])
    sink.produce("t.count.geo", [b'{"n": 0}', None])
    late = r"dead-letter topic t\.count\.dead-letter: .*'t\.count\.geo': {'in topic': 2, .*'missing': 2}"
    with pytest.raises(TimeoutError, match=late):
        records.wait_landed(BUCKET, ["t.count.pin", "t.count.geo"], seconds=1)
    transform = {
        "transforms": "pos",
        "transforms.pos.type": "org.apache.kafka.connect.transforms.InsertField$Value",
        "transforms.pos.offset.field": "_offset",
    }
    settings = {
        "topics": "t.count.pin,t.count.geo",
        "flush.size": "1",
        "behavior.on.null.values": "ignore",
        **transform,
        **dead_letters_of("t.count"),
    }
    sink.connector("count", **settings)
    found = records.wait_landed(BUCKET, ["t.count.pin", "t.count.geo"], seconds=60)
    assert found == {
        "t.count.pin": {"in topic": 6, "in S3": 2, "unreadable": 2, "without a value": 2, "missing": 0},
        "t.count.geo": {"in topic": 2, "in S3": 1, "unreadable": 0, "without a value": 1, "missing": 0},
    }
    sink.delete("count")
    for topic in ("t.count.pin", "t.count.geo"):  # another group reads it all again: nothing counts twice
        for key in sink.objects(topic):
            sink.s3.delete_object(Bucket=BUCKET, Key=f"topics/{topic}/partition=0/{key}")
    sink.connector("count-again", **settings)
    wait_for(lambda: end_offset(sink, "t.count.dead-letter") == 10, what="the dead letters once more")
    assert records.wait_landed(BUCKET, ["t.count.pin", "t.count.geo"], seconds=60) == found


def test_a_missing_bucket_is_named(sink):
    sink.create_topic("t.nowhere")
    sink.connector("nowhere", topics="t.nowhere", tasks__max="1", s3__bucket__name="not-there")
    wait_for(lambda: sink.task_states("nowhere") == ["FAILED"], what="the task gives up")
    status = sink.rest("GET", "/connectors/nowhere/status").json()
    assert "Non-existent S3 bucket: not-there" in status["tasks"][0]["trace"]


def test_s3_away_loses_and_doubles_nothing(servers):
    sink, emulator = servers
    sink.create_topic("t.away")
    sink.connector(
        "away",
        topics="t.away",
        flush__size="50",
        rotate__schedule__interval__ms="1000",
        timezone="UTC",
    )
    sink.wait_running("away")
    sink.numbers("t.away", 0, 500)
    wait_for(lambda: sink.count("t.away") >= 100, what="some objects")
    emulator.stop()
    sink.numbers("t.away", 500, 2000)
    time.sleep(4)
    assert sink.task_states("away") == ["RUNNING"] * 3
    emulator.start()
    wait_for(lambda: sink.count("t.away") >= 2000, 60, "all records after the return of S3")
    assert sink.landed("t.away") == list(range(2000))


def test_a_new_group_resumes_from_what_s3_holds(sink):
    """The committed offset is unknown to a connector of another name; the objects are not."""
    sink.create_topic("t.resume")
    sink.numbers("t.resume", 0, 20)
    sink.connector("first", topics="t.resume", flush__size="10")
    wait_for(lambda: sink.count("t.resume") == 20, what="two objects")
    sink.delete("first")
    sink.numbers("t.resume", 20, 32)
    sink.connector("second", topics="t.resume", flush__size="4")
    wait_for(lambda: sink.count("t.resume") == 32, what="the rest")
    assert sink.landed("t.resume") == list(range(32))
    sizes = [len(lines) for lines in sink.objects("t.resume").values()]
    assert sizes == [10, 10, 4, 4, 4]


def test_an_object_deleted_in_between_is_written_again(sink):
    sink.create_topic("t.hole")
    sink.numbers("t.hole", 0, 30)
    sink.connector("whole", topics="t.hole", flush__size="10")
    wait_for(lambda: sink.count("t.hole") == 30, what="three objects")
    sink.delete("whole")
    sink.s3.delete_object(Bucket=BUCKET, Key="topics/t.hole/partition=0/t.hole+0+0000000010.json")
    sink.numbers("t.hole", 30, 40)
    sink.connector("hole", topics="t.hole", flush__size="7")
    wait_for(lambda: sink.count("t.hole") >= 37, what="the hole and the rest")
    assert sink.landed("t.hole") == list(range(37))


def test_objects_of_an_earlier_topic_of_the_name_are_not_taken_for_this_ones(sink):
    sink.create_topic("t.again")
    sink.numbers("t.again", 0, 10)
    sink.connector("again", topics="t.again", tasks__max="1")
    wait_for(lambda: sink.count("t.again") == 10, what="two objects")
    sink.delete("again")
    kafka.admin(sink.state).delete_topics(["t.again"])["t.again"].result()
    wait_for(lambda: "t.again" not in kafka.admin(sink.state).list_topics(timeout=5).topics)
    sink.create_topic("t.again")
    sink.numbers("t.again", 0, 5)
    sink.connector("again2", topics="t.again", tasks__max="1")
    wait_for(lambda: sink.task_states("again2") == ["FAILED"], what="the task gives up")
    trace = sink.rest("GET", "/connectors/again2/status").json()["tasks"][0]["trace"]
    assert "earlier topic of that name" in trace


def test_two_writers_of_one_partition_write_each_offset_once(sink):
    """As when a task that has lost its partition without knowing it goes on beside its successor."""
    sink.create_topic("t.race")
    shared = {"topics": "t.race", "rotate__schedule__interval__ms": "700", "timezone": "UTC"}
    for name, size in (("one", "7"), ("two", "11")):
        sink.connector(name, flush__size=size, **shared)
        sink.wait_running(name)
    for start in range(0, 1000, 50):
        sink.numbers("t.race", start, start + 50)
        time.sleep(0.1)
    wait_for(lambda: sink.count("t.race") >= 1000, what="all records")
    time.sleep(2)
    assert sink.landed("t.race") == list(range(1000))
    assert sink.task_states("one") == sink.task_states("two") == ["RUNNING"] * 3
