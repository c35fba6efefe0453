"""The three source tables through SQLAlchemy and PyMySQL: load the samples, read by key or in chunks."""

import datetime as dt
import gzip
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import BigInteger, DateTime, Double, Integer, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError

from helpers.schema import COLUMNS, KEY, SOURCE

Row = dict[str, Any]

SAMPLES = Path(__file__).resolve().parents[1] / "data_samples" / "topics"
SECOND_DAY = SAMPLES.parent / "second_day"  # 346 new posts, then 60 corrections of old ones
OLD_APP = "0.9"  # the version by which records of an old app are known: they are no posts
DRIVER = "mysql+pymysql"
INSERT_ROWS = 1000  # rows in one INSERT statement: well below MariaDB's default packet of 16 MB
UTC = "SET SESSION time_zone = '+00:00'"
READ_KEYS = 5000  # keys in one SELECT ... IN (...)

TYPES: dict[str, Any] = {  # every other column is text
    **dict.fromkeys(["downloaded", "age"], Integer),
    **dict.fromkeys(["latitude", "longitude"], Double),
    **dict.fromkeys(["timestamp", "date_joined"], DateTime),
}
METADATA = sa.MetaData()
TABLES = {
    name: sa.Table(
        SOURCE[name],
        METADATA,
        sa.Column(KEY[name], BigInteger, primary_key=True, autoincrement=False),
        *(sa.Column(column, TYPES.get(column, Text)) for column in columns.split()[1:]),
        mysql_charset="utf8mb4",  # emoji need four bytes a character, MySQL's old default has three
        mysql_engine="InnoDB",
    )
    for name, columns in COLUMNS.items()
}


class SourceError(RuntimeError):
    """The source database cannot be used; the message says why and what to do, without the password."""


def engine(url: str) -> sa.Engine:
    """One pooled engine on the source database (`mysql+pymysql://...`), tried once before it is returned.

    The session's time zone is UTC. SourceError: the address is wrong, the server away or the login refused.
    """
    if not url:
        raise SourceError("SOURCE_URL is not set: run `make up`, or name your database in .env")
    if url.count("@") > 1:  # the first would end the password, and the rest of it be shown as the host
        raise SourceError("SOURCE_URL holds a second @: percent-encode it in user and password, as %40")
    try:
        address = sa.make_url(url)
        if address.drivername != DRIVER:
            raise SourceError(
                f"SOURCE_URL begins with {address.drivername}://: for MySQL or MariaDB, which the tables are "
                f"read from here, it begins with {DRIVER}://"
            )
        made = sa.create_engine(
            address,
            pool_pre_ping=True,  # a connection that the server dropped is replaced, not reported
            pool_recycle=1800,  # seconds; shorter than the idle time-out of common proxies
            connect_args={"charset": "utf8mb4", "connect_timeout": 5, "init_command": UTC},
        )
    except (ArgumentError, ValueError):
        # The parser's own message repeats the address, password included.
        raise SourceError(f"SOURCE_URL is not like {DRIVER}://user:password@host/database") from None
    try:
        with made.connect():
            return made
    except (OperationalError, InterfaceError, RuntimeError) as error:
        made.dispose()
        raise SourceError(_explain(made.url, error)) from None


