"""The drawing of lesson 17: what must be deleted before what."""

import functools

from images.drawing import GREY, INK, PADDING, RED, SMALL, Drawing, Place, width
from tear_down.kinds import KINDS, needs

# Column and row of each kind. A thing is left of all that it needs.
PLACES = {
    "VPC endpoint": (4, 0),
    "load balancer": (2, 1),
    "target group": (3, 1),
    "instance": (4, 1),
    "route table": (5, 1),
    "NAT gateway": (6, 1),
    "elastic IP": (7, 1),
    "internet gateway": (8, 1),
    "instance profile": (5, 2),
    "role": (6, 2),
    "usage plan": (0, 3),
    "REST API": (1, 3),
    "VPC link": (2, 3),
    "subnet": (8, 3),
    "VPC": (9, 3),
    "API key": (1, 4),
    "stream": (2, 4),
    "cluster": (4, 4),
    "security group": (8, 4),
    "connector": (2, 5),
    "topic": (3, 5),
    "rule": (4, 5),
    "environment": (5, 5),
    "log group": (6, 5),
    "plugin": (3, 6),
    "bucket": (8, 6),
    "worker configuration": (3, 7),
    "job": (6, 7),
    "Delta table": (7, 7),
    "volume": (7, 8),
}
LEFT, TOP, COLUMN, ROW = 18, 64, 102, 56  # pixels
WIDE, HIGH = 86, 40
FIRST_LANE, LANE = 5, 4  # where vertical lines run, between two columns


def direct() -> list[tuple[str, str]]:
    """Each kind with those it needs, without what another need implies."""
    needed = needs()

    @functools.cache
    def all_of(kind: str) -> frozenset[str]:
        return frozenset(needed[kind]).union(*[all_of(one) for one in needed[kind]])

    return [
        (kind, one)
        for kind, some in needed.items()
        for one in some
        if not any(one in all_of(other) for other in some if other != one)
    ]


def place(kind: str) -> Place:
    """Where the box of a kind is."""
    column, row = PLACES[kind]
    return Place(LEFT + COLUMN * column, TOP + ROW * row, WIDE, HIGH)


def path(kind: str, needed: str) -> list[tuple[float, float]]:
    """From the right side of one box to the left side of another, around the boxes between them."""
    start, end = place(kind), place(needed)
    (_, y), (_, target) = start.middle, end.middle
    if y == target:
        return [(start.right + 1, y), (end.x - 3, y)]
    lane = FIRST_LANE + LANE * (PLACES[kind][1] % 3)
    blocked = any(
        PLACES[kind][0] < column < PLACES[needed][0] and row == PLACES[needed][1]
        for column, row in PLACES.values()
    )
    x = end.x - COLUMN + WIDE + lane if blocked else start.right + lane
    return [(start.right + 1, y), (x, y), (x, target), (end.x - 3, target)]


def teardown() -> str:
    """The order of deletion as a graph."""
    picture = Drawing(
        "What is deleted before what",
        "An arrow leads from a thing to what it needs, so its left end is deleted first. "
        + "; ".join(f"{kind} before {needed}" for kind, needed in direct())
        + ".",
        592,
    )
    picture.text(
        24, 32, "An arrow leads from a thing to what it needs: its left end is deleted first", bold=True
    )
    for kind, needed in direct():
        picture.arrow(*path(kind, needed), colour=GREY)
    for kind in needs():
        at = place(kind)
        picture.box(at, "", *_lines(kind), look="new" if KINDS[kind].hourly else "plain", size=SMALL)
    picture.box(Place(18, 560, 28, 15), "", look="new")
    picture.label(56, 572, "costs by the hour", colour=RED)
    picture.box(Place(196, 560, 28, 15), "")
    picture.label(234, 572, "costs nothing by the hour", colour=INK)
    return picture.svg()


def _lines(kind: str) -> list[str]:
    return kind.split(" ") if width(kind, SMALL) > WIDE - 2 * PADDING else [kind]
