"""Run attempts: a JSON list of {"call", "args", ...} on stdin, the same list with what came of it on stdout.

Uses nothing but the standard library, because it runs as a user who may read nothing else.
"""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import machine
import wire

CALLS = wire.CALLS | machine.CALLS


def attempt(asked: dict[str, Any]) -> dict[str, Any]:
    """One attempt; a connection that is closed or never answered is a refusal."""
    try:
        outcome, said = CALLS[asked["call"]](**asked["args"])
    except (OSError, ValueError, IndexError) as problem:
        outcome, said = "refused", f"{type(problem).__name__}: {problem}"
    return asked | {"outcome": outcome, "said": " ".join(said.split())[:160]}


if __name__ == "__main__":
    with ThreadPoolExecutor(4) as pool:
        json.dump(list(pool.map(attempt, json.load(sys.stdin))), sys.stdout)
