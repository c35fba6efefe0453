"""SSM Run Command's stand-in: what it runs, as whom, and whom it refuses."""

import json
import time
import urllib.error
import urllib.request

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from helpers import client, config
from local_cloud.identity import role_key
from local_cloud.parts import aws
from local_cloud.stand_ins.signature import Keys
from tests.control_servers import make_machine, run_on, running, through_control

IMAGE = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with running(tmp_path_factory.mktemp("ssm"), "aws", "control") as state:
        yield state


@pytest.fixture(scope="module")
def machine(cloud):
    return make_machine(cloud, "machine-role")


@pytest.fixture
def ssm(cloud):
    return through_control(cloud, "ssm")


def refused(code: str, call, **parameters) -> str:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    assert caught.value.response["Error"]["Code"] == code
    return str(caught.value)


def send(instance: str, **more) -> dict:
    given = {"InstanceIds": [instance], "DocumentName": "AWS-RunShellScript"}
    return given | {"Parameters": {"commands": ["touch ran"]}} | more


def test_a_command_runs_in_the_machines_folder_as_its_role(cloud, machine):
    done = run_on(cloud, machine, 'pwd; echo "$AWS_PROFILE $AWS_REGION $HOME"; env | grep -c SECRET')
    home = str(cloud.path("client_machine"))
    assert done["StandardOutputContent"] == f"{home}\nmachine-role us-east-1 {home}\n0\n"
    assert done["ResponseCode"] == 1  # grep's


def test_success_and_failure(cloud, machine):
    good = run_on(cloud, machine, "echo out; echo err >&2")
    assert (good["Status"], good["StatusDetails"], good["ResponseCode"]) == ("Success", "Success", 0)
    assert (good["StandardOutputContent"], good["StandardErrorContent"]) == ("out\n", "err\n")
    bad = run_on(cloud, machine, "echo no >&2; exit 7")
    assert (bad["Status"], bad["ResponseCode"]) == ("Failed", 7)
    assert bad["StandardErrorContent"] == "no\nfailed to run commands: exit status 7"


def test_a_time_out_ends_all_processes_of_the_command(cloud, machine):
    began = time.monotonic()
    done = run_on(cloud, machine, "(sleep 2; touch late) & sleep 40", executionTimeout="1")
    assert (done["Status"], done["StatusDetails"]) == ("TimedOut", "Execution Timed Out")
    assert time.monotonic() - began < 10
    time.sleep(1.6)
    assert not cloud.path("client_machine", "late").exists()


def test_what_is_left_in_the_background_ends_with_the_command(cloud, machine):
    done = run_on(cloud, machine, "(sleep 1; touch background) & echo back")
    assert done["StandardOutputContent"] == "back\n"
    time.sleep(1.4)
    assert not cloud.path("client_machine", "background").exists()


def test_huge_output_is_cut_and_does_not_block(cloud, machine):
    done = run_on(cloud, machine, "yes abcdefg | head -c 60000000; yes error | head -c 9000000 >&2")
    assert done["Status"] == "Success"
    assert len(done["StandardOutputContent"]) == 24_000
    assert done["StandardOutputContent"].endswith("---Output truncated---")
    assert len(done["StandardErrorContent"]) == 8_000


def test_text_in_a_command_stays_text(cloud, machine):
    text = "'; touch injected; $(touch injected) `touch injected` \u00e9"
    done = run_on(
        cloud, machine, f"cat <<'END'\n{text}\nEND", workingDirectory=str(cloud.path("client_machine"))
    )
    assert done["StandardOutputContent"] == text + "\n"
    assert not cloud.path("client_machine", "injected").exists()


def test_a_command_gets_no_input(cloud, machine):
    assert run_on(cloud, machine, "cat; echo end")["StandardOutputContent"] == "end\n"


def test_a_working_directory_that_is_not_there(cloud, machine):
    done = run_on(cloud, machine, "pwd", workingDirectory="/no/such/folder")
    assert done["Status"] == "Failed" and "/no/such/folder" in done["StandardErrorContent"]


def test_the_answer_to_send_command_and_the_list(cloud, machine, ssm):
    sent = ssm.send_command(**send(machine, Comment="why", Parameters={"commands": ["true"]}))["Command"]
    assert sent["DocumentName"] == "AWS-RunShellScript" and sent["InstanceIds"] == [machine]
    listed = ssm.list_command_invocations(CommandId=sent["CommandId"])["CommandInvocations"]
    assert [(one["InstanceId"], one["Comment"]) for one in listed] == [(machine, "why")]


def test_instances_that_cannot_be_commanded(cloud, machine, ssm):
    bare = make_machine(cloud, "bare-role", agent=False)
    stopped = make_machine(cloud, "stopped-role")
    aws.client(cloud, "ec2").stop_instances(InstanceIds=[stopped])
    for instance in (bare, stopped, "i-0123456789abcdef0"):
        message = refused("InvalidInstanceId", ssm.send_command, **send(instance))
        assert instance in message and "not in a valid state" in message
    online = [one["InstanceId"] for one in ssm.describe_instance_information()["InstanceInformationList"]]
    assert online == [machine]
    asked = [{"Key": "InstanceIds", "Values": [bare]}]
    assert ssm.describe_instance_information(Filters=asked)["InstanceInformationList"] == []


