"""The REST proxy stand-in against Confluent's API v2, on a real broker that checks IAM tokens and rights."""

import asyncio
import http.client
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from local_cloud.identity import write_identities
from local_cloud.parts import kafka, rest_proxy
from local_cloud.stand_ins.rest_proxy.endpoints import Endpoints
from local_cloud.stand_ins.rest_proxy.kafka import client_settings, exact_json, properties, waits
from local_cloud.state import State, write_private
from tests.jvm_servers import Server, kafka_broker, new_state, running

ROLE = "client-role"
JSON_V2 = "application/vnd.kafka.json.v2+json"
PROPERTIES = """# as in the lesson
bootstrap.servers=SASL_PLAINTEXT://127.0.0.1:{port}
listeners=http://0.0.0.0:8082
client.security.protocol=SASL_PLAINTEXT
client.sasl.mechanism=AWS_MSK_IAM
client.sasl.jaas.config=software.amazon.msk.auth.iam.IAMLoginModule required;
client.sasl.client.callback.handler.class=software.amazon.msk.auth.iam.IAMClientCallbackHandler
"""


def configure(state: State, profile: str = ROLE, port: int = 0, more: str = "") -> None:
    """What the lesson and `systemctl start` leave on the client machine; `port` is another broker's."""
    machine = state.path("client_machine")
    text = PROPERTIES.format(port=port or state.port("kafka")) + more
    write_private(machine / "kafka-rest.properties", text)
    environment = {
        "AWS_PROFILE": profile,
        "AWS_SHARED_CREDENTIALS_FILE": str(state.path("iam", "credentials")),
        "AWS_REGION": "us-east-1",
    }
    write_private(machine / "kafka-rest.env", "".join(f"{k}={v}\n" for k, v in environment.items()))


class Machine:
    """A broker with topics and rights, and the proxy before it."""

    def __init__(self, state: State, broker: Server, proxy: Server) -> None:
        self.state, self.broker, self.proxy = state, broker, proxy

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, float]:
        """Status, JSON body and seconds of one call."""
        connection = http.client.HTTPConnection("127.0.0.1", self.state.port("rest_proxy"), timeout=30)
        started = time.monotonic()
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read()), time.monotonic() - started
        finally:
            connection.close()

    def produce(self, topic: str, records: object, kind: str = JSON_V2) -> tuple[int, Any, float]:
        body = records if isinstance(records, bytes) else json.dumps({"records": records}).encode()
        return self.request("POST", f"/topics/{topic}", body, {"Content-Type": kind})

    def add_topic(self, name: str, partitions: int = 1) -> None:
        made = kafka.admin(self.state)
        for future in made.create_topics([NewTopic(name, partitions, 1)]).values():
            future.result(10)
        until = time.monotonic() + 5
        while name not in made.list_topics(timeout=5).topics and time.monotonic() < until:
            time.sleep(0.05)

    def allow(self, name: str, *operations: AclOperation) -> None:
        admin = kafka.admin(self.state)
        bindings = [
            AclBinding(
                ResourceType.TOPIC,
                name,
                ResourcePatternType.PREFIXED,
                f"User:{ROLE}",
                "*",
                operation,
                AclPermissionType.ALLOW,
            )
            for operation in operations
        ]
        for future in admin.create_acls(bindings).values():
            future.result(10)

    def read(self, topic: str, partition: int, first: int, count: int) -> list[tuple[bytes, bytes]]:
        """Key and value bytes as the broker has them."""
        consumer = Consumer({**kafka.login(self.state), "group.id": "test"})
        consumer.assign([TopicPartition(topic, partition, first)])
        try:
            found = consumer.consume(count, timeout=10)
        finally:
            consumer.close()
        assert len(found) == count
        return [(message.key(), message.value()) for message in found]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    state = new_state(tmp_path_factory.mktemp("rest"))
    write_identities(state, [ROLE])
    with kafka_broker(state) as broker:
        configure(state)
        with running(rest_proxy.part(state), state) as proxy:
            made = Machine(state, broker, proxy)
            made.add_topic("my.pin")
            made.add_topic("my.two", 2)
            made.add_topic("other.pin")
            made.add_topic("seen.pin")
            made.allow("my.", AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS, AclOperation.WRITE)
            made.allow("seen.", AclOperation.DESCRIBE)
            yield made


