"""What may be asked of the source: the options of Databricks, kept, ignored or refused by name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

LATEST, TRIM_HORIZON = "LATEST", "TRIM_HORIZON"
POSITIONS = {"latest": LATEST, "earliest": TRIM_HORIZON, "trim_horizon": TRIM_HORIZON}
MAX_RECORDS = 10_000  # of one GetRecords, as Kinesis has it
KEPT = ("streamName", "initialPosition", "region", "awsAccessKey", "awsSecretKey", "maxRecordsPerFetch")
# They tune how Databricks reads ahead; the rows are the same without. The value must be one that it takes.
IGNORED = {
    "maxFetchRate": r"[0-1](\.\d+)?|2(\.0+)?",
    "maxFetchDuration": r"\d+\s*(ms|s|m|h)",
    "minFetchPeriod": r"\d+\s*(ms|s|m|h)",
    "fetchBufferSize": r"\d+\s*[kmgt]?b?",
    "consumerMode": "polling",
}
REFUSED = (
    *("serviceCredential", "roleArn", "roleExternalId", "roleSessionName", "stsEndpoint", "endpoint"),
    *("streamARN", "consumerName", "consumerNamePrefix", "consumerRefreshInterval", "registeredConsumerId"),
    *("registeredConsumerIdType", "requireConsumerDeregistration", "shardsPerTask", "maxPartitions"),
    *("shardFetchInterval", "maxShardsPerDescribe", "coalesceThresholdBlockSize", "coalesceBinSize"),
)
NAMES = {name.lower(): name for name in (*KEPT, *IGNORED, *REFUSED)}
HERE = "The kinesis source of this machine is a stand-in for that of Databricks"


class KinesisError(RuntimeError):
    """The source cannot do what is asked, or what it read is gone; the message says what and why."""


@dataclass(frozen=True)
class Options:
    """Checked options. `login` is what `boto3.client` takes; printing shows no key."""

    streams: tuple[str, ...]
    position: str
    max_records: int
    login: dict[str, str] = field(repr=False)


def parse(options: Mapping[str, str]) -> Options:
    """Check the options of a query; their names count in any case.

    Raises KinesisError for a name or a value that this source does not honour.
    """
    given = {_name(name): str(value).strip() for name, value in options.items()}
    for name, pattern in IGNORED.items():
        if name in given and not re.fullmatch(pattern, given[name], re.IGNORECASE):
            raise KinesisError(f"{HERE}: it cannot honour {name}={given[name]!r}.")
    return Options(
        streams=_streams(given.get("streamName", "")),
        position=_position(given.get("initialPosition", "latest")),
        max_records=_max_records(given.get("maxRecordsPerFetch", f"{MAX_RECORDS}")),
        login=_login(given),
    )


def _name(given: str) -> str:
    name = NAMES.get(given.lower())
    if name is None:
        raise KinesisError(f"{HERE}: neither of them has an option {given!r}.")
    if name in REFUSED:
        raise KinesisError(f"{HERE}: it does not support the option {name}.")
    return name


def _streams(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if wrong := [name for name in names if not re.fullmatch(r"[a-zA-Z0-9_.-]{1,128}", name)]:
        raise KinesisError(f"streamName={text!r}: {wrong[0]!r} is not the name of a stream.")
    if len(set(names)) < len(names):
        raise KinesisError(f"streamName={text!r} names a stream twice.")
    return names


def _position(text: str) -> str:
    if text.lower() not in POSITIONS:
        raise KinesisError(
            f"{HERE}: it knows initialPosition latest, earliest and trim_horizon, no {text!r}."
        )
    return POSITIONS[text.lower()]


def _max_records(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= MAX_RECORDS:
        raise KinesisError(f"maxRecordsPerFetch={text!r}: give a number from 1 to {MAX_RECORDS}.")
    return int(text)


def _login(given: Mapping[str, str]) -> dict[str, str]:
    if ("awsAccessKey" in given) != ("awsSecretKey" in given):
        raise KinesisError("awsAccessKey and awsSecretKey go together: one of them is missing.")
    words = {
        "region": "region_name",
        "awsAccessKey": "aws_access_key_id",
        "awsSecretKey": "aws_secret_access_key",
    }
    if empty := [name for name in words if given.get(name) == ""]:
        raise KinesisError(f"{empty[0]} is empty.")
    return {word: given[name] for name, word in words.items() if name in given}