def test_what_it_does_not_do_is_refused_by_name(cloud, machine, ssm):
    said = refused("UnknownOperationException", ssm.create_document, Content="{}", Name="mine")
    assert "the local cloud does not do ssm.CreateDocument" in said
    refused("InvalidDocument", ssm.send_command, **send(machine, DocumentName="AWS-RunPowerShellScript"))
    said = refused("ValidationException", ssm.send_command, **send(machine, OutputS3BucketName="b-bucket"))
    assert "OutputS3BucketName" in said
    refused("InvalidParameters", ssm.send_command, **send(machine, Parameters={"comands": ["x"]}))
    wrong = {"commands": ["x"], "executionTimeout": ["soon"]}
    refused("InvalidParameters", ssm.send_command, **send(machine, Parameters=wrong))
    unknown = "00000000-0000-0000-0000-000000000000"
    refused("InvocationDoesNotExist", ssm.get_command_invocation, CommandId=unknown, InstanceId=machine)


def test_the_image_parameter_passes_through(ssm):
    assert ssm.get_parameter(Name=IMAGE)["Parameter"]["Value"].startswith("ami-")
    refused("ParameterNotFound", ssm.get_parameter, Name="/no/such/parameter")


def ran(cloud) -> bool:
    return cloud.path("client_machine", "ran").exists()


def test_a_wrong_signature_runs_nothing(cloud, machine):
    wrong = through_control(cloud, "ssm", secret="0" * 40)
    refused("InvalidSignatureException", wrong.send_command, **send(machine))
    assert not ran(cloud)


def test_a_roles_key_runs_nothing(cloud, machine):
    key_id, secret = role_key(cloud, "machine-role")
    until = time.monotonic() + 10
    while not Keys(cloud.path("iam", "keys.properties")).find(key_id) and time.monotonic() < until:
        time.sleep(0.1)
    role = boto3.client(
        "ssm",
        endpoint_url=f"http://127.0.0.1:{cloud.port('control')}",
        region_name=aws.REGION,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
    )
    assert "machine-role" in refused("AccessDeniedException", role.send_command, **send(machine))
    assert not ran(cloud)


def signed(cloud, body: bytes, host: str) -> dict[str, str]:
    """Headers with the reader's signature of SendCommand over this body and Host."""
    given = {
        "X-Amz-Target": "AmazonSSM.SendCommand",
        "Content-Type": "application/x-amz-json-1.1",
        "Host": host,
    }
    request = AWSRequest("POST", f"http://{host}/", headers=given, data=body)
    reader = Credentials(cloud.secret("reader_key_id"), cloud.secret("reader_secret"))
    SigV4Auth(reader, "ssm", aws.REGION).add_auth(request)
    return dict(request.headers)


def post(cloud, body: bytes, headers: dict[str, str]) -> int:
    url = f"http://127.0.0.1:{cloud.port('control')}/"
    try:
        return urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=5).status
    except urllib.error.HTTPError as error:
        return error.code


def test_raw_requests_run_nothing(cloud, machine):
    body, here = json.dumps(send(machine)).encode(), f"127.0.0.1:{cloud.port('control')}"
    good = signed(cloud, body, here)
    unsigned = {key: value for key, value in good.items() if key != "Authorization"}
    assert post(cloud, body, unsigned) == 403
    assert post(cloud, body, signed(cloud, b"{}", here)) == 403  # a signature over another body
    assert post(cloud, body, signed(cloud, body, "evil.example:80")) == 403
    assert not ran(cloud)
    assert post(cloud, body, good) == 200  # so it was nothing else that was refused


@pytest.fixture
def as_in_a_lesson(cloud, monkeypatch):
    """The environment in which a notebook imports helpers."""
    at = {name: f"http://127.0.0.1:{cloud.port(name)}" for name in ("aws", "control")}
    lines = {
        "PIPELINE_TARGET": "local",
        "AWS_ENDPOINT_URL": at["aws"],
        "AWS_ENDPOINT_URL_IAM": at["control"],
        "AWS_ENDPOINT_URL_SSM": at["control"],
        "AWS_REGION": aws.REGION,
        "AWS_DEFAULT_REGION": aws.REGION,
        "AWS_ACCESS_KEY_ID": cloud.secret("reader_key_id"),
        "AWS_SECRET_ACCESS_KEY": cloud.secret("reader_secret"),
        "CLIENT_HOME": str(cloud.path("client_machine")),
    }
    cloud.path("cloud.env").write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    monkeypatch.setenv("LOCAL_CLOUD_HOME", str(cloud.home))
    for key, value in lines.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


def test_helpers_client(cloud, as_in_a_lesson):
    names = config.use_target().names
    with pytest.raises(RuntimeError, match=r"client machine \(lesson 03\)"):
        client.run("true")
    make_machine(cloud, names.ec2_role, tags={"Name": names.client_machine, **names.tags})
    assert client.run("echo ' some text '; pwd") == f"some text \n{cloud.path('client_machine')}"
    with pytest.raises(client.CommandError, match=r"(?s)exit code 3.*the reason") as caught:
        client.run("echo the reason >&2; exit 3")
    assert caught.value.code == 3
    with pytest.raises(client.CommandError, match="TimedOut"):
        client.run("sleep 20", seconds=1)
