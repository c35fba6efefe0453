"""The switch: what each target needs, what it sets, what it refuses. No server, no network, no account."""

import os
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from helpers import config
from tests.bare import nothing_set
from tests.databricks import inside

ENV = """PIPELINE_TARGET=local
AWS_ENDPOINT_URL=http://127.0.0.1:4566
AWS_ACCESS_KEY_ID=AKIALOCAL
AWS_SECRET_ACCESS_KEY=local-secret
AWS_REGION=us-east-1
AWS_DEFAULT_REGION=us-east-1
SOURCE_URL=mysql+pymysql://reader:database-secret@127.0.0.1:3307/pinterest
API_INVOKE_BASE=http://127.0.0.1:4568
CLIENT_HOME=/state/client_machine
KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT
REST_PROXY=http://localhost:9999
"""
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAREADER", "AWS_SECRET_ACCESS_KEY": "reader-secret"}


@pytest.fixture(autouse=True)
def no_settings(tmp_path: Path) -> Iterator[None]:
    with nothing_set(tmp_path):
        yield


@pytest.fixture
def local(tmp_path: Path) -> None:
    """A local cloud that is up, as far as its addresses go."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "cloud.env").write_text(ENV)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Everything that the target aws needs."""
    given = {"PIPELINE_TARGET": "aws", "PIPELINE_USER": "bob42", "AWS_REGION": "eu-west-1", **KEYS}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def refusal() -> str:
    with pytest.raises(config.ConfigError) as error:
        config.use_target()
    return str(error.value)


def test_without_a_local_cloud_one_line_says_what_to_do() -> None:
    assert "make up" in refusal()
    assert "\n" not in refusal()


def test_local_is_the_default_and_sets_what_boto3_honours(local: None) -> None:
    cloud = config.use_target()
    assert (cloud.target, cloud.user_id, cloud.region) == ("local", config.DEFAULT_USER, "us-east-1")
    assert boto3.Session().client("s3").meta.endpoint_url == "http://127.0.0.1:4566"
    assert cloud.invoke_url("abc", "prod") == "http://127.0.0.1:4568/abc/prod"
    assert cloud.kafka_security_protocol == "SASL_PLAINTEXT"
    assert cloud.rest_proxy == "http://localhost:9999"
    assert set(config.addresses()) == {"AWS_ENDPOINT_URL", "API_INVOKE_BASE"}


def test_a_stray_profile_or_key_never_sends_a_local_lesson_to_a_real_account(
    local: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "production")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://s3.amazonaws.com")
    config.use_target()
    session = boto3.Session()
    assert session.profile_name == "default"
    assert session.get_credentials().access_key == "AKIALOCAL"
    assert session.get_credentials().token is None
    assert session.client("s3").meta.endpoint_url == "http://127.0.0.1:4566"


