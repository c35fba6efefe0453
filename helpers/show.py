"""How things look on the page: one chart style, a helper's code, an API answer without its volatile parts."""

import contextlib
import inspect
import io
import json
import re
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt

INK, RED, SOFT = "#2b2b2b", "#c8232c", "#d9d3cc"
MASKS = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(-\d+)?"), "<id>"),
    (re.compile(r"\b\d{12}\b"), "<account>"),
    (re.compile(r"(:(?:cluster|topic|group)/[\w-]+/)[0-9a-f]{8}\b"), r"\1<id>"),
    (re.compile(r"\b(vpc|subnet|sg|i|igw|rtb|nat|eipalloc|vpce|ami)-[0-9a-f]{8,17}\b"), r"\1-<id>"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[^\s\"',]*"), "<time>"),
    (re.compile(r"(127\.0\.0\.1|localhost):\d+"), "<address>"),
)


def style() -> None:
    """One look for every chart of the series."""
    plt.rcParams.update(
        {
            "figure.figsize": (7.5, 3.2),
            "figure.dpi": 100,
            "figure.autolayout": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.edgecolor": INK,
            "axes.prop_cycle": plt.cycler(color=[RED, INK, "#8a8178", SOFT]),
            "axes.titlelocation": "left",
            "font.size": 10,
            "svg.hashsalt": "pinterest",
        }
    )


def code(thing: Callable[..., Any] | type) -> None:
    """Print the source of a helper as the cell's output."""
    print(inspect.getsource(thing).rstrip())


def plan(frame: Any, width: int = 78) -> None:
    """Print how Spark will work out a DataFrame, each line cut, without the numbers that it gives anew."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        frame.explain()
    lines = re.sub(r"#\d+L?|, \[plan_id=\d+\]", "", said.getvalue()).splitlines()
    print("\n".join(line[:width].rstrip() for line in lines if line.strip()))


def mask(text: str) -> str:
    """Replace account numbers, ids, times and addresses, which differ from run to run."""
    for pattern, word in MASKS:
        text = pattern.sub(word, text)
    return text


def shape(answer: Any) -> None:
    """Print an API answer as indented JSON, without its metadata and with volatile parts masked."""
    kept = (
        {key: value for key, value in answer.items() if key != "ResponseMetadata"}
        if isinstance(answer, dict)
        else answer
    )
    print(mask(json.dumps(kept, indent=2, default=str, ensure_ascii=False)))
