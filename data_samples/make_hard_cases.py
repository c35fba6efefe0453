"""Write and read the records that a cleaning must survive: `python -m data_samples.make_hard_cases`.

They are injected, no part of the samples: each names its case in `_case`, and keys start at 1000000.
One JSON document a line, in the order of delivery: of two records with one key the later is the latest.
"""

import json
from pathlib import Path
from typing import Any

from data_samples import make_samples as samples

Record = dict[str, Any]

FOLDER = Path(__file__).resolve().parent / "hard_cases"
FIRST_KEY = 1_000_000
VERY_LONG = 20_000  # characters, more than any page or terminal line holds
MISSING = object()  # as a value: the field is left out

PIN: Record = {
    "index": FIRST_KEY,
    "unique_id": "00000000-0000-4000-a000-000001000000",
    "title": "10 Calm Ideas",
    "description": "Ten calm ideas for a small room.",
    "poster_name": "Quiet Lantern",
    "follower_count": "10k",
    "tag_list": "Calm Rooms,Small Spaces",
    "is_image_or_video": "image",
    "image_src": "https://i.pinimg.example/originals/00/00/00/hard.jpg",
    "downloaded": 1,
    "save_location": "Local save in /data/home-decor",
    "category": "home-decor",
}
GEO: Record = {
    "ind": FIRST_KEY,
    "timestamp": "2020-02-29T12:00:00",
    "latitude": 12.5,
    "longitude": -60.25,
    "country": "Grenada",
}
USER: Record = {
    "ind": FIRST_KEY,
    "first_name": "Adlena",
    "last_name": "Fenwick",
    "age": 30,
    "date_joined": "2016-02-29T08:30:00",
}
EVERY_CHARACTER = (
    "\"quotes\" 'single' \\back\\slash\\ line\nbreak\r\ttab nbsp\u00a0here émigré 日本 👩‍🎨 \u2028 end"
)

