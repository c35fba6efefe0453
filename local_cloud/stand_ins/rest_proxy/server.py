"""Stand-in for Confluent's Kafka REST proxy, API v2: produce JSON with keys, list topics and their metadata.

Any local user may post, as any host of the VPC may on AWS; a web page may not: its Host or type is refused.
A POST to an unknown topic is 404 with 40401 at once, as documented; Confluent's own looks for the topic for
producer.max.block.ms, once for each record, and then says 50003, as both do when no broker can be reached:
here after the time of one record, whatever their number. The lists of `endpoints` switch calls off as there.
"""

import argparse
import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web
from confluent_kafka import KafkaError, KafkaException

from local_cloud.stand_ins.http import host_guard, serve
from local_cloud.stand_ins.rest_proxy.endpoints import Endpoints
from local_cloud.stand_ins.rest_proxy.kafka import Kafka, client_settings, exact_json, properties, waits

V2 = "application/vnd.kafka.v2+json"
JSON_V2 = "application/vnd.kafka.json.v2+json"
LARGEST_REQUEST = 16 * 1024 * 1024
DOES = (
    f"This proxy does GET /topics, GET /topics/TOPIC[/partitions[/N]] and POST /topics/TOPIC with {JSON_V2}."
)
KAFKA = web.AppKey("kafka", Kafka)
ENDPOINTS = web.AppKey("endpoints", Endpoints)
REQUEST_FIELDS = {"records", "key_schema", "key_schema_id", "value_schema", "value_schema_id"}
GONE = {KafkaError._FATAL, KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT}  # see Kafka.fatal for why
RECORD_FIELDS = {"key", "value", "partition"}


class RestError(Exception):
    """An answer in Confluent's error shape; `code` is the HTTP status, or it with two more digits."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message

    def response(self) -> web.Response:
        """HTTP status and body `{"error_code", "message"}`."""
        return answer({"error_code": self.code, "message": self.message}, int(str(self.code)[:3]))


def answer(body: object, status: int = 200) -> web.Response:
    """A JSON answer with the v2 content type."""
    return web.Response(status=status, body=orjson.dumps(body), headers={"Content-Type": V2})


def error_code(error: KafkaError) -> int:
    """Confluent's code for a Kafka error: 40101, 40301, 40401, 40402, 50003 (try again) or 50002."""
    known = {
        KafkaError._AUTHENTICATION: 40101,
        KafkaError.SASL_AUTHENTICATION_FAILED: 40101,
        KafkaError.TOPIC_AUTHORIZATION_FAILED: 40301,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED: 40301,
        KafkaError._UNKNOWN_TOPIC: 40401,
        KafkaError.UNKNOWN_TOPIC_OR_PART: 40401,
        KafkaError.TOPIC_EXCEPTION: 40401,
        KafkaError._UNKNOWN_PARTITION: 40402,
    }
    again = {
        KafkaError._MSG_TIMED_OUT,
        KafkaError._TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._QUEUE_FULL,
    }
    return known.get(error.code()) or (50003 if error.retriable() or error.code() in again else 50002)


def refusal(error: KafkaError, topic: str = "") -> RestError:
    """The answer to a request that failed as a whole."""
    code = error_code(error)
    messages = {
        40301: f"Not authorized to access topics: [{topic}]",
        40401: "Topic not found.",
        40402: "Partition not found.",
        50002: f"Kafka error: {error.str()}",
        50003: f"Retriable Kafka error: {error.str()}",
    }
    return RestError(code, messages.get(code, error.str()))


