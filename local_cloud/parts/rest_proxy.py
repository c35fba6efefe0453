"""The REST proxy of the client machine: started once `systemctl start kafka-rest` has been called there."""

import http.client
import re
import sys
from pathlib import Path

from local_cloud.part import Part
from local_cloud.state import State


def part(state: State) -> Part:
    """The stand-in with the reader's own kafka-rest.properties, on its recorded port."""
    port = state.port("rest_proxy")
    folder = state.path("client_machine")
    folder.mkdir(parents=True, exist_ok=True)
    env_file = folder / "kafka-rest.env"
    command = [sys.executable, "-m", "local_cloud.stand_ins.rest_proxy.server"]
    command += ["--properties", str(folder / "kafka-rest.properties"), "--port", str(port)]
    command += ["--env-file", str(env_file)]

    def ready() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=8)
        try:
            connection.request("GET", "/topics")
            answer = connection.getresponse()
            if answer.status != 200:
                raise ConnectionError(
                    f"GET /topics: {answer.status} {answer.read(300).decode(errors='replace')}"
                )
        finally:
            connection.close()

    def before() -> None:
        follow_the_broker(folder / "kafka-rest.properties", state.port("kafka"))

    return Part(
        "rest_proxy",
        "stand-in",
        "Kafka REST proxy",
        command,
        ready,
        before=before,
        ports=("rest_proxy",),
        needs=("control",),
        autostart=env_file.exists(),
    )


def follow_the_broker(properties: Path, port: int) -> None:
    """Put the broker's present port into the reader's file; on AWS an address stays, here a port may go.

    A port below 1000 never was the broker's: lesson 04 writes one on purpose, where nobody listens.
    """
    if properties.exists():
        text = properties.read_text()
        now = re.sub(r"(?m)^(bootstrap\.servers=127\.0\.0\.1):\d{4,}$", rf"\1:{port}", text)
        if now != text:
            properties.write_text(now)