def test_records_get_consecutive_offsets_and_keep_their_bytes(machine):
    values = [
        '{"index":7,"title":"naïve 📌","tags":[1,2.5,null,true],"nested":{"b":1,"a":2}}',
        "123456789012345678901234567890",
        '"just text"',
        '{"big":18446744073709551616,"é":-170141183460469231731687303715884105728}',
    ]
    body = '{"records":[' + ",".join(f'{{"key":{n},"value":{v}}}' for n, v in enumerate(values)) + "]}"
    status, answer, _ = machine.produce("my.pin", body.encode())
    first = answer["offsets"][0]["offset"]
    assert status == 200
    assert answer == {
        "offsets": [
            {"partition": 0, "offset": first + n, "error_code": None, "error": None} for n in range(4)
        ],
        "key_schema_id": None,
        "value_schema_id": None,
    }
    expected = [(str(n).encode(), value.encode()) for n, value in enumerate(values)]
    assert machine.read("my.pin", 0, first, 4) == expected


def test_blanks_between_tokens_go_and_the_last_of_equal_names_stays(machine):
    _, answer, _ = machine.produce("my.pin", b'{ "records": [ {"value": { "a" : 1, "b":[ 1 ], "a": 2 } } ] }')
    assert machine.read("my.pin", 0, answer["offsets"][0]["offset"], 1) == [(None, b'{"a":2,"b":[1]}')]


def test_a_key_goes_where_the_java_client_puts_it_and_null_is_a_tombstone(machine):
    # Partitions of the JSON keys 0..5 by murmur2, as Java's partitioner gives them for two partitions.
    status, answer, _ = machine.produce("my.two", [{"key": n, "value": None} for n in range(6)])
    assert status == 200
    assert [entry["partition"] for entry in answer["offsets"]] == [
        murmur2(str(n).encode()) % 2 for n in range(6)
    ]
    entry = answer["offsets"][0]
    assert machine.read("my.two", entry["partition"], entry["offset"], 1) == [(b"0", None)]