class Batch:
    """The answers to one request's records; delivery reports come from the polling thread, one a record."""

    __slots__ = ("answers", "delivered", "finished", "kafka", "loop", "queued")

    def __init__(self, kafka: Kafka, records: int) -> None:
        self.kafka = kafka
        self.loop = asyncio.get_running_loop()
        self.finished = self.loop.create_future()
        self.answers: list[dict[str, Any] | None] = [None] * records
        self.delivered, self.queued = 0, -1

    def report(self, index: int, error: KafkaError | None, message: Any) -> None:
        """Called by librdkafka for record `index`; only this thread counts, so no lock is needed."""
        if error is None:
            self.answers[index] = {
                "partition": message.partition(),
                "offset": message.offset(),
                "error_code": None,
                "error": None,
            }
        else:
            self.refuse(index, error)
        self.delivered += 1
        if self.delivered == self.queued:
            self.loop.call_soon_threadsafe(self.finish)

    def refuse(self, index: int, error: KafkaError) -> None:
        """Record that one record was not accepted."""
        if error.code() in GONE and self.kafka.fatal:
            error = self.kafka.fatal
        code = error_code(error)
        self.answers[index] = {"partition": None, "offset": None, "error_code": code, "error": error.str()}

    def finish(self) -> None:
        """Release the waiting request; harmless when called twice."""
        if not self.finished.done():
            self.finished.set_result(None)


async def produce(request: web.Request) -> web.Response:
    """POST /topics/{topic}[/partitions/{partition}]: 200 with one entry a record, in the request's order."""
    if request.content_type != JSON_V2:
        raise RestError(415, f"HTTP 415 Unsupported Media Type: send {JSON_V2}")
    kafka, topic = request.app[KAFKA], request.match_info["topic"]
    records = parse(await request.read())
    try:
        partitions = await kafka.partitions_of(topic)
    except KafkaException as error:
        refused = refusal(error.args[0], topic)
        if refused.code != 50003:
            raise refused from None
        said = f"Topic {topic} not present in metadata after {kafka.block_ms} ms."
        entry = {"partition": None, "offset": None, "error_code": refused.code, "error": said}
        return produced([entry] * len(records))
    default = wanted_partition(request, partitions) if "partition" in request.match_info else -1
    if kafka.fatal:
        await asyncio.to_thread(kafka.renew)
    batch = Batch(kafka, len(records))
    batch.queued = await queue(kafka, topic, records, batch, default)
    if batch.delivered == batch.queued:
        batch.finish()
    await batch.finished
    codes = {entry["error_code"] for entry in batch.answers if entry}
    if codes != {None}:
        kafka.forget(topic)  # it may be gone
    if codes == {40401}:
        raise RestError(40401, "Topic not found.")
    # Confluent answers 401 or 403 when one record was refused for that; other errors stand inside a 200.
    status = 401 if 40101 in codes else 403 if 40301 in codes else 200
    return produced(batch.answers, status)


def produced(entries: Sequence[dict[str, Any] | None], status: int = 200) -> web.Response:
    """The answer to a produce request: one entry a record, in the request's order."""
    return answer({"offsets": entries, "key_schema_id": None, "value_schema_id": None}, status)


def parse(body: bytes) -> list[dict[str, Any]]:
    """The records of a produce request; RestError 400 for malformed JSON, 422 for another shape."""
    try:
        document = exact_json(body)
    except (ValueError, RecursionError) as error:
        raise RestError(400, f"Malformed JSON: {error}") from None
    if not isinstance(document, dict):
        raise RestError(422, "The request must be an object.")
    _only(document, REQUEST_FIELDS)
    records = document.get("records")
    if not isinstance(records, list) or not records:
        raise RestError(422, "records may not be empty")
    for record in records:
        if not isinstance(record, dict):
            raise RestError(422, "records: each must be an object")
        if not RECORD_FIELDS.issuperset(record):
            _only(record, RECORD_FIELDS)
        partition = record.get("partition", 0)
        if partition is not None and (type(partition) is not int or not 0 <= partition < 2**31):
            raise RestError(422, "partition must be an integer from 0 up")
    return records


def _only(given: dict[str, Any], known: set[str]) -> None:
    unknown = [name for name in given if name not in known]
    if unknown:
        raise RestError(422, f"Unrecognized field: {unknown[0]}")


async def queue(kafka: Kafka, topic: str, records: list[dict[str, Any]], batch: Batch, default: int) -> int:
    """Hand the records to the producer; returns how many it took, the others are refused in the batch."""
    queued = 0
    for index, record in enumerate(records):
        value, key, partition = record.get("value"), record.get("key"), record.get("partition")
        while True:
            try:
                kafka.producer.produce(
                    topic,
                    None if value is None else kafka.as_json(value),
                    None if key is None else kafka.as_json(key),
                    default if partition is None else partition,
                    partial(batch.report, index),
                )
                queued += 1
            except BufferError:  # the queue is full: delivery, or its time-out, makes room
                await asyncio.sleep(0.01)
                continue
            except KafkaException as error:
                batch.refuse(index, error.args[0])
            break
    return queued


