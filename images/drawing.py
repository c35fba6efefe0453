"""A few primitives for drawings: text, box, frame, arrow. All looks are those of the maps."""

from dataclasses import dataclass
from html import escape

from images.make_maps import GREY, INK, PAPER, RED, SOFT, WIDTH, marker

BLUSH = "#fdf0f0"  # behind what is new
LOOKS = {  # fill, line, dashes
    "plain": ("#ffffff", INK, ""),
    "new": (BLUSH, RED, ""),
    "soft": (PAPER, SOFT, ""),
    "gone": (PAPER, "#b8b0a7", "5 4"),
}
TITLE, TEXT, SMALL = 15, 13, 12  # pixels
LINE = 17  # from one line of text to the next
MONO = "Menlo, Consolas, 'DejaVu Sans Mono', monospace"
PADDING = 6  # least space between a text and the side of its box
Point = tuple[float, float]


# How wide letters of Helvetica are, in shares of their size.
LETTERS = (
    dict.fromkeys("ijlftI.,:;'|!()[]/ ·", 0.28)
    | dict.fromkeys('r-"', 0.36)
    | dict.fromkeys("cksvxyzJ", 0.5)
    | dict.fromkeys("mwM%", 0.84)
    | dict.fromkeys("W@→…", 1.0)
)


def width(words: str, size: int, *, bold: bool = False, code: bool = False) -> float:
    """About how wide a line of text is, in pixels, on the safe side."""
    if code:
        return 0.61 * size * len(words)
    share = sum(LETTERS.get(letter, 0.7 if letter.isupper() else 0.556) for letter in words)
    return share * size * (1.1 if bold else 1.02)


@dataclass(frozen=True)
class Place:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Lower edge."""
        return self.y + self.height

    @property
    def middle(self) -> Point:
        """Centre."""
        return self.x + self.width / 2, self.y + self.height / 2


class Drawing:
    """An SVG picture that grows by calls; a text that leaves its box is a ValueError."""

    def __init__(self, title: str, about: str, height: int) -> None:
        self.lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
            f'height="{height}" font-family="Helvetica, Arial, sans-serif" role="img" '
            'aria-labelledby="title about">',
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="about">{escape(about)}</desc>',
            f"<defs>{marker('dark', INK)}{marker('red', RED)}{marker('grey', GREY)}</defs>",
            # A light card of its own: the picture is readable on a dark page too.
            f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="12" fill="#ffffff" '
            f'stroke="{SOFT}"/>',
        ]
        self.height = height

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: int = TEXT,
        colour: str = INK,
        bold: bool = False,
        code: bool = False,
        anchor: str = "start",
    ) -> None:
        """One line of text; `y` is its base line."""
        wide = width(words, size, bold=bold, code=code)
        left = x - {"start": 0, "middle": wide / 2, "end": wide}[anchor]
        if left < 4 or left + wide > WIDTH - 4 or y > self.height - 4:
            raise ValueError(f"outside the picture: {words!r}")
        look = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size}" fill="{colour}"'
        look += ' font-weight="bold"' if bold else ""
        look += f' font-family="{MONO}" xml:space="preserve"' if code else ""
        self.lines.append(f"<text {look}>{escape(words, quote=False)}</text>")

    def label(self, x: float, y: float, words: str, *, colour: str = GREY, anchor: str = "start") -> None:
        """A small line of text beside an arrow, or above a thing."""
        self.text(x, y, words, size=SMALL, colour=colour, anchor=anchor)

    def box(
        self,
        place: Place,
        title: str,
        *more: str,
        look: str = "plain",
        code: bool = False,
        size: int = TEXT,
    ) -> Place:
        """A rounded box with a bold title and lines of text, in its middle or, for code, at its left."""
        self._rectangle(place, *LOOKS[look])
        lines = [(title, TITLE)] * bool(title) + [(words, SMALL if code else size) for words in more]
        if LINE * len(lines) > place.height:
            raise ValueError(f"higher than its box: {title!r}")
        y = place.y + (place.height - LINE * len(lines)) / 2 + 13
        for nth, (words, pixels) in enumerate(lines):
            bold, mono = pixels == TITLE, code and pixels != TITLE
            if width(words, pixels, bold=bold, code=mono) > place.width - 2 * PADDING:
                raise ValueError(f"wider than its box: {words!r}")
            x, anchor = (place.x + 12, "start") if code else (place.middle[0], "middle")
            colour = GREY if look == "gone" else INK
            self.text(
                x, y + LINE * nth, words, size=pixels, colour=colour, bold=bold, code=mono, anchor=anchor
            )
        return place

    def frame(
        self, place: Place, label: str, *, look: str = "plain", dashed: bool = True, fill: str = "none"
    ) -> Place:
        """An empty frame with its label at the top left."""
        colour = LOOKS[look][1] if look != "soft" else "#b8b0a7"
        self._rectangle(place, fill, colour, "6 4" if dashed else "")
        if width(label, SMALL) > place.width - 16:
            raise ValueError(f"wider than its frame: {label!r}")
        self.label(place.x + 10, place.y + 17, label, colour=RED if look == "new" else INK)
        return place

    def _rectangle(self, place: Place, fill: str, line: str, dashes: str) -> None:
        self.lines.append(
            f'<rect x="{place.x:g}" y="{place.y:g}" width="{place.width:g}" height="{place.height:g}" rx="8" '
            f'fill="{fill}" stroke="{line}" stroke-width="1.6"'
            + (f' stroke-dasharray="{dashes}"' if dashes else "")
            + "/>"
        )

    def arrow(self, *points: Point, colour: str = INK, dashed: bool = False, head: bool = True) -> None:
        """A line through some points, with a head at the last one."""
        path = "M" + "L".join(f"{x:g} {y:g}" for x, y in points)
        name = {INK: "dark", RED: "red", GREY: "grey"}[colour]
        self.lines.append(
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.6"'
            + (' stroke-dasharray="4 3"' if dashed else "")
            + (f' marker-end="url(#{name})"' if head else "")
            + "/>"
        )

    def notes(self, x: float, y: float, *lines: str) -> None:
        """Some lines of plain text, one below the other."""
        for nth, words in enumerate(lines):
            self.text(x, y + LINE * nth, words, colour=GREY)

    def svg(self) -> str:
        """The whole file."""
        return "\n".join([*self.lines, "</svg>"]) + "\n"
