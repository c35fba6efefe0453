"""A Databricks workspace's stand-in: the Jobs API over notebooks that really run."""

import json
import sys
import urllib.request
from pathlib import Path

from local_cloud.part import Part
from local_cloud.state import ROOT, State

GIT_FOLDER = "/Shared/pinterest-pipeline/notebooks"  # the lessons, as a Git folder would show them
OWN_FOLDER = "/Users/reader"  # for notebooks of the reader's own


def folders(state: State) -> dict[str, Path]:
    """The workspace's folders and where they are here."""
    own = state.path("databricks", "workspace")
    own.mkdir(parents=True, exist_ok=True)
    return {GIT_FOLDER: ROOT / "notebooks", OWN_FOLDER: own}


def part(state: State) -> Part:
    """The server on its recorded port; ready when it answers a caller with the token."""
    command = [sys.executable, "-m", "local_cloud.stand_ins.databricks.jobs"]

    def ready() -> None:
        url = f"http://127.0.0.1:{state.port('databricks')}/api/2.2/jobs/runs/list?limit=1"
        login = {"Authorization": f"Bearer {state.secret('databricks_token')}"}
        with urllib.request.urlopen(urllib.request.Request(url, headers=login), timeout=5) as answer:
            json.load(answer)

    title = "Databricks jobs"
    # Its notebooks talk to the other parts, so it stops before them: longer than a kernel takes to end.
    needs = ("control", "gateway")
    return Part("databricks", "stand-in", title, command, ready, ("databricks",), needs, stop_seconds=20)
