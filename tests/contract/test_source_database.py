"""helpers.source against a real server, whose tables are left as they were; who may log in there."""

import contextlib
import dataclasses
import gzip
import json
from collections.abc import Iterator
from typing import Any

import pymysql
import pytest
import sqlalchemy as sa

from helpers import source
from local_cloud.parts import mariadb
from local_cloud.state import State
from tests.jvm_servers import new_state, running

ROWS = 11_154
EVERY = dict.fromkeys(("pin", "geo", "user"), ROWS)
EXTRA = 5_000_000  # a key that no sample has


@pytest.fixture(scope="module")
def database(source_url: str) -> Iterator[sa.Engine]:
    engine = source.engine(source_url)
    source.load_samples(engine)
    yield engine
    engine.dispose()


def delete(database: sa.Engine, name: str, low: int, high: int) -> None:
    key = source.TABLES[name].c[source.KEY[name]]
    with database.begin() as connection:
        connection.execute(sa.delete(source.TABLES[name]).where(key.between(low, high)))


def frozen(name: str) -> list[dict]:
    return [source.json_ready(row) for row in source.sample_rows(name)]


def test_loading_again_changes_nothing(database):
    def checksums() -> list[tuple]:
        names = ", ".join(source.SOURCE.values())
        with database.connect() as connection:
            return [tuple(row) for row in connection.execute(sa.text(f"CHECKSUM TABLE {names}"))]

    before = checksums()
    assert source.load_samples(database) == source.count(database) == EVERY
    assert checksums() == before


def test_tables_that_are_half_loaded_or_gone_are_mended(database):
    delete(database, "pin", 5000, ROWS)
    delete(database, "user", 0, 10)
    source.TABLES["geo"].drop(database)
    assert source.load_samples(database) == EVERY


def test_the_second_day_adds_new_posts_and_corrects_old_ones(database):
    grown = dict.fromkeys(EVERY, ROWS + 346)
    try:
        assert source.load_second_day(database) == grown
        assert source.load_second_day(database) == grown
        assert source.load_samples(database) == grown  # the first day's rows undo no correction
        for name, key in source.KEY.items():
            rows = {row[key]: row for chunk in source.chunks(database, name, 5000) for row in chunk}
            assert all(rows[row[key]] == row for row in source.second_day(name))
    finally:
        for name in EVERY:
            delete(database, name, 0, EXTRA)
        source.load_samples(database)


@pytest.mark.parametrize("name", ["pin", "geo", "user"])
def test_every_row_comes_back_field_by_field_and_type_by_type(database, name):
    read = [row for rows in source.chunks(database, name, 999) for row in rows]
    assert [json.dumps(row) for row in read] == [json.dumps(row) for row in frozen(name)]


def test_the_frozen_lines_are_what_the_emulator_would_post(database):
    for name in source.SOURCE:
        file = next(source.SAMPLES.glob(f"{name}/partition=0/*+0000000000.json.gz"))
        posted = next(source.chunks(database, name, 10))
        lines = gzip.decompress(file.read_bytes()).splitlines()[:10]
        assert [json.loads(line) for line in lines] == [
            {**row, "_offset": at} for at, row in enumerate(posted)
        ]


@pytest.mark.parametrize("size", [1, ROWS - 1, ROWS, ROWS + 1])
def test_chunks_reach_the_first_and_the_last_row_at_any_size(database, size):
    rows = source.chunks(database, "geo", size)
    first = next(rows)
    assert len(first) == min(size, ROWS) and first[0]["ind"] == 0
    if size > 1:
        assert sum((len(chunk) for chunk in rows), len(first)) == ROWS


@pytest.mark.parametrize("ind", [0, 1, ROWS - 1])
def test_a_post_is_read_by_its_key(database, ind):
    found = source.post(database, ind)
    assert [found["pin"]["index"], found["geo"]["ind"], found["user"]["ind"]] == [ind] * 3


def test_posts_come_in_the_order_asked(database, monkeypatch):
    monkeypatch.setattr(source, "READ_KEYS", 2)
    inds = [ROWS - 1, 0, 77, 5, 0]
    assert [row["user"]["ind"] for row in source.posts(database, inds)] == inds


def test_a_post_that_is_not_there_is_named(database):
    with pytest.raises(LookupError, match=f"no post {ROWS} in pinterest_data, geolocation_data, user_data"):
        source.post(database, ROWS)


def test_every_character_survives(database):
    text = "\"q\" 'q' \\n \n\r\t \u00a0 émigré 日本 👩‍🎨 \u2028 %s :x"
    try:
        with database.begin() as connection:
            connection.execute(sa.insert(source.TABLES["pin"]), [{"index": EXTRA, "title": text}])
        assert next(
            row for rows in source.chunks(database, "pin") for row in rows if row["index"] == EXTRA
        ) == {
            **dict.fromkeys(source.COLUMNS["pin"].split()),
            "index": EXTRA,
            "title": text,
        }
    finally:
        delete(database, "pin", EXTRA, EXTRA)


