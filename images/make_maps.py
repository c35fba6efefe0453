"""Draw the architecture: pipeline.svg (and _dark), and map_NN.svg with "where we are" for every lesson.

Run `python images/make_maps.py` after a change here; a test compares the files with what this program draws.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

INK, RED, SOFT, GREY, PAPER = "#2b2b2b", "#c8232c", "#d9d3cc", "#756c63", "#f8f6f3"
# For README.md on a dark page, which GitHub shows to readers who prefer one: light colour -> dark colour.
DARK = {INK: "#e6edf3", SOFT: "#3d444d", GREY: "#9198a1", "#ffffff": "#161b22"}
WIDTH, HEIGHT = 1042, 372
STEP, BOX, TALL = 102, 84, 66  # pixels from column to column, and a box's width and height
BATCH, STREAM = 140, 276  # top of the two rows
LESSONS = range(18)


@dataclass(frozen=True)
class Box:
    """One part of the pipeline: where it stands, what is written in it, the lesson that first builds it."""

    x: int
    y: int
    title: str
    sub: str
    lessons: str
    built: int
    width: int = BOX
    height: int = TALL

    @property
    def middle(self) -> int:
        """Horizontal centre."""
        return self.x + self.width // 2


def column(number: int) -> int:
    """Left edge of a column."""
    return 20 + STEP * number


BOXES = {
    "mysql": Box(column(0), BATCH, "MySQL", "3 tables", "01", 1),
    "emulator": Box(column(1), BATCH, "Emulator", "posts", "07 · 13", 7),
    "api": Box(column(2), BATCH, "API", "Gateway", "05 · 13", 5),
    "rest": Box(column(3), BATCH, "REST", "proxy", "04", 4),
    "kafka": Box(column(4), BATCH, "Kafka", "3 topics", "02 · 03", 2),
    "connect": Box(column(5), BATCH, "Connect", "S3 sink", "06", 6),
    "s3": Box(column(6), BATCH, "S3", "raw JSON", "06 · 08", 6),
    "spark": Box(column(7), BATCH, "Spark", "cleaning", "08 · 09", 8),
    "delta": Box(column(8), BATCH, "Delta", "2 × 3 tables", "09 · 14", 9),
    "answers": Box(column(9), BATCH, "Answers", "SQL", "10", 10),
    "kinesis": Box(column(3), STREAM, "Kinesis", "3 streams", "12", 12, width=STEP + BOX),
    "streaming": Box(column(7), STREAM, "Spark", "streaming", "14", 14),
    "airflow": Box(
        column(7), 20, "Airflow", "MWAA, once a day · 11", "", 11, width=2 * STEP + BOX, height=48
    ),
}
# A dashed frame around boxes: x, y, width, height, label, the lesson that builds it.
FRAMES = {
    "vpc": (column(3) - 11, 84, 2 * STEP + BOX + 20, 140, "VPC", 2),
    "client": (column(3) - 5, 110, BOX + 10, 106, "client machine", 3),
}
ROW = ("mysql", "emulator", "api", "rest", "kafka", "connect", "s3", "spark", "delta", "answers")
HERE = {
    0: (),
    1: ("mysql",),
    2: ("vpc", "kafka"),
    3: ("client", "kafka"),
    4: ("rest",),
    5: ("api",),
    6: ("connect", "s3"),
    7: ("emulator",),
    8: ("s3", "spark"),
    9: ("spark", "delta"),
    10: ("answers",),
    11: ("airflow",),
    12: ("kinesis",),
    13: ("emulator", "api", "kinesis"),
    14: ("streaming", "delta"),
    15: ("emulator", "api", "rest", "kafka", "connect", "s3", "kinesis", "streaming", "delta"),
    16: ("api", "kafka", "connect", "s3", "spark", "kinesis", "streaming"),
    17: ("vpc", "client", "api", "rest", "kafka", "connect", "s3", "delta", "kinesis", "airflow"),
}


def text(
    x: int, y: int, words: str, size: int, colour: str, *, bold: bool = False, anchor: str = "middle"
) -> str:
    """One line of text."""
    place = f'x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}"'
    weight = ' font-weight="bold"' if bold else ""
    return f'<text {place}{weight} fill="{colour}">{words}</text>'


def draw_box(box: Box, state: str) -> list[str]:
    """A rounded box with its three lines; `state` is here, built or later."""
    fill, line, ink, small = {
        "here": (RED, RED, "#ffffff", "#ffffff"),
        "built": ("#ffffff", INK, INK, GREY),
        "later": (PAPER, SOFT, GREY, GREY),
    }[state]
    shape = f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" rx="8"'
    lines = [f'{shape} fill="{fill}" stroke="{line}" stroke-width="1.6"/>']
    lines.append(text(box.middle, box.y + 22, box.title, 16, ink, bold=True))
    lines.append(text(box.middle, box.y + 39, box.sub, 13, ink if state != "built" else INK))
    if box.lessons:
        lines.append(text(box.middle, box.y + 57, box.lessons, 12, small))
    return lines


def draw_frame(name: str, state: str) -> list[str]:
    """A dashed frame with its label at the top left."""
    x, y, width, height, label, _ = FRAMES[name]
    colour = {"here": RED, "built": INK, "later": "#b8b0a7"}[state]
    shape = f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="10" fill="none"'
    words = {"here": RED, "built": INK, "later": GREY}[state]
    return [
        f'{shape} stroke="{colour}" stroke-width="{2 if state == "here" else 1.2}" stroke-dasharray="6 4"/>',
        text(x + 8, y + 17, label, 12, words, anchor="start"),
    ]


def draw_arrows(built: set[str]) -> list[str]:
    """All connections; one is dark when both its ends are built."""
    middle = BATCH + TALL // 2
    arrows = [
        (one, other, f"M{BOXES[one].x + BOX + 1} {middle}H{BOXES[other].x - 3}")
        for one, other in pairwise(ROW)
    ]
    api, kinesis, streaming, delta = (BOXES[name] for name in ("api", "kinesis", "streaming", "delta"))
    below = STREAM + TALL // 2
    arrows += [
        ("api", "kinesis", f"M{api.middle} {BATCH + TALL + 1}V{below}H{kinesis.x - 3}"),
        ("kinesis", "streaming", f"M{kinesis.x + kinesis.width + 1} {below}H{streaming.x - 3}"),
        ("streaming", "delta", f"M{streaming.x + BOX + 1} {below}H{delta.middle}V{BATCH + TALL + 3}"),
    ]
    arrows += [("airflow", end, f"M{BOXES[end].middle} 69V{BATCH - 3}") for end in ("spark", "answers")]
    lines = []
    for one, other, path in arrows:
        dark = one in built and other in built
        dashes = ' stroke-dasharray="4 3"' if one == "airflow" else ""
        lines.append(
            f'<path d="{path}" fill="none" stroke="{INK if dark else "#b8b0a7"}" stroke-width="1.6"{dashes} '
            f'marker-end="url(#{"dark" if dark else "light"})"/>'
        )
    return lines


def marker(name: str, colour: str) -> str:
    """An arrow head."""
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" '
        f'orient="auto"><path d="M0 0L8 4L0 8z" fill="{colour}"/></marker>'
    )


def legend() -> list[str]:
    """What the three looks mean."""
    lines, x = [], 20
    looks = (("this lesson", RED, RED), ("built before", "#ffffff", INK), ("later", PAPER, SOFT))
    for words, fill, line in looks:
        lines.append(f'<rect x="{x}" y="346" width="18" height="13" rx="3" fill="{fill}" stroke="{line}"/>')
        lines.append(text(x + 25, 357, words, 12, GREY, anchor="start"))
        x += 112
    return lines


def draw(lesson: int | None) -> str:
    """The whole picture as SVG text; without a lesson, and in lesson 00, nothing is marked."""
    here = set(HERE[lesson or 0])
    whole = not lesson
    first = {name: box.built for name, box in BOXES.items()} | {
        name: frame[5] for name, frame in FRAMES.items()
    }
    built = {name for name, number in first.items() if whole or number <= (lesson or 0)} | here

    def state(name: str) -> str:
        return "here" if name in here else "built" if name in built else "later"

    about = "The whole pipeline" if whole else f"Where lesson {lesson:02d} stands in the pipeline"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'height="{HEIGHT}" font-family="Helvetica, Arial, sans-serif" role="img">',
        f"<title>{about}</title>",
        f"<defs>{marker('dark', INK)}{marker('light', '#b8b0a7')}</defs>",
        # A light card of its own: the picture is readable on a dark page too.
        f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="12" '
        f'fill="#ffffff" stroke="{SOFT}"/>',
        *draw_arrows(built),
        text(column(0), BATCH - 12, "batch: once a day", 13, GREY, anchor="start"),
        text(column(5) + 10, STREAM + TALL // 2 - 9, "stream: within seconds", 13, GREY, anchor="start"),
    ]
    for name in FRAMES:
        lines += draw_frame(name, state(name))
    for name, box in BOXES.items():
        lines += draw_box(box, state(name))
    if not whole:
        lines += legend()
    return "\n".join([*lines, "</svg>"]) + "\n"


def darkened(picture: str) -> str:
    """The same picture in the colours of a dark page."""
    for light, dark in DARK.items():
        picture = picture.replace(f'"{light}"', f'"{dark}"')
    return picture


def drawings() -> dict[str, str]:
    """Every file name with its content."""
    whole = draw(None)
    maps = {f"map_{lesson:02d}.svg": draw(lesson) for lesson in LESSONS}
    return {"pipeline.svg": whole, "pipeline_dark.svg": darkened(whole)} | maps


if __name__ == "__main__":
    for name, content in drawings().items():
        (Path(__file__).parent / name).write_text(content, encoding="utf-8")
