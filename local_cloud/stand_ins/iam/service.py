"""IAM: the emulator keeps it; here each change of a role's rights also becomes identities and ACLs of Kafka.

A change answers 200 only when Kafka already follows it. The policy is stored first: with Kafka away the call
fails with ServiceFailure after `PATIENCE` seconds, and the watch brings Kafka into line when it is back.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from local_cloud.identity import RESERVED, ROLE_NAME, is_role_name, write_identities
from local_cloud.parts import kafka
from local_cloud.parts.aws import client
from local_cloud.stand_ins.aws.pass_on import pass_on
from local_cloud.stand_ins.http import AwsError
from local_cloud.stand_ins.iam import kafka_policy
from local_cloud.stand_ins.iam.kafka_policy import Acl
from local_cloud.state import State

LOG = logging.getLogger("iam")
PATIENCE = 10.0  # seconds that a change waits for Kafka
WATCH_EVERY = 5.0  # seconds; clusters come and go without passing here
READING = ("Get", "List", "Simulate", "Generate")
DOCUMENTED = ("PutRolePolicy", "CreatePolicy", "CreatePolicyVersion")
BUILT_IN = {f"User:{name}" for name in RESERVED}
KINDS = {
    "cluster": ResourceType.BROKER,
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
}
KIND_OF = {kind: name for name, kind in KINDS.items()}


def handle(state: State, rights: "Rights", headers: dict[str, str], body: bytes) -> web.Response:
    """Answer one IAM call (query protocol)."""
    asked = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    action = asked.get("Action", "")
    _refuse_what_kafka_cannot_follow(action, asked)
    answer = pass_on(state, "iam", headers, body)
    if answer.status == 200 and not action.startswith(READING):
        rights.follow(action)
    return answer


def _refuse_what_kafka_cannot_follow(action: str, asked: dict[str, str]) -> None:
    if action == "PutRolePermissionsBoundary" or (action == "CreateRole" and "PermissionsBoundary" in asked):
        raise AwsError("InvalidAction", f"the local cloud does not do permissions boundaries (iam.{action})")
    name = asked.get("RoleName", "")
    if action == "CreateRole" and not ROLE_NAME.fullmatch(name):
        message = "The specified value for roleName is invalid. It must contain only alphanumeric characters "
        raise AwsError("ValidationError", f"{message}and/or the following: +=,.@_- (at most 64)")
    if action == "CreateRole" and not is_role_name(name):
        raise AwsError("InvalidInput", f"the local cloud keeps the name {name} for itself")
    if action in DOCUMENTED:
        try:
            document = json.loads(asked.get("PolicyDocument", ""))
        except ValueError:
            return  # the emulator refuses it in IAM's own words
        try:
            kafka_policy.check(document)
        except kafka_policy.PolicyError as problem:
            raise AwsError("MalformedPolicyDocument", str(problem)) from None


class Rights:
    """What the roles may do in Kafka, kept equal to what IAM says."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.lock = threading.Lock()
        self.roles: list[str] | None = None
        self.acls: set[Acl] | None = None  # what Kafka is known to hold
        self.tried = threading.Event()  # set once the watch has been through a first time

    def follow(self, action: str) -> None:
        """Bring Kafka into line now; AwsError when that fails within PATIENCE."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return self.sync()
            except Exception as error:  # Kafka or the emulator may be away in many ways
                if time.monotonic() > until:
                    message = f"iam.{action} is stored, but Kafka does not follow it yet: {error}"
                    # Status 400, not AWS's 500: boto3 would send a change that is already stored again.
                    raise AwsError("ServiceFailure", message) from error
                time.sleep(0.3)

    def watch(self, stop: threading.Event) -> None:
        """Follow IAM and the list of MSK clusters until `stop` is set; log what hinders it, once."""
        said = ""
        while True:
            try:
                self.sync()
                said = ""
            except Exception as error:  # whatever is away comes back
                if str(error) != said:
                    LOG.warning("Kafka's ACLs are not up to date: %s", error)
                    said = str(error)
            self.tried.set()
            if stop.wait(WATCH_EVERY if not said else 1.0):
                return

    def sync(self) -> None:
        """Read IAM and the clusters; write identities and ACLs where they changed."""
        with self.lock:
            documents = role_documents(client(self.state, "iam"))
            roles = sorted(documents)
            if roles != self.roles:
                write_identities(self.state, roles)
                self.roles = roles
            clusters = client(self.state, "kafka").list_clusters()["ClusterInfoList"]
            wanted: set[Acl] = set()
            for role, held in documents.items():
                wanted |= _acls(role, held, [cluster["ClusterArn"] for cluster in clusters])
            if wanted != self.acls:
                self.acls = None  # unknown until the change is through
                write_acls(self.state, wanted)
                self.acls = wanted


def role_documents(iam: Any) -> dict[str, list[dict[str, Any]]]:
    """Role name -> its inline policy documents and the default versions of those attached to it."""
    pages = iam.get_paginator("get_account_authorization_details")
    roles = pages.paginate(Filter=["Role"]).build_full_result().get("RoleDetailList", [])
    managed: dict[str, dict[str, Any]] = {}
    for arn in {policy["PolicyArn"] for role in roles for policy in role.get("AttachedManagedPolicies", [])}:
        try:
            version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
            found = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]
        except iam.exceptions.NoSuchEntityException:  # one of AWS's own that the emulator does not have
            continue
        managed[arn] = found["Document"]
    return {
        role["RoleName"]: [inline["PolicyDocument"] for inline in role.get("RolePolicyList", [])]
        + [managed.get(policy["PolicyArn"], {}) for policy in role.get("AttachedManagedPolicies", [])]
        for role in roles
        if is_role_name(role["RoleName"])  # the emulator itself takes any name
    }


def _acls(role: str, documents: Iterable[dict[str, Any]], clusters: list[str]) -> set[Acl]:
    try:
        return kafka_policy.acls(role, documents, clusters)
    except kafka_policy.PolicyError as problem:
        LOG.warning("role %s gets no rights in Kafka: %s", role, problem)
        return set()


def write_acls(state: State, wanted: set[Acl]) -> None:
    """Make Kafka's ACLs exactly `wanted`, built-in principals aside, and wait until the broker uses them."""
    admin = kafka.admin(state)
    there = read_acls(admin)
    _all(admin.create_acls, [_binding(acl, AclBinding) for acl in wanted - there])
    _all(admin.delete_acls, [_binding(acl, AclBindingFilter) for acl in there - wanted])
    until = time.monotonic() + 5
    while read_acls(admin) != wanted:
        if time.monotonic() > until:
            raise TimeoutError("the broker does not use the new ACLs yet")
        time.sleep(0.02)


