"""What the drawings say is what the project does; nothing in them leaves its box."""

import json
import re
from xml.etree import ElementTree

import pytest

from images import ideas_aws, make_drawings, network
from images.drawing import SMALL, Drawing, Place
from local_cloud.stand_ins.api_gateway.mapping_template import render
from tests.operations import code, lessons

DRAWINGS = make_drawings.drawings()
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("name", DRAWINGS)
def test_drawing_can_be_read(name: str) -> None:
    root = ElementTree.fromstring(DRAWINGS[name])
    assert all(root.findtext(f"{SVG}{part}") for part in ("title", "desc"))
    assert min(int(text.attrib["font-size"]) for text in root.iter(f"{SVG}text")) >= SMALL


def test_text_that_leaves_its_box_is_refused() -> None:
    picture = Drawing("a", "b", 100)
    with pytest.raises(ValueError, match="wider than its box"):
        picture.box(Place(10, 10, 60, 40), "far too long for it")
    with pytest.raises(ValueError, match="higher than its box"):
        picture.box(Place(10, 10, 60, 40), "a", "b", "c")
    with pytest.raises(ValueError, match="outside the picture"):
        picture.text(1000, 50, "over the edge")


def test_template_makes_of_the_body_what_is_drawn() -> None:
    made = render(ideas_aws.TEMPLATE, ideas_aws.BODY, {"path": {"stream-name": ideas_aws.STREAM}}, {})
    assert json.loads(made) == json.loads(ideas_aws.RENDERED)


def test_template_is_that_of_the_lesson() -> None:
    [lesson] = [path for path in lessons() if path.stem.startswith("13_")]
    assert ideas_aws.TEMPLATE in "\n".join(code(lesson))


def test_each_connection_of_the_network_has_one_rule() -> None:
    groups = {name: part.group for name, part in network.PARTS.items()}
    for caller, called in network.CALLS:
        pair = groups[caller], groups[called]
        assert [pair] == [
            (rule.caller, rule.called) for rule in network.RULES if (rule.caller, rule.called) == pair
        ]


def test_network_only_grows() -> None:
    seen: set[str] = set()
    for lesson in network.LESSONS:
        words = set(re.findall(r">([^<>]+)</text>", DRAWINGS[f"network_{lesson:02d}.svg"]))
        gone = {word for word in seen - words if "lesson" not in word}
        assert gone <= {"nobody is in it yet", "Amazon S3"}
        seen = words
