"""The network of lessons 02 to 06 as data, and the drawing of it that grows from lesson to lesson.

`tests/network.py` compares the data with what AWS reports after the lessons.
"""

from dataclasses import dataclass

from images.drawing import GREY, INK, PAPER, RED, Drawing, Place

LESSONS = (2, 3, 5, 6)
VPC = "10.0.0.0/16"
ZONES = 2
SUBNETS = {
    "public-0": "10.0.0.0/24",
    "public-1": "10.0.1.0/24",
    "private-0": "10.0.10.0/24",
    "private-1": "10.0.11.0/24",
}
# Where the traffic goes that leaves the network, for each kind of subnet.
WAY_OUT = {"public": ("internet gateway",), "private": ("NAT gateway", "S3 endpoint")}
NAT_IN = "public-0"
BOTH = ("private-0", "private-1")


@dataclass(frozen=True)
class Part:
    """Something that stands in the private subnets: the lesson that makes it, its subnets, its group."""

    lesson: int
    subnets: tuple[str, ...]
    group: str
    place: Place
    title: str
    more: str


PARTS = {
    "link": Part(5, BOTH, "link", Place(214, 260, 524, 44), "VPC link", "API Gateway's way in"),
    "balancer": Part(5, BOTH, "balancer", Place(214, 330, 524, 44), "load balancer", "internal"),
    "machine": Part(3, BOTH[:1], "clients", Place(214, 400, 222, 62), "client machine", "role, tools, proxy"),
    "connector": Part(
        6, BOTH, "clients", Place(454, 400, 284, 62), "connector", "MSK Connect, from Kafka to S3"
    ),
    "cluster": Part(2, BOTH, "brokers", Place(214, 488, 524, 74), "MSK cluster", ""),
}


@dataclass(frozen=True)
class Rule:
    """Members of one security group may open connections to those of another, on one port."""

    lesson: int
    caller: str
    called: str
    port: int


RULES = (
    Rule(2, "clients", "brokers", 9098),
    Rule(5, "balancer", "clients", 8082),
    Rule(5, "link", "balancer", 8082),
)
# The connections that the rules are for.
CALLS = (
    ("machine", "cluster"),
    ("connector", "cluster"),
    ("balancer", "machine"),
    ("link", "balancer"),
)
TITLES = {
    2: "The network after lesson 02: two zones, subnets, gateways and the brokers",
    3: "The network after lesson 03: the client machine joins the clients' group",
    5: "The network after lesson 05: phones come in through API Gateway, link and balancer",
    6: "The network after lesson 06: the connector writes to the bucket through the endpoint",
}
FIRST, SECOND, OUT = 296, 590, 392  # where arrows run: in each zone's column, and out


def rules(lesson: int) -> list[Rule]:
    """The rules that stand after a lesson."""
    return [rule for rule in RULES if rule.lesson <= lesson]


def parts(lesson: int) -> dict[str, Part]:
    """The parts that stand after a lesson."""
    return {name: part for name, part in PARTS.items() if part.lesson <= lesson}


def words(lesson: int) -> str:
    """The drawing in words."""
    inside = ", ".join(f"{part.title} (group {part.group})" for part in parts(lesson).values())
    who = "; ".join(f"{rule.caller} may call {rule.called} on port {rule.port}" for rule in rules(lesson))
    return (
        f"A VPC {VPC} with a public and a private subnet in each of two zones. The public subnets lead to "
        "the internet gateway. A NAT gateway in the first of them is the way out of the private ones, and a "
        f"gateway endpoint leads to S3. In the private subnets: {inside}. Rules: {who}."
    )


def draw(lesson: int) -> str:
    """The network after a lesson; what the lesson adds is red."""
    picture = Drawing(TITLES[lesson], words(lesson), 672)

    def look(made: int) -> str:
        return "new" if made == lesson else "plain"

    def ink(made: int) -> str:
        return RED if made == lesson else INK

    _land(picture, look(2))
    _ways_out(picture, lesson)
    for name, part in parts(lesson).items():
        if name == "cluster":
            _cluster(picture, part, look(part.lesson))
        else:
            lines = (f"group {part.group}", part.more) if part.place.height > 50 else (_line(part),)
            picture.box(part.place, part.title, *lines, look=look(part.lesson))
    if lesson < 3:
        empty = picture.frame(PARTS["machine"].place, "group clients", look="new", fill="#ffffff")
        picture.label(empty.x + 10, empty.y + 35, "nobody is in it yet")
    for caller, called in CALLS:
        if PARTS[caller].lesson <= lesson or (lesson, caller) == (2, "machine"):
            _call(picture, caller, called, ink(_made(lesson, caller, called)))
    if lesson >= 5:
        _phones(picture, look(5), ink(5))
    _rules(picture, lesson)
    return picture.svg()


def _made(lesson: int, caller: str, called: str) -> int:
    """When a connection was first drawn: lesson 02 draws that of the clients to come."""
    return lesson if lesson == 2 else max(PARTS[caller].lesson, PARTS[called].lesson)


