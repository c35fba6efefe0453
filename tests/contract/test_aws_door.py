"""The door before the AWS emulator lets in what a key of this cloud has signed, and nothing else."""

import hashlib
import http.client
import json
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from local_cloud.identity import role_key, write_identities
from local_cloud.parts import aws
from local_cloud.stand_ins.signature import EMPTY, Sent, Signed, _hmac, _signing_key
from tests.control_servers import running

KEY, BODY = "/lessons/a%20b%2Bc%3D1/%C3%A9.txt", b"as it was signed"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with running(tmp_path_factory.mktemp("door"), "aws") as state:
        aws.client(state, "s3").create_bucket(Bucket="lessons")
        aws.client(state, "kinesis").create_stream(StreamName="stream", ShardCount=1)
        yield state


def signed(cloud, method="PUT", path=KEY, body=BODY, **other):
    """The headers of a request that the reader has signed."""
    url = f"http://127.0.0.1:{cloud.port('aws')}{path}"
    service = other.get("service", "s3")
    request = AWSRequest(method=method, url=url, data=body, headers=dict(other.get("headers", {})))
    who = Credentials(cloud.secret("reader_key_id"), other.get("secret") or cloud.secret("reader_secret"))
    kind = S3SigV4Auth if service == "s3" else SigV4Auth
    kind(who, service, other.get("region", aws.REGION)).add_auth(request)
    return dict(request.headers.items())


def send(cloud, headers, method="PUT", path=KEY, body=BODY):
    """The status of one request, and what it says."""
    connection = http.client.HTTPConnection("127.0.0.1", cloud.port("aws"), timeout=20)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_what_is_signed_comes_in(cloud):
    assert send(cloud, signed(cloud))[0] == 200
    assert send(cloud, signed(cloud, "GET", body=b""), "GET", body=b"") == (200, BODY)
    blanks = signed(cloud, headers={"x-amz-meta-a": "two  blanks"})
    assert send(cloud, blanks)[0] == 200
    query = f"{KEY}?response-content-type=text%2Fplain&response-expires=a%20b"
    assert send(cloud, signed(cloud, "GET", query, b""), "GET", query, b"")[0] == 200


@pytest.mark.parametrize(
    ("change", "sent"),
    [
        ({"secret": "0" * 40}, {}),
        ({"path": "/lessons/other"}, {}),
        ({"path": KEY + "?x=1"}, {"path": KEY + "?x=2"}),
        ({"method": "GET"}, {}),
        ({}, {"body": b"as it was SIGNED"}),
        ({}, {"body": b""}),
        ({"service": "lambda"}, {}),
        ({"region": "eu-west-1"}, {}),
    ],
)
def test_what_was_signed_otherwise_stays_out(cloud, change, sent):
    status, said = send(cloud, signed(cloud, **change), **sent)
    assert status in (400, 403), said
    assert b"<Error><Code>" in said


def test_who_has_no_signature_stays_out(cloud):
    scope = f"{cloud.secret('reader_key_id')}/20260101/us-east-1/s3/aws4_request"
    named = {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}"}
    for headers in ({}, named, {"Authorization": "Basic YTpi"}):
        assert send(cloud, headers)[0] == 403
    foreign = signed(cloud) | {"Host": "attacker.example"}
    assert send(cloud, foreign)[0] == 403
    # A Host that is signed is foreign all the same.
    late = signed(cloud, headers={"Host": "attacker.example"})
    assert send(cloud, late | {"Host": "attacker.example"})[0] == 403


def test_a_header_of_aws_is_signed_or_refused(cloud):
    added = signed(cloud) | {"x-amz-copy-source": "/lessons/secret"}
    assert send(cloud, added)[0] == 403