def murmur2(data: bytes) -> int:
    """Kafka's hash of a key, its sign bit cleared."""
    length, m = len(data), 0x5BD1E995
    h = 0x9747B28C ^ length
    for i in range(0, length - length % 4, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & 0xFFFFFFFF
        h = (h * m & 0xFFFFFFFF) ^ ((k ^ k >> 24) * m & 0xFFFFFFFF)
    rest = data[length - length % 4 :]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & 0xFFFFFFFF
    h = (h ^ h >> 13) * m & 0xFFFFFFFF
    return (h ^ h >> 15) & 0x7FFFFFFF


def test_an_explicit_partition_is_taken_and_an_unknown_one_refused_for_its_record(machine):
    records = [{"value": 1, "partition": 1}, {"value": 2, "partition": 9}, {"value": 3, "partition": 0}]
    status, answer, _ = machine.produce("my.two", records)
    assert status == 200
    assert [entry["partition"] for entry in answer["offsets"]] == [1, None, 0]
    assert [entry["error_code"] for entry in answer["offsets"]] == [None, 40402, None]
    status, answer, _ = machine.produce("my.two/partitions/1", [{"value": 4}])
    assert (status, answer["offsets"][0]["partition"]) == (200, 1)
    assert machine.produce("my.two/partitions/2", [{"value": 4}])[:2] == (
        404,
        {"error_code": 40402, "message": "Partition not found."},
    )


def test_one_record_too_large_is_told_inside_a_200_and_the_others_are_taken(machine):
    status, answer, _ = machine.produce("my.pin", [{"value": 1}, {"value": "x" * 1_100_000}, {"value": 2}])
    assert status == 200
    assert [entry["error_code"] for entry in answer["offsets"]] == [None, 50002, None]
    assert "too large" in answer["offsets"][1]["error"]
    assert answer["offsets"][2]["offset"] == answer["offsets"][0]["offset"] + 1


def test_a_thousand_records_come_in_order(machine):
    _, answer, _ = machine.produce("my.pin", [{"value": n} for n in range(1000)])
    first = answer["offsets"][0]["offset"]
    assert [entry["offset"] for entry in answer["offsets"]] == list(range(first, first + 1000))
    assert [int(value) for _, value in machine.read("my.pin", 0, first, 1000)] == list(range(1000))


def test_topics_and_their_metadata(machine):
    status, topics, _ = machine.request("GET", "/topics")
    assert status == 200 and {"my.pin", "my.two", "seen.pin"} <= set(topics) and "other.pin" not in topics
    status, topic, _ = machine.request("GET", "/topics/my.two")
    replicas = [{"broker": 1, "leader": True, "in_sync": True}]
    partitions = [{"partition": n, "leader": 1, "replicas": replicas} for n in range(2)]
    assert (status, topic["name"], topic["partitions"]) == (200, "my.two", partitions)
    assert topic["configs"]["cleanup.policy"] == "delete"
    assert machine.request("GET", "/topics/my.two/partitions")[:2] == (200, partitions)
    assert machine.request("GET", "/topics/my.two/partitions/1")[:2] == (200, partitions[1])


@pytest.mark.parametrize("path", ["my.two/partitions/2", "my.two/partitions/x"])
def test_an_unknown_partition_is_40402(machine, path):
    assert machine.request("GET", f"/topics/{path}")[:2] == (
        404,
        {"error_code": 40402, "message": "Partition not found."},
    )


def test_an_unknown_topic_is_40401_until_it_is_made(machine):
    wanted = (404, {"error_code": 40401, "message": "Topic not found."})
    assert machine.request("GET", "/topics/my.new")[:2] == wanted
    assert machine.produce("my.new", [{"value": 1}])[:2] == wanted
    machine.add_topic("my.new")
    assert machine.produce("my.new", [{"value": 1}])[1]["offsets"][0]["offset"] == 0


def test_a_topic_with_a_nul_in_its_name_is_40401(machine):
    wanted = (404, {"error_code": 40401, "message": "Topic not found."})
    assert machine.produce("a%00b", [{"value": 1}])[:2] == wanted
    assert machine.request("GET", "/topics/a%00b")[:2] == wanted


def test_a_deleted_topic_is_40401_again(machine):
    machine.add_topic("my.gone")
    assert machine.produce("my.gone", [{"value": 1}])[0] == 200
    admin = kafka.admin(machine.state)
    for future in admin.delete_topics(["my.gone"]).values():
        future.result(10)
    until = time.monotonic() + 20
    while machine.produce("my.gone", [{"value": 1}])[0] != 404:
        assert time.monotonic() < until


@pytest.mark.parametrize("topic", ["other.pin", "seen.pin", "nobody.knows"])
def test_a_topic_without_the_right_to_write_is_40301(machine, topic):
    status, answer, _ = machine.produce(topic, [{"value": 1}])
    codes = [answer["error_code"]] if "error_code" in answer else [e["error_code"] for e in answer["offsets"]]
    assert (status, codes) == (403, [40301])
    assert machine.produce("my.pin", [{"value": 1}])[0] == 200


def test_configuration_needs_its_own_right(machine):
    assert machine.request("GET", "/topics/seen.pin")[1]["error_code"] == 40301


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "text/plain",
        "application/vnd.kafka.binary.v2+json",
        "application/vnd.kafka.v2+json",
    ],
)
def test_another_content_type_is_415(machine, kind):
    status, answer, _ = machine.produce("my.pin", [{"value": 1}], kind)
    assert (status, answer["error_code"]) == (415, 415) and JSON_V2 in answer["message"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b'{"records":[{"value":NaN}]}', b'{"records":[{"value":"\xff"}]}']
)
def test_malformed_json_is_400(machine, body):
    status, answer, _ = machine.produce("my.pin", body)
    assert (status, answer["error_code"]) == (400, 400)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{}", "records"),
        (b'{"records":[]}', "records"),
        (b'{"records":{}}', "records"),
        (b"[]", "object"),
        (b'{"records":[1]}', "object"),
        (b'{"records":[{"valu":1}]}', "valu"),
        (b'{"records":[{"value":1}],"more":1}', "more"),
        (b'{"records":[{"value":1,"partition":"0"}]}', "partition"),
        (b'{"records":[{"value":1,"partition":-1}]}', "partition"),
    ],
)
def test_another_shape_is_422(machine, body, message):
    status, answer, _ = machine.produce("my.pin", body)
    assert (status, answer["error_code"]) == (422, 422) and message in answer["message"]


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [("POST", "/consumers/group", 404), ("GET", "/v3/clusters", 404), ("DELETE", "/topics/my.pin", 405)],
)
def test_what_it_does_not_do_is_refused_and_told(machine, method, path, code):
    status, answer, _ = machine.request(
        method, path, b"{}", {"Content-Type": "application/vnd.kafka.v2+json"}
    )
    assert (status, answer["error_code"]) == (code, code) and "GET /topics" in answer["message"]


