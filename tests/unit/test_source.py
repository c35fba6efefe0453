"""The parts of helpers.source that need no database."""

import datetime as dt
import gzip
import json
import re
from decimal import Decimal

import pytest

from helpers import source


def test_a_row_becomes_json_with_iso_times():
    row = {
        "ind": 7,
        "timestamp": dt.datetime(2018, 3, 4, 5, 6, 7),
        "day": dt.date(2018, 12, 31),
        "latitude": -0.1,
        "country": 'Côte "d\'Ivoire" 🙂',
        "age": None,
    }
    ready = source.json_ready(row)
    assert ready == {**row, "timestamp": "2018-03-04T05:06:07", "day": "2018-12-31"}
    assert json.loads(json.dumps(ready)) == ready


@pytest.mark.parametrize("value", [Decimal("1.5"), b"x", dt.timedelta(1), {1}, [1]], ids=repr)
def test_an_unknown_type_is_refused_by_column_never_null(value):
    with pytest.raises(TypeError, match=f"'price'.*{type(value).__name__}"):
        source.json_ready({"ind": 1, "price": value})


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "SOURCE_URL is not set"),
        ("no address", "is not like mysql"),
        ("mysql+pymysql://u:sesame@127.0.0.1:port/x", "is not like mysql"),
        ("u:sesame@127.0.0.1/x", "is not like mysql"),
        *(
            (f"{driver}://u:sesame@127.0.0.1/x", rf"begins with {re.escape(driver)}://.*mysql\+pymysql://")
            for driver in ("mysql", "mariadb", "mysql+mysqldb", "postgresql", "sqlite", "nothing+special")
        ),
        *(
            (f"mysql+pymysql://u:{password}@127.0.0.1/x", "second @: percent-encode")
            for password in (
                "op@sesame",
                "op@sesame/1",
                "@sesame",
                "op@ses@ame",
                "op@sesame?1",
                "op@sesame:1",
            )
        ),
        (
            "mysql+pymysql://u:sesame@127.0.0.1:1/x",
            "No source database answers at 127.0.0.1:1: run `make up`",
        ),
    ],
)
def test_a_database_that_cannot_be_used_is_explained_without_its_password(url, message):
    with pytest.raises(source.SourceError, match=message) as caught:
        source.engine(url)
    assert "sesame" not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_password_with_an_at_sign_is_percent_encoded():
    with pytest.raises(source.SourceError, match=r"No source database answers at 127\.0\.0\.1:1"):
        source.engine("mysql+pymysql://u:p%40sesame@127.0.0.1:1/x")


def test_the_samples_are_read_in_order_typed_and_without_offset():
    rows = list(source.sample_rows("user"))
    assert [row["ind"] for row in rows] == list(range(11_154))
    assert list(rows[0]) == source.COLUMNS["user"].split()
    assert {type(row["date_joined"]) for row in rows} == {dt.datetime}


@pytest.mark.parametrize("name", ["pin", "geo", "user"])
def test_corrections_differ_from_the_first_day_which_is_ready_to_be_posted_too(name):
    first, key = source.first_day(name), source.KEY[name]
    old = {row[key]: row for row in first}
    assert list(old) == list(range(11_154))
    changed = sum(old[row[key]] != row for row in source.second_day(name)[346:])
    assert changed == 60 if name == "pin" else changed > 40  # a corrected country may be the same one
    assert json.loads(json.dumps(first)) == first and "_offset" not in first[0]


@pytest.mark.parametrize("name", ["pin", "geo", "user"])
def test_the_second_day_is_new_posts_then_corrections_ready_to_be_posted(name):
    rows, key = source.second_day(name), source.KEY[name]
    keys = [row[key] for row in rows]
    assert keys[:346] == list(range(11_154, 11_500))
    assert len(set(keys[346:])) == 60 and max(keys[346:]) < 11_154
    assert json.loads(json.dumps(rows)) == rows and list(rows[0]) == source.COLUMNS[name].split()


@pytest.mark.parametrize("name", ["x.json", "x.json.gz"])
def test_samples_are_read_plain_or_compressed(tmp_path, name):
    record = {
        "ind": 1,
        "timestamp": "2018-03-04T05:06:07",
        "latitude": 1.5,
        "longitude": 2,
        "country": "a\u2028b",
    }
    line = json.dumps(record | {"_offset": 0}, ensure_ascii=False).encode() + b"\n"
    file = tmp_path / "geo" / "partition=0" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(gzip.compress(line) if name.endswith("gz") else line)
    assert list(source.sample_rows("geo", tmp_path)) == [
        {**record, "timestamp": dt.datetime(2018, 3, 4, 5, 6, 7)}
    ]


def test_a_folder_without_samples_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        list(source.sample_rows("pin", tmp_path))