def test_the_session_is_in_utc(database):
    with database.connect() as connection:
        assert connection.scalar(sa.text("SELECT @@session.time_zone")) == "+00:00"


def test_a_dropped_connection_is_replaced(database):
    with database.connect() as connection:
        number = connection.scalar(sa.text("SELECT CONNECTION_ID()"))
    other = sa.create_engine(database.url)
    with other.connect() as connection:
        connection.execute(sa.text(f"KILL {number}"))
    other.dispose()
    assert source.count(database) == EVERY


@pytest.mark.parametrize(
    ("change", "message"),
    [({"password": "wrong"}, "refuses user"), ({"database": "elsewhere"}, "refuses user|has no database")],
    ids=["password", "database"],
)
def test_a_wrong_login_or_database_is_explained(database, change, message):
    url = database.url.set(**change).render_as_string(hide_password=False)
    with pytest.raises(source.SourceError, match=message) as caught:
        source.engine(url)
    assert "wrong" not in str(caught.value)
    assert str(database.url.password) not in str(caught.value)


def login(state: State, user: str, password: str = "", host: str = "127.0.0.1", **options: Any) -> Any:
    """A connection by TCP, or by the socket when no host is given."""
    by = (
        {"host": host, "port": state.port("mariadb")}
        if host
        else {"unix_socket": str(state.socket("mariadb.sock"))}
    )
    return pymysql.connect(user=user, password=password, **by, **options)


def ask(connection: Any, statement: str) -> Any:
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall()


@pytest.fixture(scope="module")
def repaired(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    """A server on an older data folder, which has administrators without a password and an anonymous user."""
    mariadb.ensure_binaries(print)
    state = new_state(tmp_path_factory.mktemp("old"))
    part = mariadb.part(state)
    with running(dataclasses.replace(part, command=[*part.command, "--init-file="]), state):
        assert ask(login(state, "root"), "SELECT USER()") == (("root@127.0.0.1",),)
        ask(login(state, "root"), "CREATE USER ''@'%'")
        ask(login(state, "nobody"), "SELECT 1")
    with running(part, state):
        yield state


def test_who_may_log_in(repaired):
    for user, password in [
        ("root", ""),
        ("", ""),
        ("nobody", ""),
        ("reader", ""),
        ("root", repaired.secret("mariadb_root")),
    ]:
        for host in ("127.0.0.1", "localhost", *(() if password else ("",))):
            with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
                login(repaired, user, password, host)
    with contextlib.closing(login(repaired, "reader", repaired.secret("mariadb_reader"))):
        pass
    root = login(repaired, "root", repaired.secret("mariadb_root"), host="")
    accounts = ask(root, "SELECT User, Host FROM mysql.global_priv ORDER BY User, Host")
    assert accounts == (("mariadb.sys", "localhost"), ("reader", "127.0.0.1"), ("root", "localhost"))
    root = login(repaired, "root", repaired.secret("mariadb_root"), host="")
    assert ask(root, "SELECT COUNT(*) FROM mysql.proxies_priv") == ((0,),)


def test_not_even_the_administrator_reads_or_writes_files_elsewhere(repaired, tmp_path):
    file, secret = tmp_path / "out", repaired.secret("mariadb_root")
    (tmp_path / "in").write_text("x")
    with pytest.raises(pymysql.err.MySQLError, match=r"secure-file-priv|secure_file_priv"):
        ask(login(repaired, "root", secret, host=""), f"SELECT 1 INTO OUTFILE '{file}'")
    assert not file.exists()
    assert ask(login(repaired, "root", secret, host=""), f"SELECT LOAD_FILE('{tmp_path / 'in'}')") == (
        (None,),
    )
    reader = repaired.secret("mariadb_reader"), "127.0.0.1"
    with pytest.raises(pymysql.err.MySQLError, match="Access denied"):
        ask(
            login(repaired, "reader", *reader),
            f"SELECT 1 INTO OUTFILE '{repaired.path('mariadb.files', 'x')}'",
        )
    loading = f"LOAD DATA LOCAL INFILE '{tmp_path / 'in'}' INTO TABLE t"
    connection = login(repaired, "reader", *reader, database=mariadb.DATABASE, local_infile=True)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (a TEXT)")
    with pytest.raises(pymysql.err.MySQLError, match=r"(?i)local"):
        ask(connection, loading)


def test_its_files_are_for_their_owner_only(repaired):
    files = [*repaired.path("mariadb").rglob("*")]
    assert len(files) > 50
    assert [str(file) for file in files if file.stat().st_mode & 0o077] == []
