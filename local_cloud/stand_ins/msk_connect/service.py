"""MSK Connect: the operations of `kafkaconnect`, carried out by the real Kafka Connect runtime.

Connectors are kept as AWS describes them; one of the same name on the real runtime does the work, and its
clients act as the connector's service execution role. Log delivery is noted and not done: the workers' log is
that of the real runtime (`python -m local_cloud logs connect`).
"""

import uuid
from collections.abc import Callable

from botocore.exceptions import ClientError

from local_cloud.parts.aws import client
from local_cloud.parts.connect import LOGIN
from local_cloud.stand_ins.http import AwsError
from local_cloud.stand_ins.msk_connect.connect_runtime import Runtime, RuntimeProblem
from local_cloud.stand_ins.msk_connect.resources import (
    CLIENTS,
    CONVERTERS,
    Resources,
    Thing,
    now,
    properties,
    version,
)
from local_cloud.state import State

VERSIONS = ("2.7.1", "3.7.x")  # of Kafka Connect that MSK Connect offers
MCU_COUNTS, MAX_WORKERS = (1, 2, 4, 8), 10
BAD_CONFIGURATION = "InvalidInput.InvalidConnectorConfiguration"
WORKER_DEFAULTS = dict.fromkeys(CONVERTERS[:2], "org.apache.kafka.connect.storage.StringConverter")
KEPT = (
    *("connectorName", "connectorDescription", "connectorConfiguration", "capacity", "plugins", "tags"),
    *("kafkaCluster", "kafkaClusterClientAuthentication", "kafkaClusterEncryptionInTransit", "networkType"),
    *("kafkaConnectVersion", "logDelivery", "serviceExecutionRoleArn", "workerConfiguration"),
)


