"""What is tried where a password or a token is asked for: Connect, Databricks, Airflow, Spark Connect."""

import base64
import json
from collections.abc import Iterator

from local_cloud.parts import airflow, connect
from local_cloud.state import State
from tests.security.attempts import JSON, WRONG, Attempt, basic, bearer, spark_port, tried


def tokens(state: State) -> Iterator[Attempt]:
    """Connect, Databricks, Airflow and Spark without and with wrong passwords and tokens."""
    at = {"port": state.port("connect")}
    ours = json.dumps({"name": "evil", "config": {"connector.class": "x"}})
    sent = {"method": "POST", "path": "/connectors", "body": ours}
    for what, header in {
        "nothing": {},
        "a guess": basic(connect.REST_USER, "control"),
        "no password": basic(connect.REST_USER, ""),
        "a token": bearer(WRONG),
    }.items():
        yield tried("Connect", f"list with {what}", "http", **at, path="/connectors", headers=header)
        yield tried(
            "Connect",
            f"create with {what}",
            "http",
            **at,
            **sent | {"headers": header | JSON},
        )
    inside = {
        "method": "POST",
        "path": "/connectors/x/tasks",
        "body": "[]",
        "headers": JSON,
    }
    yield tried("Connect", "another worker's call, not signed", "http", **at, **inside)
    forged = {"X-Connect-Authorization": "AAAA", "X-Connect-Request-Signature-Algorithm": "HmacSHA256"}
    yield tried(
        "Connect",
        "another worker's call, forged",
        "http",
        **at,
        **inside | {"headers": forged | JSON},
    )
    yield tried("Connect", "administration of loggers", "http", **at, path="/admin/loggers")

    at = {"port": state.port("databricks"), "path": "/api/2.2/jobs/runs/list"}
    for what, header in {
        "no token": {},
        "a guess": bearer(WRONG),
        "an empty token": bearer(""),
        "the token's first half": bearer(state.secret("databricks_token")[:20]),
        "a password": basic("token", "token"),
    }.items():
        yield tried("Databricks", what, "http", **at, headers=header)
    yield tried("Databricks", "a run's page, guessed", "http", **at | {"path": "/runs/1/" + "0" * 32})

    at = {"port": state.port("airflow")}
    unsigned = [
        {"alg": "none", "typ": "JWT"},
        {"sub": "admin", "role": "ADMIN", "exp": 4102444800, "aud": "apache-airflow"},
    ]
    forged = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in unsigned
    )
    for path in ("/api/v2/dags", "/api/v2/config", "/api/v2/connections", "/api/v2/variables", "/ui/auth/me"):
        yield tried("Airflow", f"{path} without a token", "http", **at, path=path)
        yield tried(
            "Airflow", f"{path} with a forged token", "http", **at, path=path, headers=bearer(f"{forged}.")
        )
    yield tried(
        "Airflow",
        "a forged cookie",
        "http",
        **at,
        path="/api/v2/dags",
        headers={"Cookie": f"_token={forged}."},
    )
    yield tried("Airflow", "a task's interface", "http", **at, path="/execution/variables/x")
    for password in ("", airflow.USER):
        body = json.dumps({"username": airflow.USER, "password": password})
        sent = {"method": "POST", "path": "/auth/token", "headers": JSON, "body": body}
        yield tried("Airflow", f"login, {'a guess' if password else 'no password'}", "http", **at, **sent)
    yield tried("Airflow", "a login without a name", "http", **at, path="/auth/token")
    yield tried("Airflow", "its health", "http", "in", **at, path="/api/v2/monitor/health")
    if port := spark_port(state):
        for what, token in {"no token": "", "a guess": WRONG}.items():
            yield tried("Spark Connect", what, "spark", port=port, token=token)
