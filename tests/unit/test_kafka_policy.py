"""IAM policy documents become the Kafka ACLs that MSK's documentation names."""

import pytest

from local_cloud.stand_ins.iam import kafka_policy
from local_cloud.stand_ins.iam.kafka_policy import Acl, PolicyError, acls

CLUSTER = "arn:aws:kafka:us-east-1:000000000000:cluster/p-1-cluster/0a1b2c3d"
OTHER = "arn:aws:kafka:us-east-1:000000000000:cluster/other/99999999"
CONNECT = {"Effect": "Allow", "Action": "kafka-cluster:Connect", "Resource": CLUSTER}


def arn(kind: str, name: str) -> str:
    return CLUSTER.replace(":cluster/", f":{kind}/") + f"/{name}"


def allow(actions, resources, effect="Allow") -> dict:
    named = [f"kafka-cluster:{a}" for a in ([actions] if isinstance(actions, str) else actions)]
    return {"Effect": effect, "Action": named, "Resource": resources}


def granted(*statements, clusters=(CLUSTER,)) -> set[tuple]:
    made = acls("writer", [{"Version": "2012-10-17", "Statement": [CONNECT, *statements]}], clusters)
    assert all(acl.principal == "User:writer" for acl in made)
    return {(a.operation, a.kind, a.name + ("*" if a.prefixed else ""), a.allow) for a in made}


def topic(operation: str, name: str, allowed: bool = True) -> tuple:
    return (operation, "topic", name, allowed)


EACH_ACTION = [
    ("DescribeCluster", CLUSTER, ("DESCRIBE", "cluster", "kafka-cluster", True)),
    (
        "DescribeClusterDynamicConfiguration",
        CLUSTER,
        ("DESCRIBE_CONFIGS", "cluster", "kafka-cluster", True),
    ),
    ("WriteDataIdempotently", CLUSTER, ("IDEMPOTENT_WRITE", "cluster", "kafka-cluster", True)),
    ("CreateTopic", arn("topic", "u.pin"), topic("CREATE", "u.pin")),
    ("DescribeTopic", arn("topic", "u.pin"), topic("DESCRIBE", "u.pin")),
    ("DescribeTopicDynamicConfiguration", arn("topic", "u.pin"), topic("DESCRIBE_CONFIGS", "u.pin")),
    ("DescribeGroup", arn("group", "g"), ("DESCRIBE", "group", "g", True)),
    (
        "DescribeTransactionalId",
        arn("transactional-id", "t"),
        ("DESCRIBE", "transactional-id", "t", True),
    ),
]


@pytest.mark.parametrize(("action", "resource", "expected"), EACH_ACTION, ids=[a for a, *_ in EACH_ACTION])
def test_an_action_on_its_kind_of_arn(action, resource, expected):
    assert granted(allow(action, resource)) == {expected}


NEEDS = [
    (action, required, kind, operation)
    for action, (kind, operation, required) in kafka_policy.ACTIONS.items()
    if required
]


@pytest.mark.parametrize(("action", "required", "kind", "operation"), NEEDS, ids=[a for a, *_ in NEEDS])
def test_an_action_counts_only_with_its_required_action(action, required, kind, operation):
    where = CLUSTER if kind == "cluster" else arn(kind, "x")
    assert granted(allow(action, where)) == set()
    assert operation in {line[0] for line in granted(allow([action, required], where))}


@pytest.mark.parametrize("kind", ["group", "cluster", "transactional-id"])
def test_a_topic_action_on_another_kind_of_arn_grants_nothing(kind):
    where = CLUSTER if kind == "cluster" else arn(kind, "u.pin")
    assert granted(allow(["DescribeTopic", "WriteData", "CreateTopic"], where)) == set()


def test_without_connect_on_the_cluster_nothing_counts():
    rule = allow("DescribeTopic", arn("topic", "u.pin"))
    assert acls("writer", [{"Statement": [rule]}], [CLUSTER]) == set()
    wrong = allow("Connect", arn("topic", "u.pin"))
    assert acls("writer", [{"Statement": [rule, wrong]}], [CLUSTER]) == set()


def test_connect_may_stand_in_another_document():
    documents = [{"Statement": CONNECT}, {"Statement": allow("DescribeTopic", arn("topic", "u.pin"))}]
    assert acls("r", documents, [CLUSTER]) == {Acl("User:r", "topic", "u.pin", False, "DESCRIBE")}


def test_another_cluster_of_the_same_broker_grants_nothing():
    assert granted(allow("DescribeTopic", arn("topic", "u.pin")), clusters=[OTHER]) == set()
    assert granted(allow("DescribeTopic", arn("topic", "u.pin")), clusters=[]) == set()