def _explain(url: sa.URL, error: Exception) -> str:
    """What the driver's error number means for a reader."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    number = cause.args[0] if cause and cause.args else None
    where = f"{url.host}:{url.port or 3306}"
    match number:
        case 1044 | 1045 | 1698:
            return f"The database at {where} refuses user {url.username!r}: check the login in SOURCE_URL"
        case 1049:
            return f"The server at {where} has no database {url.database!r}: create it, or mend SOURCE_URL"
        case 2002 | 2003 | 2006 | 2013:
            return f"No source database answers at {where}: run `make up` (on AWS: check its security group)"
        case _:
            return f"The source database at {where} cannot be used: {cause}"


def load_samples(source: sa.Engine, folder: Path | str = SAMPLES) -> dict[str, int]:
    """Make the tables and insert the sample rows they lack; returns the rows of each table.

    Done again it changes nothing; a table that was left half loaded gets the rest.
    """
    METADATA.create_all(source)
    for name, table in TABLES.items():
        key = KEY[name]
        with source.begin() as connection:
            there = set(connection.scalars(sa.select(table.c[key])))
            lacking = [row for row in sample_rows(name, folder) if row[key] not in there]
            for start in range(0, len(lacking), INSERT_ROWS):
                connection.execute(sa.insert(table), lacking[start : start + INSERT_ROWS])
    return count(source)


def load_second_day(source: sa.Engine) -> dict[str, int]:
    """Insert the new posts of the second day and update the corrected ones; returns the rows of each table.

    Done again it changes nothing.
    """
    for name, table in TABLES.items():
        upsert = mysql.insert(table)
        upsert = upsert.on_duplicate_key_update({c.name: upsert.inserted[c.name] for c in table.columns})
        with source.begin() as connection:
            connection.execute(upsert, list(sample_rows(name, SECOND_DAY)))
    return count(source)


def second_day(name: str) -> list[Row]:
    """What users post on the second day, JSON-ready and in order: 346 new rows, then 60 corrections."""
    return [json_ready(row) for row in sample_rows(name, SECOND_DAY)]


def sample_rows(name: str, folder: Path | str = SAMPLES) -> Iterator[Row]:
    """The rows of a sample table, typed as the database wants them, without `_offset`."""
    columns = TABLES[name].columns
    times = [column.name for column in columns if isinstance(column.type, DateTime)]
    for record in _records(name, folder):
        if record.get("app_version") != OLD_APP:
            record |= {time: dt.datetime.fromisoformat(record[time]) for time in times}
            yield {column.name: record[column.name] for column in columns}


def first_day(name: str) -> list[Row]:
    """The sample rows of a table as they are posted, with times as ISO 8601 text."""
    return [json_ready(row) for row in sample_rows(name)]


def old_app(name: str, folder: Path | str = SAMPLES) -> list[Row]:
    """What an old version of the app posts: records that each break another rule, and no post."""
    found = [record for record in _records(name, folder) if record.get("app_version") == OLD_APP]
    return [{field: value for field, value in record.items() if field != "_offset"} for record in found]


def _records(name: str, folder: Path | str) -> Iterator[Row]:
    files = sorted(Path(folder, name).glob("partition=0/*.json*"))
    if not files:
        raise FileNotFoundError(f"no samples of {name!r} in {folder}")
    for file in files:
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        yield from map(json.loads, data.splitlines())


def count(source: sa.Engine) -> dict[str, int]:
    """Rows of each table: `{"pin": 11154, "geo": 11154, "user": 11154}`."""
    with source.connect() as connection:
        counts = {name: sa.select(sa.func.count()).select_from(table) for name, table in TABLES.items()}
        return {name: connection.scalar(query) or 0 for name, query in counts.items()}


def post(source: sa.Engine, ind: int) -> dict[str, Row]:
    """The three JSON-ready rows of one post: `{"pin": ..., "geo": ..., "user": ...}`; LookupError if none.

    Read by key: `LIMIT n - 1, 1`, as often seen, walks over n rows, orders nothing and misses the last one.
    """
    return next(posts(source, [ind]))


def posts(source: sa.Engine, inds: Iterable[int]) -> Iterator[dict[str, Row]]:
    """The three JSON-ready rows of each post, in the order asked; LookupError names one that lacks."""
    wanted = iter(inds)
    while some := list(islice(wanted, READ_KEYS)):
        found: dict[str, dict[int, Row]] = {}
        with source.connect() as connection:
            for name, table in TABLES.items():
                key = table.c[KEY[name]]
                rows = connection.execute(sa.select(table).where(key.in_(some))).mappings()
                found[name] = {row[key.name]: json_ready(row) for row in rows}
        for ind in some:
            lacking = [SOURCE[name] for name in TABLES if ind not in found[name]]
            if lacking:
                raise LookupError(f"no post {ind} in {', '.join(lacking)}")
            yield {name: found[name][ind] for name in TABLES}


def chunks(source: sa.Engine, name: str, size: int = 1000) -> Iterator[list[Row]]:
    """All rows of a table in key order, JSON-ready, `size` at a time; only one chunk is held in memory.

    Each chunk starts after the last key of the one before, so no row is skipped or read twice.
    """
    table, key, last = TABLES[name], TABLES[name].c[KEY[name]], None
    while True:
        query = sa.select(table).order_by(key).limit(size)
        with source.connect() as connection:
            rows = connection.execute(query if last is None else query.where(key > last)).mappings().all()
        if not rows:
            return
        yield [json_ready(row) for row in rows]
        last = rows[-1][key.name]


def json_ready(row: Any) -> Row:
    """A row with times as ISO 8601 text; TypeError names the column whose type JSON does not know."""
    ready = dict(row)
    for name, value in ready.items():
        if isinstance(value, dt.date):  # a datetime is a date too
            ready[name] = value.isoformat()
        elif value is not None and not isinstance(value, str | int | float):
            raise TypeError(f"column {name!r}: {type(value).__name__} has no JSON form here")
    return ready