LESSON = {
    "api.v3.enable": "false",
    "api.endpoints.allowlist": "api.v2.topics.list,api.v2.topics.get,api.v2.produce-to-topic.json",
}


def test_with_the_lessons_lists_nothing_but_listing_and_posting_is_left(machine):
    machine.proxy.stop()
    configure(machine.state, more="".join(f"{name}={value}\n" for name, value in LESSON.items()))
    try:
        machine.proxy.start()
        assert machine.request("GET", "/topics")[0] == 200
        assert machine.request("GET", "/topics/my.pin")[0] == 200
        assert machine.produce("my.pin", [{"value": 1}])[0] == 200
        v2 = {"Content-Type": "application/vnd.kafka.v2+json"}
        for method, path, status in REFUSED_BY_THE_LISTS:
            got, answer, _ = machine.request(method, path, b"{}" if method != "GET" else None, v2)
            assert (got, answer["error_code"]) == (status, status), (method, path)
        assert machine.produce("my.two/partitions/1", [{"value": 1}])[0] == 405
        assert machine.produce("my.pin", [{"value": 1}], "text/plain")[0] == 415
    finally:
        machine.proxy.stop()
        configure(machine.state)
        machine.proxy.start()
    assert machine.produce("my.two/partitions/1", [{"value": 1}])[0] == 200


# As Confluent's own tests have it: what is off is 404 for GET and 405 for the rest, an API that is off 404.
REFUSED_BY_THE_LISTS = [
    ("GET", "/", 404),
    ("GET", "/brokers", 404),
    ("GET", "/topics/my.pin/partitions", 404),
    ("POST", "/consumers/group", 405),
    ("GET", "/consumers/group/instances/one/records", 404),
    ("POST", "/consumers/group/instances/one/subscription", 405),
    ("GET", "/v3/clusters", 404),
    ("DELETE", "/v3/clusters/id/topics/my.pin", 404),
    ("DELETE", "/topics/my.pin", 405),
]


def asked(given: dict[str, str], method: str, path: str, content_type: str = JSON_V2) -> int | None:
    return Endpoints.of(given).refuse(method, path, content_type)


def test_lists_name_endpoints_and_kinds_as_confluents_do():
    allow, block = "api.endpoints.allowlist", "api.endpoints.blocklist"
    assert asked({}, "POST", "/consumers/g") is None
    assert asked({allow: "api.v2.topics.*"}, "GET", "/topics/a") is None
    assert asked({allow: "api.v2.topics.*"}, "GET", "/topics/a/partitions") == 404
    assert asked({allow: "api.v2.topics.list"}, "GET", "/topics/") is None
    assert asked({allow: "api.v2.topics.list, api.v2.topics.get"}, "GET", "/topics/a") is None
    assert asked({block: "api.v2.consumers.*"}, "POST", "/consumers/g/instances/i/offsets") == 405
    assert asked({block: "api.v2.consumers.*"}, "GET", "/topics") is None
    assert asked({allow: "api.v2.topics.*", block: "api.v2.topics.get"}, "GET", "/topics/a") == 404
    assert asked({allow: "api.v2.topics.*"}, "DELETE", "/v3/clusters/c/topics/a") == 405


def test_the_format_of_the_records_is_part_of_an_endpoints_name():
    only_json = {"api.endpoints.allowlist": "api.v2.produce-to-topic.json"}
    assert asked(only_json, "POST", "/topics/a") is None
    assert asked(only_json, "POST", "/topics/a", "application/vnd.kafka.binary.v2+json") == 405
    schema = {"api.endpoints.allowlist": "api.v2.produce-to-topic.json-schema"}
    assert asked(schema, "POST", "/topics/a", "application/vnd.kafka.jsonschema.v2+json") is None