PATTERNS = [
    (arn("topic", "u.pin"), {"u.pin"}),
    (arn("topic", "u.*"), {"u.*"}),
    (arn("topic", "*"), {"*"}),
    ("*", {"*"}),
    ("arn:aws:kafka:us-east-1:000000000000:topic/p-1-cluster/*", {"*"}),
    ("arn:aws:kafka:*:*:topic/p-1-cluster/*/u.pin", {"u.pin"}),
    ("arn:aws:kafka:us-east-1:000000000000:topic/*/*/u.*", {"u.*"}),
    ("arn:aws:kafka:us-east-1:000000000000:*", {"*"}),
    ("arn:aws:kafka:eu-west-1:000000000000:topic/p-1-cluster/*", set()),
    ("arn:aws:kafka:us-east-1:111111111111:topic/p-1-cluster/*", set()),
    ("arn:aws:kafka:us-east-1:000000000000:topic/p-2-cluster/*", set()),
    ("arn:aws:s3:::bucket/*", set()),
]


@pytest.mark.parametrize(("pattern", "names"), PATTERNS, ids=[p for p, _ in PATTERNS])
def test_resources_match_as_in_iam(pattern, names):
    assert granted(allow("DescribeTopic", pattern)) == {topic("DESCRIBE", name) for name in names}


def test_wildcards_in_actions():
    every = granted(allow("*Topic", arn("topic", "u.*")))
    assert every == {topic(o, "u.*") for o in ("CREATE", "DESCRIBE", "ALTER", "DELETE")}
    assert len(granted({"Effect": "Allow", "Action": "*", "Resource": "*"})) == len(kafka_policy.ACTIONS)
    assert granted({"Effect": "Allow", "Action": "KAFKA-cluster:describetopic", "Resource": "*"})
    assert granted({"Effect": "Allow", "Action": "kafka:*", "Resource": "*"}) == set()


def test_a_required_action_on_a_narrower_name_narrows():
    found = granted(allow("WriteData", arn("topic", "u.*")), allow("DescribeTopic", arn("topic", "u.pin")))
    assert found == {topic("DESCRIBE", "u.pin"), topic("WRITE", "u.pin")}
    apart = granted(allow("WriteData", arn("topic", "a*")), allow("DescribeTopic", arn("topic", "b*")))
    assert apart == {topic("DESCRIBE", "b*")}


def test_deny_goes_before_allow():
    rule = allow(["DescribeTopic", "WriteData"], arn("topic", "u.*"))
    narrow = granted(rule, allow("WriteData", arn("topic", "u.pin"), "Deny"))
    assert topic("WRITE", "u.pin", False) in narrow and topic("WRITE", "u.*") in narrow
    whole = granted(rule, allow("WriteData", arn("topic", "u.*"), "Deny"))
    assert topic("WRITE", "u.*") not in whole and topic("DESCRIBE", "u.*") in whole
    assert granted(rule, allow("Connect", CLUSTER, "Deny")) == set()


REFUSED = [
    ("inner star", allow("ReadData", arn("topic", "u.*.pin")), "end only"),
    ("leading star", allow("ReadData", arn("topic", "*pin")), "end only"),
    ("question mark", allow("ReadData", arn("topic", "u.pi?")), "end only"),
    ("variable", allow("ReadData", arn("topic", "${aws:username}")), "end only"),
    ("bare pattern", allow("ReadData", "*pin"), "end only"),
    (
        "condition",
        allow("ReadData", "*") | {"Condition": {"Bool": {"aws:SecureTransport": "true"}}},
        "Condition",
    ),
    ("not resource", {"Effect": "Allow", "Action": "kafka-cluster:*", "NotResource": CLUSTER}, "NotResource"),
    ("not action", {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}, "NotAction"),
]


@pytest.mark.parametrize(("statement", "said"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_what_has_no_equal_among_acls_is_refused(statement, said):
    with pytest.raises(PolicyError, match=said):
        kafka_policy.check({"Statement": [statement]})
    with pytest.raises(PolicyError):
        granted(statement)


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*x*"},
        {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {"Bool": {"a": "b"}}},
        {"Effect": "Allow", "Action": ["kafka-cluster:*", "s3:*"], "Resource": ["arn:aws:s3:::b/*/c"]},
    ],
    ids=["other service", "condition elsewhere", "mixed"],
)
def test_statements_about_other_services_pass(statement):
    kafka_policy.check({"Statement": statement})
