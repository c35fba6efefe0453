"""Drawings of Kafka and AWS: one function per drawing."""

import hashlib
from itertools import pairwise

from images.drawing import GREY, INK, LINE, RED, Drawing, Place

CELL = 78  # pixels: one record in a log


def log() -> str:
    """Kafka's log: offsets, a producer, two consumer groups."""
    picture = Drawing(
        "Kafka's log",
        "One partition of a topic: nine records with the offsets 0 to 8. A producer appends at the end. Two "
        "consumer groups read at their own pace, one is next to read offset 6, the other offset 2.",
        352,
    )
    keys = ("7528", "2863", "5730", "8304", "7528", "8731", "1313", "4315", "9979")
    left, top = 112, 104
    picture.text(
        24, 36, "One partition of a topic is a log: records are added at its end, and never change", bold=True
    )
    picture.label(24, top + 27, "key")
    picture.label(24, top + 62, "offset")
    for nth, key in enumerate(keys):
        place = picture.box(Place(left + CELL * nth, top, CELL - 6, 44), "", key)
        picture.text(place.middle[0], top + 62, str(nth), anchor="middle")
    place = picture.box(Place(left + CELL * len(keys), top, CELL - 6, 44), "", "next", look="gone")
    picture.text(place.middle[0], top + 62, str(len(keys)), anchor="middle", colour=GREY)
    producer = picture.box(Place(900, 24, 122, 44), "producer", "appends")
    picture.arrow(
        (producer.middle[0], producer.bottom + 1), (producer.middle[0], 86), (850, 86), (850, top - 3)
    )
    picture.label(838, 84, "the broker answers with the offset: 9", anchor="end")
    first, again = left + 36, left + CELL * 4 + 36
    picture.label((first + again) / 2, 74, "one key, two offsets: sent twice", anchor="middle")
    picture.arrow((again, 82), (first, 82), (first, top - 3), colour=GREY)
    picture.arrow((first, 82), (again, 82), (again, top - 3), colour=GREY)
    for name, offset, x in (("consumer group A", 2, 200), ("consumer group B", 6, 512)):
        group = picture.box(Place(x, 226, 160, 44), name, f"next to read: {offset}", look="new")
        up = left + CELL * offset + 36
        picture.arrow((up, group.y), (up, top + 70), colour=RED)
        picture.label(group.right + 10, 252, f"{len(keys) - offset} records behind")
    picture.notes(
        24,
        302,
        "Reading removes nothing. Each group notes its own place, so a late group still finds every record.",
        "A record stays until its retention time is over, read or not; seven days are the default.",
        "Inside a group, each partition is read by one consumer at a time.",
    )
    return picture.svg()


def hashed(key: str) -> int:
    """The number that Kinesis makes of a partition key."""
    return int(hashlib.md5(key.encode(), usedforsecurity=False).hexdigest(), 16)


def shards() -> str:
    """Partition key, MD5, hash range of a shard, sequence numbers."""
    count, wide, left, top = 4, 236, 48, 174
    keys = ("7529", "7530", "7528")
    where = {key: hashed(key) * count >> 128 for key in keys}
    picture = Drawing(
        "The key chooses the shard",
        "A stream with four shards, each of which owns a quarter of the numbers below 2 to the power of 128. "
        "The MD5 of a record's partition key is such a number: "
        + ", ".join(f"key {key} lands in shard {shard}" for key, shard in where.items())
        + ". Three deliveries with one key lie in one shard, in the order of their sequence numbers.",
        388,
    )
    picture.text(
        24, 32, "The MD5 of the partition key is a number, and a shard owns a range of numbers", bold=True
    )
    for key in keys:
        share = hashed(key) / 2**128
        at = left + count * wide * share
        place = Place(min(at - 90, left + count * wide - 180), 50, 180, 78)
        digest = hashlib.md5(key.encode(), usedforsecurity=False).hexdigest()
        picture.box(
            place,
            f"key {key}",
            f"MD5 {digest[:8]}…",
            f"{share:.3f} of 2¹²⁸",
            look="new" if key == "7528" else "plain",
        )
        picture.arrow((at, place.bottom + 1), (at, top - 3), colour=RED if key == "7528" else INK)
    for nth in range(count):
        place = picture.box(
            Place(left + wide * nth, top, wide, 48),
            f"shard {nth}",
            f"{nth / count:g} to {(nth + 1) / count:g}",
        )
        kept = [key for key in keys for _ in range(3 if key == "7528" else 1) if where[key] == nth]
        for order, key in enumerate(kept):
            x = place.x + 8 + 74 * order
            word = ("first", "second", "third")[order] if len(kept) > 1 else ""
            look = "new" if key == "7528" else "plain"
            picture.box(Place(x, 250, 70, 44), "", key, *[one for one in [word] if one], look=look)
    picture.label(left, 242, "the records in each shard, oldest first:")
    picture.arrow((left + 3 * wide + 8, 308), (left + 3 * wide + 226, 308), colour=RED)
    picture.label(left + 3 * wide + 224, 325, "sequence numbers grow", colour=RED, anchor="end")
    picture.notes(
        24,
        340,
        "One key, one shard, one order: all deliveries of a post. Between shards there is no order.",
        "A shard takes 1,000 records or 1 MB a second and gives out 2 MB a second. A single key fills one "
        "shard.",
    )
    return picture.svg()


