"""One naming system: every resource name of the pipeline from one user id."""

import re

TABLES = ("pin", "geo", "user")


class Names:
    """All names of one user's pipeline. `user_id` is 1 to 16 letters or digits; ValueError otherwise."""

    def __init__(self, user_id: str) -> None:
        if not re.fullmatch(r"[A-Za-z0-9]{1,16}", user_id):
            raise ValueError(f"user id {user_id!r}: use 1 to 16 letters or digits (PIPELINE_USER)")
        self.user_id = user_id
        # One of each for every table; the Delta tables are named by `Settings.table`, as SQL wants them.
        self.topic = {table: f"{user_id}.{table}" for table in TABLES}
        self.stream = {table: f"streaming-{user_id}-{table}" for table in TABLES}
        self.trial_stream = f"streaming-{user_id}-trial"
        self.dead_letter_topic = f"{user_id}-dead-letter"  # for records that the sink cannot convert
        self.bucket = f"user-{user_id.lower()}-bucket"  # bucket names are lower case and global
        self.scratch_bucket = f"{self.bucket}-scratch"  # the lesson that makes it deletes it
        self.plugin = f"{user_id}-plugin"
        self.connector = f"{user_id}-connector"
        self.worker_configuration = f"{user_id}-worker"
        self.ec2_role = f"{user_id}-ec2-access-role"
        self.connect_role = f"{user_id}-connect-role"
        self.kinesis_role = f"{user_id}-kinesis-access-role"
        self.mwaa_role = f"{user_id}-mwaa-role"
        self.api = f"{user_id}-api"
        self.api_key = f"{user_id}-key"
        self.dag = f"{user_id}_dag"
        # These must begin with a letter, which an id need not do.
        self.usage_plan = f"p-{user_id}-plan"
        self.vpc = f"p-{user_id}-vpc"
        self.cluster = f"p-{user_id}-cluster"
        self.client_machine = f"p-{user_id}-client"
        self.broker_group = f"p-{user_id}-brokers"
        self.client_group = f"p-{user_id}-clients"
        self.load_balancer = f"p-{user_id}-lb"
        self.vpc_link = f"p-{user_id}-link"
        self.link_group = f"p-{user_id}-link-group"
        self.balancer_group = f"p-{user_id}-lb-group"
        self.environment = f"p-{user_id}-airflow"
        # Every AWS resource of this pipeline carries this tag.
        self.tags = {"project": f"pinterest-pipeline-{user_id}"}

    def __repr__(self) -> str:
        return f"Names({self.user_id!r})"

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

    def all(self) -> set[str]:
        """Every name, those of the tables included; without the id itself and the tags."""
        named = {key: value for key, value in vars(self).items() if key not in ("user_id", "tags")}
        return {
            name
            for value in named.values()
            for name in (value.values() if isinstance(value, dict) else [value])
        }