def read_acls(admin: AdminClient) -> set[Acl]:
    """The broker's ACLs, those of built-in principals aside."""
    anybody: Any = None  # what the library takes for "any", whatever its type hints say
    every = AclBindingFilter(
        ResourceType.ANY,
        anybody,
        ResourcePatternType.ANY,
        anybody,
        anybody,
        AclOperation.ANY,
        AclPermissionType.ANY,
    )
    found = admin.describe_acls(every, request_timeout=3).result()
    return {
        Acl(
            acl.principal,
            KIND_OF[acl.restype],
            acl.name,
            acl.resource_pattern_type == ResourcePatternType.PREFIXED,
            acl.operation.name,
            acl.permission_type == AclPermissionType.ALLOW,
        )
        for acl in found
        if acl.principal not in BUILT_IN and acl.restype in KIND_OF
    }


def _binding(acl: Acl, shape: type[AclBinding] | type[AclBindingFilter]) -> Any:
    return shape(
        KINDS[acl.kind],
        acl.name,
        ResourcePatternType.PREFIXED if acl.prefixed else ResourcePatternType.LITERAL,
        acl.principal,
        "*",
        AclOperation[acl.operation],
        AclPermissionType.ALLOW if acl.allow else AclPermissionType.DENY,
    )


def _all(change: Callable[..., dict[Any, Any]], bindings: list[Any]) -> None:
    if bindings:
        for future in change(bindings, request_timeout=3).values():
            future.result()