def request() -> str:
    """A request to API Gateway: method, key, usage plan, integration; the stage is a snapshot."""
    picture = Drawing(
        "What happens to a request",
        "A request names a path and carries a key. The stage prod looks for a method, else 403; asks the "
        "usage "
        "plan whether the key belongs to this stage, else 403, and whether the limit is reached, then 429; "
        "and "
        "hands the request to the integration, which leads to the proxy, or answers 500 or 504. Method and "
        "integration come from a snapshot that create_deployment takes of the definitions.",
        436,
    )
    picture.text(24, 32, "Every request passes four checks", bold=True)
    picture.frame(Place(210, 46, 632, 190), "stage prod")
    chain = (
        (24, 150, "plain", "request", "path and verb,", "x-api-key: …"),
        (224, 136, "new", "method", "is there one for", "path and verb?"),
        (376, 146, "plain", "API key", "known, and in a", "plan for this stage?"),
        (538, 136, "plain", "usage plan", "within 200 a second", "and 400 at once?"),
        (690, 138, "new", "integration", "where the request", "is sent to"),
        (872, 150, "plain", "proxy", "behind VPC link and", "load balancer"),
    )
    places = [picture.box(Place(x, 76, wide, 72), *words, look=look) for x, wide, look, *words in chain]
    for one, other in pairwise(places):
        picture.arrow((one.right + 1, 112), (other.x - 3, 112))
    refusals = ("403", "403", "429", "500 or 504")
    reasons = ("no such method", "key is not valid here", "too many, later", "proxy not reached")
    for place, status, reason in zip(places[1:5], refusals, reasons, strict=True):
        x = place.middle[0]
        picture.arrow((x, 149), (x, 189), colour=GREY, dashed=True)
        picture.text(x, 206, status, anchor="middle", bold=True)
        picture.label(x, 223, reason, anchor="middle")
    picture.text(24, 270, "What a stage serves is a snapshot", bold=True)
    definitions = picture.box(
        Place(24, 288, 200, 72), "definitions", "resources, methods,", "integrations: the draft"
    )
    first = picture.box(Place(392, 288, 150, 72), "deployment 1", "a snapshot,", "kept", look="soft")
    second = picture.box(Place(574, 288, 150, 72), "deployment 2", "a snapshot,", "served now", look="new")
    picture.arrow((definitions.right + 1, 316), (first.x - 3, 316))
    picture.label(232, 308, "create_deployment")
    picture.arrow((definitions.right + 1, 340), (308, 340), (308, 376), (649, 376), (649, second.bottom + 3))
    picture.arrow((649, second.y), (649, 250), (649, 239), colour=RED)
    picture.label(738, 308, "The stage points to one deployment.")
    picture.label(738, 326, "update_stage points it back to another.")
    picture.label(738, 344, "Red: what comes from the snapshot.", colour=RED)
    picture.notes(
        24,
        404,
        "A change of the definitions does nothing until somebody deploys it. Keys, plans and their limits "
        "are "
        "not in the snapshot:",
        "they work without a deployment, on AWS within minutes.",
    )
    return picture.svg()


# A body that a sender posts, lesson 13's template for PutRecords, and what the template makes of the two.
STREAM = "streaming-0a1b2c3d4e5f-pin"
BODY = """{"records": [
  {"data": "it's new", "partition-key": "7528"},
  {"data": "hello",    "partition-key": "7529"}
]}"""
TEMPLATE = """{
  "StreamName": "$util.escapeJavaScript($input.params('stream-name'))",
  "Records": [
    #foreach($record in $input.path('$.records'))
    #set($data = $input.json("$.records[$foreach.index].data"))
    {
      #if($data.startsWith('"') && $data != '""')"Data": "$util.base64Encode($record.data)",#end
      "PartitionKey": $input.json("$.records[$foreach.index].partition-key")
    }#if($foreach.hasNext),#end
    #end
  ]
}"""
RENDERED = """{"StreamName": "streaming-0a1b2c3d4e5f-pin",
 "Records": [
  {"Data": "aXQncyBuZXc=", "PartitionKey": "7528"},
  {"Data": "aGVsbG8=",     "PartitionKey": "7529"}
]}"""