# (case, the fields that differ). A text is given as it is delivered, so `None` is a JSON null.
FOLLOWERS = [
    *(
        "1.5k",
        "2.4M",
        "3B",
        "8.2M",
        "2.01k",
        "985k",
        "1,234",
        " 12 k ",
        "12K",
        "2m",
        "0",
        "M",
        "k",
        "",
        "   ",
    ),
    *(samples.NO_USER, None, "-5", "1.2.3k", "ten", "10kk", "99999999999999B"),
]
PIN_CASES: list[tuple[str, Record]] = [
    *((f"follower_count {text!r}", {"follower_count": text}) for text in FOLLOWERS),
    ("follower_count is a number", {"follower_count": 1500}),
    ("description story sentinel", {"description": samples.NO_STORY, "is_image_or_video": samples.STORY}),
    ("description sentinel", {"description": samples.NO_DESCRIPTION}),
    ("description Untitled", {"description": samples.UNTITLED}),
    ("description mentions the sentinel", {"description": f"{samples.UNTITLED} works of 1920"}),
    ("title sentinel", {"title": samples.NO_TITLE}),
    ("poster sentinel", {"poster_name": samples.NO_USER}),
    ("tag sentinel", {"tag_list": samples.NO_TAGS}),
    ("image sentinel with the dot", {"image_src": samples.NO_IMAGE}),
    ("empty texts", {"title": "", "description": "", "poster_name": "", "tag_list": "", "image_src": ""}),
    ("null texts", {"title": None, "description": None, "poster_name": None, "tag_list": None}),
    ("every character", {"title": EVERY_CHARACTER, "description": EVERY_CHARACTER}),
    ("very long text", {"description": "long text " * (VERY_LONG // 10)}),
    ("save_location without prefix", {"save_location": "/data/home-decor"}),
    ("downloaded as text", {"downloaded": "1"}),
    ("two posts of one unique_id, first", {"unique_id": "00000000-0000-4000-a000-00000000twin"}),
    ("two posts of one unique_id, second", {"unique_id": "00000000-0000-4000-a000-00000000twin"}),
    ("delivered twice, first", {"index": FIRST_KEY + 900, "follower_count": "1k", "title": "Before"}),
    (
        "delivered twice, a field changed",
        {"index": FIRST_KEY + 900, "follower_count": "2k", "title": "After"},
    ),
    ("delivered twice, nothing changed", {"index": FIRST_KEY + 901}),
    ("delivered twice, nothing changed", {"index": FIRST_KEY + 901}),
    ("key as text", {"index": str(FIRST_KEY + 902)}),
    ("key missing", {"index": MISSING}),
    ("key null", {"index": None}),
    ("key is no number", {"index": "abc"}),
]
GEO_CASES: list[tuple[str, Record]] = [
    ("timestamp with a blank", {"timestamp": "2018-03-04 05:06:07"}),
    ("timestamp with a T", {"timestamp": "2018-03-04T05:06:07"}),
    ("timestamp last second of a year", {"timestamp": "2018-12-31T23:59:59"}),
    ("timestamp first second of a year", {"timestamp": "2019-01-01T00:00:00"}),
    ("timestamp outside 2018-2022", {"timestamp": "2017-12-31T23:59:59"}),
    ("timestamp garbage", {"timestamp": "yesterday"}),
    ("timestamp of no calendar", {"timestamp": "2021-02-30T10:00:00"}),
    ("timestamp empty", {"timestamp": ""}),
    ("timestamp null", {"timestamp": None}),
    ("latitude at the pole", {"latitude": 90.0, "longitude": 180.0}),
    ("latitude zero", {"latitude": 0.0, "longitude": -0.0}),
    ("latitude out of range", {"latitude": 90.0001}),
    ("longitude out of range", {"longitude": -180.5}),
    ("latitude null", {"latitude": None}),
    ("coordinates as text", {"latitude": "12.5", "longitude": "-60.25"}),
    ("coordinates garbage", {"latitude": "north"}),
    ("coordinates whole numbers", {"latitude": 12, "longitude": -60}),
    ("country with quotes and accents", {"country": 'Lao People\'s "Côte" \\ Republic'}),
    ("country empty", {"country": ""}),
    ("country null", {"country": None}),
    ("delivered twice, first", {"ind": FIRST_KEY + 900, "country": "Aruba"}),
    ("delivered twice, a field changed", {"ind": FIRST_KEY + 900, "country": "Albania"}),
    ("key missing", {"ind": MISSING}),
    ("key null", {"ind": None}),
]
USER_CASES: list[tuple[str, Record]] = [
    *((f"age {age!r}", {"age": age}) for age in (17, 18, 24, 25, 35, 36, 50, 51, None, -1, "abc", "30", 200)),
    ("age with a fraction", {"age": 30.5}),
    ("first name null", {"first_name": None}),
    ("last name null", {"last_name": None}),
    ("both names null", {"first_name": None, "last_name": None}),
    ("first name empty", {"first_name": ""}),
    ("names with every character", {"first_name": "Zoë-Ann 🙂", "last_name": 'O\'Fen\u00a0"Red" \\ Low'}),
    ("same name, another age", {"age": 31}),
    ("same name and age, another joining", {"date_joined": "2017-02-28T08:30:00"}),
    ("date_joined with a blank", {"date_joined": "2016-12-31 23:59:59"}),
    ("date_joined garbage", {"date_joined": "31/12/2016"}),
    ("date_joined null", {"date_joined": None}),
    ("delivered twice, first", {"ind": FIRST_KEY + 900, "age": 24}),
    ("delivered twice, a field changed", {"ind": FIRST_KEY + 900, "age": 25}),
    ("key missing", {"ind": MISSING}),
    ("key null", {"ind": None}),
]
# Whole records in the place of another: as they were before the tables had their shape, or of another table.
OLD: dict[str, Record] = {
    "pin": {"index": FIRST_KEY + 910, "title": "Old", "poster": "Old Poster", "followers": 12},
    "geo": {"ind": FIRST_KEY + 910, "time": 1520139967, "lat": 12.5, "long": -60.25},
    "user": {"ind": FIRST_KEY + 910, "name": "Adlena Fenwick", "age": 30, "joined": "2016-02-29"},
}
BASE = {"pin": (PIN, PIN_CASES), "geo": (GEO, GEO_CASES), "user": (USER, USER_CASES)}


def make(table: str) -> list[Record]:
    """The hard cases of `pin`, `geo` or `user`, in the order of delivery."""
    base, cases = BASE[table]
    key = next(iter(base))
    records = []
    for number, (case, change) in enumerate(cases):
        record = {**base, key: FIRST_KEY + number, **change}
        records.append(
            {name: value for name, value in record.items() if value is not MISSING} | {"_case": case}
        )
    for at, (other, (stranger, _)) in enumerate(BASE.items()):
        if other != table:
            of_other = {**stranger, next(iter(stranger)): FIRST_KEY + 920 + at}
            records.append(of_other | {"_case": f"record of the table {other}"})
    records.append(OLD[table] | {"_case": "old record shape"})
    return records


def hard_cases(table: str) -> list[Record]:
    """The committed hard cases of `pin`, `geo` or `user`, each with its `_case`."""
    text = (FOLDER / f"{table}.jsonl").read_text(encoding="utf-8")
    # Not splitlines: it would also cut at the line separators inside the texts.
    return [json.loads(line) for line in text.split("\n") if line]


def main() -> None:
    """Write one file a table."""
    FOLDER.mkdir(exist_ok=True)
    for table in BASE:
        text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in make(table))
        (FOLDER / f"{table}.jsonl").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