class MskConnect(Resources):
    """All operations by name; each takes the call's parameters as botocore names them."""

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.runtime = Runtime(state)
        self.operations: dict[str, Callable[[Thing], Thing]] = {
            "CreateCustomPlugin": self.create_custom_plugin,
            "DescribeCustomPlugin": lambda asked: self.find("plugin", asked["customPluginArn"]),
            "ListCustomPlugins": lambda asked: self.listed("plugin", "customPlugins", "name", asked),
            "DeleteCustomPlugin": self.delete_custom_plugin,
            "CreateWorkerConfiguration": self.create_worker_configuration,
            "DescribeWorkerConfiguration": lambda asked: self.find("worker", asked["workerConfigurationArn"]),
            "ListWorkerConfigurations": lambda asked: self.listed(
                "worker", "workerConfigurations", "name", asked
            ),
            "DeleteWorkerConfiguration": self.delete_worker_configuration,
            "CreateConnector": self.create_connector,
            "DescribeConnector": lambda asked: self.described(self.find("connector", asked["connectorArn"])),
            "ListConnectors": self.list_connectors,
            "UpdateConnector": self.update_connector,
            "RestartConnector": self.restart_connector,
            "DescribeConnectorOperation": self.describe_connector_operation,
            "DeleteConnector": self.delete_connector,
            "TagResource": self.tag,
            "UntagResource": self.untag,
            "ListTagsForResource": lambda asked: {"tags": self.owner(asked["resourceArn"])["tags"]},
        }

    def handle(self, operation: str, asked: Thing) -> Thing:
        """Answer one call; AwsError names an operation that is not done."""
        if operation not in self.operations:
            raise AwsError("BadRequestException", f"the local cloud does not do kafkaconnect.{operation}")
        with self.lock:
            try:
                answer = self.operations[operation](asked)
            except RuntimeProblem as problem:
                raise AwsError("ServiceUnavailableException", str(problem), 503) from problem
            self.save()
        return {key: value for key, value in answer.items() if value is not None and not key.startswith("_")}

    def create_connector(self, asked: Thing) -> Thing:
        """Check what AWS checks at once, then start it; what goes wrong there is read by Describe."""
        name = asked["connectorName"]
        if any(other["_name"] == name for other in self.kept["connector"].values()):
            raise AwsError("ConflictException", f"A resource with this name already exists: {name}", 409)
        self.check_request(asked)
        connector = {key: asked[key] for key in KEPT if key in asked}
        connector |= {"creationTime": now(), "currentVersion": version(), "connectorState": "CREATING"}
        arn = self.keep("connector", "connector", name, connector)
        self.kept["connector"][arn]["connectorArn"] = arn
        try:
            self.start(self.kept["connector"][arn])
        except RuntimeProblem:  # nothing was made, so the caller can simply try again
            del self.kept["connector"][arn]
            raise
        return {"connectorArn": arn, "connectorName": name, "connectorState": "CREATING"}

    def check_request(self, asked: Thing) -> None:
        """Raise what CreateConnector answers at once."""
        for one in asked["plugins"]:
            plugin = self.find("plugin", one["customPlugin"]["customPluginArn"])
            if plugin["customPluginState"] != "ACTIVE" or one["customPlugin"]["revision"] != 1:
                raise AwsError(
                    "BadRequestException", f"The custom plugin {plugin['name']} has no such active revision."
                )
        if "workerConfiguration" in asked:
            self.find("worker", asked["workerConfiguration"]["workerConfigurationArn"])
        if asked["kafkaConnectVersion"] not in VERSIONS:
            raise AwsError(
                "BadRequestException", f"kafkaConnectVersion: MSK Connect has {' and '.join(VERSIONS)}."
            )
        if asked["kafkaClusterClientAuthentication"]["authenticationType"] != "IAM":
            raise AwsError("BadRequestException", "The cluster takes clients with IAM authentication only.")
        if asked["kafkaClusterEncryptionInTransit"]["encryptionType"] != "TLS":
            raise AwsError("BadRequestException", "IAM authentication needs encryptionType TLS.")
        _check_capacity(asked["capacity"])
        self.check_role(asked["serviceExecutionRoleArn"])
        for needed in ("connector.class", "tasks.max"):
            if needed not in asked["connectorConfiguration"]:
                raise AwsError("BadRequestException", f"The connector configuration must contain {needed}.")

    def check_role(self, arn: str) -> None:
        """The role must exist and let MSK Connect take it on."""
        try:
            role = client(self.state, "iam").get_role(RoleName=arn.rpartition("/")[2])["Role"]
        except ClientError:
            role = {"Arn": ""}
        trusted = [
            statement
            for statement in role.get("AssumeRolePolicyDocument", {}).get("Statement", [])
            if "kafkaconnect.amazonaws.com" in str(statement.get("Principal", {}).get("Service", ""))
        ]
        if role["Arn"] != arn or not trusted:
            message = f"The service execution role {arn} must exist and trust kafkaconnect.amazonaws.com."
            raise AwsError("BadRequestException", message)

    def start(self, connector: Thing) -> None:
        """Hand the connector to the runtime; a refused configuration makes it FAILED."""
        ours = f"127.0.0.1:{self.state.port('kafka')}"
        given = connector["kafkaCluster"]["apacheKafkaCluster"]["bootstrapServers"]
        if ours not in given.split(","):
            problem = f"The Kafka cluster's brokers cannot be reached at {given}."
        else:
            problem = self.runtime.put(connector["connectorName"], self.configuration(connector))
        connector["_refused"] = problem

    def configuration(self, connector: Thing) -> dict[str, str]:
        """What the runtime gets: worker settings, the configuration unchanged, the role's identity."""
        worker = dict(WORKER_DEFAULTS)
        if "workerConfiguration" in connector:
            arn = connector["workerConfiguration"]["workerConfigurationArn"]
            worker |= properties(self.find("worker", arn)["latestRevision"]["propertiesFileContent"])
        made = {_for_connector(name): value for name, value in worker.items()} | connector[
            "connectorConfiguration"
        ]
        role = connector["serviceExecutionRoleArn"].rpartition("/")[2]
        return made | {f"{kind}override.sasl.jaas.config": LOGIN.format(role=role) for kind in CLIENTS}

    def described(self, connector: Thing) -> Thing:
        """A connector with its state read from the runtime, and the reason if that is FAILED."""
        stored, code = self.kept["connector"][connector["connectorArn"]], "UnknownError.Unknown"
        if stored["_refused"]:
            state, reason, code = "FAILED", stored["_refused"], BAD_CONFIGURATION
        else:
            state, reason = self.runtime.status(stored["connectorName"])
        if state != "CREATING":  # a worker that restarts does not send a running connector back there
            stored["connectorState"] = state
        answer = {key: value for key, value in stored.items() if key != "tags"}
        return answer | ({"stateDescription": {"code": code, "message": reason}} if reason else {})

    def list_connectors(self, asked: Thing) -> Thing:
        """Every connector with its present state."""
        for connector in self.kept["connector"].values():
            self.described(connector)
        return self.listed("connector", "connectors", "connectorName", asked)

    def update_connector(self, asked: Thing) -> Thing:
        """Change capacity or configuration of the version the caller has seen."""
        connector = self._at_version(asked)
        operation = "UPDATE_WORKER_SETTING"
        if "capacity" in asked:
            _check_capacity(asked["capacity"])
            connector["capacity"] = asked["capacity"]
        if "connectorConfiguration" in asked:
            operation = "UPDATE_CONNECTOR_CONFIGURATION"
            connector["connectorConfiguration"] = asked["connectorConfiguration"]
            connector["connectorState"] = "UPDATING"
            self.start(connector)
        connector["currentVersion"] = version()
        made = self._operation(
            connector, operation, "UPDATE_FAILED" if connector["_refused"] else "UPDATE_COMPLETE"
        )
        return {**made, "connectorState": "UPDATING"}

    def restart_connector(self, asked: Thing) -> Thing:
        """Restart the connector and its tasks, or only what failed."""
        connector = self.kept["connector"][self.find("connector", asked["connectorArn"])["connectorArn"]]
        self.runtime.restart(connector["connectorName"], only_failed=bool(asked.get("onlyFailedTasks")))
        connector["connectorState"] = "RESTARTING"
        return self._operation(connector, "RESTART_CONNECTOR", "RESTART_COMPLETE")

    def describe_connector_operation(self, asked: Thing) -> Thing:
        """What an update or a restart came to."""
        return self.find("operation", asked["connectorOperationArn"])

    def delete_connector(self, asked: Thing) -> Thing:
        """Take the connector off the runtime and forget it."""
        connector = self._at_version(asked)
        self.runtime.delete(connector["connectorName"])
        del self.kept["connector"][connector["connectorArn"]]
        return {"connectorArn": connector["connectorArn"], "connectorState": "DELETING"}

    def _at_version(self, asked: Thing) -> Thing:
        connector = self.kept["connector"][self.find("connector", asked["connectorArn"])["connectorArn"]]
        if asked.get("currentVersion", connector["currentVersion"]) != connector["currentVersion"]:
            raise AwsError(
                "BadRequestException", f"The connector is at version {connector['currentVersion']}."
            )
        return connector

    def _operation(self, connector: Thing, kind: str, state: str) -> Thing:
        start = connector["connectorArn"].replace(":connector/", ":connector-operation/")
        arn = f"{start}/{uuid.uuid4()}"
        self.kept["operation"][arn] = {
            "connectorArn": connector["connectorArn"],
            "connectorOperationArn": arn,
            "connectorOperationType": kind,
            "connectorOperationState": state,
            "creationTime": now(),
            "endTime": now(),
        }
        return {"connectorArn": connector["connectorArn"], "connectorOperationArn": arn}


def _for_connector(name: str) -> str:
    """A worker's client setting as a connector overrides it: consumer.x -> consumer.override.x."""
    head, dot, rest = name.partition(".")
    return (
        f"{head}.override.{rest}" if f"{head}{dot}" in CLIENTS and not rest.startswith("override.") else name
    )


def _check_capacity(capacity: Thing) -> None:
    if len(capacity) != 1:
        raise AwsError("BadRequestException", "capacity: exactly one of autoScaling and provisionedCapacity.")
    ((_, given),) = capacity.items()
    workers = given.get("workerCount", given.get("maxWorkerCount", 0))
    if given["mcuCount"] not in MCU_COUNTS or not 1 <= workers <= MAX_WORKERS:
        raise AwsError(
            "BadRequestException", f"capacity: mcuCount is one of {MCU_COUNTS}, workers 1 to {MAX_WORKERS}."
        )
