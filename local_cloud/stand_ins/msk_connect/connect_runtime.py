"""The real Kafka Connect runtime's REST interface, as far as the MSK Connect stand-in drives it."""

import time
from typing import Any
from urllib.parse import quote

from local_cloud import supervise
from local_cloud.parts.connect import REST_USER
from local_cloud.state import State, Stop

# The same sink under the name of its builder; a plugin of that builder in the plugin folder goes first.
OURS = {"io.confluent.connect.s3.S3SinkConnector": "S3SinkConnector"}
STOP_SECONDS = 30


class RuntimeProblem(RuntimeError):
    """The runtime does not answer, or is busy with a rebalance for too long."""


class Runtime:
    """Connectors by name on the runtime of one local cloud."""

    def __init__(self, state: State) -> None:
        self.cloud = state

    def put(self, name: str, configuration: dict[str, str]) -> str:
        """Create or change a connector; returns what is wrong with the configuration, "" if nothing."""
        wanted = configuration["connector.class"]
        known = {plugin["class"] for plugin in self._call("GET", "/connector-plugins")[1]}
        by_simple_name = {full.rpartition(".")[2]: full for full in known}
        found = wanted if wanted in known else by_simple_name.get(OURS.get(wanted, wanted))
        if found is None:
            return f"Failed to find any class that implements Connector and which name matches {wanted}"
        sent = configuration | {"connector.class": found, "name": name}
        status, answer = self._call("PUT", f"/connector-plugins/{quote(found)}/config/validate", sent)
        if status != 200:
            return str(answer.get("message", answer))
        problems = [
            f"{one['value']['name']}: {text}" for one in answer["configs"] for text in one["value"]["errors"]
        ]
        if problems:
            return "There is an issue with the connector configuration. " + "; ".join(problems)
        status, answer = self._call("PUT", f"/connectors/{quote(name)}/config", sent)
        return "" if status < 300 else str(answer.get("message", answer))

    def status(self, name: str) -> tuple[str, str]:
        """MSK Connect's word for the state (CREATING, RUNNING, FAILED), and the reason of a failure."""
        code, answer = self._call("GET", f"/connectors/{quote(name)}/status")
        if code == 404:
            return "CREATING", ""
        parts = [answer["connector"], *answer["tasks"]]
        failed = [part for part in parts if part["state"] == "FAILED"]
        if failed:
            return "FAILED", _reason(failed[0].get("trace", ""))
        running = answer["tasks"] and all(part["state"] == "RUNNING" for part in parts)
        return ("RUNNING" if running else "CREATING"), ""

    def restart(self, name: str, only_failed: bool) -> None:
        """Restart a connector with its tasks, or only those that failed."""
        self._call(
            "POST",
            f"/connectors/{quote(name)}/restart?includeTasks=true&onlyFailed={str(only_failed).lower()}",
        )

    def delete(self, name: str) -> None:
        """Take a connector away; one that the runtime never had is no error.

        Connect answers before it stops the tasks, which would write on; their status goes after them.
        """
        self._call("DELETE", f"/connectors/{quote(name)}")
        until = time.monotonic() + STOP_SECONDS
        while self._call("GET", f"/connectors/{quote(name)}/status")[0] != 404:
            if time.monotonic() > until:
                raise RuntimeProblem(f"Kafka Connect has not stopped the connector {name}: delete it again.")
            time.sleep(0.1)

    def _call(self, method: str, path: str, body: Any = None, seconds: float = 30) -> tuple[int, Any]:
        sent = {"json": body, "auth": (REST_USER, self.cloud.secret("connect_rest")), "timeout": seconds}
        until = time.monotonic() + seconds
        while True:
            try:
                code, answer = supervise.ask(self.cloud, "connect", method, path, **sent)
            except (OSError, Stop) as error:
                raise RuntimeProblem(f"Kafka Connect does not answer: {error}") from None
            # 409: a rebalance is under way; 500 while the worker has only just begun.
            if code not in (409, 500, 503) or time.monotonic() > until:
                break
            time.sleep(0.3)
        if code in (401, 403, 409, 503):
            raise RuntimeProblem(f"Kafka Connect answers {code}: {answer.get('message', '')[:300]}")
        return code, answer


def _reason(trace: str) -> str:
    """The last cause in a Java stack trace, else its first line."""
    lines = [line.strip() for line in trace.splitlines()]
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by: ")]
    return (causes[-1] if causes else next(iter(lines), ""))[:1000]
