"""Lesson 00, `.env.example` and `helpers.config` name the same settings, from the same lessons."""

import ast
import re

from helpers import config
from tests.style.notebook_rules import ROOT, load

# Not the reader's to set: the local cloud writes these, or Databricks.
WRITTEN = {"AWS_DEFAULT_REGION", "CLIENT_HOME", "KAFKA_SECURITY_PROTOCOL", "API_INVOKE_BASE", "REST_PROXY"}
Setting = tuple[str, str, str]  # name, lesson, how to get it


def in_lesson() -> list[Setting]:
    """The rows of the table in lesson 00."""
    prose = load(ROOT / "notebooks" / "00_start_here.ipynb").prose
    table = prose.partition("| setting | from lesson | how to get it |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)`[^|]*\| (\d\d) \| (.+) \|$", table, flags=re.MULTILINE)
    return [(name, lesson, how.replace("`", "")) for name, lesson, how in rows]


def in_example() -> list[Setting]:
    """The settings of `.env.example`, each with the comment above it."""
    text = (ROOT / ".env.example").read_text()
    found = re.findall(r"^# Lesson (\d\d): (.+)\n(?:# )?(\w+)=", text, flags=re.MULTILINE)
    return [(name, lesson, how) for lesson, how, name in found]


def read_by_config() -> set[str]:
    """The settings that `use_target` reads."""
    source = ast.parse((ROOT / "helpers" / "config.py").read_text())
    calls = [node for node in ast.walk(source) if isinstance(node, ast.Call)]
    return {
        ast.literal_eval(call.args[0])
        for call in calls
        if isinstance(call.func, ast.Attribute) and ast.unparse(call.func) == "own.get"
    }


def test_the_lesson_and_the_example_say_the_same() -> None:
    assert in_lesson() == in_example()
    assert len(in_lesson()) > 9


def test_every_setting_that_is_read_is_explained() -> None:
    assert {name for name, _, _ in in_lesson()} == read_by_config() - WRITTEN


def test_the_plan_asks_for_settings_when_the_table_says() -> None:
    lessons = {name: int(lesson) for name, lesson, _ in in_lesson()}
    assert config.NEEDED_FROM.items() <= lessons.items()
