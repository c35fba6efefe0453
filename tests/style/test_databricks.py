"""What serverless compute, and so Databricks Free Edition, refuses: none of it in the lessons for it."""

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from types import FunctionType

import pyspark.sql
import pytest
from pyspark.sql import functions, streaming

from runner.single import LESSONS, needed
from tests.style.notebook_rules import ROOT, load

# A stream needs AWS, and goes on only on classic compute: 14 is no lesson of Free Edition, but of Databricks.
STREAMING = ("14",)
NEWEST = (4, 0)  # Runtime 17.3 LTS; serverless environment 4
# Installed on serverless compute. What else a helper needs, it may import only where it needs it.
INSTALLED = {"IPython", "matplotlib", "numpy", "pandas", "pyspark", "helpers", *sys.stdlib_module_names}
# https://docs.databricks.com/spark/conf: all others raise on serverless compute.
MAY_BE_SET = {
    "spark.databricks.execution.timeout",
    "spark.sql.ansi.enabled",
    "spark.sql.legacy.timeParserPolicy",
    "spark.sql.session.timeZone",
    "spark.sql.shuffle.partitions",
}
REFUSED = {
    "the RDD API": {"rdd", "parallelize", "mapPartitions", "foreachPartition"},
    "the Spark context": {"sparkContext", "sc", "SparkContext", "_sc"},
    "the Java side": {"_jvm", "_jdf", "_jsc", "_jsparkSession", "_gateway"},
    "a global temporary view": {"createGlobalTempView", "createOrReplaceGlobalTempView"},
    "a table kept in memory": {"cacheTable", "uncacheTable", "is_cached", "storageLevel"},
    "the working folder": {"getcwd", "chdir", "cwd"},
}
REFUSED_WORDS = {
    "DBFS": r"\bdbfs:|/dbfs/|(?<![\w/])/mnt/|/FileStore/",
    "a global temporary view": r"\bglobal_temp\b",
    "a table kept in memory": r"(?i)\b(un)?cache\s+(lazy\s+)?table\b",
}
KEPT = {"cache", "persist", "unpersist"}
MAKES_FRAMES = {"select", "selectExpr", "where", "orderBy", "limit", "withColumn", "dropDuplicates"}
# These were SQL functions long before PySpark had a function of the name.
OLD_IN_SQL = {"chr", "uuid"}
# Only a laptop gets there: `session.spark` has left for the workspace's own session before.
LAPTOP_ONLY = {"helpers.session": {"_local"}}


