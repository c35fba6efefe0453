"""The REST proxy's file follows the broker to another port, and nothing else in it changes."""

from pathlib import Path

import pytest

from local_cloud.parts.rest_proxy import follow_the_broker


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "bootstrap.servers=127.0.0.1:9098\nlisteners=x:8082\n",
            "bootstrap.servers=127.0.0.1:5\nlisteners=x:8082\n",
        ),
        ("bootstrap.servers=b-1.msk.example:9098\n", "bootstrap.servers=b-1.msk.example:9098\n"),
        # Where lesson 04 sends the proxy to see no broker.
        ("bootstrap.servers=127.0.0.1:1\n", "bootstrap.servers=127.0.0.1:1\n"),
    ],
)
def test_only_a_local_broker_is_followed(tmp_path: Path, before: str, after: str) -> None:
    file = tmp_path / "kafka-rest.properties"
    file.write_text(before)
    follow_the_broker(file, 5)
    assert file.read_text() == after


def test_a_machine_without_the_file_is_left_alone(tmp_path: Path) -> None:
    follow_the_broker(tmp_path / "kafka-rest.properties", 5)
    assert list(tmp_path.iterdir()) == []
