"""What MSK Connect keeps: custom plugins, worker configurations and tags, as AWS describes them."""

import base64
import binascii
import hashlib
import io
import json
import threading
import uuid
import zipfile
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from local_cloud.parts.aws import ACCOUNT, REGION, client
from local_cloud.stand_ins.http import AwsError
from local_cloud.state import State, write_private

# A worker serves one connector on MSK Connect and all of them here, so these settings go to the connector.
CONVERTERS = ("key.converter", "value.converter", "header.converter")
CLIENTS = ("consumer.", "producer.", "admin.")
Thing = dict[str, Any]


class Resources:
    """Things by kind and ARN, in one file. Keys that begin with `_` are ours and never shown."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.file = state.path("control", "kafkaconnect.json")
        self.lock = threading.RLock()
        self.kept: dict[str, dict[str, Thing]] = {
            "plugin": {},
            "worker": {},
            "connector": {},
            "operation": {},
        }
        if self.file.exists():
            self.kept |= json.loads(self.file.read_text())

    def save(self) -> None:
        """Write everything down."""
        write_private(self.file, json.dumps(self.kept, indent=1))

    def keep(self, kind: str, arn_kind: str, name: str, thing: Thing) -> str:
        """Store a new thing under a new ARN; ConflictException when its kind has one of that name."""
        if any(other["_name"] == name for other in self.kept[kind].values()):
            raise AwsError("ConflictException", f"A resource with this name already exists: {name}", 409)
        arn = f"arn:aws:kafkaconnect:{REGION}:{ACCOUNT}:{arn_kind}/{name}/{uuid.uuid4()}-4"
        self.kept[kind][arn] = {**thing, "_name": name, "tags": thing.get("tags") or {}}
        return arn

    def find(self, kind: str, arn: str) -> Thing:
        """The thing of this ARN, or NotFoundException."""
        if arn not in self.kept[kind]:
            raise AwsError("NotFoundException", f"The resource does not exist: {arn}", 404)
        return {key: value for key, value in self.kept[kind][arn].items() if key != "tags"}

    def owner(self, arn: str) -> Thing:
        """The stored thing of any kind that carries tags."""
        for kind in ("plugin", "worker", "connector"):
            if arn in self.kept[kind]:
                return self.kept[kind][arn]
        raise AwsError("NotFoundException", f"The resource does not exist: {arn}", 404)

    def listed(self, kind: str, answer: str, name: str, asked: Thing) -> Thing:
        """All things of a kind, those with a name prefix if one is asked for; one page holds them all."""
        prefix = asked.get("namePrefix") or asked.get("connectorNamePrefix") or ""
        found = [thing for thing in self.kept[kind].values() if thing[name].startswith(prefix)]
        return {answer: [_summary(thing) for thing in found]}

    def tag(self, asked: Thing) -> Thing:
        """Add tags to a resource."""
        self.owner(asked["resourceArn"])["tags"].update(asked["tags"])
        return {}

    def untag(self, asked: Thing) -> Thing:
        """Remove tags from a resource."""
        for key in asked["tagKeys"]:
            self.owner(asked["resourceArn"])["tags"].pop(key, None)
        return {}

    def create_custom_plugin(self, asked: Thing) -> Thing:
        """Look at the file in S3 as MSK Connect does; what is no archive makes it CREATE_FAILED."""
        place = asked["location"]["s3Location"]
        extra = {"VersionId": place["objectVersion"]} if place.get("objectVersion") else {}
        bucket = place["bucketArn"].rpartition(":::")[2]
        try:
            content = (
                client(self.state, "s3")
                .get_object(Bucket=bucket, Key=place["fileKey"], **extra)["Body"]
                .read()
            )
        except ClientError as error:
            message = f"The plugin's file s3://{bucket}/{place['fileKey']} cannot be read: {error}"
            raise AwsError("BadRequestException", message) from None
        good = zipfile.is_zipfile(io.BytesIO(content))
        revision = {
            "contentType": asked["contentType"],
            "creationTime": now(),
            "fileDescription": {
                "fileMd5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
                "fileSize": len(content),
            },
            "location": asked["location"],
            "revision": 1,
        }
        plugin = {
            "creationTime": now(),
            "customPluginState": "ACTIVE" if good else "CREATE_FAILED",
            "description": asked.get("description"),
            "latestRevision": revision,
            "name": asked["name"],
            "tags": asked.get("tags"),
        }
        if not good:
            reason = "The custom plugin's file is not a valid archive."
            plugin["stateDescription"] = {"code": "InvalidInput.InvalidCustomPlugin", "message": reason}
        arn = self.keep("plugin", "custom-plugin", asked["name"], plugin)
        self.kept["plugin"][arn]["customPluginArn"] = arn
        return {"customPluginArn": arn, "customPluginState": "CREATING", "name": asked["name"], "revision": 1}

    def delete_custom_plugin(self, asked: Thing) -> Thing:
        """Forget a plugin that no connector uses."""
        arn = asked["customPluginArn"]
        self.find("plugin", arn)
        for connector in self.kept["connector"].values():
            if any(plugin["customPlugin"]["customPluginArn"] == arn for plugin in connector["plugins"]):
                message = f"The custom plugin is used by connector {connector['connectorName']}."
                raise AwsError("BadRequestException", message)
        del self.kept["plugin"][arn]
        return {"customPluginArn": arn, "customPluginState": "DELETING"}

    def create_worker_configuration(self, asked: Thing) -> Thing:
        """Keep a worker's properties; those that cannot go to the shared worker are refused."""
        text = asked["propertiesFileContent"]
        for name in properties(text):
            if not name.startswith((*CONVERTERS, *CLIENTS)):
                message = (
                    f"the local cloud's shared worker takes converters and client settings only, not {name}"
                )
                raise AwsError("BadRequestException", message)
        worker = {
            "creationTime": now(),
            "description": asked.get("description"),
            "latestRevision": {"creationTime": now(), "revision": 1, "propertiesFileContent": text},
            "name": asked["name"],
            "workerConfigurationState": "ACTIVE",
            "tags": asked.get("tags"),
        }
        arn = self.keep("worker", "worker-configuration", asked["name"], worker)
        self.kept["worker"][arn]["workerConfigurationArn"] = arn
        shown = {"creationTime": worker["creationTime"], "revision": 1}
        return {
            "creationTime": worker["creationTime"],
            "latestRevision": shown,
            "name": asked["name"],
            "workerConfigurationArn": arn,
            "workerConfigurationState": "ACTIVE",
        }

    def delete_worker_configuration(self, asked: Thing) -> Thing:
        """Forget a worker configuration."""
        arn = asked["workerConfigurationArn"]
        self.find("worker", arn)
        del self.kept["worker"][arn]
        return {"workerConfigurationArn": arn, "workerConfigurationState": "DELETING"}


def _summary(thing: Thing) -> Thing:
    """A thing as a list shows it: without what only Describe tells."""
    hidden = ("tags", "connectorConfiguration", "propertiesFileContent")
    kept = {
        key: value
        for key, value in thing.items()
        if value is not None and key not in hidden and key[0] != "_"
    }
    return kept | ({"latestRevision": _summary(kept["latestRevision"])} if "latestRevision" in kept else {})


def properties(content: str) -> dict[str, str]:
    """The settings in a base64-encoded properties file; BadRequestException when it is not one."""
    try:
        lines = base64.b64decode(content, validate=True).decode().splitlines()
    except (binascii.Error, UnicodeDecodeError):
        raise AwsError("BadRequestException", "propertiesFileContent is not base64-encoded text.") from None
    found = {}
    for line in (line.strip() for line in lines):
        if line and line[0] not in "#!":
            name, equals, value = line.partition("=")
            if not equals:
                raise AwsError(
                    "BadRequestException", f"propertiesFileContent: no value in the line {line!r}."
                )
            found[name.strip()] = value.strip()
    return found


def now() -> str:
    """The present moment as AWS writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def version() -> str:
    """A version name for a changed connector."""
    return f"K{uuid.uuid4().hex[:13].upper()}"
