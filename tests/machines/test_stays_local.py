"""Whatever the reader's shell and home folder hold, a local lesson reaches the local cloud only."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.machines.hostile_settings import KEY

ROOT = Path(__file__).resolve().parents[2]


# Settings that do harm -> whether a connection goes elsewhere; of the others the signature is wrong.
ASTRAY = {
    "AWS_CREDENTIAL_EXPIRATION": False,
    "AWS_CSM_ENABLED": True,
    "AWS_DATA_PATH": True,
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": True,
    "AWS_SESSION_TOKEN": False,
    "config: csm_enabled": True,
    "AWS_ENDPOINT_URL_<SERVICE>": True,
    "http_proxy": True,
    "ALL_PROXY": True,
}
XML = {  # of the services that do not speak JSON
    "s3": "<ListAllMyBucketsResult/>",
    "sts": "<R><GetCallerIdentityResult/></R>",
    "iam": "<R><ListRolesResult/></R>",
    "ec2": "<R/>",
}


class Cloud(BaseHTTPRequestHandler):
    """Answers every call with an empty list."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        signed = self.headers.get("Authorization", "").split("/")
        body = XML.get(signed[3] if len(signed) > 3 else "", "{}").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Cloud)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    (tmp_path / "cloud.env").write_text(
        f"AWS_ENDPOINT_URL=http://127.0.0.1:{server.server_port}\nAWS_DISABLE_HOST_PREFIX_INJECTION=true\n"
        f"AWS_ACCESS_KEY_ID={KEY}\nAWS_SECRET_ACCESS_KEY=s\nAWS_REGION=us-east-1\nAWS_DEFAULT_REGION=us-east-1\n"
    )
    yield server.server_port
    server.shutdown()
    server.server_close()


def attempts(port: int, folder: Path, *options: str) -> list[dict[str, Any]]:
    """What became of the calls, a setting each."""
    clean = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    command = [sys.executable, "-m", "tests.machines.hostile_settings", str(port), str(folder), *options]
    done = subprocess.run(command, cwd=ROOT, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_no_setting_of_the_reader_leads_elsewhere(
    port: int, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    tried = attempts(port, tmp_path / "homes")
    elsewhere, calls = sum(len(one["elsewhere"]) for one in tried), sum(one["sent"] for one in tried)
    with capsys.disabled():
        print(f"\n  {len(tried)} settings, {calls} calls: {elsewhere} connections elsewhere")
    assert [one for one in tried if one["elsewhere"] or one["wrong"]] == []
    assert len(tried) > 120


def test_the_same_settings_do_lead_elsewhere_when_they_are_left_alone(port: int, tmp_path: Path) -> None:
    tried = attempts(port, tmp_path / "homes", *ASTRAY)
    assert [one["name"] for one in tried if not (one["elsewhere"] or one["wrong"])] == []
    assert {one["name"]: bool(one["elsewhere"]) for one in tried} == ASTRAY
