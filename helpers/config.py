"""The one switch: where the cells' calls go. PIPELINE_TARGET is `local` (default) or `aws`."""

import os
import re
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from helpers import databricks, environment
from helpers.names import Names

# On Databricks this module is imported where neither boto3 nor python-dotenv is certain to be installed.
ROOT = Path(__file__).resolve().parents[1]
DEFAULT_USER = "0a1b2c3d4e5f"
# What a job's parameters or a notebook's widgets may set on Databricks.
PARAMETERS = ("PIPELINE_USER", "RAW_PATH", "CATALOG", "SCHEMA", "AWS_REGION", "KINESIS_CREDENTIAL")
# The lesson that first needs a setting of the reader's, beside what `use_target` itself asks for.
NEEDED_FROM = {
    "SOURCE_URL": 1,
    "SINK_ZIP": 6,
    "DATABRICKS_HOST": 11,
    "DATABRICKS_TOKEN": 11,
    "DATABRICKS_NOTEBOOKS": 11,
    "KINESIS_CREDENTIAL": 14,
}


class ConfigError(RuntimeError):
    """A setting is missing or wrong; the message says which and what to do."""


@dataclass(frozen=True)
class Settings:
    """What the lessons need to know of their surroundings; printing it shows no secret."""

    target: str
    user_id: str
    region: str
    source_url: str = field(repr=False)
    client_home: str = field(repr=False)
    kafka_security_protocol: str = field(repr=False)
    invoke_base: str = field(repr=False)
    rest_proxy: str = field(repr=False)
    sink_zip: str = field(repr=False)
    catalog: str = field(repr=False)
    schema: str = field(repr=False)
    raw: str = field(repr=False)
    tables: str = field(repr=False)
    kinesis_credential: str = field(default="", repr=False)
    databricks_host: str = field(default="", repr=False)
    databricks_token: str = field(default="", repr=False)
    databricks_notebooks: str = field(default="", repr=False)

    @property
    def names(self) -> Names:
        """Every resource name of this user's pipeline."""
        return Names(self.user_id)

    def need(self, *settings: str) -> None:
        """Raise ConfigError with those of these settings that are empty, for what one lesson alone needs."""
        empty = [name.upper() for name in settings if not getattr(self, name)]
        if empty:
            raise ConfigError(f"Missing, in .env or the environment: {', '.join(empty)}")

    def plan(self, last_lesson: int) -> list[tuple[str, int, str]]:
        """Each setting that the lessons up to this one need: its name, the first such lesson, "set".

        Raises ConfigError with all that are empty.
        """
        needed = {name: lesson for name, lesson in NEEDED_FROM.items() if lesson <= last_lesson}
        states = {name: "set" if getattr(self, name.lower()) else "" for name in needed}
        if self.target == "local" and "KINESIS_CREDENTIAL" in states:
            states["KINESIS_CREDENTIAL"] = "not needed here"  # Spark reads the emulated streams without it
        empty = [f"{name} (lesson {needed[name]:02})" for name, state in states.items() if not state]
        if empty:
            raise ConfigError(f"Missing, in .env or the environment: {', '.join(empty)}")
        return [(name, lesson, states[name]) for name, lesson in needed.items()]

    def invoke_url(self, api_id: str, stage: str) -> str:
        """The address at which a deployed stage of a REST API is called."""
        base = self.invoke_base or f"https://{api_id}.execute-api.{self.region}.amazonaws.com"
        return f"{base}/{api_id}/{stage}" if self.invoke_base else f"{base}/{stage}"

    def airflow_page(self, host: str, token: str) -> str:
        """The address at which a browser enters Airflow with a web login token of MWAA's."""
        scheme = "http" if self.target == "local" else "https"
        return f"{scheme}://{host}/aws_mwaa/aws-console-sso?login=true#{token}"

    @property
    def bucket_location(self) -> dict:
        """What `create_bucket` wants besides the name: nothing in us-east-1, the region elsewhere."""
        if self.region == "us-east-1":
            return {}
        return {"CreateBucketConfiguration": {"LocationConstraint": self.region}}

    def raw_path(self, table: str) -> str:
        """The folder of raw JSON of one table: the bucket's, or the one that RAW_PATH names.

        On Databricks a folder of workspace files is copied to the volume, where Spark can read it.
        """
        if not self.raw:
            return f"s3://{self.names.bucket}/topics/{self.names.topic[table]}"
        folder = f"{self.raw}/{table}"
        if "://" in folder or (in_databricks() and folder.startswith(f"{databricks.VOLUMES}/")):
            return folder
        if in_databricks():
            return str(databricks.copy(Path(folder), self.volume / "topics" / table))
        # As Spark sees it: it passes over hidden files, and an empty one gives no column.
        if not any(f.stat().st_size for f in Path(folder).rglob("[!._]*") if f.is_file()):
            raise ConfigError(f"no files in {folder}: RAW_PATH names a folder with pin, geo and user in it")
        return folder

    @property
    def volume(self) -> Path:
        """On Databricks: the volume of this user's files, made when it is first asked for."""
        return databricks.volume(self.catalog, self.schema, f"{self.user_id}_files")

    def scratch(self) -> Path:
        """An empty folder for trying things, which Python can write and Spark can read."""
        if not in_databricks():
            return Path(tempfile.mkdtemp())
        folder = self.volume / "scratch"
        folder.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=folder))

    def table(self, table: str, kind: str = "table") -> str:
        """The Delta table of `pin`, `geo` or `user` as SQL names it; `kind` may be another suffix.

        On Databricks it lives in CATALOG.SCHEMA; elsewhere it is a path, as no metastore is shared.
        """
        name = f"{self.user_id}_{table}_{kind}"
        if in_databricks():
            return f"`{self.catalog}`.`{self.schema}`.`{name}`"  # an id may begin with a digit
        return f"delta.`{self.tables}/{name}`"

    @property
    def kinesis_options(self) -> dict[str, str]:
        """Where and as whom Spark reads streams: the region, and on Databricks the service credential."""
        if in_databricks() and self.kinesis_credential:
            return {"region": self.region, "serviceCredential": self.kinesis_credential}
        return {"region": self.region}

    def checkpoint(self, name: str) -> str:
        """The folder where one streaming query notes how far it has read: never inside the table's own."""
        if in_databricks():
            return str(self.volume / "checkpoints" / name)
        return f"{self.tables.rpartition('/')[0]}/checkpoints/{self.user_id}_{name}"


