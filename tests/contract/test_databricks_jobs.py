"""The Databricks stand-in: runs of notebooks that really execute, in the Jobs API's words."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest

from local_cloud.parts import databricks
from local_cloud.state import State
from tests.jvm_servers import Server, new_state, running

NOTEBOOKS = {
    "good": ["x = 6", "print('six times', x)\nx * 7"],
    "bad": ["print('before')", "raise ValueError('no such thing: \N{SNOWMAN} <b>')", "print('after')"],
    "slow": [
        "import os, subprocess, sys, time\nprint('began')",
        "child = subprocess.Popen(['sleep', '600'])\n"
        "open('pids', 'w').write(f'{os.getpid()} {child.pid}')\ntime.sleep(600)",
    ],
    "who": ["import os\nprint(os.environ.get('PIPELINE_USER'), os.getcwd())"],
    "dies": ["import os\nos._exit(1)"],
    "chart": ["import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()"],
}
Call = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    state = new_state(tmp_path_factory.mktemp("databricks"))
    folder = databricks.folders(state)[databricks.OWN_FOLDER]
    for name, cells in NOTEBOOKS.items():
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
        nbformat.write(book, folder / f"{name}.ipynb")
    nbformat.write(nbformat.v4.new_notebook(), folder.parent / "outside.ipynb")
    with running(databricks.part(state), state) as started:
        yield started


@pytest.fixture(scope="module")
def state(server: Server) -> State:
    return server.state


@pytest.fixture(scope="module")
def call(state: State) -> Call:
    """Send one request; status and JSON (or text) of the answer."""

    def send(
        method: str, path: str, body: Any = None, token: str | None = "", host: str = ""
    ) -> tuple[int, Any]:
        url = path if path.startswith("http") else f"http://127.0.0.1:{state.port('databricks')}{path}"
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(url, data, method=method)
        if token is not None:
            request.add_header("Authorization", f"Bearer {token or state.secret('databricks_token')}")
        if host:
            request.add_header("Host", host)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, read(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, read(error.read())

    return send


def read(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text.decode()


def task(name: str, **more: Any) -> dict[str, Any]:
    path = name if name.startswith("/") else f"/Workspace{databricks.OWN_FOLDER}/{name}"
    return {"tasks": [{"task_key": "main", "notebook_task": {"notebook_path": path}}], **more}


def environments(version: str, key: str = "mine", **more: str) -> list[dict[str, Any]]:
    return [{"environment_key": key, "spec": {"environment_version": version, **more}}]


def submit(call: Call, name: str, **more: Any) -> int:
    status, answer = call("POST", "/api/2.2/jobs/runs/submit", task(name, **more))
    assert status == 200, answer
    return int(answer["run_id"])


def get(call: Call, run: int, version: str = "2.2") -> dict[str, Any]:
    status, answer = call("GET", f"/api/{version}/jobs/runs/get?run_id={run}")
    assert status == 200, answer
    return answer


def wait(call: Call, run: int, *states: str, seconds: float = 60) -> dict[str, Any]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = get(call, run)
        if found["state"]["life_cycle_state"] in (states or ("TERMINATED", "INTERNAL_ERROR")):
            return found
        time.sleep(0.1)
    raise AssertionError(f"still {found['state']}")


def output(call: Call, run: dict[str, Any]) -> dict[str, Any]:
    return call("GET", f"/api/2.2/jobs/runs/get-output?run_id={run['tasks'][0]['run_id']}")[1]


def kept(state: State, run: int) -> str:
    """What the executed notebook shows."""
    book = nbformat.read(state.path("databricks", "runs", f"{run}.ipynb"), as_version=4)
    return "".join(out.get("text", "") for cell in book.cells for out in cell.outputs)


def slow_pids(state: State, seconds: float = 30) -> list[int]:
    """The kernel of the notebook `slow` and the process that it has started, once both are there."""
    file = databricks.folders(state)[databricks.OWN_FOLDER] / "pids"
    until = time.monotonic() + seconds
    while not file.exists() or len(file.read_text().split()) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    found = [int(pid) for pid in file.read_text().split()]
    file.unlink()
    return found


def gone(pids: list[int]) -> bool:
    until = time.monotonic() + 10
    while any(psutil.pid_exists(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(psutil.pid_exists(pid) for pid in pids)


def test_a_run_that_succeeds(call, state):
    run = submit(call, "good", run_name="first \N{SNOWMAN}")
    assert get(call, run)["state"]["life_cycle_state"] in ("QUEUED", "RUNNING")
    found = wait(call, run)
    assert found["state"] == {
        "life_cycle_state": "TERMINATED",
        "result_state": "SUCCESS",
        "state_message": "",
        "user_cancelled_or_timedout": False,
    }
    assert (found["run_name"], found["run_type"], found["format"]) == (
        "first \N{SNOWMAN}",
        "SUBMIT_RUN",
        "MULTI_TASK",
    )
    [one] = found["tasks"]
    assert one["task_key"] == "main" and one["state"]["result_state"] == "SUCCESS"
    assert found["start_time"] <= found["end_time"] == one["end_time"]
    assert "error" not in output(call, found)
    assert "six times 6" in kept(state, run)
    assert get(call, run, "2.1") == found


def test_the_page_needs_its_own_address_only(call):
    found = wait(call, submit(call, "good"))
    status, text = call("GET", found["run_page_url"], token=None)
    assert status == 200 and "six times 6" in text
    with urllib.request.urlopen(found["run_page_url"], timeout=5) as answer:
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    stem = found["run_page_url"].rpartition("/")[0]
    for wrong in (f"{stem}/{'0' * 32}", stem, f"{stem}/", f"{stem}9/{found['run_page_url'][-32:]}"):
        assert call("GET", wrong, token=None)[0] in (401, 404)


def test_a_notebook_that_fails(call, state):
    found = wait(call, submit(call, "bad"))
    assert (found["state"]["life_cycle_state"], found["state"]["result_state"]) == (
        "INTERNAL_ERROR",
        "FAILED",
    )
    assert found["state"]["state_message"] == (
        "Task main failed with message: Workload failed, see run output for details."
    )
    one = found["tasks"][0]["state"]
    assert (one["life_cycle_state"], one["result_state"]) == ("TERMINATED", "FAILED")
    came = output(call, found)
    assert came["error"] == "ValueError: no such thing: \N{SNOWMAN} <b>"
    assert "raise ValueError" in came["error_trace"] and "\x1b" not in came["error_trace"]
    assert kept(state, found["run_id"]) == "before\n"
    assert "no such thing" in call("GET", found["run_page_url"], token=None)[1]


def test_a_kernel_that_dies(call):
    found = wait(call, submit(call, "dies"))
    assert found["state"]["result_state"] == "FAILED" and "kernel" in output(call, found)["error"]


def test_charts_are_drawn_without_a_screen(call, state):
    run = wait(call, submit(call, "chart"))["run_id"]
    assert '"image/png"' in state.path("databricks", "runs", f"{run}.ipynb").read_text()


MISSING = [
    "none",
    "good.ipynb",
    "",
    "../outside",
    "/Workspace/Users/else/good",
    "/Shared/pinterest-pipeline/x",
]


@pytest.mark.parametrize("path", MISSING)
def test_a_notebook_that_is_not_there(call, path):
    found = wait(call, submit(call, path))
    assert found["state"]["life_cycle_state"] == "INTERNAL_ERROR"
    assert found["tasks"][0]["state"]["life_cycle_state"] == "INTERNAL_ERROR"
    assert "Unable to access the notebook" in found["state"]["state_message"]
    assert "Unable to access the notebook" in output(call, found)["error"]


def test_the_lessons_are_in_the_workspace(state):
    from local_cloud.stand_ins.databricks.runs import Runs

    runs = Runs(state.path("databricks", "other"), databricks.folders(state))
    for path in (f"/Workspace{databricks.GIT_FOLDER}", databricks.GIT_FOLDER):
        assert runs.find(f"{path}/09_clean_the_batch").name == "09_clean_the_batch.ipynb"
    assert runs.find(f"{databricks.GIT_FOLDER}/../tests/x") is None


def test_parameters_reach_the_notebook(call, state):
    body = task("who")
    body["tasks"][0]["notebook_task"]["base_parameters"] = {"PIPELINE_USER": "ann1"}
    run = call("POST", "/api/2.2/jobs/runs/submit", body)[1]["run_id"]
    found = wait(call, run)
    assert kept(state, run).startswith("ann1 ") and kept(state, run).rstrip().endswith("workspace")
    assert found["tasks"][0]["notebook_task"]["base_parameters"] == {"PIPELINE_USER": "ann1"}


def test_a_task_may_name_its_environment(call):
    body = task("good", environments=environments("4"))
    body["tasks"][0]["environment_key"] = "mine"
    run = call("POST", "/api/2.2/jobs/runs/submit", body)[1]["run_id"]
    assert wait(call, run)["state"]["result_state"] == "SUCCESS"


def test_cancelling_kills_the_kernel_and_what_it_started(call, state):
    first = submit(call, "slow")
    pids = slow_pids(state)
    second = submit(call, "good")
    assert get(call, second)["state"]["life_cycle_state"] == "QUEUED"  # one at a time
    third = submit(call, "good")
    for run in (third, first):
        assert call("POST", "/api/2.2/jobs/runs/cancel", {"run_id": run}) == (200, {})
    found = wait(call, first)
    assert (found["state"]["life_cycle_state"], found["state"]["result_state"]) == ("TERMINATED", "CANCELED")
    assert found["state"]["user_cancelled_or_timedout"] is True
    assert gone(pids)
    assert kept(state, first) == "began\n"
    assert wait(call, third)["state"]["result_state"] == "CANCELED"
    assert wait(call, second)["state"]["result_state"] == "SUCCESS"
    assert call("POST", "/api/2.2/jobs/runs/cancel", {"run_id": str(first)}) == (200, {})
    assert get(call, first)["state"]["result_state"] == "CANCELED"


def test_a_run_ends_at_its_time_out(call, state):
    run = submit(call, "slow", timeout_seconds="12")  # Airflow sends numbers as text
    pids = slow_pids(state)
    found = wait(call, run)
    assert (found["state"]["life_cycle_state"], found["state"]["result_state"]) == ("TERMINATED", "TIMEDOUT")
    assert gone(pids)


def test_a_token_starts_one_run(call):
    runs = {submit(call, "good", idempotency_token="once") for _ in range(3)}
    assert len(runs) == 1
    assert submit(call, "good", idempotency_token="twice") not in runs


def test_runs_are_listed(call):
    runs = [submit(call, "none") for _ in range(3)]
    for run in runs:
        wait(call, run)
    status, found = call("GET", "/api/2.2/jobs/runs/list?limit=2&run_type=SUBMIT_RUN")
    assert status == 200 and found["has_more"] is True
    assert [run["run_id"] for run in found["runs"]] == runs[:0:-1]


SUBMIT, GET, LIST = (f"/api/2.2/jobs/runs/{name}" for name in ("submit", "get", "list"))
ONE = task("good")["tasks"][0]
BAD, LOST = "INVALID_PARAMETER_VALUE", "ENDPOINT_NOT_FOUND"
REFUSED = [
    ("GET", "/api/2.2/jobs/list", None, 404, LOST, "No API found for 'GET /jobs/list'"),
    ("GET", SUBMIT, None, 404, LOST, "No API found"),
    ("POST", "/api/2.0/jobs/runs/submit", task("good"), 404, LOST, "No API found"),
    ("POST", "/api/2.2/jobs/runs/cancel-all", {"job_id": 1}, 404, LOST, "No API found"),
    ("POST", SUBMIT, b"{", 400, "MALFORMED_REQUEST", "Could not parse"),
    ("POST", SUBMIT, b"", 400, "MALFORMED_REQUEST", "Could not parse"),
    ("POST", SUBMIT, [1], 400, "MALFORMED_REQUEST", "no JSON object"),
    ("POST", SUBMIT, {}, 400, BAD, "exactly one task"),
    ("POST", SUBMIT, {"tasks": [ONE, ONE]}, 400, BAD, "exactly one task"),
    ("POST", SUBMIT, {"tasks": "x"}, 400, BAD, "exactly one task"),
    ("POST", SUBMIT, {"tasks": [1]}, 400, BAD, "exactly one task"),
    ("POST", SUBMIT, {"tasks": [{"task_key": "main"}]}, 400, BAD, "notebook_task only"),
    ("POST", SUBMIT, {"tasks": [{"notebook_task": {}}]}, 400, BAD, "task_key"),
    ("POST", SUBMIT, {"tasks": [{"task_key": "m", "spark_jar_task": {}}]}, 400, BAD, "spark_jar_task"),
    ("POST", SUBMIT, {"tasks": [ONE | {"existing_cluster_id": "1"}]}, 400, BAD, "existing_cluster_id"),
    ("POST", SUBMIT, task("good", queue={"enabled": True}), 400, BAD, "does not do queue"),
    ("POST", SUBMIT, task("good", timeout_seconds=-1), 400, BAD, "whole number"),
    ("POST", SUBMIT, task("good", timeout_seconds=True), 400, BAD, "whole number"),
    ("POST", SUBMIT, task("good", idempotency_token="x" * 65), 400, BAD, "64 characters"),
    ("POST", SUBMIT, {"tasks": [ONE | {"notebook_task": {"notebook_path": "a/b"}}]}, 400, BAD, "absolute"),
    ("POST", SUBMIT, {"tasks": [ONE | {"notebook_task": {"notebook_path": None}}]}, 400, BAD, "absolute"),
    (
        "POST",
        SUBMIT,
        {"tasks": [ONE | {"notebook_task": {"base_parameters": {"PATH": "/"}}}]},
        400,
        BAD,
        "PATH",
    ),
    (
        "POST",
        SUBMIT,
        {"tasks": [ONE | {"notebook_task": {"base_parameters": "x"}}]},
        400,
        BAD,
        "base_parameters",
    ),
    (
        "POST",
        SUBMIT,
        {"tasks": [ONE | {"environment_key": "mine"}], "environments": environments("4", "other")},
        400,
        BAD,
        "key 'mine' is not defined",
    ),
    ("POST", SUBMIT, task("good", environments=environments("latest")), 400, BAD, "environment_version"),
    ("POST", SUBMIT, task("good", environments=environments("4", client="1")), 400, BAD, "do client"),
    ("POST", SUBMIT, task("good", environments="4"), 400, BAD, "list of objects"),
    ("GET", f"{GET}?run_id=7", None, 400, BAD, "Run 7 does not exist."),
    ("GET", GET, None, 400, BAD, "does not exist"),
    ("GET", f"{GET}?run_id=-7", None, 400, BAD, "whole number"),
    ("GET", f"{GET}?run_id=%E2%98%83", None, 400, BAD, "whole number"),
    ("GET", f"{GET}?run_id={'9' * 400}", None, 400, BAD, "whole number"),
    ("GET", f"{GET}-output?run_id=7", None, 400, BAD, "Run 7 does not exist."),
    ("POST", "/api/2.1/jobs/runs/cancel", {"run_id": "x"}, 400, BAD, "whole number"),
    ("GET", f"{LIST}?limit=26", None, 400, BAD, "at most 25"),
    ("GET", f"{LIST}?run_type=JOB_RUN", None, 400, BAD, "SUBMIT_RUN"),
    ("GET", f"{LIST}?active_only=true", None, 400, BAD, "active_only"),
]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case[-1])
def test_what_is_refused(call, case):
    *asked, status, code, said = case
    given, answer = call(*asked)
    assert (given, answer["error_code"]) == (status, code) and said in answer["message"]


def test_the_output_of_a_whole_run_is_refused(call):
    run = wait(call, submit(call, "none"))["run_id"]
    status, answer = call("GET", f"/api/2.2/jobs/runs/get-output?run_id={run}")
    assert status == 400 and answer["message"].startswith("Retrieving the output of runs with multiple tasks")


def test_only_the_token_opens(call):
    for token, status, said in [
        (None, 401, "Credential was not sent"),
        ("0" * 40, 403, "Invalid access token."),
        ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", 403, "Invalid access token."),
    ]:
        for method, path in (("GET", LIST), ("POST", SUBMIT), ("GET", "/elsewhere")):
            given, answer = call(method, path, token=token)
            assert (given, answer["error_code"]) == (status, status) and said in answer["message"]


def test_other_hosts_and_huge_requests_are_refused(call):
    assert call("GET", LIST, host="evil.example")[0] == 403
    assert call("POST", SUBMIT, task("x" * 2**21))[0] == 413


def test_a_killed_server_says_so_and_leaves_nothing_running(call, state, server):
    run, waiting = submit(call, "slow"), submit(call, "good")
    pids = slow_pids(state)
    server.kill()
    assert all(psutil.pid_exists(pid) for pid in pids)
    server.start()
    assert gone(pids)
    for one in (run, waiting):
        found = get(call, one)
        assert (found["state"]["life_cycle_state"], found["state"]["result_state"]) == (
            "INTERNAL_ERROR",
            "FAILED",
        )
        assert "was stopped" in found["state"]["state_message"]
    assert wait(call, submit(call, "good"))["state"]["result_state"] == "SUCCESS"


def test_an_orderly_stop_ends_the_notebook(call, state, server):
    run = submit(call, "slow")
    pids = slow_pids(state)
    server.stop()
    assert gone(pids)
    server.start()
    assert get(call, run)["state"]["life_cycle_state"] == "INTERNAL_ERROR"


def test_the_runs_are_private(state):
    for file in Path(state.path("databricks", "runs")).glob("*.json"):
        assert file.stat().st_mode & 0o077 == 0