def template() -> str:
    """API Gateway's mapping template: one input, the template, one output."""
    picture = Drawing(
        "A mapping template",
        "A PUT request with two records, the template of the method, and the body of the call PutRecords "
        "that "
        "comes out: the stream's name from the path, each record's data in base64, each partition key as "
        "text.",
        504,
    )
    lines = BODY.splitlines()
    picture.text(24, 32, "In: what a sender posts", bold=True)
    picture.box(Place(24, 44, 460, 116), "", f"PUT /streams/{STREAM}/records", "", *lines, code=True)
    picture.text(558, 32, "Out: the call of Kinesis, PutRecords", bold=True)
    picture.box(Place(558, 44, 460, 116), "", *RENDERED.splitlines(), look="new", code=True)
    picture.text(24, 218, "The template, a text with placeholders in the language VTL", bold=True)
    picture.box(Place(24, 230, 994, 216), "", *TEMPLATE.splitlines(), code=True)
    picture.arrow((440, 161), (440, 227))
    picture.label(450, 196, "API Gateway fills it in")
    picture.arrow((788, 229), (788, 163), colour=RED)
    picture.notes(
        24,
        470,
        "$input.params reads the path, $input.path the body, and $input.json the body as JSON text, with "
        "quotes.",
        "base64Encode makes text of bytes, for JSON. #if leaves Data out unless it is a text with "
        "something in it.",
    )
    return picture.svg()


def guarantee() -> str:
    """What each guarantee along the pipeline rests on."""
    picture = Drawing(
        "What each guarantee rests on",
        "Five guarantees, from the sender to the tables: every post is sent until it is accepted; what is "
        "accepted is in the log; every record is copied to S3; the latest delivery of a post is known; a "
        "post is "
        "in its table once. Under each of them what it rests on, and when it ends.",
        400,
    )
    columns = (
        (
            ("1  sent", "until accepted"),
            ("the sender reads the", "answer for each record", "and keeps what failed"),
            ("the sender is lost before", "it sends again"),
        ),
        (
            ("2  in the log", "once accepted"),
            ("the broker answers when", "its in-sync copies have", "the record (acks=all)"),
            ("the last copy of a", "partition is lost"),
        ),
        (
            ("3  in S3", "every record"),
            ("the connector commits an", "offset only after it has", "written the object"),
            ("it is away for longer than", "the topic keeps records"),
        ),
        (
            ("4  in order", "the latest is known"),
            ("one key, one partition:", "of two deliveries the one", "with the higher position"),
            ("a sender changes the key,", "or a topic gets partitions"),
        ),
        (
            ("5  in the table", "one row per post"),
            ("batch: written whole", "stream: a checkpoint, and", "MERGE by post, position"),
            ("something appends to it, or", "the stream's records expire"),
        ),
    )
    wide, step, left = 184, 202, 24
    for nth, (title, rests, ends) in enumerate(columns):
        x = left + step * nth
        place = picture.box(Place(x, 24, wide, 48), *title, look="new")
        if nth:
            picture.arrow((x - step + wide + 1, 48), (x - 3, 48), colour=RED)
        picture.label(x, 98, "rests on")
        picture.label(x, 186, "ends when")
        for line, words in enumerate(rests):
            picture.text(x, 116 + LINE * line, words)
        for line, words in enumerate(ends):
            picture.text(x, 204 + LINE * line, words, colour=GREY)
    kinds = ((0, 3, "at least once: nothing is lost, some come twice"), (3, 1, "a position"), (4, 1, "once"))
    for first, count, words in kinds:
        place = Place(left + step * first, 246, step * count - step + wide, 32)
        picture.box(place, "", words, look="soft")
    picture.arrow((left + 2 * step + wide + 1, 262), (left + 3 * step - 3, 262), colour=GREY)
    picture.arrow((left + 3 * step + wide + 1, 262), (left + 4 * step - 3, 262), colour=GREY)
    for nth, key in enumerate(("7528", "2863", "5730", "8304", "7528")):
        place = picture.box(
            Place(left + 62 * nth, 302, 58, 30), "", key, look="new" if key == "7528" else "plain"
        )
        picture.label(place.middle[0], 348, str(nth), anchor="middle")
    picture.label(346, 321, "no answer came for 7528, so it was sent again")
    picture.arrow((left + 3 * step - 16, 317), (left + 3 * step + 20, 317), colour=RED)
    picture.text(left + 3 * step + 28, 321, "4 is higher than 0")
    picture.arrow((left + 3 * step + 150, 317), (left + 4 * step - 3, 317), colour=RED)
    picture.box(Place(left + 4 * step, 302, wide, 30), "", "7528, position 4", look="new")
    picture.notes(24, 380, "The count that proves it, for each table: in = clean + duplicates + quarantined.")
    return picture.svg()
