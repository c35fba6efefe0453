"""Dirt on top of the measured shape, all of it for a cleaning to mend: which kind, where, how often."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

SAMPLE_POSTS = 11_154  # the counts below are for so many
PEOPLE = ["first_name", "last_name", "age", "date_joined"]
UNITS = {"k": 1_000, "M": 1_000_000}
RIGHT_TO_LEFT = ("مرحبا بالعالم", "\u200fשלום\u200f", "فن جميل", "בית חדש")
AWKWARD = (
    'They said "never again"',
    "It's a 3\\4 turn",
    "first line\nsecond line\r\nthird",
    "tab\there",
    "👩‍🎨🎨 made with 🧡",
    '{"a": 1}, {"b": [2]}',
    "[DIY] {easy}",
    "line\u2028separator",
)
# Each of these mends takes the value and a random number.
Mend = Callable[[Any, int], Any]


def exact(text: str, chance: int) -> int:
    """A count like 18k with digits where the site rounds: 18412."""
    unit = UNITS.get(text[-1], 1)
    return int(text.rstrip("kM")) * unit + chance % unit


def _decimals(text: str, chance: int) -> str:
    return f"{text[:-1]}.{chance % 9 + 1}{text[-1]}"


def _commas(text: str, chance: int) -> str:
    return f"{exact(text, chance):,}"


def _narrow_blanks(text: str, chance: int) -> str:
    return f"{exact(text, chance):,}".replace(",", "\u202f")


def _other_case(text: str, _: int) -> str:
    return text.swapcase()


def _blank_before_unit(text: str, chance: int) -> str:
    return text[:-1] + (" ", "\u00a0")[chance % 2] + text[-1]


def _float(text: str, chance: int) -> str:
    return f"{exact(text, chance)}.0"


def _billions(_: str, chance: int) -> str:
    return f"{chance % 2 + 1}.{chance % 9 + 1}B"


def _zero(_: str, __: int) -> str:
    return "0"


def _missing(_: Any, __: int) -> None:
    return None


def _child(_: int, chance: int) -> int:
    return 13 + chance % 5


def _blanks(text: str, chance: int) -> str:
    before, behind = ((" ", ""), ("", "  "), ("\t", " "), ("", "\u00a0"), ("\u202f", "\n"))[chance % 5]
    return f"{before}{text}{behind}"


def _awkward(text: str, chance: int) -> str:
    return f"{text} {AWKWARD[chance % len(AWKWARD)]}"


def _right_to_left(text: str, chance: int) -> str:
    return f"{text} {RIGHT_TO_LEFT[chance % len(RIGHT_TO_LEFT)]}"


def _path(text: str, chance: int) -> str:
    path = text.removeprefix("Local save in ")
    return (path, f"Local save in {path[1:]}", f"local save in s3://pictures.example{path}")[chance % 3]


def _spelled(text: str, chance: int) -> str:
    bare = text.rstrip(".")
    return (text.lower(), text.upper(), f" {text}", bare if bare != text else f"{text}.")[chance % 4]


KINDS: list[tuple[str, str, str, int, Mend]] = [  # kind, table, column, posts
    ("decimal point", "pin", "follower_count", 120, _decimals),
    ("thousands commas", "pin", "follower_count", 90, _commas),
    ("blanks that do not break", "pin", "follower_count", 30, _narrow_blanks),
    ("upper or lower case", "pin", "follower_count", 90, _other_case),
    ("blank before the unit", "pin", "follower_count", 40, _blank_before_unit),
    ("as pandas writes numbers", "pin", "follower_count", 25, _float),
    ("billions", "pin", "follower_count", 3, _billions),
    ("no followers", "pin", "follower_count", 5, _zero),
    ("stray blanks", "pin", "title", 60, _blanks),
    ("stray blanks", "pin", "poster_name", 25, _blanks),
    ("quotes, line breaks, emoji, brackets", "pin", "title", 64, _awkward),
    ("right to left", "pin", "description", 40, _right_to_left),
    ("another path", "pin", "save_location", 30, _path),
    ("stray blanks", "geo", "country", 30, _blanks),
    ("missing", "user", "age", 45, _missing),
    ("below 18", "user", "age", 25, _child),
    ("missing", "user", "first_name", 15, _missing),
    ("missing", "user", "last_name", 15, _missing),
    ("stray blanks", "user", "last_name", 30, _blanks),
    ("right to left", "user", "first_name", 12, _right_to_left),
]
SPELLED = "no data, spelled otherwise"
SPELLED_POSTS = 30
GROWN = "fewer followers on older posts"
GROWN_USERS = 40  # with at most MOST_POSTS, or the medians of the profile would move
MOST_POSTS = 9


def inject(
    tables: dict[str, pd.DataFrame], no_data: dict[str, list[str]], rng: np.random.Generator
) -> pd.DataFrame:
    """Change the tables in place, and return what was changed: `table, column, ind, kind`, a row a field.

    `no_data` names the texts that say so, for each column of `pin`. KINDS touch users with one post and
    posts that have all their data, each of them once.
    """
    pins, users = tables["pin"], tables["user"]
    users[PEOPLE[:3]] = users[PEOPLE[:3]].astype(object)  # else one missing age makes floats of all
    changes: list[tuple[str, str, int, str]] = []

    def change(kind: str, table: str, column: str, posts: Sequence[int], mend: Mend) -> None:
        for ind, chance in zip(posts, rng.integers(1_000_000, size=len(posts)).tolist(), strict=True):
            tables[table].at[ind, column] = mend(tables[table].at[ind, column], chance)
            changes.append((table, column, ind, kind))

    scale = len(pins) / SAMPLE_POSTS
    silent = pd.DataFrame({column: pins[column].isin(words) for column, words in no_data.items()})
    dirty = silent.any(axis=1).to_numpy()
    sound = ~dirty & pins["follower_count"].str[-1].isin(UNITS).to_numpy()
    person = users.groupby(PEOPLE).ngroup().to_numpy()
    sound_posts = np.bincount(person[sound])

    several = np.flatnonzero((sound_posts > 1) & (sound_posts <= MOST_POSTS))
    for each in rng.permutation(several)[: round(GROWN_USERS * scale)].tolist():
        posts = np.flatnonzero((person == each) & sound)
        oldest_first = tables["geo"]["timestamp"].to_numpy()[posts].argsort()
        change(GROWN, "pin", "follower_count", posts[oldest_first[:-1]].tolist(), _half)
    spelled = rng.permutation(np.flatnonzero(dirty))[: round(SPELLED_POSTS * scale)]
    for column in silent:
        change(SPELLED, "pin", column, spelled[silent[column].to_numpy()[spelled]].tolist(), _spelled)
    free = rng.permutation(np.flatnonzero((np.bincount(person)[person] == 1) & sound))
    for kind, table, column, count, mend in KINDS:
        most = round(count * scale)
        change(kind, table, column, free[:most].tolist(), mend)
        free = free[most:]
    return pd.DataFrame(changes, columns=["table", "column", "ind", "kind"])


def _half(text: str, _: int) -> str:
    return f"{exact(text, 0) // 2:,}"