def _line(part: Part) -> str:
    return f"group {part.group}  ·  {part.more}"


def _land(picture: Drawing, look: str) -> None:
    """VPC, zones, subnets."""
    picture.frame(Place(182, 74, 704, 506), f"VPC {VPC}", look=look, dashed=False)
    for zone, x in enumerate((194, 482)):
        picture.frame(Place(x, 102, 276, 470), f"zone {zone + 1}", look="soft")
        for kind, y, height in (("public", 126, 82), ("private", 234, 334)):
            label = f"{kind} subnet {SUBNETS[f'{kind}-{zone}']}"
            picture.frame(Place(x + 8, y, 260, height), label, look=look, dashed=False, fill=PAPER)


def _ways_out(picture: Drawing, lesson: int) -> None:
    """Internet gateway, NAT gateway and S3 endpoint, and the routes that lead there."""
    new = lesson == 2
    look, ink = ("new", RED) if new else ("plain", INK)
    picture.box(Place(OUT - 70, 12, 140, 30), "internet", look="soft")
    gateway = picture.box(Place(OUT - 70, 60, 140, 30), "internet gateway", look=look)
    nat = picture.box(Place(OUT - 104, 150, 168, 48), "NAT gateway", "answers may come back", look=look)
    picture.arrow((OUT, 234), (OUT, nat.bottom + 3), colour=ink, dashed=True)
    picture.arrow((OUT, nat.y), (OUT, gateway.bottom + 3), colour=ink, dashed=True)
    picture.arrow((OUT, gateway.y), (OUT, 45), colour=ink, dashed=True)
    picture.label(OUT - 8, 225, "way out, also for zone 2", anchor="end")
    picture.label(SECOND - 90, 172, "empty: place for a second NAT gateway")
    endpoint = picture.box(Place(778, 392, 96, 78), "S3", "gateway", "endpoint", look=look)
    bucket = ("S3 bucket", "raw JSON") if lesson == 6 else ("Amazon S3", "")
    s3 = picture.box(
        Place(912, 408, 112, 46), *[one for one in bucket if one], look="new" if lesson == 6 else "soft"
    )
    start = PARTS["connector"].place.right if lesson == 6 else 750
    way = RED if lesson in (2, 6) else INK
    y = s3.middle[1]
    picture.arrow((start, y), (endpoint.x - 3, y), colour=way, dashed=True)
    picture.arrow((endpoint.right, y), (s3.x - 3, y), colour=way, dashed=True)


def _cluster(picture: Drawing, part: Part, look: str) -> None:
    """A broker in each zone, in one frame."""
    frame = picture.frame(part.place, f"{part.title}  ·  group {part.group}", look=look, fill="#ffffff")
    for nth, x in enumerate((frame.x + 10, 500)):
        picture.box(Place(x, frame.y + 25, 228, 42), f"broker {nth + 1}", "private address", look=look)


def _call(picture: Drawing, caller: str, called: str, ink: str) -> None:
    """A connection that a rule allows, with its port."""
    start, end = PARTS[caller].place, PARTS[called].place
    [port] = [
        rule.port
        for rule in RULES
        if (rule.caller, rule.called) == (PARTS[caller].group, PARTS[called].group)
    ]
    x = SECOND if caller == "connector" else FIRST
    picture.arrow((x, start.bottom + 1), (x, end.y - 3), colour=ink)
    picture.label(x + 8, start.bottom + 18, f"{port}", colour=ink)


def _phones(picture: Drawing, look: str, ink: str) -> None:
    """API Gateway, which is outside the network, and who calls it."""
    phones = picture.box(Place(18, 150, 136, 48), "phones", "anywhere", look=look)
    api = picture.box(Place(18, 260, 136, 44), "API Gateway", "key and limit", look=look)
    x, y = api.middle
    picture.arrow((x, phones.bottom + 1), (x, api.y - 3), colour=ink)
    picture.label(x + 8, 235, "HTTPS", colour=ink)
    picture.arrow((api.right + 1, y), (PARTS["link"].place.x - 3, y), colour=ink)


def _rules(picture: Drawing, lesson: int) -> None:
    """The security groups' rules in words, and what the lines mean."""
    picture.text(24, 606, "Who may open a connection", bold=True)
    for nth, rule in enumerate(rules(lesson)):
        line = f"{rule.caller} → {rule.called}, TCP {rule.port}"
        picture.text(24 + 192 * nth, 628, line, colour=RED if rule.lesson == lesson else INK)
    picture.notes(
        24, 650, "Nobody else: a group refuses what no rule allows. Answers come back without a rule."
    )
    picture.arrow((640, 602), (684, 602))
    picture.label(694, 606, "connection that a rule allows, with its port")
    picture.arrow((640, 624), (684, 624), dashed=True)
    picture.label(694, 628, "way out, from the route tables")
    picture.box(Place(648, 638, 28, 15), "", look="new")
    picture.label(694, 650, f"new in lesson {lesson:02d}", colour=GREY)