def test_an_old_signature_is_refused(cloud, monkeypatch):
    class Earlier(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(UTC) - timedelta(minutes=6)

        @classmethod
        def utcnow(cls):
            return cls.now().replace(tzinfo=None)

    with monkeypatch.context() as patch:
        patch.setattr("botocore.auth.get_current_datetime", lambda *_: Earlier.utcnow(), raising=False)
        old = signed(cloud)
    made = datetime.strptime(old["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert datetime.now(UTC) - made > timedelta(minutes=5)
    status, said = send(cloud, old)
    assert status == 403 and b"expired" in said


def test_a_presigned_address_is_refused(cloud):
    url = aws.client(cloud, "s3").generate_presigned_url(
        "get_object", Params={"Bucket": "lessons", "Key": "x"}
    )
    path = "/" + url.split("/", 3)[3]
    assert send(cloud, {}, "GET", path, b"")[0] == 403
    s3v4 = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{cloud.port('aws')}",
        region_name=aws.REGION,
        aws_access_key_id=cloud.secret("reader_key_id"),
        aws_secret_access_key=cloud.secret("reader_secret"),
        config=Config(signature_version="s3v4"),
    )
    url = s3v4.generate_presigned_url("list_buckets")
    assert send(cloud, {}, "GET", "/" + url.split("/", 3)[3], b"")[0] == 403


def test_a_body_without_a_declared_hash_is_covered_too(cloud):
    body = json.dumps({"StreamName": "stream", "Data": "eA==", "PartitionKey": "1"}).encode()
    given = {"X-Amz-Target": "Kinesis_20131202.PutRecord", "Content-Type": "application/x-amz-json-1.1"}
    headers = signed(cloud, "POST", "/", body, service="kinesis", headers=given)
    assert "x-amz-content-sha256" not in {name.lower() for name in headers}
    assert send(cloud, headers, "POST", "/", body)[0] == 200
    status, said = send(cloud, headers, "POST", "/", body.replace(b"eA==", b"eB=="))
    assert (status, json.loads(said)["__type"]) == (403, "InvalidSignatureException")
    retargeted = headers | {"X-Amz-Target": "Kinesis_20131202.DeleteStream"}
    assert send(cloud, retargeted, "POST", "/", body)[0] == 403


def test_the_emulator_runs_nothing(cloud):
    with pytest.raises(ClientError) as refused:
        aws.client(cloud, "lambda").list_functions()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    # Signed for a service of ours, the path of another: the emulator has that one switched off.
    path = "/2015-03-31/functions/"
    status, _ = send(cloud, signed(cloud, "GET", path, b""), "GET", path, b"")
    assert status >= 400


def test_msk_takes_a_version_only_on_brokers_that_run_it(cloud):
    kafka = aws.client(cloud, "kafka")
    offered = {one["Version"]: one["Status"] for one in kafka.list_kafka_versions()["KafkaVersions"]}
    assert offered["3.9.x"] == offered["4.1.x.kraft"] == "ACTIVE" and offered["2.8.1"] == "DEPRECATED"

    def create(version, size):
        brokers = {"InstanceType": size, "ClientSubnets": ["subnet-1", "subnet-2"]}
        asked = {"ClusterName": "p", "NumberOfBrokerNodes": 2, "BrokerNodeGroupInfo": brokers}
        return kafka.create_cluster(KafkaVersion=version, **asked)

    for version, size, word in (
        ("4.1.x.kraft", "kafka.t3.small", "InstanceType"),
        ("3.9.x.kraft", "kafka.t3.small", "InstanceType"),
        ("4.2.x.kraft", "kafka.m7g.large", "InstanceType"),
        ("2.8.1", "kafka.t3.small", "KafkaVersion"),
        ("4.3.1", "kafka.m7g.large", "KafkaVersion"),
    ):
        with pytest.raises(kafka.exceptions.BadRequestException, match=f"Unsupported {word}"):
            create(version, size)
    for version, size in (
        ("3.9.x", "kafka.t3.small"),
        ("4.1.x.kraft", "kafka.m7g.large"),
        ("4.2.x.kraft", "express.m7g.large"),
    ):
        kafka.delete_cluster(ClusterArn=create(version, size)["ClusterArn"])


def test_a_role_comes_in_with_its_own_key(cloud):
    write_identities(cloud, ["a-role"])
    key_id, secret = role_key(cloud, "a-role")
    made = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{cloud.port('aws')}",
        region_name=aws.REGION,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
    )
    made.put_object(Bucket="lessons", Key="of a role", Body=b"1" * 300_000)
    assert made.get_object(Bucket="lessons", Key="of a role")["Body"].read() == b"1" * 300_000


def chunked(signed: Signed, *chunks: bytes) -> bytes:
    """A body as the SDK for Java frames and signs it."""
    before, body = signed.signature, b""
    for chunk in (*chunks, b""):
        head = f"AWS4-HMAC-SHA256-PAYLOAD\n{signed.stamp}\n{signed.scope}\n{before}\n{EMPTY}\n"
        before = _hmac(signed.signing_key, head + hashlib.sha256(chunk).hexdigest()).hex()
        body += f"{len(chunk):x};chunk-signature={before}\r\n".encode() + chunk + b"\r\n"
    return body


def test_each_chunk_of_a_signed_stream_is_checked():
    scope = ("20260102", "us-east-1", "s3")
    signed = Signed("r", _signing_key("s", *scope), "20260102T030405Z", "/".join(scope), "0" * 64)
    kind, body = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", chunked(signed, b"first\r\n", b"second")
    assert signed.covers(body, kind)
    assert not signed.covers(body.replace(b"second", b"SECOND"), kind)
    for wrong in (b"", body[:-2], body + b"x", body[: body.index(b"0;chunk")], b"ff;chunk-signature=\r\n"):
        assert not signed.covers(wrong, kind)
    assert not signed.covers(b"x", "UNSIGNED-PAYLOAD")
    assert not signed.covers(body, "STREAMING-UNSIGNED-PAYLOAD-TRAILER")


def test_repeated_headers_are_joined_as_they_are_signed():
    sent = Sent("PUT", "/", "", [("content-encoding", "gzip"), ("content-encoding", " aws-chunked ")])
    assert sent.header("content-encoding") == "gzip,aws-chunked"
