"""Which calls kafka-rest.properties switches off, by the names that Confluent gives its endpoints.

Source: confluentinc/kafka-rest, KafkaRestConfig and ResourceAccesslistFeature. A list names single endpoints
(`api.v2.topics.list`) or all of one kind (`api.v2.topics.*`); what is off is 404 for GET, 405 for the rest.
"""

import re
from dataclasses import dataclass

ALLOW, BLOCK = "api.endpoints.allowlist", "api.endpoints.blocklist"
SWITCHES = {"v2": "api.v2.enable", "v3": "api.v3.enable"}
SETTINGS = (ALLOW, BLOCK, *SWITCHES.values())
TOPIC = r"/topics/[^/]+"
# The format of the records is one word of the content type: application/vnd.kafka.json.v2+json.
ENDPOINTS = {
    "GET /topics": "topics.list",
    f"GET {TOPIC}": "topics.get",
    f"POST {TOPIC}": "produce-to-topic.{format}",
    f"GET {TOPIC}/partitions": "partitions.list",
    f"GET {TOPIC}/partitions/[^/]+": "partitions.get",
    f"POST {TOPIC}/partitions/[^/]+": "produce-to-partition.{format}",
    "[A-Z]+ /consumers/.+": "consumers.*",
    "[A-Z]+ /brokers": "brokers.*",
    "[A-Z]+ /": "root.*",
    "[A-Z]+ /v3/.+": "*",
}


@dataclass(frozen=True)
class Endpoints:
    """What the reader's file allows: two lists of names, and the versions of the API that are off."""

    allowed: frozenset[str] = frozenset()
    blocked: frozenset[str] = frozenset()
    off: frozenset[str] = frozenset()

    @classmethod
    def of(cls, given: dict[str, str]) -> "Endpoints":
        """From the settings of kafka-rest.properties; ValueError for a switch that is not true or false."""
        switches = {version: given.get(name, "true").lower() for version, name in SWITCHES.items()}
        for version, value in switches.items():
            if value not in ("true", "false"):
                raise ValueError(f"{SWITCHES[version]} is true or false, not {value!r}")
        allowed, blocked = (frozenset(re.findall(r"[^\s,]+", given.get(name, ""))) for name in (ALLOW, BLOCK))
        off = frozenset(version for version, value in switches.items() if value == "false")
        return cls(allowed, blocked, off)

    def refuse(self, method: str, path: str, content_type: str) -> int | None:
        """The status of a call that is switched off; None for one that is not."""
        version, call = "v3" if path.startswith("/v3/") else "v2", f"{method} {path.rstrip('/') or '/'}"
        if version in self.off:
            return 404
        found = next((name for pattern, name in ENDPOINTS.items() if re.fullmatch(pattern, call)), None)
        if found is None:
            return None
        kind = re.search(r"\.kafka\.(\w+)\.v2", content_type)
        own = found.format(format=kind[1].replace("jsonschema", "json-schema") if kind else "json")
        names = {f"api.{version}.{own}", f"api.{version}.{own.partition('.')[0]}.*"}
        refused = (self.allowed and not names & self.allowed) or names & self.blocked
        return (404 if method == "GET" else 405) if refused else None