@pytest.mark.parametrize(("name", "path"), [("api.v2.enable", "/topics"), ("api.v3.enable", "/v3/clusters")])
def test_a_version_of_the_api_can_be_switched_off(name, path):
    assert asked({name: "false"}, "GET", path) == 404 == asked({name: "False"}, "POST", path)
    assert asked({name: "true"}, "GET", path) is None
    with pytest.raises(ValueError, match=rf"{name} is true or false, not 'no'"):
        Endpoints.of({name: "no"})


def test_a_pause_before_reconnecting_is_passed_on(monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", ROLE)
    given = properties(PROPERTIES.format(port=1))
    assert client_settings(given)["reconnect.backoff.ms"] == 50
    slower = client_settings({**given, "client.reconnect.backoff.ms": "2000"})
    assert (slower["reconnect.backoff.ms"], slower["reconnect.backoff.max.ms"]) == (2000, 2000)
    with pytest.raises(ValueError, match=r"reconnect\.backoff\.ms"):
        client_settings({**given, "client.reconnect.backoff.ms": "a second"})


def test_a_foreign_host_is_refused(machine):
    assert machine.request("GET", "/topics", headers={"Host": "evil.example"})[0] == 403


def test_a_broker_that_is_away_is_told_in_seconds_and_found_again(machine):
    assert machine.produce("my.pin", [{"value": 1}])[0] == 200
    machine.broker.kill()
    try:
        status, answer, seconds = machine.produce("my.pin", [{"value": 1}, {"value": 2}])
        assert status == 200 and [entry["error_code"] for entry in answer["offsets"]] == [50003, 50003]
        assert seconds < 9
        status, answer, seconds = machine.request("GET", "/topics")
        assert (status, answer["error_code"]) == (500, 50003) and seconds < 9
    finally:
        machine.broker.start()
    until = time.monotonic() + 30
    while machine.produce("my.pin", [{"value": 1}])[1]["offsets"][0]["error_code"] is not None:
        assert time.monotonic() < until
    log = machine.state.log("rest_proxy").read_text()
    assert log.count("refused") < 10, "the same trouble is logged again and again"


def test_a_broker_never_reached_is_told_in_each_records_place_after_the_readers_own_wait(machine):
    machine.proxy.stop()
    configure(machine.state, port=1, more="producer.max.block.ms=1500\n")
    try:
        machine.proxy.start(wait=False)
        status, answer, seconds = _soon(lambda: machine.produce("my.pin", [{"value": 1}, {"value": 2}]))
        assert (status, [entry["error_code"] for entry in answer["offsets"]]) == (200, [50003, 50003])
        assert answer["offsets"][0]["error"] == "Topic my.pin not present in metadata after 1500 ms."
        assert 1.4 < seconds < 4
        assert machine.request("GET", "/topics")[1]["error_code"] == 50003
    finally:
        machine.proxy.stop()
        configure(machine.state)
        machine.proxy.start()
    assert machine.produce("my.pin", [{"value": 1}])[1]["offsets"][0]["error_code"] is None


def _soon(call: Callable[[], Any]) -> Any:
    """What `call` returns once the server it asks is there."""
    until = time.monotonic() + 20
    while True:
        try:
            return call()
        except ConnectionError:
            assert time.monotonic() < until
            time.sleep(0.2)


def test_a_wrong_secret_is_40101(machine):
    credentials = machine.state.path("iam", "credentials")
    key_line = next(
        line for line in credentials.read_text().splitlines() if line.startswith("aws_access_key_id")
    )
    write_private(
        credentials, f"{credentials.read_text()}[wrong]\n{key_line}\naws_secret_access_key = wrong\n"
    )
    machine.proxy.stop()
    configure(machine.state, "wrong")
    try:
        machine.proxy.start(wait=False)
        until = time.monotonic() + 20
        while True:
            status, answer, _ = _soon(lambda: machine.produce("my.pin", [{"value": 1}]))
            if status == 401:
                break
            assert time.monotonic() < until
        assert answer["error_code"] == 40101
        assert machine.request("GET", "/topics")[0] == 401
    finally:
        machine.proxy.stop()
        configure(machine.state)
        machine.proxy.start()


def test_a_role_that_gets_its_rights_later_is_served_without_a_restart(machine):
    write_identities(machine.state, [ROLE, "late-role"])
    machine.proxy.stop()
    configure(machine.state, "late-role")
    try:
        machine.proxy.start()
        assert machine.produce("my.pin", [{"value": 1}])[0] == 403
        admin = kafka.admin(machine.state)
        for operation in (AclOperation.WRITE, AclOperation.DESCRIBE):
            late = AclBinding(
                ResourceType.TOPIC,
                "my.pin",
                ResourcePatternType.LITERAL,
                "User:late-role",
                "*",
                operation,
                AclPermissionType.ALLOW,
            )
            for future in admin.create_acls([late]).values():
                future.result(10)
        until = time.monotonic() + 15
        while machine.produce("my.pin", [{"value": 1}])[0] != 200:
            assert time.monotonic() < until
            time.sleep(0.2)
    finally:
        machine.proxy.stop()
        configure(machine.state)
        machine.proxy.start()


async def _many(url: str, count: int) -> list[int]:
    async with aiohttp.ClientSession() as session:

        async def one(n: int) -> int:
            body = json.dumps({"records": [{"key": n, "value": n}]})
            async with session.post(url, data=body, headers={"Content-Type": JSON_V2}) as answer:
                offset: int = (await answer.json(content_type=None))["offsets"][0]["offset"]
                return offset

        return list(await asyncio.gather(*(one(n) for n in range(count))))


def test_requests_at_once_each_get_their_own_offsets(machine):
    offsets = asyncio.run(_many(f"http://127.0.0.1:{machine.state.port('rest_proxy')}/topics/my.pin", 200))
    assert sorted(offsets) == list(range(min(offsets), min(offsets) + 200))
    values = machine.read("my.pin", 0, min(offsets), 200)
    assert [int(values[offset - min(offsets)][1]) for offset in offsets] == list(range(200))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("bootstrap.servers", "bootstrap.servers is missing"),
        ("client.security.protocol", "PLAINTEXT"),
        ("client.sasl.mechanism", "AWS_MSK_IAM"),
        ("client.sasl.jaas.config", "IAMLoginModule"),
        ("client.sasl.client.callback.handler.class", "IAMClientCallbackHandler"),
    ],
)
def test_a_file_without_iam_is_refused_with_the_line_it_lacks(monkeypatch, line, message):
    monkeypatch.setenv("AWS_PROFILE", ROLE)
    given = properties(PROPERTIES.format(port=1))
    assert client_settings(given)["bootstrap.servers"] == "127.0.0.1:1"
    del given[line]
    with pytest.raises(ValueError, match=message):
        client_settings(given)


