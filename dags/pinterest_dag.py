"""The daily batch: clean what has arrived in S3, then answer the questions.

Two notebooks run on Databricks, one after the other. The first reads everything and writes its tables whole,
so a run may be repeated at any time, and after a pause one run is enough. What differs between environments
comes from outside: MWAA turns its option `pipeline.retries` into the variable `AIRFLOW__PIPELINE__RETRIES`.
The Airflow variable `pinterest_notebooks` names the notebooks' folder, the connection `databricks_default`
the workspace.
"""

import logging
import os
from datetime import UTC, datetime, timedelta

from airflow.providers.databricks.operators.databricks import DatabricksSubmitRunOperator

try:
    from airflow.sdk import DAG
except ImportError:  # Airflow 2
    from airflow import DAG


def option(name: str, default: str) -> str:
    """The environment's own value of an option of this DAG."""
    return os.environ.get(f"AIRFLOW__PIPELINE__{name.upper()}", default)


USER_ID = option("user_id", "")  # goes on to the notebooks
RETRIES = int(option("retries", "2"))
PAUSE = timedelta(seconds=float(option("retry_seconds", "300")))  # between two tries
POLL_SECONDS = int(option("poll_seconds", "30"))

NOTEBOOK_LIMIT = timedelta(minutes=30)  # Databricks ends a notebook after this time
TRY_LIMIT = timedelta(minutes=45)  # Airflow waits longer, so that it is told how the notebook ended
TASK_LIMIT = (RETRIES + 1) * TRY_LIMIT + RETRIES * PAUSE
RUN_LIMIT = 2 * TASK_LIMIT + timedelta(minutes=30)  # two tasks, and the time to wait for a free worker

# Serverless compute with the same packages every night. If a workspace refuses environment_key for notebooks,
# leave both lines out and choose the version in the notebook's Environment panel.
ENVIRONMENT = {"environment_key": "lessons", "spec": {"environment_version": "4"}}

# Databricks starts one run per token: a request sent again after a broken connection starts no second run.
# The start is in it, too: a run that was deleted and created again has another one.
TRY = "run_id ~ dag_run.start_date ~ task.task_id ~ ti.try_number"
TOKEN = f"{{{{ macros.uuid.uuid5(macros.uuid.NAMESPACE_OID, {TRY}) }}}}"


def report(context: dict) -> None:
    """Say in one line what has failed after its last try; a mail or a chat message would start here."""
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
        tasks=[{"task_key": task_id, "notebook_task": work, "environment_key": "lessons"}],
        json={"environments": [ENVIRONMENT]},
        timeout_seconds=int(NOTEBOOK_LIMIT.total_seconds()),
        idempotency_token=TOKEN,
        polling_period_seconds=POLL_SECONDS,
    )


with DAG(
    dag_id=f"{USER_ID or 'pinterest'}_dag",
    description="Clean the batch and answer the questions, once a day",
    doc_md=__doc__,
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=RUN_LIMIT,
    tags=["pinterest", "batch"],
    default_args={
        "owner": "data-engineering",
        "retries": RETRIES,
        "retry_delay": PAUSE,
        "execution_timeout": TRY_LIMIT,
        "on_failure_callback": report,
    },
):
    clean = notebook("clean", "09_clean_the_batch")
    answer = notebook("answer", "10_answer_questions")
    clean >> answer