async def topics(request: web.Request) -> web.Response:
    """GET /topics: the names of the topics that the proxy's role may see."""
    try:
        return answer(sorted(await request.app[KAFKA].topics()))
    except KafkaException as error:
        raise refusal(error.args[0]) from None


async def topic(request: web.Request) -> web.Response:
    """GET /topics/{topic}[/partitions[/{partition}]]: configuration, leaders and replicas."""
    kafka, name = request.app[KAFKA], request.match_info["topic"]
    try:
        partitions = await kafka.partitions_of(name, fresh=True)
        if "partition" in request.match_info:
            return answer(partitions[wanted_partition(request, partitions)])
        listed = list(partitions.values())
        if request.path.rstrip("/").endswith("/partitions"):
            return answer(listed)
        return answer({"name": name, "configs": await kafka.configuration(name), "partitions": listed})
    except KafkaException as error:
        raise refusal(error.args[0], name) from None


def wanted_partition(request: web.Request, partitions: dict[int, Any]) -> int:
    """The partition that the path names; RestError 40402 when the topic has no such partition."""
    text = request.match_info["partition"]
    if not text.isascii() or not text.isdigit() or int(text) not in partitions:
        raise RestError(40402, "Partition not found.")
    return int(text)


@web.middleware
async def confluent_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Give every error Confluent's shape; what this proxy does not do is refused and told."""
    try:
        # librdkafka would end a topic's name at a NUL; Kafka has none of more than 249 characters.
        if "\0" in request.path or max(map(len, request.path.split("/"))) > 249:
            raise RestError(40401, "Topic not found.")
        off = request.app[ENDPOINTS].refuse(request.method, request.path, request.content_type)
        if off:
            raise RestError(off, f"HTTP {off} {HTTPStatus(off).phrase}")
        return await handler(request)
    except RestError as error:
        return error.response()
    except web.HTTPNotFound:
        return RestError(404, f"HTTP 404 Not Found. {DOES}").response()
    except web.HTTPException as error:
        return RestError(error.status, f"HTTP {error.status} {error.reason}. {DOES}").response()


def application(kafka: Kafka, endpoints: Endpoints, port: int) -> web.Application:
    """The proxy's HTTP side over a Kafka client; `endpoints` says which calls are switched off."""
    app = web.Application(middlewares=[host_guard(port), confluent_errors], client_max_size=LARGEST_REQUEST)
    app[KAFKA], app[ENDPOINTS] = kafka, endpoints
    app.router.add_get("/topics", topics)
    for path in ("/topics/{topic}", "/topics/{topic}/partitions", "/topics/{topic}/partitions/{partition}"):
        app.router.add_get(path, topic)
        if not path.endswith("/partitions"):
            app.router.add_post(path, produce)

    async def stop(_: web.Application) -> None:
        await asyncio.to_thread(kafka.close)

    app.on_cleanup.append(stop)
    return app


def main() -> None:
    """Read the reader's own kafka-rest.properties and serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--properties", type=Path, required=True, help="kafka-rest.properties, as for Confluent's"
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--env-file", type=Path, help="KEY=VALUE lines: AWS_PROFILE and the like")
    parser.add_argument("--log-level", default="warning")
    given = parser.parse_args()
    logging.basicConfig(level=given.log_level.upper(), format="%(asctime)s %(levelname)s %(message)s")
    if given.env_file:
        os.environ.update(properties(given.env_file.read_text()))
    try:
        file = properties(given.properties.read_text())
        endpoints = Endpoints.of(file)
        kafka = Kafka(client_settings(file), *waits(file))
    except (OSError, ValueError) as error:
        print(f"{given.properties}: {error}", flush=True)
        time.sleep(3)  # the supervisor starts it again at once
        raise SystemExit(1) from None
    serve(application(kafka, endpoints, given.port), given.port)


if __name__ == "__main__":
    main()
