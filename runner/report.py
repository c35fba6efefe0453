"""What is said at the end of a run: the counts from end to end, and why a lesson stopped."""

from collections.abc import Callable
from pathlib import Path

from local_cloud.state import State
from runner.execute import Failure

# Stage as the lessons record it -> as the summary calls it.
STAGES = {name: name for name in ("sent", "in topic", "in S3", "clean", "duplicates", "quarantined")}
STREAMED = {"sent to streams": "sent", "in streams": "in stream", "in stream tables": "posts in table"}
Rule = Callable[[list[int]], bool]
ERROR_WORDS = ("ERROR", "FATAL", "CRITICAL", "Exception", "Traceback")
TAIL = 20_000  # bytes of a log searched for an error


def counts_table(counts: dict[str, dict[str, int]]) -> str:
    """The recorded stages as text, a line a table, first of the batch and then of the stream."""
    return "\n\n".join(map(_aligned, add_up(counts))) or "No counts were recorded."


def add_up(counts: dict[str, dict[str, int]]) -> list[list[list[str]]]:
    """The recorded stages as tables of words, the batch's and the stream's, each with its header line.

    The last column says whether a table adds up; it is empty while a stage is missing.
    """
    parts = [
        _part("table", counts, STAGES, _batch_adds_up),
        _part("stream", counts, STREAMED, _stream_adds_up),
    ]
    return [lines for lines in parts if lines]


def _batch_adds_up(found: list[int]) -> bool:
    return found[0] == found[1] == found[2] == sum(found[3:])


def _stream_adds_up(found: list[int]) -> bool:
    return found[0] == found[1] >= found[2]  # a post is in the table once, however often it was sent


def _part(
    name: str, counts: dict[str, dict[str, int]], stages: dict[str, str], rule: Rule
) -> list[list[str]]:
    known = [stage for stage in stages if stage in counts]
    if not known:
        return []
    complete = len(known) == len(stages)
    lines = [[name, *(stages[stage] for stage in known), "adds up" if complete else ""]]
    for table in dict.fromkeys(table for stage in known for table in counts[stage]):
        found = [counts[stage].get(table, 0) for stage in known]
        verdict = ("yes" if rule(found) else "NO") if complete else ""
        lines.append([table, *(f"{count:,}" for count in found), verdict])
    return lines


def _aligned(lines: list[list[str]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            word.rjust(width) if column else word.ljust(width)
            for column, (word, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def explain(failure: Failure, path: Path, state: State) -> str:
    """What a reader needs to find the fault: notebook, cell, its source, the error, the log."""
    source = failure.source.splitlines()
    shown = source[:8] + (["..."] if len(source) > 8 else [])
    error = failure.error.strip().splitlines()[:12]
    logs = suspects(state, failure.moment)
    look = f"python -m local_cloud logs {logs[0]}" if logs else "python -m local_cloud status"
    also = f"   (errors also in: {', '.join(logs[1:])})" if len(logs) > 1 else ""
    lines = [f"\n{path.name}, cell {failure.cell}:", *(f"    {line}" for line in shown), *error]
    return "\n".join([*lines, f"Look at: {look}{also}"])


def suspects(state: State, moment: float) -> list[str]:
    """Parts that wrote an error to their log since `moment` (epoch seconds), the latest first."""
    written = {}
    for log in state.path("logs").glob("*.log"):
        changed = log.stat().st_mtime
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL))
            tail = file.read().decode(errors="replace")
        if changed >= moment and any(word in tail for word in ERROR_WORDS):
            written[log.stem] = changed
    return sorted(written, key=lambda name: -written[name])
