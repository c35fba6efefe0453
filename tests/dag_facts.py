"""Load the DAG file in a process of its own, without network and database, and print what it says as JSON.

`python dag_facts.py dags/pinterest_dag.py` runs on any Airflow from 2.11 on; `test_dag` reads what it prints.
"""

import gc
import importlib.util
import json
import logging
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

# Their own start may open what it likes; the DAG file may not.
import airflow
from airflow.providers.databricks.operators.databricks import DatabricksSubmitRunOperator  # noqa: F401

try:
    from airflow.sdk.execution_time import macros
except ImportError:
    from airflow import macros

FOLDER = "/Workspace/Shared/x"


def load(file: Path) -> tuple[Any, Any]:
    """The module and the DAG of a file; AssertionError when loading it opens a connection of any kind."""
    loading = True

    def watch(event: str, details: tuple[Any, ...]) -> None:
        if loading and event in ("socket.connect", "sqlite3.connect"):
            raise AssertionError(f"the DAG file connects somewhere: {event} {details}")

    sys.addaudithook(watch)
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    loading = False
    # The `with` block gives the DAG no name.
    [dag] = [thing for thing in gc.get_objects() if type(thing).__name__ == "DAG"]
    return module, dag


def field(task: Any, name: str) -> Any:
    """A parameter of the operator, given by its name or in `json`; older ones keep all of them there."""
    given = getattr(task, name, None)
    return task.json[name] if given is None else given


def rendered(dag: Any, task: Any, **more: Any) -> dict[str, Any]:
    """The operator's fields as Databricks would get them."""
    variables = SimpleNamespace(value=SimpleNamespace(pinterest_notebooks=FOLDER))
    context = {"dag": dag, "task": task, "var": variables, "macros": macros, **more}
    environment = dag.get_template_env()
    fields = ("run_name", "tasks", "idempotency_token", "environments")
    return {name: task.render_template(field(task, name), context, environment) for name in fields}


def reported(module: Any) -> list[str]:
    """What the callback logs for a failed task."""
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("airflow.task").addHandler(handler)
    task = SimpleNamespace(dag_id="d", task_id="t", try_number=3)
    module.report({"task_instance": task, "exception": ValueError("why")})
    return said


def main(file: Path) -> None:
    """Print everything that the test looks at."""
    module, dag = load(file)
    moment = datetime(2026, 5, 6, 7, 8, tzinfo=UTC)
    first, second = ({"ti": SimpleNamespace(try_number=number)} for number in (1, 2))
    run, again = (SimpleNamespace(start_date=moment + timedelta(days=days)) for days in (0, 1))
    facts = {
        "version": airflow.__version__,
        "id": dag.dag_id,
        "schedule": getattr(dag, "schedule", None) or getattr(dag, "schedule_interval", None),
        "start": dag.start_date.isoformat(),
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "time_out": dag.dagrun_timeout.total_seconds(),
        "tags": sorted(dag.tags),
        "doc": dag.doc_md,
        "reported": reported(module),
        "tasks": [
            {
                "id": task.task_id,
                "type": type(task).__name__,
                "after": sorted(task.upstream_task_ids),
                "owner": task.owner,
                "retries": task.retries,
                "retry_seconds": task.retry_delay.total_seconds(),
                "time_out": task.execution_timeout.total_seconds(),
                "databricks_time_out": int(field(task, "timeout_seconds")),
                "poll_seconds": task.polling_period_seconds,
                "connection": task.databricks_conn_id,
                "callback": bool(task.on_failure_callback),
                "first": rendered(dag, task, run_id="r", dag_run=run, **first),
                "sent_twice": rendered(dag, task, run_id="r", dag_run=run, **first),
                "second": rendered(dag, task, run_id="r", dag_run=run, **second),
                "other": rendered(dag, task, run_id="s", dag_run=run, **first),
                "made_again": rendered(dag, task, run_id="r", dag_run=again, **first),
            }
            for task in dag.tasks
        ],
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
