"""boto3.client("kafkaconnect") drives the real Kafka Connect, with MSK Connect's answers and refusals."""

import base64
import io
import json
import time
import zipfile

import pytest
from botocore.exceptions import ClientError
from confluent_kafka import Producer
from confluent_kafka.admin import NewTopic

from local_cloud.parts import aws, kafka
from tests.control_servers import make_role, running, through_control
from tests.sink_tools import wait_for

BUCKET = "user-1-bucket"
VPC = {"subnets": ["subnet-1", "subnet-2"], "securityGroups": ["sg-1"]}
CAPACITY = {"provisionedCapacity": {"mcuCount": 1, "workerCount": 1}}
CONFIGURATION = {
    "connector.class": "io.confluent.connect.s3.S3SinkConnector",
    "tasks.max": "3",
    "topics.regex": r"1\.(pin|geo)",
    "s3.region": "us-east-1",
    "s3.bucket.name": BUCKET,
    "flush.size": "2",
    "format.class": "io.confluent.connect.s3.format.json.JsonFormat",
    "partitioner.class": "io.confluent.connect.storage.partitioner.DefaultPartitioner",
    "storage.class": "io.confluent.connect.s3.storage.S3Storage",
    "schema.compatibility": "NONE",
    "key.converter": "org.apache.kafka.connect.storage.StringConverter",
    "value.converter": "org.apache.kafka.connect.json.JsonConverter",
    "value.converter.schemas.enable": "false",
}
WORKER = "key.converter=org.apache.kafka.connect.storage.StringConverter\n# a comment\n"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with running(tmp_path_factory.mktemp("connect"), "aws", "kafka", "control", "connect") as state:
        yield state


@pytest.fixture(scope="module")
def msk(cloud):
    return through_control(cloud, "kafkaconnect")


@pytest.fixture(scope="module")
def plugin(cloud, msk) -> str:
    s3 = aws.client(cloud, "s3")
    s3.create_bucket(Bucket=BUCKET)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("plugin/connector.jar", b"jar")
    s3.put_object(Bucket=BUCKET, Key="plugins/sink.zip", Body=content.getvalue())
    s3.put_object(Bucket=BUCKET, Key="plugins/broken.zip", Body=b"no archive")
    made = msk.create_custom_plugin(**plugin_of("sink", "plugins/sink.zip"), tags={"project": "p"})
    assert (made["customPluginState"], made["revision"]) == ("CREATING", 1)
    return made["customPluginArn"]


@pytest.fixture(scope="module")
def role(cloud) -> str:
    """A role that may read the topics and use the connectors' groups."""
    nodes = {"ClientSubnets": ["subnet-1", "subnet-2"], "InstanceType": "kafka.t3.small"}
    cluster = aws.client(cloud, "kafka").create_cluster(
        ClusterName="p-1-cluster", KafkaVersion="3.9.x", NumberOfBrokerNodes=2, BrokerNodeGroupInfo=nodes
    )["ClusterArn"]
    topic, group = (cluster.replace(":cluster/", f":{kind}/") for kind in ("topic", "group"))
    rights = [
        {"Effect": "Allow", "Action": "kafka-cluster:Connect", "Resource": cluster},
        {
            "Effect": "Allow",
            "Action": ["kafka-cluster:DescribeTopic", "kafka-cluster:ReadData"],
            "Resource": f"{topic}/1.*",
        },
        {
            "Effect": "Allow",
            "Action": ["kafka-cluster:DescribeGroup", "kafka-cluster:AlterGroup"],
            "Resource": f"{group}/connect-*",
        },
    ]
    arn = make_role(cloud, "connect-role", "kafkaconnect.amazonaws.com")
    document = json.dumps({"Version": "2012-10-17", "Statement": rights})
    iam = through_control(cloud, "iam")
    iam.put_role_policy(RoleName="connect-role", PolicyName="kafka", PolicyDocument=document)
    return arn


