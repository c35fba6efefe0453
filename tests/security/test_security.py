"""What another user of this machine, a web page, or a holder of half a key gets from a cloud that is up.

The probes run as a second, unprivileged user where one can be had; their count is shown as a table.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from local_cloud import supervise
from local_cloud.identity import CONNECT_WORKER, READER, role_key
from local_cloud.parts import airflow, connect, kafka, mariadb
from local_cloud.state import ROOT, State
from tests.security import attempts, cloud, login_attempts, web_attempts
from tests.security.attempts import Attempt, basic, bearer, tried
from tests.security.stranger import OWN_USER, Stranger

KINDS = ("MariaDB", "Kafka", "AWS ports", "signatures", "Connect", "Databricks", "Airflow", "REST proxy")
KINDS += ("web page", "odd paths", "odd S3 keys", "role names", "addresses", "unnamed ports", "files")
KINDS += ("processes", "logs", "Spark Connect")
KEY_LINE = re.compile(r"[A-Z0-9]{20}=[0-9a-f]{40}:[\w+=,.@-]{1,64}")
MARKER = "left-its-place-by-a-path-trick"


class Tried:
    """Every attempt with its outcome, by kind."""

    def __init__(self, who: str, results: list[Attempt]) -> None:
        self.who, self.results = who, results

    def unexpected(self, kind: str) -> list[str]:
        """What came out otherwise than the design wants it."""
        wrong = [one for one in self.results if one["kind"] == kind and one["outcome"] != one["expect"]]
        return [f"{one['what']}: {one['outcome']}, not {one['expect']} ({one['said']})" for one in wrong]

    def table(self) -> str:
        """A line a kind: tried, refused, answered as designed, otherwise."""
        rows = [f"Tried as {self.who}", f"{'':16}{'tried':>7}{'refused':>9}{'by design':>11}{'GOT IN':>8}"]
        for kind in dict.fromkeys(one["kind"] for one in self.results):
            mine = [one for one in self.results if one["kind"] == kind]
            wrong = len(self.unexpected(kind))
            refused = sum(one["outcome"] == one["expect"] == "refused" for one in mine)
            rows.append(f"{kind:16}{len(mine):>7}{refused:>9}{len(mine) - refused - wrong:>11}{wrong:>8}")
        return "\n".join(rows)


@pytest.fixture(scope="module")
def seen() -> Iterator[Tried]:
    with cloud.running() as (state, base):
        cloud.fill(state)
        token = cloud.airflow_token(state)
        stranger = Stranger(base)
        ports = [
            *attempts.database(state),
            *attempts.kafka(state),
            *attempts.unsigned(state),
            *login_attempts.tokens(state),
            *attempts.signatures(state),
            *web_attempts.pages(state, token),
            *web_attempts.proxy(state),
            *web_attempts.odd_paths(state),
            *web_attempts.odd_keys(state, MARKER),
        ]
        spoken_to = listening(state)
        addresses = [one for one in spoken_to if "outcome" in one]
        ports += [one for one in spoken_to if "outcome" not in one]
        inside = files_and_processes(state, base if stranger.user else None)
        results = stranger.try_all([*ports, *inside, *owner(state, token)])
        contained(results, base)
        yield Tried(stranger.who, [*results, *addresses, *role_names(state), *logs(state, token)])


def owner(state: State, token: str) -> list[Attempt]:
    """The right passwords: what proves that each probe can come in where the door is open."""
    kind, key = "the right keys", attempts.reader(state)
    admin, secret = f"admin\0{state.secret('kafka_admin')}", state.secret("mariadb_reader")
    found = [
        tried(
            kind, "MariaDB", "mariadb", "in", port=state.port("mariadb"), user=mariadb.USER, password=secret
        ),
    ]
    for name in ("kafka_internal", "kafka_controller"):
        to = {"port": state.port(name), "mechanism": kafka.SCRAM, "login": admin}
        found.append(tried(kind, f"Kafka, {name}", "kafka", "in", **to))
    at = {name: {"port": state.port(name)} for name in ("connect", "databricks", "airflow")}
    login = basic(connect.REST_USER, state.secret("connect_rest"))
    found.append(tried(kind, "Connect", "http", "in", **at["connect"], path="/connectors", headers=login))
    path, header = "/api/2.2/jobs/runs/list", bearer(state.secret("databricks_token"))
    found.append(tried(kind, "Databricks", "http", "in", **at["databricks"], path=path, headers=header))
    found.append(
        tried(kind, "Airflow", "http", "in", **at["airflow"], path="/api/v2/dags", headers=bearer(token))
    )
    for name, call in attempts.signed_calls(state, key).items():
        found.append(tried(kind, name, "http", "in", **call.request()))
    if port := attempts.spark_port(state):
        found.append(tried(kind, "Spark Connect", "spark", "in", port=port, token=state.secret("spark")))
    return found


def listening(state: State) -> list[Attempt]:
    """Every TCP port that a process of this cloud listens on; the ones without a name are spoken to."""
    named = set(json.loads(state.path("ports.json").read_text()).values())
    found = []
    for process in supervise.leftovers(state):
        for one in process.net_connections(kind="inet"):
            if one.status != psutil.CONN_LISTEN:
                continue
            port, loopback = one.laddr.port, one.laddr.ip in ("127.0.0.1", "::1", "::ffff:127.0.0.1")
            outcome = {"outcome": "refused" if loopback else "in", "said": one.laddr.ip}
            found.append(
                tried("addresses", f"{process.name()} on {port}", "raw", port=port, text="") | outcome
            )
            if port not in named:
                for text in ("GET / HTTP/1.0\r\n\r\n", "\0\0\0\0\n"):
                    found.append(
                        tried("unnamed ports", f"{process.name()} on {port}", "raw", port=port, text=text)
                    )
    return found


def secrets_of(state: State, token: str) -> list[str]:
    """All that is private: passwords, key ids and secrets of the reader and the roles, made tokens."""
    known = list(json.loads(state.path("secrets.json").read_text()).values())
    known += [
        part for role in (CONNECT_WORKER, cloud.ROLE, cloud.LAST_ROLE) for part in role_key(state, role)
    ]
    known += [airflow.password(state), *(airflow.made(state, name) for name in ("api", "jwt", "fernet"))]
    return [*known, token]


def files_and_processes(state: State, base: Path | None) -> list[Attempt]:
    """Every process of the machine; folders of the cloud, this project's own ones, left-overs in `base`.

    Without `base` no files: the reader's own user may read them, so only another one proves anything.
    """
    secrets = [secret for secret in secrets_of(state, "") if secret]
    processes = tried("processes", "all of the machine", "processes", secrets=secrets)
    if base is None:
        return [processes]
    found = [
        tried("files", str(entry.name), "files", folder=str(entry)) for entry in sorted(state.home.iterdir())
    ]
    found.append(tried("files", "the state folder", "files", folder=str(state.home)))
    found.append(tried("files", "temporary files", "files", folder=str(base / "tmp"), skip=[]))
    tools = [str(ROOT / ".local" / name) for name in ("tools", "run", "databricks")]  # nothing private
    found.append(tried("files", "the project's .local", "files", folder=str(ROOT / ".local"), skip=tools))
    return [*found, processes]


def contained(results: list[Attempt], base: Path) -> None:
    """An S3 key may be refused or taken; it never becomes a file elsewhere, nor an error of the server."""
    kept = base / "state" / "aws" / "s3"
    strays = [
        path
        for folder in (base, Path("/tmp"))
        for path in folder.glob(f"**/*{MARKER}*")
        if kept not in path.parents
    ]
    for one in results:
        if one["kind"] == "odd S3 keys" and one["outcome"] in ("in", "refused") and not strays:
            one["outcome"] = "contained"


def role_names(state: State) -> list[Attempt]:
    """No role may become a line of its own in the key file, or somebody else's principal."""
    lines = state.path("iam", "keys.properties").read_text().splitlines()
    theirs = [line.partition(":")[2] for line in lines]
    found = []
    for name in cloud.ODD_ROLES:
        extra = [line for line in lines if not KEY_LINE.fullmatch(line)]
        wrong = name in set(theirs) - {READER} or theirs.count(READER) > 1 or bool(extra)
        outcome = {"outcome": "in" if wrong else "refused", "said": f"{len(lines)} lines"}
        found.append(tried("role names", repr(name)[:40], "") | outcome)
    return found


def logs(state: State, token: str) -> list[Attempt]:
    """No log names a secret or a key id."""
    private, found = secrets_of(state, token), []
    for log in sorted([*state.path("logs").glob("*"), *state.path("airflow").glob("logs/**/*.log")]):
        text = log.read_text(errors="replace")
        told = sum(secret in text for secret in private)
        outcome = {"outcome": "in" if told else "refused", "said": f"{told} secrets"}
        found.append(tried("logs", log.name, "") | outcome)
    return found


@pytest.mark.parametrize("kind", ("the right keys", *KINDS))
def test_outcomes(seen: Tried, kind: str, record_property: Any) -> None:
    if kind == "the right keys":
        record_property("table", seen.table())
    if kind == "files" and OWN_USER in seen.who:
        pytest.skip(f"tried as {seen.who}; their modes: tests/contract/test_local_cloud.py")
    assert any(one["kind"] == kind for one in seen.results) or kind == "unnamed ports"
    assert seen.unexpected(kind) == []