def in_databricks() -> bool:
    """True inside a Databricks runtime."""
    return "DATABRICKS_RUNTIME_VERSION" in os.environ


def state_folder() -> Path:
    """Where the local cloud keeps its state: LOCAL_CLOUD_HOME, or .local in the project.

    On Databricks it is a temporary folder: a job may not write beside its notebooks.
    """
    usual = Path(tempfile.gettempdir(), "pinterest-pipeline") if in_databricks() else ROOT / ".local"
    return Path(os.environ.get("LOCAL_CLOUD_HOME") or usual).resolve()


def settings_file(file: Path) -> dict[str, str]:
    """The NAME=value lines of a file, quotes and comments taken off; none when there is no such file."""
    found = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else ():
        if match := re.fullmatch(r"\s*(?:export\s+)?(\w+)\s*=\s*(.*?)\s*", line):
            quoted = re.match(r"""(['"])(.*?)\1""", match[2])
            found[match[1]] = quoted[2] if quoted else re.sub(r"(^|\s+)#.*", "", match[2])
    return found


def use_target() -> Settings:
    """Read the target's addresses, set what boto3 itself honours, and return the settings.

    Raises ConfigError with all that is missing, in one message.
    """
    own = {**settings_file(ROOT / ".env"), **os.environ}
    if in_databricks():
        own.update(databricks.parameters(PARAMETERS))
    # With RAW_PATH the reading lessons need no cloud at all.
    raw = (own.get("RAW_PATH") or "").rstrip("/")
    if raw and "://" not in raw and not raw.startswith("/"):
        raw = str(ROOT / raw)
    target = own.get("PIPELINE_TARGET") or ("aws" if in_databricks() else "local")
    if target not in ("local", "aws"):
        raise ConfigError(f"PIPELINE_TARGET is {target!r}: use local or aws")
    if target == "local" and in_databricks():
        raise ConfigError("PIPELINE_TARGET=local: inside Databricks the target is aws")
    if target == "local":
        addresses = state_folder() / "cloud.env"
        if not addresses.exists() and (not raw or "://" in raw):
            raise ConfigError("The local cloud is not up: run `make up` in the project folder first.")
        # Only the file counts: nothing in the shell or the home folder may send a local lesson elsewhere.
        environment.stay_local()
        found = {key: value for key, value in settings_file(addresses).items() if value}
        os.environ.update(found)
        if boto3 := sys.modules.get("boto3"):  # its default session keeps what it has found before
            vars(boto3)["DEFAULT_SESSION"] = None
        own = {**own, **found}
    user = own.get("PIPELINE_USER") or _default_user(raw)
    region = own.get("AWS_REGION") or own.get("AWS_DEFAULT_REGION") or ""
    missing = [] if target == "local" or raw else _missing_on_aws(user, region)
    if missing and in_databricks():
        missing.append("or RAW_PATH=data_samples/topics, to read the project's samples instead of a bucket")
    if missing:
        raise ConfigError("Missing, in .env or the environment: " + "; ".join(missing))
    if target == "aws":
        os.environ.update(_for_boto3(region))
    here = target == "local"
    catalog, schema = own.get("CATALOG") or "", own.get("SCHEMA") or ""
    if in_databricks() and not (catalog and schema):
        current = databricks.place()
        catalog, schema = catalog or current[0], schema or current[1]
    folder = own.get("TABLES_PATH") or (
        str(state_folder() / "tables") if raw else f"s3://{Names(user).bucket}/tables"
    )
    return Settings(
        target=target,
        user_id=user,
        region=region,
        source_url=own.get("SOURCE_URL") or "",
        client_home=(own.get("CLIENT_HOME") if here else "") or "/home/ec2-user",
        kafka_security_protocol=(own.get("KAFKA_SECURITY_PROTOCOL") if here else "") or "SASL_SSL",
        invoke_base=(own.get("API_INVOKE_BASE") if here else "") or "",
        rest_proxy=(own.get("REST_PROXY") if here else "") or "http://localhost:8082",
        sink_zip=own.get("SINK_ZIP") or "",
        catalog=catalog,
        schema=schema,
        raw=raw,
        tables=folder,
        kinesis_credential=("" if here else own.get("KINESIS_CREDENTIAL")) or "",
        databricks_host=own.get("DATABRICKS_HOST") or "",
        databricks_token=own.get("DATABRICKS_TOKEN") or "",
        databricks_notebooks=own.get("DATABRICKS_NOTEBOOKS") or "",
    )


