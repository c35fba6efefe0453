"""Write and read the hard cases and the old app's records: `python -m data_samples.make_hard_cases`.

Hard cases are no part of the samples: each names its case in `_case`, and keys start at 1000000.
One JSON document a line, in the order of delivery: of two records with one key the later is the latest.
"""

import gzip
import json
from pathlib import Path
from typing import Any

import orjson

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
    *(
        "1\u202f234",
        "1.5E7",
        "15000000.0",
        "10K+",
        "12,5k",
        "1.2 million",
        "985 followers",
        "user info error.",
    ),
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
    ("title as object", {"title": {"text": "10 Calm Ideas"}}),
    ("title like a list", {"title": '["10 Calm Ideas"]'}),
    ("save_location is relative", {"save_location": "Local save in data/home-decor"}),
    ("save_location in a bucket", {"save_location": "s3://pictures.example/home-decor"}),
    ("save_location without a path", {"save_location": "Local save in"}),
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
    ("a field too many", {"app_version": "9.0", "reactions": [{"kind": "like"}]}),
    ("key as text", {"index": str(FIRST_KEY + 902)}),
    ("key missing", {"index": MISSING}),
    ("key null", {"index": None}),
    ("key is no number", {"index": "abc"}),
]
GEO_CASES: list[tuple[str, Record]] = [
    ("timestamp with a blank", {"timestamp": "2018-03-04 05:06:07"}),
    ("timestamp with a T", {"timestamp": "2018-03-04T05:06:07"}),
    *(
        (f"timestamp {text!r}", {"timestamp": text})
        for text in (
            *("2018-03-04T05:06:07+0200", "2018-03-04T05:06:07+02", "2018-03-04T05:06", "2018-03-04"),
            *("2018-03-04T05:06:07.250Z", "04/03/2018", "1520139967"),
        )
    ),
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
    ("country as object", {"country": {"name": "Peru"}}),
    ("country as list", {"country": ["Peru"]}),
    ("country with quotes and accents", {"country": 'Lao People\'s "Côte" \\ Republic'}),
    ("country empty", {"country": ""}),
    ("country null", {"country": None}),
    ("delivered twice, first", {"ind": FIRST_KEY + 900, "country": "Aruba"}),
    ("delivered twice, a field changed", {"ind": FIRST_KEY + 900, "country": "Albania"}),
    ("key as a float", {"ind": float(FIRST_KEY + 903)}),
    ("key missing", {"ind": MISSING}),
    ("key null", {"ind": None}),
]
USER_CASES: list[tuple[str, Record]] = [
    *((f"age {age!r}", {"age": age}) for age in (17, 18, 24, 25, 35, 36, 50, 51, None, -1, "abc", "30", 200)),
    ("age with a fraction", {"age": 30.5}),
    ("age as a float", {"age": 30.0}),
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
# What a version of the app that nobody updates any more still sends: each record breaks a rule, by its name.
OLD_APP: dict[str, list[tuple[str, Record]]] = {
    "pin": [
        ("not_a_text", {"title": {"text": "10 Calm Ideas"}}),
        ("not_a_text", {"tag_list": ["Calm Rooms", "Small Spaces"]}),
        ("wrong_table", {**dict.fromkeys(list(PIN)[1:], MISSING), "headline": "10 Calm Ideas", "likes": 12}),
        ("missing_key", {"index": MISSING}),
        ("missing_key", {"index": "post-4"}),
        ("missing_key", {"index": -1}),
        ("missing_field", {"category": MISSING, "topic": "home-decor"}),
        ("missing_field", {"unique_id": None}),
    ],
    "geo": [
        ("not_a_text", {"country": {"name": "Grenada", "code": "GD"}}),
        ("wrong_table", {**dict.fromkeys(list(GEO)[1:], MISSING), "lat": 12.5, "long": -60.25}),
        ("missing_key", {"ind": None}),
        ("missing_field", {"country": ""}),
        ("impossible_latitude", {"latitude": 91.5}),
        ("impossible_longitude", {"longitude": "west"}),
        ("unreadable_timestamp", {"timestamp": "29/02/2020 12:00"}),
        ("impossible_timestamp", {"timestamp": "2021-02-29T12:00:00"}),
    ],
    "user": [
        ("not_a_text", {"first_name": ["Adlena", "Maria"]}),
        ("wrong_table", {**dict.fromkeys(list(USER)[1:], MISSING), "name": "Adlena Fenwick"}),
        ("missing_key", {"ind": MISSING}),
        ("missing_key", {"ind": 12.5}),
        ("missing_field", {"date_joined": None}),
        ("unreadable_date_joined", {"date_joined": "1456734600"}),
        ("impossible_date_joined", {"date_joined": "2015-13-01T08:30:00"}),
        ("impossible_age", {"age": 200}),
    ],
}
FIRST_OLD_KEY = 2_000_000
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


def make_old_app(table: str) -> list[Record]:
    """What an old version of the app sends for `pin`, `geo` or `user`: nothing that could be mended."""
    base = BASE[table][0]
    records = []
    for number, (_, change) in enumerate(OLD_APP[table]):
        record = {**base, next(iter(base)): FIRST_OLD_KEY + number, **change, "app_version": "0.9"}
        records.append({name: value for name, value in record.items() if value is not MISSING})
    return records


def hard_cases(table: str) -> list[Record]:
    """The committed hard cases of `pin`, `geo` or `user`, each with its `_case`."""
    return _read(FOLDER / f"{table}.jsonl")


def old_app(table: str) -> list[Record]:
    """The committed records of the old app, as it sends them."""
    records = [json.loads(line) for line in gzip.decompress(old_app_file(table).read_bytes()).splitlines()]
    return [{name: value for name, value in record.items() if name != "_offset"} for record in records]


def old_app_file(table: str) -> Path:
    """The object in which they lie beside the samples."""
    folder = FOLDER.parent / "topics" / table / "partition=0"
    return folder / f"{table}+0+{samples.OLD_APP_OFFSET:010d}.json.gz"


def _read(file: Path) -> list[Record]:
    text = file.read_text(encoding="utf-8")
    # Not splitlines: it would also cut at the line separators inside the texts.
    return [json.loads(line) for line in text.split("\n") if line]


def main() -> None:
    """Write one file a table of each of the two."""
    FOLDER.mkdir(exist_ok=True)
    for table in BASE:
        text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in make(table))
        (FOLDER / f"{table}.jsonl").write_text(text, encoding="utf-8", newline="\n")
        landed = [
            {**record, "_offset": samples.OLD_APP_OFFSET + nth}
            for nth, record in enumerate(make_old_app(table))
        ]
        data = b"".join(orjson.dumps(record) + b"\n" for record in landed)
        old_app_file(table).write_bytes(gzip.compress(data, compresslevel=6, mtime=0))


if __name__ == "__main__":
    main()