@pytest.fixture
def connector(cloud, plugin, role):
    """The parameters of CreateConnector."""

    def parameters(name: str, **changes: str) -> dict:
        return {
            "connectorName": name,
            "connectorConfiguration": CONFIGURATION | changes,
            "capacity": CAPACITY,
            "kafkaCluster": {
                "apacheKafkaCluster": {"bootstrapServers": f"127.0.0.1:{cloud.port('kafka')}", "vpc": VPC}
            },
            "kafkaClusterClientAuthentication": {"authenticationType": "IAM"},
            "kafkaClusterEncryptionInTransit": {"encryptionType": "TLS"},
            "kafkaConnectVersion": "3.7.x",
            "plugins": [{"customPlugin": {"customPluginArn": plugin, "revision": 1}}],
            "serviceExecutionRoleArn": role,
        }

    return parameters


def plugin_of(name: str, key: str) -> dict:
    place = {"s3Location": {"bucketArn": f"arn:aws:s3:::{BUCKET}", "fileKey": key}}
    return {"name": name, "contentType": "ZIP", "location": place}


def code_of(call, **parameters) -> str:
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"]


def settled(msk, arn: str, *states: str, seconds: float = 40) -> dict:
    until = time.monotonic() + seconds
    while True:
        found = msk.describe_connector(connectorArn=arn)
        if found["connectorState"] in states or time.monotonic() > until:
            return found
        time.sleep(0.3)


def deleted(msk, arn: str) -> None:
    assert msk.delete_connector(connectorArn=arn)["connectorState"] == "DELETING"
    assert code_of(msk.describe_connector, connectorArn=arn) == "NotFoundException"


def produce(cloud, topic: str, values: list[dict]) -> None:
    admin = kafka.admin(cloud)
    if topic not in admin.list_topics(timeout=5).topics:
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result()
    producer = Producer(kafka.login(cloud))
    for value in values:
        producer.produce(topic, json.dumps(value))
    assert producer.flush(10) == 0


def landed(cloud, topic: str) -> list[int]:
    """The field `n` of every record of a topic in S3, in the order of the object names."""
    s3 = aws.client(cloud, "s3")
    keys = [
        one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET, Prefix=f"topics/{topic}/").get("Contents", [])
    ]
    lines = [
        line for key in keys for line in s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().splitlines()
    ]
    return [json.loads(line)["n"] for line in lines]


def test_custom_plugins(msk, plugin):
    found = msk.describe_custom_plugin(customPluginArn=plugin)
    assert (found["customPluginState"], found["name"]) == ("ACTIVE", "sink")
    assert found["latestRevision"]["fileDescription"]["fileSize"] > 100
    assert found["creationTime"].tzinfo is not None
    names = [one["name"] for one in msk.list_custom_plugins(namePrefix="si")["customPlugins"]]
    assert names == ["sink"]
    assert msk.list_custom_plugins(namePrefix="other")["customPlugins"] == []
    assert code_of(msk.create_custom_plugin, **plugin_of("sink", "plugins/sink.zip")) == "ConflictException"
    assert code_of(msk.create_custom_plugin, **plugin_of("no", "no/such.zip")) == "BadRequestException"
    broken = msk.create_custom_plugin(**plugin_of("broken", "plugins/broken.zip"))["customPluginArn"]
    found = msk.describe_custom_plugin(customPluginArn=broken)
    assert found["customPluginState"] == "CREATE_FAILED" and "archive" in found["stateDescription"]["message"]
    assert msk.delete_custom_plugin(customPluginArn=broken)["customPluginState"] == "DELETING"
    assert code_of(msk.describe_custom_plugin, customPluginArn=broken) == "NotFoundException"


def test_tags(msk, plugin):
    msk.tag_resource(resourceArn=plugin, tags={"a": "1", "b": "2"})
    msk.untag_resource(resourceArn=plugin, tagKeys=["a"])
    assert msk.list_tags_for_resource(resourceArn=plugin)["tags"] == {"project": "p", "b": "2"}
    unknown = plugin.replace("sink", "none")
    assert code_of(msk.list_tags_for_resource, resourceArn=unknown) == "NotFoundException"