@dataclass
class Code:
    """A module, or the code cells of a notebook, with a name for messages."""

    name: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        tree = ast.parse(self.text)
        skipped = LAPTOP_ONLY.get(self.name, set())
        tree.body = [node for node in tree.body if getattr(node, "name", None) not in skipped]
        return tree

    @cached_property
    def words(self) -> list[tuple[str, int]]:
        """Every attribute, name and imported name, with its line."""
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute):
                found.append((node.attr, node.lineno))
            elif isinstance(node, ast.Name):
                found.append((node.id, node.lineno))
            elif isinstance(node, ast.ImportFrom):
                found += [(name.name, node.lineno) for name in node.names]
        return found

    @cached_property
    def strings(self) -> list[tuple[str, int]]:
        """Every string that is not a docstring; of f-strings the fixed parts."""
        said = {id(node.value) for node in ast.walk(self.tree) if isinstance(node, ast.Expr)}
        return [
            (node.value, node.lineno)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said
        ]

    def calls(self, *names: str) -> Iterator[ast.Call]:
        """Calls of functions or methods of these names."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and called(node) in names:
                yield node


def called(call: ast.Call) -> str:
    """The last name of what is called: `set` of `spark.conf.set(...)`."""
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def notebook(number: str) -> Code:
    """The code of a lesson."""
    path = next((ROOT / "notebooks").glob(f"{number}_*.ipynb"))
    return Code(path.stem, "\n".join(cell.text for cell in load(path).code))


def written() -> list[str]:
    """The lessons for Databricks that are written."""
    return [number for number in (*LESSONS, *STREAMING) if list((ROOT / "notebooks").glob(f"{number}_*"))]


def helpers(number: str) -> list[Code]:
    """The helpers that a lesson imports, however indirectly."""
    return [Code(name, text) for name, text in needed(notebook(number).text, ROOT / "helpers").items()]


BOOKS = [notebook(number) for number in written()]
MODULES = list({code.name: code for number in LESSONS for code in helpers(number)}.values())
STREAMED = [
    code for code in (helpers("14") if "14" in written() else []) if code.name == "helpers.stream_to_delta"
]


# --- the rules ---------------------------------------------------------------------------------------------


def only_what_spark_connect_has(code: Code) -> list[str]:
    """No RDD, no context, no JVM, no global view, no working folder."""
    wrong = [
        f"{what} ({word}) in line {line}"
        for what, names in REFUSED.items()
        for word, line in code.words
        if word in names
    ]
    return wrong + [
        f"{what} in line {line}"
        for what, pattern in REFUSED_WORDS.items()
        for text, line in code.strings
        if re.search(pattern, text)
    ]


def nothing_kept_in_memory(code: Code) -> list[str]:
    """No cache(), persist() or unpersist() but in a function that gets on where they are refused."""
    asking: set[int] = set()
    for node in code.tree.body:
        if isinstance(node, ast.FunctionDef) and any(isinstance(inner, ast.Try) for inner in node.body):
            asking |= {id(inner) for inner in ast.walk(node)}
    return [f"{called(call)}() in line {call.lineno}" for call in code.calls(*KEPT) if id(call) not in asking]


def settings_that_may_be_set(code: Code) -> list[str]:
    """Only documented keys are set, and a key that may be missing is read with a default."""
    wrong = []
    for call in code.calls("set", "get", "config"):
        owner = ast.unparse(call.func)
        first = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
        if owner.endswith("conf.get") and len(call.args) + len(call.keywords) < 2:
            wrong.append(f"conf.get without a default in line {call.lineno}")
        if owner.endswith(("conf.set", ".config")) and first not in MAY_BE_SET:
            wrong.append(f"the setting {first} in line {call.lineno}")
    for text, line in code.strings:
        key = re.match(r"(?i)\s*SET\s+(spark[\w.]+)", text)
        if key and key[1] not in MAY_BE_SET:
            wrong.append(f"the setting {key[1]} in line {line}")
    return wrong


def newer(thing: object) -> set[str]:
    """Public members of a module or class that PySpark's documentation dates after NEWEST."""
    found = set()
    for name in dir(thing):
        member = getattr(thing, name, None)
        dated = re.search(r"versionadded::\s*(\d+)\.(\d+)", getattr(member, "__doc__", None) or "")
        if not name.startswith("_") and dated and (int(dated[1]), int(dated[2])) > NEWEST:
            found.add(name)
    return found


NEW_FUNCTIONS = newer(functions)
CLASSES = (
    *(pyspark.sql.DataFrame, pyspark.sql.Column, pyspark.sql.SparkSession, pyspark.sql.GroupedData),
    *(pyspark.sql.DataFrameReader, pyspark.sql.DataFrameWriter, pyspark.sql.Window),
    *(streaming.DataStreamReader, streaming.DataStreamWriter, streaming.StreamingQuery),
)
# Methods of one word (`name`, `changes`) are also methods of others.
NEW_METHODS = {name for kind in CLASSES for name in newer(kind) if re.search("[a-z][A-Z]", name)}


def nothing_newer_than_the_runtime(code: Code) -> list[str]:
    """No function or method that came after Spark 4.0, in Python or in SQL."""
    spark_functions = re.findall(r"\bF\.(\w+)", ast.unparse(code.tree))
    wrong = [f"F.{name}" for name in spark_functions if name in NEW_FUNCTIONS or not hasattr(functions, name)]
    wrong += [f"{word} in line {line}" for word, line in code.words if word in NEW_METHODS]
    return wrong + [
        f"{name}() in line {line}"
        for text, line in code.strings
        for name in re.findall(r"\b([a-z_]+)\(", text.lower())
        if name in NEW_FUNCTIONS - OLD_IN_SQL
    ]