def addresses() -> dict[str, str]:
    """The endpoints that `use_target` has set; empty where boto3 finds AWS by itself."""
    return {
        key: os.environ[key] for key in sorted(os.environ) if key.startswith(("AWS_ENDPOINT", "API_INVOKE"))
    }


def _for_boto3(region: str) -> dict[str, str]:
    """The region, if there is one, and retries that outlast a quota of one call in 20 seconds."""
    named = dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), region) if region else {}
    # API Gateway has such quotas. boto3's own five tries end after some eight seconds.
    usual = {"AWS_RETRY_MODE": "standard", "AWS_MAX_ATTEMPTS": "10"}
    return {**named, **{name: os.environ.get(name) or value for name, value in usual.items()}}


def _default_user(raw: str) -> str:
    """With the samples any id will do: in a shared workspace everybody gets other tables."""
    return databricks.user_id() if in_databricks() and raw else DEFAULT_USER


def _missing_on_aws(user: str, region: str) -> list[str]:
    missing = []
    if user == DEFAULT_USER:
        missing.append("PIPELINE_USER (an id of your own: bucket names are global)")
    if not region:
        missing.append("AWS_REGION (for instance us-east-1)")
    # On Databricks Unity Catalog gives the rights; a lesson that needs keys there too says so by itself.
    if not in_databricks() and (reason := _no_credentials()):
        missing.append(f"AWS credentials ({reason}): log in with `aws configure` or `aws sso login`")
    return missing


def _no_credentials() -> str:
    """Why boto3 has no credentials to sign with; empty when it finds some, wherever that is."""
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        return "" if boto3.Session().get_credentials() else "boto3 finds none"
    except BotoCoreError as error:  # a profile that does not exist, say
        return str(error)
