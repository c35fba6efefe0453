"""What a web page may try from the reader's browser: foreign Hosts, Origins, content types; and odd paths."""

import json
from collections.abc import Iterator
from dataclasses import replace

from local_cloud.parts import connect
from local_cloud.state import State
from tests.security.attempts import (
    BUCKET,
    EVIL,
    HTTP,
    JSON_V2,
    Attempt,
    basic,
    bearer,
    reader,
    signed_calls,
    tried,
)

RECORD = json.dumps({"records": [{"value": "from a stranger"}]})
ODD = {
    "up": "/../../../../../../etc/passwd",
    "up, encoded": "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "up, encoded twice": "/%252e%252e/%252e%252e/%252e%252e/etc/passwd",
    "slashes encoded": "/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "a NUL": "/a%00b",
    "a NUL as it is": "/a\0b",
    "very long": "/" + "x" * 7000,
    "not UTF-8": "/%ff%fe",
}
PASSWD = "root:x:"  # only a file of this machine begins so


def pages(state: State, airflow_token: str) -> Iterator[Attempt]:
    """Another Host with and without the reader's own credentials, another Origin, what a form can send."""
    token = state.secret("databricks_token")
    own = {
        "databricks": {"path": "/api/2.2/jobs/runs/list", "headers": bearer(token)},
        "airflow": {"path": "/api/v2/dags", "headers": bearer(airflow_token)},
        "rest_proxy": {"path": "/topics", "headers": {}},
    }
    for name, call in signed_calls(state, reader(state)).items():
        port = state.port(name)
        sent = replace(call, host=f"{EVIL}:{port}").request()
        yield tried("web page", f"{name}: another Host, signed by the reader", "http", **sent)
    for name, sent in own.items():
        headers = {"Host": f"{EVIL}:{state.port(name)}"} | sent["headers"]
        call = {"port": state.port(name), "path": sent["path"], "headers": headers}
        yield tried("web page", f"{name}: another Host, the reader's token", "http", **call)
    for name in HTTP:
        port, origin = state.port(name), {"Origin": f"http://{EVIL}"}
        asks = origin | {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        }
        cors = {"port": port, "sign_of_entry": "access-control-allow-origin"}
        form = {"method": "POST", "body": RECORD, "headers": origin | {"Content-Type": "text/plain"}}
        yield tried("web page", f"{name}: another Host", "http", port=port, headers={"Host": EVIL})
        yield tried("web page", f"{name}: may it read?", "http", **cors, method="OPTIONS", headers=asks)
        yield tried("web page", f"{name}: can it read?", "http", **cors, headers=origin)
        path = "/topics/open" if name == "rest_proxy" else "/"
        yield tried("web page", f"{name}: what a form sends", "http", port=port, path=path, **form)
    connect_at = {"port": state.port("connect"), "headers": {"Host": EVIL} | basic(connect.REST_USER, "")}
    yield tried("web page", "connect: another Host, no password", "http", **connect_at, path="/connectors")


def proxy(state: State) -> Iterator[Attempt]:
    """The REST proxy serves every program of this machine, as it serves every host of the VPC on AWS."""
    at = {"port": state.port("rest_proxy")}
    said = {"method": "POST", "path": "/topics/open", "body": RECORD, "headers": {"Content-Type": JSON_V2}}
    yield tried("REST proxy", "list the topics", "http", "in", **at, path="/topics")
    yield tried("REST proxy", "post a record to a topic of the role's", "http", "in", **at, **said)
    yield tried(
        "REST proxy", "post to a topic outside the role", "http", **at, **said | {"path": "/topics/closed"}
    )
    yield tried("REST proxy", "post to Connect's own topic", "http", **at,
                **said | {"path": "/topics/__amazon_msk_connect_configs"})  # fmt: skip


def odd_paths(state: State) -> Iterator[Attempt]:
    """Paths that lead up, hold a NUL or never end, without credentials; an answer may hold no file of ours.

    Airflow answers any path with the frame of its page, so what counts everywhere is what is in the answer.
    """
    for name in HTTP:
        for what, path in ODD.items():
            for before in {"airflow": ("", "/static"), "rest_proxy": ("/topics",)}.get(name, ("",)):
                args = {"port": state.port(name), "path": before + path, "sign_of_entry": PASSWD}
                yield tried("odd paths", f"{name}: {before or 'root'}, {what}", "http", **args)
    for what, path in ODD.items():
        args = {
            "port": state.port("rest_proxy"),
            "method": "POST",
            "path": f"/topics{path}",
            "body": RECORD,
            "sign_of_entry": PASSWD,
        }
        yield tried(
            "odd paths", f"rest_proxy: post to {what}", "http", **args, headers={"Content-Type": JSON_V2}
        )


def odd_keys(state: State, marker: str) -> Iterator[Attempt]:
    """Names of S3 objects in calls that the reader signed: they may be taken, and must stay in place."""
    names = {
        "up": f"../../../{marker}",
        "up, encoded": f"%2e%2e/%2e%2e/%2e%2e/{marker}",
        "up from a folder": f"a/../../../../{marker}",
        "a NUL": f"{marker}%00.txt",
        "absolute": f"/tmp/{marker}",
        "over 1,024 characters": "x" * 1100,
        "a long part": "y" * 300,
    }
    for what, name in names.items():
        call = replace(
            signed_calls(state, reader(state))["aws"], method="PUT", path=f"/{BUCKET}/{name}", body="x"
        )
        yield tried("odd S3 keys", what, "http", "contained", **call.request())
