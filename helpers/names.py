"""One naming system: every resource name of the pipeline from one user id."""

import re
from dataclasses import dataclass

TABLES = ("pin", "geo", "user")


@dataclass(frozen=True)
class Names:
    """All names of one user's pipeline. `user_id` is 1 to 16 letters or digits; ValueError otherwise."""

    user_id: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9]{1,16}", self.user_id):
            raise ValueError(f"user id {self.user_id!r}: use 1 to 16 letters or digits (PIPELINE_USER)")

    @property
    def topic(self) -> dict[str, str]:
        """Kafka topic of each table."""
        return {table: f"{self.user_id}.{table}" for table in TABLES}

    @property
    def dead_letter_topic(self) -> str:
        """Kafka topic for records that the sink cannot convert."""
        return f"{self.user_id}-dead-letter"

    @property
    def stream(self) -> dict[str, str]:
        """Kinesis stream of each table."""
        return {table: f"streaming-{self.user_id}-{table}" for table in TABLES}

    @property
    def table(self) -> dict[str, str]:
        """Delta table of each table."""
        return {table: f"{self.user_id}_{table}_table" for table in TABLES}

    @property
    def bucket(self) -> str:
        """S3 bucket; bucket names are lower case and global."""
        return f"user-{self.user_id.lower()}-bucket"

    @property
    def scratch_bucket(self) -> str:
        """A second bucket for trying things; the lesson that makes it deletes it."""
        return f"{self.bucket}-scratch"

    @property
    def tags(self) -> dict[str, str]:
        """The tag that every AWS resource of this pipeline carries."""
        return {"project": f"pinterest-pipeline-{self.user_id}"}

    @property
    def tag_list(self) -> list[dict[str, str]]:
        """`tags` in the Key/Value form that EC2, IAM and S3 want."""
        return [{"Key": key, "Value": value} for key, value in self.tags.items()]

    def tagged(self, kind: str, name: str) -> list[dict]:
        """EC2's TagSpecifications for a new resource of this kind."""
        return [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}, *self.tag_list]}]

    def filters(self, *names: str) -> list[dict]:
        """EC2's Filters that find what `tagged` has marked with one of these names."""
        return [
            {"Name": "tag:Name", "Values": list(names)},
            *({"Name": f"tag:{key}", "Values": [value]} for key, value in self.tags.items()),
        ]

    def __getattr__(self, thing: str) -> str:
        """Any other name: see `PATTERNS`."""
        if thing not in PATTERNS:
            raise AttributeError(f"no name for {thing!r}; there are {', '.join(PATTERNS)}")
        return PATTERNS[thing].format(id=self.user_id)


PATTERNS = {
    "plugin": "{id}-plugin",
    "connector": "{id}-connector",
    "worker_configuration": "{id}-worker",
    "ec2_role": "{id}-ec2-access-role",
    "connect_role": "{id}-connect-role",
    "kinesis_role": "{id}-kinesis-access-role",
    "mwaa_role": "{id}-mwaa-role",
    "api": "{id}-api",
    "api_key": "{id}-key",
    "dag": "{id}_dag",
    "trial_stream": "streaming-{id}-trial",
    # These must start with a letter.
    "usage_plan": "p-{id}-plan",
    "vpc": "p-{id}-vpc",
    "cluster": "p-{id}-cluster",
    "client_machine": "p-{id}-client",
    "broker_group": "p-{id}-brokers",
    "client_group": "p-{id}-clients",
    "load_balancer": "p-{id}-lb",
    "vpc_link": "p-{id}-link",
    "database": "p-{id}-db",
    "environment": "p-{id}-airflow",
}
