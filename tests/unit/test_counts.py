"""Counting what has landed: a record that lies in two objects is one record."""

import io

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from helpers import counts


def test_a_record_in_two_objects_has_landed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    objects = {"topics/u.pin/a": b'{"_offset": 0}\n{"_offset": 1}\n', "topics/u.pin/b": b'{"_offset": 1}\n'}
    s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="k", aws_secret_access_key="s")
    monkeypatch.setattr(counts.boto3, "client", lambda _: s3)
    with Stubber(s3) as stub:
        for _ in range(2):
            stub.add_response("list_objects_v2", {"Contents": [{"Key": key} for key in objects]})
            for body in objects.values():
                stub.add_response("get_object", {"Body": StreamingBody(io.BytesIO(body), len(body))})
        assert counts.landed("bucket", ["u.pin"]) == {"u.pin": 2}
        assert len(counts.in_s3("bucket", "u.pin")) == 3