def test_worker_configurations(msk):
    content = base64.b64encode(WORKER.encode()).decode()
    made = msk.create_worker_configuration(name="worker", propertiesFileContent=content)
    arn = made["workerConfigurationArn"]
    assert (made["workerConfigurationState"], made["latestRevision"]["revision"]) == ("ACTIVE", 1)
    found = msk.describe_worker_configuration(workerConfigurationArn=arn)
    assert base64.b64decode(found["latestRevision"]["propertiesFileContent"]).decode() == WORKER
    assert len(msk.list_worker_configurations()["workerConfigurations"]) == 1
    create = msk.create_worker_configuration
    assert code_of(create, name="worker", propertiesFileContent=content) == "ConflictException"
    assert code_of(create, name="w2", propertiesFileContent="%%%") == "BadRequestException"
    other = base64.b64encode(b"group.id=mine\n").decode()
    with pytest.raises(ClientError, match=r"group\.id"):
        create(name="w3", propertiesFileContent=other)
    msk.delete_worker_configuration(workerConfigurationArn=arn)
    assert code_of(msk.describe_worker_configuration, workerConfigurationArn=arn) == "NotFoundException"


def test_records_that_wait_in_the_topic_are_found(cloud, msk, connector):
    produce(cloud, "1.pin", [{"n": n} for n in range(10)])
    logs = {"workerLogDelivery": {"s3": {"enabled": True, "bucket": BUCKET, "prefix": "logs"}}}
    made = msk.create_connector(**connector("first"), logDelivery=logs)
    assert made["connectorState"] == "CREATING"
    arn = made["connectorArn"]
    found = settled(msk, arn, "RUNNING", "FAILED")
    assert (found["connectorState"], found.get("stateDescription")) == ("RUNNING", None)
    assert found["connectorConfiguration"] == CONFIGURATION
    assert (found["capacity"], found["logDelivery"]) == (CAPACITY, logs)
    wait_for(lambda: len(landed(cloud, "1.pin")) == 10, what="the records")
    assert landed(cloud, "1.pin") == list(range(10))
    assert [one["connectorState"] for one in msk.list_connectors()["connectors"]] == ["RUNNING"]
    assert code_of(msk.create_connector, **connector("first")) == "ConflictException"

    stale = {"connectorArn": arn, "currentVersion": "K0", "capacity": CAPACITY}
    assert code_of(msk.update_connector, **stale) == "BadRequestException"
    changed = CONFIGURATION | {"flush.size": "5"}
    version = found["currentVersion"]
    made = msk.update_connector(connectorArn=arn, currentVersion=version, connectorConfiguration=changed)
    assert made["connectorState"] == "UPDATING"
    operation = msk.describe_connector_operation(connectorOperationArn=made["connectorOperationArn"])
    assert operation["connectorOperationState"] == "UPDATE_COMPLETE"
    found = settled(msk, arn, "RUNNING", "FAILED")
    assert found["connectorConfiguration"]["flush.size"] == "5" and found["currentVersion"] != version

    msk.restart_connector(connectorArn=arn)
    assert settled(msk, arn, "RUNNING", "FAILED")["connectorState"] == "RUNNING"
    plugin = found["plugins"][0]["customPlugin"]["customPluginArn"]
    assert code_of(msk.delete_custom_plugin, customPluginArn=plugin) == "BadRequestException"
    deleted(msk, arn)
    assert msk.list_connectors()["connectors"] == []


def test_a_connector_that_is_gone_reads_and_writes_no_more(cloud, msk, connector):
    def members() -> list:
        group = kafka.admin(cloud).describe_consumer_groups(["connect-last"])["connect-last"].result()
        return group.members

    produce(cloud, "1.geo", [{"n": n} for n in range(2)])
    arn = msk.create_connector(**connector("last"))["connectorArn"]
    wait_for(lambda: landed(cloud, "1.geo") == [0, 1], what="the first records")
    wait_for(lambda: len(members()) == 3 and settled(msk, arn, "RUNNING"), what="all tasks read")
    deleted(msk, arn)
    assert members() == []


