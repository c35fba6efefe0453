"""No role's name adds a line to the key table, or takes over a principal of the local cloud."""

import pytest

from local_cloud.identity import CONNECT_WORKER, READER, write_identities
from local_cloud.parts.kafka import ADMIN
from local_cloud.stand_ins.http import AwsError
from local_cloud.stand_ins.iam import service
from local_cloud.state import State

STRANGE = ["a\nAKIAEVIL=pw:reader", "a:b", "a b", "", "r" * 65, "ä", "a\n"]
RESERVED = [READER, READER.upper(), CONNECT_WORKER, ADMIN, "broker", "anonymous", "*"]


@pytest.mark.parametrize("name", STRANGE + RESERVED)
def test_the_key_table_takes_no_such_name(tmp_path, name):
    state = State(tmp_path)
    state.make_secrets()
    write_identities(state, ["a-role", "r" * 64, "+=,.@-_"])
    before = state.path("iam", "keys.properties").read_text()
    with pytest.raises(ValueError, match="no role may have the name"):
        write_identities(state, ["a-role", name])
    assert state.path("iam", "keys.properties").read_text() == before


@pytest.mark.parametrize(
    ("names", "code"), [([*STRANGE, "*"], "ValidationError"), (RESERVED[:-1], "InvalidInput")]
)
def test_iam_makes_no_such_role(names, code):
    for name in names:
        with pytest.raises(AwsError) as refused:
            service._refuse_what_kafka_cannot_follow("CreateRole", {"RoleName": name})
        assert refused.value.code == code, name
    service._refuse_what_kafka_cannot_follow("CreateRole", {"RoleName": "0a1b2c3d4e5f-ec2-access-role"})
