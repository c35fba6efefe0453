"""Parts are killed and paused while posts flow in batch and as a stream: nothing is lost or doubled."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands import run
from tests.faults import FAULTS

SEED = 14
pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


def test_nothing_is_lost_or_doubled(cloud: Path, record_property: Any) -> None:
    done = run(cloud, "tests.faults", str(SEED), str(len(FAULTS)))
    assert done.stdout.strip(), done.stderr[-3000:]
    rounds = json.loads(done.stdout.splitlines()[-1])
    head = list(rounds[0])
    rows = [[f"{one[name]:.1f}" if name == "recovery" else str(one[name]) for name in head] for one in rounds]
    record_property("table", "\n".join([f"seed {SEED}", *(" | ".join(row) for row in (head, *rows))]))
    assert len(rounds) == len(FAULTS)
    assert [(one["part"], one["fault"]) for one in rounds if one["lost"] or one["doubled"]] == []