BAD = [
    ({"flush.size": "many"}, "flush.size: Invalid value many"),
    ({"connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector"}, "JdbcSinkConnector"),
    ({"no.such.setting": "1"}, "no.such.setting"),
]


@pytest.mark.parametrize(("changes", "said"), BAD, ids=[said for _, said in BAD])
def test_a_bad_configuration_fails_and_says_why(msk, connector, changes, said):
    arn = msk.create_connector(**connector("bad", **changes))["connectorArn"]
    found = settled(msk, arn, "RUNNING", "FAILED")
    assert found["connectorState"] == "FAILED"
    assert found["stateDescription"]["code"] == "InvalidInput.InvalidConnectorConfiguration"
    assert said in found["stateDescription"]["message"]
    deleted(msk, arn)


def test_a_role_without_rights_in_kafka_fails(cloud, msk, connector):
    produce(cloud, "1.pin", [{"n": 0}])
    role = make_role(cloud, "powerless-role", "kafkaconnect.amazonaws.com")
    through_control(cloud, "iam").tag_role(RoleName="powerless-role", Tags=[{"Key": "a", "Value": "b"}])
    given = connector("powerless") | {"serviceExecutionRoleArn": role}
    arn = msk.create_connector(**given)["connectorArn"]
    found = settled(msk, arn, "FAILED")
    assert found["connectorState"] == "FAILED"
    assert "uthoriz" in found["stateDescription"]["message"]
    deleted(msk, arn)


def test_other_brokers_are_not_reached(msk, connector):
    given = connector("away")
    given["kafkaCluster"]["apacheKafkaCluster"]["bootstrapServers"] = "b-1.example:9098"
    arn = msk.create_connector(**given)["connectorArn"]
    found = msk.describe_connector(connectorArn=arn)
    assert found["connectorState"] == "FAILED" and "b-1.example" in found["stateDescription"]["message"]
    deleted(msk, arn)


def test_what_is_refused_at_once(cloud, msk, connector, plugin):
    def create(**changes) -> str:
        return code_of(msk.create_connector, **(connector("refused") | changes))

    none = [{"customPlugin": {"customPluginArn": plugin.replace("sink", "none"), "revision": 1}}]
    assert create(plugins=none) == "NotFoundException"
    stranger = make_role(cloud, "stranger", "ec2.amazonaws.com")
    assert create(serviceExecutionRoleArn=stranger) == "BadRequestException"
    assert create(serviceExecutionRoleArn="arn:aws:iam::000000000000:role/none") == "BadRequestException"
    assert create(kafkaConnectVersion="9.9") == "BadRequestException"
    assert create(kafkaClusterClientAuthentication={"authenticationType": "NONE"}) == "BadRequestException"
    three = {"provisionedCapacity": {"mcuCount": 3, "workerCount": 1}}
    assert create(capacity=three) == "BadRequestException"
    worker = {"workerConfigurationArn": "arn:aws:kafkaconnect:none", "revision": 1}
    assert create(workerConfiguration=worker) == "NotFoundException"
    assert create(connectorConfiguration={"tasks.max": "1"}) == "BadRequestException"
    assert msk.list_connectors()["connectors"] == []


def test_unknown_things_and_operations(cloud, msk):
    assert code_of(msk.describe_connector, connectorArn="arn:aws:none") == "NotFoundException"
    assert code_of(msk.delete_connector, connectorArn="arn:aws:none") == "NotFoundException"
    with pytest.raises(ClientError, match=r"does not do kafkaconnect\.ListConnectorOperations"):
        msk.list_connector_operations(connectorArn="arn:aws:none")
    wrong = through_control(cloud, "kafkaconnect", secret="0" * 40)
    assert code_of(wrong.list_connectors) == "InvalidSignatureException"


def test_a_restart_of_control_forgets_nothing(cloud, msk, plugin):
    from local_cloud.stand_ins.msk_connect.resources import Resources

    assert plugin in Resources(cloud).kept["plugin"]
