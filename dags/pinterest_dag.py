"""The daily batch: clean what has arrived in S3, then answer the questions.

Two notebooks run on Databricks, one after the other. Both read everything and merge by key, so a run
needs no date, may be repeated at any time, and one run is enough after any pause: nothing is caught up.

What differs between environments comes from outside. MWAA turns the configuration option
`pipeline.retries` into the environment variable `AIRFLOW__PIPELINE__RETRIES`; the options are `user_id`,
which goes on to the notebooks, `retries`, `retry_seconds` and `poll_seconds`. The Airflow variable
`pinterest_notebooks` names the notebooks' folder in the workspace, and the connection
`databricks_default` the workspace itself.
"""

import logging
import os
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.databricks.operators.databricks import DatabricksSubmitRunOperator

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG

TIME_OUT = timedelta(hours=1)  # of one try of one notebook
# Databricks starts one run a token: a request that is sent again after a broken connection starts no second.
TRY = "run_id ~ dag_run.start_date ~ task.task_id ~ ti.try_number"  # a run deleted and made again is another
ONCE = f"{{{{ macros.uuid.uuid5(macros.uuid.NAMESPACE_OID, {TRY}) }}}}"


def option(name: str, default: str) -> str:
    """The environment's own value of an option of this DAG."""
    return os.environ.get(f"AIRFLOW__PIPELINE__{name.upper()}", default)


USER_ID = option("user_id", "")


def report(context: dict[str, Any]) -> None:
    """Say in one line what has failed for good; a mail or a chat message would be sent from here."""
    ti, error = context["task_instance"], context.get("exception")
    line = "%s: %s gave up after %s tries, somebody has to look: %s"
    logging.getLogger("airflow.task").error(line, ti.dag_id, ti.task_id, ti.try_number, error)


def notebook(task_id: str, name: str) -> DatabricksSubmitRunOperator:
    """A task that runs one notebook and waits for its end."""
    given = {"PIPELINE_USER": USER_ID, "AWS_REGION": os.environ.get("AWS_REGION")}
    work = {
        "notebook_path": "{{ var.value.pinterest_notebooks }}/" + name,
        "base_parameters": {key: value for key, value in given.items() if value},
    }
    return DatabricksSubmitRunOperator(
        task_id=task_id,
        run_name="{{ dag.dag_id }}.{{ task.task_id }} {{ run_id }}",
        tasks=[{"task_key": task_id, "notebook_task": work}],
        timeout_seconds=int(TIME_OUT.total_seconds()),
        idempotency_token=ONCE,
        polling_period_seconds=int(option("poll_seconds", "30")),
    )


with DAG(
    dag_id=f"{USER_ID or 'pinterest'}_dag",
    description="Clean the batch and answer the questions, once a day",
    doc_md=__doc__,
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=4 * TIME_OUT,
    tags=["pinterest", "batch"],
    default_args={
        "owner": "data-engineering",
        "retries": int(option("retries", "2")),
        "retry_delay": timedelta(seconds=float(option("retry_seconds", "300"))),
        "execution_timeout": TIME_OUT,
        "on_failure_callback": report,
    },
):
    notebook("clean", "09_clean_the_batch") >> notebook("answer", "10_answer_questions")
