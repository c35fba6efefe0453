"""The whole cloud through its command: up, status, kill, down, reset, and two of them side by side."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from botocore.exceptions import ClientError
from confluent_kafka.admin import NewTopic

from helpers import source, wait
from local_cloud import supervise
from local_cloud.cloud import bring_up
from local_cloud.parts import all_parts, aws, kafka, mariadb
from local_cloud.state import PORTS, ROOT, State, Stop, is_free
from tests.jvm_servers import new_state

REAL = ("mariadb", "kafka", "connect")


def command(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m local_cloud` on a state folder of its own.

    The shell's files may be read by all, and it knows another Spark server.
    """
    environment = {**os.environ, "LOCAL_CLOUD_HOME": str(home), "SPARK_REMOTE": "sc://elsewhere:1"}
    return subprocess.run(
        [sys.executable, "-m", "local_cloud", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        umask=0o022,
    )


def open_to_others(home: Path) -> list[str]:
    """What another user of the machine could read or write, were the folder itself open."""
    paths = [home, *(path for path in home.rglob("*") if not path.is_symlink())]
    return [str(path.relative_to(home)) for path in paths if path.stat().st_mode & 0o077]


def processes(home: Path) -> list[psutil.Process]:
    return supervise.leftovers(State(home))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cloud so deep in the file system that a socket's path would not fit."""
    above = tmp_path_factory.mktemp("cloud")
    above.chmod(0o755)
    folder = above / ("d" * (124 - len(f"{above}//mariadb.sock")))
    assert len(str(folder / "mariadb.sock")) == 124
    try:
        done = command(folder, "up")
        assert done.returncode == 0, done.stderr
        yield folder
    finally:
        command(folder, "down")


def answers(state: State, name: str) -> bool:
    [part] = [part for part in all_parts(state) if part.name == name]
    try:
        part.ready()
    except Exception:
        return False
    return True


def query(state: State, statement: str) -> None:
    """Run one SQL statement on the source database over a new connection."""
    with source.engine(mariadb.source_url(state)).begin() as connection:
        connection.exec_driver_sql(statement)


def pid(home: Path, name: str) -> int:
    return int(supervise.status(State(home))[name]["pid"])


def test_status_asks_every_part(home: Path) -> None:
    done = command(home, "status")
    assert done.returncode == 0
    assert done.stdout.count("works") == 8
    assert "rest_proxy" in done.stdout  # off until a lesson enables it


def test_up_again_starts_nothing_new(home: Path) -> None:
    before = {name: pid(home, name) for name in REAL}
    assert command(home, "up").returncode == 0
    assert {name: pid(home, name) for name in REAL} == before


def test_every_server_listens_on_loopback_only(home: Path) -> None:
    listening = [
        connection.laddr.ip
        for process in processes(home)
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert listening
    assert set(listening) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_nothing_in_the_state_folder_is_open_to_others(home: Path) -> None:
    state = State(home)
    query(state, "CREATE TABLE private (n INT)")
    kafka.admin(state).create_topics([NewTopic("private", 1, 1)])["private"].result()
    s3 = aws.client(state, "s3")
    s3.create_bucket(Bucket="private")
    s3.put_object(Bucket="private", Key="a/b", Body=b"c")
    assert command(home, "logs", "kafka").returncode == 0
    assert len(list(home.rglob("*"))) > 100
    assert open_to_others(home) == []


def test_no_secret_on_a_command_line_or_in_a_log(home: Path) -> None:
    state = State(home)
    secrets = [
        state.secret(name) for name in ("mariadb_reader", "kafka_admin", "reader_secret", "connect_rest")
    ]
    said = " ".join(" ".join(process.cmdline()) for process in processes(home))
    said += "".join(log.read_text(errors="replace") for log in (home / "logs").glob("*.log"))
    assert not [secret for secret in secrets if secret in said]


def test_a_stranger_gets_nothing_from_the_emulator(home: Path) -> None:
    import requests

    assert requests.get(f"http://127.0.0.1:{State(home).port('aws')}/", timeout=5).status_code == 403


@pytest.mark.parametrize("name", REAL)
def test_a_killed_part_comes_back_with_its_data(home: Path, name: str) -> None:
    state = State(home)
    query(state, f"CREATE TABLE kept_{name} (n INT)")
    kafka.admin(state).create_topics([NewTopic(f"kept-{name}", 1, 1)])[f"kept-{name}"].result()
    old = pid(home, name)
    os.kill(old, signal.SIGKILL)
    wait.until(lambda: pid(home, name) not in (0, old), f"{name} to come back", seconds=30)
    wait.until(lambda: answers(state, name), f"{name} to answer", seconds=90, every=0.5)
    query(state, f"SELECT * FROM kept_{name}")
    assert f"kept-{name}" in kafka.admin(state).list_topics(timeout=20).topics


def test_a_reboot_through_msk_restarts_the_broker(home: Path) -> None:
    state = State(home)
    kafka = aws.client(state, "kafka")
    subnets = aws.client(state, "ec2").describe_subnets()["Subnets"]
    nodes = {"InstanceType": "kafka.m7g.large", "ClientSubnets": [one["SubnetId"] for one in subnets[:2]]}
    made = kafka.create_cluster(
        ClusterName="to-reboot", KafkaVersion="3.9.x", NumberOfBrokerNodes=2, BrokerNodeGroupInfo=nodes
    )
    arn, before = made["ClusterArn"], pid(home, "kafka")
    for wrong, brokers, code in (
        (arn, ["9"], "BadRequest"),
        (arn + "0", ["1"], "NotFound"),
        (arn, [], "Bad"),
    ):
        with pytest.raises(ClientError, match=code):
            kafka.reboot_broker(ClusterArn=wrong, BrokerIds=brokers)
    assert pid(home, "kafka") == before
    assert kafka.reboot_broker(ClusterArn=arn, BrokerIds=["1"])["ClusterArn"] == arn
    wait.until(lambda: pid(home, "kafka") not in (0, before), "the broker to restart", seconds=60)
    wait.until(lambda: answers(state, "kafka"), "the broker to answer", seconds=90, every=0.5)
    kafka.delete_cluster(ClusterArn=arn)


def test_a_second_checkout_runs_beside_the_first(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    try:
        with contextlib.ExitStack() as held:
            with contextlib.suppress(OSError):  # else the first one has its preferred ports, or a third cloud
                held.enter_context(socket.create_server(("127.0.0.1", PORTS["kafka"])))
            done = command(other, "up")
        assert done.returncode == 0, done.stderr
        assert "is taken" in done.stdout
        assert not {State(home).port(name) for name in REAL} & {State(other).port(name) for name in REAL}
        assert open_to_others(other) == ["mariadb.sock"]  # which MariaDB opens, in a folder that is closed
        assert command(other, "reset").returncode == 0
        assert processes(other) == []
        assert [entry.name for entry in other.iterdir()] == [".lock"]
    finally:
        command(other, "down")
    assert command(home, "status").returncode == 0


def test_what_the_emulator_holds_survives_down_and_up(home: Path) -> None:
    state = State(home)
    aws.client(state, "kinesis").create_stream(StreamName="kept", ShardCount=1)
    done = command(home, "down")
    assert (done.returncode, done.stdout) == (0, "  stopped; the data is kept\n")  # and no left-over
    assert processes(home) == []
    assert all(is_free(state.port(name)) for name in REAL)
    assert command(home, "status").returncode == 1
    # As a cloud was left before its folder was closed; and another program has taken a port since.
    home.chmod(0o755)
    (home / "logs").chmod(0o755)
    state.log("kafka").chmod(0o644)
    with socket.create_server(("127.0.0.1", state.port("rest_proxy"))):
        done = command(home, "up")
    assert done.returncode == 0, done.stderr
    assert State(home).port("rest_proxy") != state.port("rest_proxy")
    assert open_to_others(home) == []
    assert aws.client(state, "kinesis").list_streams()["StreamNames"] == ["kept"]


def test_a_part_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    state = new_state(tmp_path)
    (tmp_path / "mariadb" / "mysql").mkdir(parents=True)  # looks made, and holds nothing
    part = mariadb.part(state)
    supervise.launch(state, [part])
    try:
        with pytest.raises(Stop, match=r"(?s)mariadb did not start.*ERROR"):  # the log's own words
            bring_up(state, part)
    finally:
        assert supervise.shut_down(state) == []


def test_a_folder_that_cannot_be_written_is_named() -> None:
    done = command(Path("/proc/nowhere"), "up")
    assert done.returncode == 1
    assert "/proc/nowhere cannot be written" in done.stderr


def test_an_unknown_log_lists_the_known_ones(home: Path) -> None:
    done = command(home, "logs", "nothing")
    assert done.returncode == 1
    assert "kafka" in done.stderr


def test_one_command_at_a_time(home: Path) -> None:
    import fcntl

    with (home / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = command(home, "down")
    assert done.returncode == 1
    assert "another" in done.stderr


def test_orphans_of_a_killed_supervisor_are_ended(home: Path) -> None:
    os.kill(int((home / "supervisord.pid").read_text()), signal.SIGKILL)
    wait.until(lambda: not supervise.is_up(State(home)), "the supervisor to be gone", seconds=10)
    assert len(processes(home)) >= 7
    done = command(home, "down")
    assert done.returncode == 0, done.stderr
    assert "ended what was left running: aws, connect, control, databricks, gateway" in done.stdout
    assert processes(home) == []
