"""The real Airflow of one local cloud, as far as the MWAA stand-in drives it."""

import json
import shutil
import subprocess
import sys
import time
from typing import Any

from local_cloud import supervise
from local_cloud.parts import airflow
from local_cloud.parts.aws import client
from local_cloud.state import State, write_private

START_SECONDS = 180


class Runtime:
    """One Airflow: its settings and DAG folder, its processes, its REST API."""

    def __init__(self, state: State) -> None:
        self.state, self.home = state, airflow.home(state)
        self.etags: dict[str, str] = {}
        self.token = ""

    def start(self, options: dict[str, str]) -> None:
        """Make the database, start the parts, wait until all of them are healthy; RuntimeError else."""
        write_private(self.home / "options.json", json.dumps(options))
        command = [sys.executable, "-m", "local_cloud.parts.airflow", "db", "migrate"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr[-900:])
        for part in airflow.COMMANDS:
            supervise.start(self.state, part)
        until = time.monotonic() + START_SECONDS
        while not self.healthy():
            if time.monotonic() > until:
                raise RuntimeError("Airflow does not become healthy")
            time.sleep(0.5)

    def healthy(self) -> bool:
        """Whether all parts say so."""
        try:
            supervise.check_listeners(self.state, [self.state.port("airflow")])
            found = airflow.health(self.state)
        except OSError:
            return False
        return all(found[part]["status"] == "healthy" for part in airflow.HEALTH.values())

    def remove(self) -> None:
        """Stop all parts and delete what they have kept."""
        for part in reversed(airflow.COMMANDS):
            supervise.stop(self.state, part)
        shutil.rmtree(self.home, ignore_errors=True)
        self.etags, self.token = {}, ""

    def sync(self, bucket: str, prefix: str) -> None:
        """Make the DAG folder equal to the one in S3."""
        s3, folder = client(self.state, "s3"), (self.home / "dags").resolve()
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        items = [item for page in pages for item in page.get("Contents", [])]
        wanted = set()
        for item in items:
            key, etag = item["Key"], item["ETag"]
            try:
                file = (folder / key.removeprefix(prefix)).resolve()
                # A key may have any name: none leads out of the folder, and a "folder" of S3 is no file.
                if key.endswith("/") or not file.is_relative_to(folder) or file == folder:
                    continue
                wanted.add(file)
                if not (file.exists() and self.etags.get(key) == etag):
                    file.parent.mkdir(parents=True, exist_ok=True)
                    s3.download_file(bucket, key, str(file))
            except (OSError, ValueError) as problem:  # too long a name, or a NUL in it: the others go on
                if self.etags.get(key) != etag:  # said once
                    print(f"mwaa: {key[:80]!r} cannot be a file here: {problem}", flush=True)
            self.etags[key] = etag
        for file in folder.rglob("*.*"):
            if file not in wanted and "__pycache__" not in file.parts:
                file.unlink(missing_ok=True)

    def call(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        """Status and answer of one REST request; a token that has expired is renewed."""
        for token in (self.token, ""):
            self.token = token or self.login()
            answer = self._request(method, f"/api/v2{path}", body)
            if answer[0] != 401:
                break
        return answer

    def login(self) -> str:
        """A new token of Airflow's one user."""
        body = {"username": airflow.USER, "password": airflow.password(self.state)}
        return str(self._request("POST", "/auth/token", body)[1]["access_token"])

    def _request(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self.token}"}
        return supervise.ask(self.state, "airflow", method, path, json=body, headers=headers, timeout=30)