def test_a_default_session_of_before_is_not_used_any_more(
    local: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    boto3.client("sts")
    config.use_target()
    credentials = boto3.client("sts")._request_signer._credentials
    assert (credentials.access_key, boto3.client("sts").meta.region_name) == ("AKIALOCAL", "us-east-1")


@pytest.mark.parametrize("secret", ["database-secret", "local-secret", "AKIALOCAL", "/state/client_machine"])
def test_printing_the_settings_shows_no_secret(local: None, secret: str) -> None:
    cloud = config.use_target()
    assert "database-secret" in cloud.source_url
    assert secret not in repr(cloud)
    assert secret not in str(cloud)


def test_the_workspace_is_a_setting_that_its_lesson_asks_for(
    local: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("databricks_host", "databricks_token", "databricks_notebooks")
    for name in names:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("DATABRICKS_HOST", "https://dbc-1.example")
    with pytest.raises(config.ConfigError, match="DATABRICKS_TOKEN, DATABRICKS_NOTEBOOKS"):
        config.use_target().need(*names)
    monkeypatch.setenv("DATABRICKS_TOKEN", "workspace-secret")
    monkeypatch.setenv("DATABRICKS_NOTEBOOKS", "/Workspace/x")
    cloud = config.use_target()
    cloud.need(*names)
    assert cloud.databricks_token == "workspace-secret" and "workspace-secret" not in repr(cloud)


def test_all_that_aws_lacks_is_listed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_TARGET", "aws")
    line = refusal()
    assert "\n" not in line
    for word in ("PIPELINE_USER", "AWS_REGION", "credentials", "aws configure"):
        assert word in line


def test_the_default_user_is_refused_on_aws(aws: pytest.MonkeyPatch) -> None:
    aws.setenv("PIPELINE_USER", config.DEFAULT_USER)
    assert "PIPELINE_USER" in refusal()
    assert "AWS_REGION" not in refusal()


def test_without_credentials_aws_is_refused_with_how_to_log_in(aws: pytest.MonkeyPatch) -> None:
    for name in KEYS:
        aws.delenv(name)
    assert "aws configure" in refusal()
    assert "PIPELINE_USER" not in refusal()


def test_a_profile_that_does_not_exist_is_named(aws: pytest.MonkeyPatch) -> None:
    aws.setenv("AWS_PROFILE", "no-such-profile")
    assert "no-such-profile" in refusal()


def test_credentials_of_a_profile_are_enough(aws: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in KEYS:
        aws.delenv(name)
    (tmp_path / "credentials").write_text(
        "[work]\naws_access_key_id = AKIAWORK\naws_secret_access_key = work-secret\n"
    )
    aws.setenv("AWS_PROFILE", "work")
    assert config.use_target().target == "aws"


def test_aws_takes_no_local_address(aws: pytest.MonkeyPatch, local: None) -> None:
    for name in ("API_INVOKE_BASE", "CLIENT_HOME", "KAFKA_SECURITY_PROTOCOL", "REST_PROXY"):
        aws.setenv(name, "left over from a local run")
    cloud = config.use_target()
    assert "AWS_ENDPOINT_URL" not in os.environ
    assert cloud.invoke_url("abc", "prod") == "https://abc.execute-api.eu-west-1.amazonaws.com/prod"
    assert cloud.client_home == "/home/ec2-user"
    assert cloud.kafka_security_protocol == "SASL_SSL"
    assert cloud.rest_proxy == "http://localhost:8082"
    assert os.environ["AWS_DEFAULT_REGION"] == "eu-west-1"


def test_on_aws_boto3_waits_longer_than_the_slowest_quota(aws: pytest.MonkeyPatch) -> None:
    for name in ("AWS_RETRY_MODE", "AWS_MAX_ATTEMPTS"):
        aws.delenv(name, raising=False)
    config.use_target()
    client = boto3.Session().client("apigateway")
    assert client.meta.config.retries == {"mode": "standard", "total_max_attempts": 10}
    aws.setenv("AWS_MAX_ATTEMPTS", "3")  # the reader's own choice stays
    config.use_target()
    assert boto3.Session().client("apigateway").meta.config.retries["total_max_attempts"] == 3


@pytest.mark.parametrize("target", ["AWS", "gcp", "Local "])
def test_an_unknown_target_is_named(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.setenv("PIPELINE_TARGET", target)
    assert repr(target) in refusal()


def test_inside_databricks_the_target_is_never_local(
    monkeypatch: pytest.MonkeyPatch, local: None, tmp_path: Path
) -> None:
    monkeypatch.setenv("PIPELINE_USER", "bob42")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    with inside(tmp_path):
        cloud = config.use_target()
        assert cloud.target == "aws"
        assert cloud.table("pin") == "`workspace`.`default`.`bob42_pin_table`"
        monkeypatch.setenv("PIPELINE_TARGET", "local")
        assert "Databricks" in refusal()


@pytest.mark.parametrize("target", ["local", "aws"])
def test_raw_path_needs_no_cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, target: str) -> None:
    monkeypatch.setenv("PIPELINE_TARGET", target)
    monkeypatch.setenv("RAW_PATH", "data_samples/topics/")
    (tmp_path / "data_samples" / "topics" / "geo").mkdir(parents=True)
    (tmp_path / "data_samples" / "topics" / "geo" / "geo+0+0.json").write_text("{}\n")
    cloud = config.use_target()
    assert cloud.raw_path("geo") == f"{tmp_path}/data_samples/topics/geo"
    assert cloud.table("geo") == f"delta.`{tmp_path}/state/tables/{config.DEFAULT_USER}_geo_table`"


@pytest.mark.parametrize("there", [[], ["partition=0/"], ["_SUCCESS", ".hidden", "empty.json"]], ids=str)
def test_a_raw_path_without_data_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: list[str]
) -> None:
    folder = tmp_path / "raw" / "pin"
    for name in there:
        file = folder / name
        (file if name.endswith(("/", ".")) else file.parent).mkdir(parents=True, exist_ok=True)
        if not file.is_dir():
            file.write_text("" if name == "empty.json" else "x")
    monkeypatch.setenv("RAW_PATH", str(tmp_path / "raw"))
    cloud = config.use_target()
    with pytest.raises(config.ConfigError, match=f"no files in {folder}: RAW_PATH"):
        cloud.raw_path("pin")


def test_a_bucket_as_raw_path_needs_the_local_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAW_PATH", "s3://somewhere/topics")
    assert "make up" in refusal()  # else Spark would look for the bucket on AWS


def test_raw_path_may_be_a_bucket(local: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAW_PATH", "s3://somewhere/topics")
    assert config.use_target().raw_path("pin") == "s3://somewhere/topics/pin"
    monkeypatch.delenv("RAW_PATH")
    user = config.DEFAULT_USER
    assert config.use_target().raw_path("pin") == f"s3://user-{user}-bucket/topics/{user}.pin"


def test_env_file_is_honoured_and_the_environment_goes_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("PIPELINE_TARGET=aws\nPIPELINE_USER=file1\nAWS_REGION=eu-west-1\n")
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    assert (config.use_target().user_id, os.environ["AWS_REGION"]) == ("file1", "eu-west-1")
    monkeypatch.setenv("PIPELINE_USER", "shell2")
    assert config.use_target().user_id == "shell2"


def test_a_plan_names_all_that_its_lessons_lack(aws: pytest.MonkeyPatch) -> None:
    assert config.use_target().plan(0) == []
    with pytest.raises(config.ConfigError, match=r"SOURCE_URL \(lesson 01\), SINK_ZIP \(lesson 06\)$"):
        config.use_target().plan(10)
    with pytest.raises(config.ConfigError, match=r"DATABRICKS_TOKEN \(lesson 11\).*KINESIS_CREDENTIAL"):
        config.use_target().plan(17)
    for name in config.NEEDED_FROM:
        aws.setenv(name, "given")
    assert config.use_target().plan(1) == [("SOURCE_URL", 1, "set")]
    assert [state for _, _, state in config.use_target().plan(17)] == ["set"] * len(config.NEEDED_FROM)


def test_a_local_plan_needs_no_credential(local: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SINK_ZIP", "DATABRICKS_HOST", "DATABRICKS_TOKEN", "DATABRICKS_NOTEBOOKS"):
        monkeypatch.setenv(name, "given")
    assert config.use_target().plan(17)[-1] == ("KINESIS_CREDENTIAL", 14, "not needed here")


def test_the_service_credential_is_for_databricks_alone(aws: pytest.MonkeyPatch, tmp_path: Path) -> None:
    aws.setenv("KINESIS_CREDENTIAL", "streams")
    assert config.use_target().kinesis_options == {"region": "eu-west-1"}
    with inside(tmp_path):
        assert config.use_target().kinesis_options["serviceCredential"] == "streams"
