"""AWS's Signature Version 4 by hand: the server checks with botocore, so the tests must not sign with it."""

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

REGION = "us-east-1"


@dataclass
class Call:
    """One signed call as somebody who listened would have it; change it after `headers()` to tamper."""

    key: tuple[str, str]  # id and secret
    host: str
    service: str
    method: str = "GET"
    path: str = "/"
    query: str = ""
    body: str = ""
    age: timedelta = timedelta()
    extra: dict[str, str] = field(default_factory=dict)
    region: str = REGION

    def headers(self) -> dict[str, str]:
        """Host, date, hash of the body, `extra` and the signature over all of them."""
        stamp = (datetime.now(UTC) - self.age).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{stamp[:8]}/{self.region}/{self.service}/aws4_request"
        payload = hashlib.sha256(self.body.encode()).hexdigest()
        given = {"Host": self.host, "X-Amz-Date": stamp, "X-Amz-Content-SHA256": payload} | self.extra
        lowered = dict(sorted((name.lower(), value) for name, value in given.items()))
        names = ";".join(lowered)
        lines = "".join(f"{name}:{value}\n" for name, value in lowered.items())
        canonical = f"{self.method}\n{self.path}\n{self.query}\n{lines}\n{names}\n{payload}"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        step = f"AWS4{self.key[1]}".encode()
        for part in scope.split("/"):
            step = hmac.digest(step, part.encode(), "sha256")
        proof = hmac.digest(step, f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashed}".encode(), "sha256").hex()
        credential = f"AWS4-HMAC-SHA256 Credential={self.key[0]}/{scope}"
        return given | {"Authorization": f"{credential}, SignedHeaders={names}, Signature={proof}"}

    def request(self) -> dict[str, object]:
        """What is sent, as the arguments of the HTTP probe."""
        path = f"{self.path}?{self.query}" if self.query else self.path
        port = int(self.host.rpartition(":")[2])
        return {
            "port": port,
            "method": self.method,
            "path": path,
            "headers": self.headers(),
            "body": self.body,
        }