def batches_use_their_own_session(code: Code) -> list[str]:
    """What foreachBatch calls runs elsewhere: it never uses the notebook's `spark`."""
    made = {node.name: node for node in ast.walk(code.tree) if isinstance(node, ast.FunctionDef)}
    wrong = []
    for call in code.calls("foreachBatch"):
        given = call.args[0] if call.args else call.keywords[0].value
        body = made.get(getattr(given, "id", ""), given)
        if any(isinstance(node, ast.Name) and node.id == "spark" for node in ast.walk(body)):
            wrong.append(f"the notebook's spark in the function for foreachBatch in line {call.lineno}")
    return wrong


def triggers_that_end(code: Code) -> list[str]:
    """A stream takes what there is and stops: no other trigger, nor none, on serverless compute."""
    wrong = [
        f"trigger({word.arg}) in line {call.lineno}"
        for call in code.calls("trigger")
        for word in call.keywords
        if word.arg in ("processingTime", "continuous", "once")
    ]
    if list(code.calls("foreachBatch", "toTable")) and not list(code.calls("trigger")):
        wrong.append("a stream without a trigger")
    return wrong


def installed_packages(code: Code) -> list[str]:
    """At the top only what is installed there."""
    top = [node for node in code.tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    roots = {name.name.split(".")[0] for node in top if isinstance(node, ast.Import) for name in node.names}
    roots |= {(node.module or "").split(".")[0] for node in top if isinstance(node, ast.ImportFrom)}
    return [f"{root} may be missing" for root in sorted(roots - INSTALLED)]


def one_thing_a_display(code: Code) -> list[str]:
    """Databricks' own `display` shows its first argument only."""
    return [f"display of {len(c.args)} in line {c.lineno}" for c in code.calls("display") if len(c.args) > 1]


def frames_are_displayed(code: Code) -> list[str]:
    """A DataFrame in a line of its own shows its columns alone on an older client: `display` shows rows."""
    wrong = []
    for node in code.tree.body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            name, first = called(node.value), node.value.args[:1]
            asked = name == "sql" and re.match(r"f?\W*(SELECT|WITH|DESCRIBE)\b", ast.unparse(first[0]), re.I)
            if name in MAKES_FRAMES or asked:
                wrong.append(f"a DataFrame is not displayed in line {node.lineno}")
    return wrong


Rule = Callable[[Code], list[str]]
SPARK: list[Rule] = [
    only_what_spark_connect_has,
    nothing_kept_in_memory,
    settings_that_may_be_set,
    nothing_newer_than_the_runtime,
    batches_use_their_own_session,
    one_thing_a_display,
]
SERVERLESS: list[Rule] = [*SPARK, triggers_that_end, installed_packages, frames_are_displayed]


CASES = [
    pytest.param(rule, code, id=f"{code.name}-{rule.__name__}")
    for code in [*BOOKS, *MODULES, *STREAMED]
    for rule in (SPARK if code.name[:2] in STREAMING or code in STREAMED else SERVERLESS)
]


@pytest.mark.parametrize(("rule", "code"), CASES)
def test_lessons_and_helpers_run_there(rule: Rule, code: Code) -> None:
    assert rule(code) == []


BROKEN = [
    (only_what_spark_connect_has, "frame.rdd.map(f)"),
    (only_what_spark_connect_has, "spark.sparkContext.setLogLevel('ERROR')"),
    (only_what_spark_connect_has, "sc.parallelize([1])"),
    (only_what_spark_connect_has, "from pyspark import SparkContext"),
    (only_what_spark_connect_has, "spark._jvm.java"),
    (only_what_spark_connect_has, "frame.createOrReplaceGlobalTempView('pin')"),
    (only_what_spark_connect_has, "spark.sql('SELECT * FROM global_temp.pin')"),
    (only_what_spark_connect_has, "spark.sql('cache lazy table pin')"),
    (only_what_spark_connect_has, "frame.is_cached"),
    (only_what_spark_connect_has, "spark.read.json('dbfs:/raw')"),
    (only_what_spark_connect_has, "open('/dbfs/raw')"),
    (only_what_spark_connect_has, "spark.read.json(f'/mnt/{bucket}')"),
    (only_what_spark_connect_has, "Path.cwd()"),
    (nothing_kept_in_memory, "frame.cache()"),
    (nothing_kept_in_memory, "def f(frame):\n    return frame.persist()"),
    (settings_that_may_be_set, "spark.conf.set('spark.sql.repl.eagerEval.enabled', True)"),
    (settings_that_may_be_set, "spark.conf.set(key, True)"),
    (settings_that_may_be_set, "SparkSession.builder.config('spark.master', 'local')"),
    (settings_that_may_be_set, "spark.sql('SET spark.sql.adaptive.enabled = false')"),
    (settings_that_may_be_set, "spark.conf.get('spark.executor.cores')"),
    (nothing_newer_than_the_runtime, "F.time_bucket('t', 'x')"),
    (nothing_newer_than_the_runtime, "F.no_such_function('t')"),
    (nothing_newer_than_the_runtime, "spark.sql('SELECT kind, Try_To_Time(t) FROM pin')"),
    (nothing_newer_than_the_runtime, "frame.zipWithIndex()"),
    (batches_use_their_own_session, "w.foreachBatch(lambda batch, n: spark.sql('x'))"),
    (batches_use_their_own_session, "def f(batch, n):\n    spark.table('x')\nw.foreachBatch(f)"),
    (triggers_that_end, "w.foreachBatch(f).trigger(processingTime='1 second').start()"),
    (triggers_that_end, "w.foreachBatch(f).start()"),
    (installed_packages, "import boto3"),
    (installed_packages, "from dotenv import dotenv_values"),
    (one_thing_a_display, "display(before, after)"),
    (frames_are_displayed, "frame.select('a').orderBy('a')"),
    (frames_are_displayed, "spark.sql('SELECT 1')"),
    (frames_are_displayed, "spark.sql(f'WITH {people} SELECT 1')"),
]
FINE = """
import pandas as pd
from pyspark.sql import functions as F

def where(frame):
    import boto3
    try:
        return frame.persist()
    except Exception:
        return frame

def write(batch, _):
    batch.sparkSession.sql("SELECT chr(65), uuid(), lower(a), my.uuid FROM pin")

spark.conf.set("spark.sql.session.timeZone", "UTC")
spark.conf.get("spark.executor.cores", None)
settings.get("one")
frame.createOrReplaceTempView("pin")
frame.writeStream.foreachBatch(write).trigger(availableNow=True).start()
shown = spark.read.json("/Volumes/main/default/mnt/x").select(F.nullif("a", F.lit("")))
spark.sql(f"DELETE FROM {shown}")
display(frame)
"""


@pytest.mark.parametrize(("rule", "text"), BROKEN)
def test_rule_sees_what_is_refused(rule: Rule, text: str) -> None:
    assert rule(Code("broken", text)) != []
    assert rule(Code("fine", FINE)) == []


def test_every_rule_has_an_example() -> None:
    assert {rule for rule, _ in BROKEN} == set(SERVERLESS)


def test_pyspark_dates_its_functions() -> None:
    dated = [name for name in dir(functions) if isinstance(getattr(functions, name), FunctionType)]
    undated = [name for name in dated if "versionadded" not in (getattr(functions, name).__doc__ or "")]
    assert len(NEW_FUNCTIONS) > 50 and len(dated) > 500
    assert [name for name in undated if getattr(functions, name).__module__.startswith("pyspark.sql.f")] == []


def test_only_a_laptop_starts_spark_itself() -> None:
    code = Code("", (ROOT / "helpers" / "session.py").read_text(encoding="utf-8"))
    spark = next(node for node in code.tree.body if getattr(node, "name", "") == "spark")
    asked = next(node for node in spark.body if isinstance(node, ast.If))
    assert ast.unparse(asked.test) == "not in_databricks()" and not asked.orelse
    assert "local_spark.start()" in "".join(map(ast.unparse, asked.body))
    assert code.text.count("local_spark") == 2  # its import, and this call


def test_only_lesson_08_tells_of_mounts() -> None:
    told = {path.name[:2] for path in (ROOT / "notebooks").glob("*.ipynb")
            if re.search(REFUSED_WORDS["DBFS"], load(path).prose)}  # fmt: skip
    assert told == {"08"}


def test_the_readme_marks_the_lessons_that_run_there() -> None:
    rows = re.findall(
        r"^\| \[(\d\d) · .*\|([^|]*)\|\s*$", (ROOT / "README.md").read_text(), flags=re.MULTILINE
    )
    marked = [number for number, cell in rows if cell.strip()]
    assert marked == [number for number, _ in rows if number in (*LESSONS, *STREAMING)]
