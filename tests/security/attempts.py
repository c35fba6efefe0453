"""What is tried at the ports: each attempt is a kind, a description, a probe with its arguments, and the
outcome that the design wants: "refused" unless it says otherwise.

An attempt knows what a stranger may have learned: the addresses, how the project works, one key id.
"""

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from local_cloud.parts import mariadb
from local_cloud.state import State
from tests.security.signing import Call

Attempt = dict[str, Any]
KNOWN, UNKNOWN = "a known key id", "AKIAABCDEFGHIJKLMNOP"
JSON = {"Content-Type": "application/json"}
EVIL = "evil.example"
JSON_V2 = "application/vnd.kafka.json.v2+json"
LIST_ROLES = "Action=ListRoles&Version=2010-05-08"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
WRONG = "wrong" * 8
BUCKET = "user-1-bucket"
HTTP = ("aws", "control", "gateway", "databricks", "airflow", "connect", "rest_proxy")


def tried(kind: str, what: str, call: str, expect: str = "refused", **args: Any) -> Attempt:
    return {"kind": kind, "what": what, "call": call, "args": args, "expect": expect}


def basic(user: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def spark_port(state: State) -> int:
    """The port of the Spark Connect server; 0 in a cloud that has none."""
    return state.port("spark") if "spark" in json.loads(state.path("ports.json").read_text()) else 0


def signed_calls(state: State, key: tuple[str, str]) -> dict[str, Call]:
    """One call for each port that checks signatures, each answered with 200 when the key is the reader's."""
    at = {name: f"127.0.0.1:{state.port(name)}" for name in ("aws", "control", "gateway")}
    return {
        "aws": Call(key, at["aws"], "s3"),
        "control": Call(key, at["control"], "iam", "POST", body=LIST_ROLES, extra=FORM),
        "gateway": Call(key, at["gateway"], "apigateway", path="/restapis"),
    }


def reader(state: State) -> tuple[str, str]:
    return state.secret("reader_key_id"), state.secret("reader_secret")


def database(state: State) -> Iterator[Attempt]:
    """MariaDB with no password and with a guessed one, by every name of this machine."""
    port = state.port("mariadb")
    for host in ("127.0.0.1", "::1", "localhost"):
        for user in ("root", mariadb.USER, "mysql", "mariadb.sys", ""):
            for password in ("", "root"):
                what = f"{user or 'nobody'} at {host}, {'a guess' if password else 'no password'}"
                yield tried("MariaDB", what, "mariadb", port=port, host=host, user=user, password=password)


def kafka(state: State) -> Iterator[Attempt]:
    """The broker's three listeners, with nothing, guesses, and a signature that is none."""
    scope = f"{state.secret('reader_key_id')}/20260101/us-east-1/kafka-cluster/aws4_request"
    made = {"version": "2020_10_22", "host": "127.0.0.1", "user-agent": "x"}
    made |= {"action": "kafka-cluster:Connect", "x-amz-algorithm": "AWS4-HMAC-SHA256"}
    made |= {"x-amz-credential": scope, "x-amz-date": "20260101T000000Z", "x-amz-signedheaders": "host"}
    made |= {"x-amz-expires": "900", "x-amz-signature": "0" * 64}
    token = base64.urlsafe_b64encode(
        f"https://kafka.us-east-1.amazonaws.com/?X-Amz-Credential={scope}".encode()
    )
    logins = {
        "no login": ("", ""),
        "the administrator in plain text": ("PLAIN", "\0admin\0admin"),
        "the administrator without a password": ("SCRAM-SHA-512", "admin\0"),
        "the administrator, a guess": ("SCRAM-SHA-512", "admin\0admin-secret"),
        "a user who is none": ("SCRAM-SHA-512", "root\0admin"),
        "a known key id, no signature": ("AWS_MSK_IAM", json.dumps(made)),
        "a token without a signature": ("OAUTHBEARER", f"n,,\1auth=Bearer {token.decode()}\1\1"),
    }
    for name in ("kafka", "kafka_internal", "kafka_controller"):
        for what, (mechanism, login) in logins.items():
            args = {"port": state.port(name), "mechanism": mechanism, "login": login}
            yield tried("Kafka", f"{name}: {what}", "kafka", **args)


def unsigned(state: State) -> Iterator[Attempt]:
    """The AWS ports without a signature, with an unknown key, and with a known key id but not its secret."""
    known = state.secret("reader_key_id")
    for name, call in signed_calls(state, (known, WRONG)).items():
        sent = call.request()
        plain = {"Host": call.host} | call.extra
        stranger = signed_calls(state, (UNKNOWN, WRONG))[name].request()
        bare = {"Authorization": f"AWS4-HMAC-SHA256 Credential={known}/20260101/us-east-1/s3/aws4_request"}
        query = (
            f"{call.path}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={known}%2F20260101%2Fus-east-1"
        )
        query += f"%2Fs3%2Faws4_request&X-Amz-SignedHeaders=host&X-Amz-Signature={'0' * 64}"
        yield tried("AWS ports", f"{name}: no signature", "http", **sent | {"headers": plain})
        yield tried("AWS ports", f"{name}: an unknown key", "http", **stranger)
        yield tried("AWS ports", f"{name}: {KNOWN}, another secret", "http", **sent)
        yield tried("AWS ports", f"{name}: {KNOWN}, no signature", "http", **sent | {"headers": plain | bare})
        yield tried(
            "AWS ports", f"{name}: {KNOWN} in the query", "http", **sent | {"headers": plain, "path": query}
        )
    host = f"127.0.0.1:{state.port('aws')}"
    put = Call((known, WRONG), host, "s3", "PUT", f"/{BUCKET}/dags/evil.py", body="import os")
    run = Call((known, WRONG), host, "lambda", path="/2015-03-31/functions/")
    yield tried("AWS ports", f"aws: {KNOWN} puts a DAG", "http", **put.request())
    yield tried("AWS ports", f"aws: {KNOWN} asks for Lambda", "http", **run.request())
    yield tried(
        "AWS ports",
        "gateway: a stage of no API",
        "http",
        port=state.port("gateway"),
        path="/abcde12345/dev/x",
    )


def signatures(state: State) -> Iterator[Attempt]:
    """The reader's genuine signatures, overheard: once more, too old, cut, and moved to something else."""
    for name, call in signed_calls(state, reader(state)).items():
        good, old = call.request(), signed_calls(state, reader(state))[name]
        old.age = timedelta(minutes=20)
        head: dict[str, str] = good["headers"]  # type: ignore[assignment]
        proof = head["Authorization"]
        foreign = "gateway" if name != "gateway" else "control"
        cut, elsewhere = proof.replace("SignedHeaders", "X"), "/other" if name == "aws" else "/restapis/x"
        unsigned = {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}
        another = {"X-Amz-Target": "AmazonSSM.DescribeInstanceInformation"}
        earlier = {"X-Amz-Date": old.headers()["X-Amz-Date"]}
        changed = {
            "expired": old.request(),
            "from the future": Call(**vars(call) | {"age": timedelta(minutes=-20)}).request(),
            "cut by a digit": good | {"headers": head | {"Authorization": proof[:-1]}},
            "without a list of headers": good | {"headers": head | {"Authorization": cut}},
            "moved to another time": good | {"headers": head | earlier},
            "moved to another path": good | {"path": elsewhere},
            "moved to another query": good | {"path": f"{call.path}?x=1"},
            "moved to another method": good | {"method": "PUT" if name == "aws" else "DELETE"},
            "moved to another body": good | {"method": call.method, "body": call.body + "&MaxItems=1"},
            "moved to another server": good | {"port": state.port(foreign)},
            "a signed header changed": good | {"headers": head | unsigned},
            "a header added": good | {"headers": head | another},
        }
        yield tried("signatures", f"{name}: sent again within 5 minutes, as on AWS", "http", "in", **good)
        for what, sent in changed.items():
            yield tried("signatures", f"{name}: {what}", "http", **sent)