def test_without_a_role_the_proxy_says_so(monkeypatch):
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with pytest.raises(ValueError, match="AWS_PROFILE"):
        client_settings(properties(PROPERTIES.format(port=1)))


BLOCK, REQUEST, DELIVERY = (
    f"producer.{name}.ms" for name in ("max.block", "request.timeout", "delivery.timeout")
)


def test_waits_are_the_readers_or_short():
    assert waits({}) == (4000, 5000)
    assert waits({BLOCK: "2500", DELIVERY: "9000"}) == (2500, 9000)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({BLOCK: "soon"}, r"max\.block\.ms.*soon"),
        ({DELIVERY: ""}, r"delivery\.timeout\.ms"),
        ({REQUEST: "-1"}, r"request\.timeout\.ms"),
        ({DELIVERY: "3999"}, "at least"),
    ],
)
def test_waits_that_kafkas_producer_would_refuse(given, message):
    with pytest.raises(ValueError, match=message):
        waits(given)


def test_unused_settings_are_named(monkeypatch, caplog):
    monkeypatch.setenv("AWS_PROFILE", ROLE)
    client_settings(properties(PROPERTIES.format(port=1) + "schema.registry.url = http://x\n"))
    assert "listeners, schema.registry.url" in caplog.text


def test_a_properties_file_is_read_as_java_does():
    text = "# c\n! c\na=1=2\nb : two\nc three \\\n   four\nd\n\n"
    assert properties(text) == {"a": "1=2", "b": "two", "c": "three four", "d": ""}


@pytest.mark.parametrize("body", [b'{"a":"\\ud800","n":99999999999999999999}', b"[NaN,99999999999999999999]"])
def test_the_exact_way_refuses_what_the_fast_one_does(body):
    with pytest.raises(ValueError):
        exact_json(body)
