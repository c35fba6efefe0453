"""A Databricks workspace, as far as Airflow's submit operator talks to it: Jobs API 2.1 and 2.2.

It executes notebooks, so it asks for the workspace's token. A run's page is behind an address that only
the answers to such a caller name.
"""

import hmac
import json
import logging
import re
from collections.abc import Callable
from typing import Any

from aiohttp import web

from local_cloud.parts import databricks
from local_cloud.stand_ins.databricks.runs import Run, Runs, now
from local_cloud.stand_ins.http import host_guard, serve
from local_cloud.state import State

PATH = re.compile(r"/api/2\.[12](/jobs/[\w/-]+)")
# Nothing that a notebook shows may run in the browser or call anybody.
PAGE_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
MOST_LISTED = 25
PARAMETERS = ("PIPELINE_USER", "RAW_PATH", "AWS_REGION")  # of a notebook, read by helpers.config
BAD = "INVALID_PARAMETER_VALUE"
Asked = dict[str, Any]


class Refusal(Exception):
    """An error in Databricks' terms."""

    def __init__(self, message: str, code: str | int = BAD, status: int = 400) -> None:
        super().__init__(message)
        self.body, self.status = {"error_code": code, "message": message}, status


class Workspace:
    """The calls of one workspace."""

    def __init__(self, state: State, runs: Runs) -> None:
        self.token, self.runs = state.secret("databricks_token"), runs
        self.base = f"http://127.0.0.1:{state.port('databricks')}"
        self.calls: dict[tuple[str, str], Callable[[Asked], Asked]] = {
            ("POST", "/jobs/runs/submit"): self.submit,
            ("GET", "/jobs/runs/get"): lambda asked: self.described(self.run(asked)),
            ("GET", "/jobs/runs/get-output"): self.output,
            ("POST", "/jobs/runs/cancel"): self.cancel,
            ("GET", "/jobs/runs/list"): self.listed,
        }

    async def answer(self, request: web.Request) -> web.Response:
        """One call: who calls, which call, then its answer."""
        try:
            self.check(request.headers.get("Authorization", ""))
            known = PATH.fullmatch(request.path)
            path = known[1] if known else request.path
            if not known or (request.method, path) not in self.calls:
                raise Refusal(f"No API found for '{request.method} {path}'", "ENDPOINT_NOT_FOUND", 404)
            asked = read(await request.read()) if request.method == "POST" else dict(request.query)
            return web.json_response(self.calls[request.method, path](asked))
        except Refusal as refusal:
            return web.json_response(refusal.body, status=refusal.status)

    def check(self, authorization: str) -> None:
        """Raise unless the caller has the workspace's token."""
        kind, _, token = authorization.partition(" ")
        if kind != "Bearer" or not token:
            raise Refusal("Credential was not sent or was of an unsupported type for this API.", 401, 401)
        if not hmac.compare_digest(token.encode(errors="replace"), self.token.encode()):
            raise Refusal("Invalid access token.", 403, 403)

    def submit(self, asked: Asked) -> Asked:
        """Queue a one-time run of one notebook."""
        only(asked, "tasks", "run_name", "timeout_seconds", "idempotency_token", "environments")
        tasks = asked.get("tasks")
        if not isinstance(tasks, list) or len(tasks) != 1 or not isinstance(tasks[0], dict):
            raise Refusal("the local workspace runs exactly one task, given in `tasks`")
        only(tasks[0], "task_key", "notebook_task", "environment_key")
        check_environment(tasks[0].get("environment_key"), asked.get("environments", []))
        notebook, key = tasks[0].get("notebook_task"), str(tasks[0].get("task_key", ""))
        if not isinstance(notebook, dict) or not re.fullmatch(r"[\w-]{1,100}", key):
            raise Refusal("the local workspace runs a task with a task_key and a notebook_task only")
        only(notebook, "notebook_path", "base_parameters")
        parameters = notebook.get("base_parameters", {})
        if not isinstance(parameters, dict) or not all(isinstance(v, str) for v in parameters.values()):
            raise Refusal("base_parameters: names and values are texts")
        only(parameters, *PARAMETERS)
        path, token = str(notebook.get("notebook_path", "")), str(asked.get("idempotency_token", ""))
        if "\0" in path:
            raise Refusal("notebook_path cannot hold a NUL character.")
        if not path.startswith("/"):
            raise Refusal("Only absolute paths are currently supported. Paths must begin with '/'.")
        if len(token) > 64:
            raise Refusal("The idempotency_token may have at most 64 characters.")
        run: Run = {"name": str(asked.get("run_name", "Untitled")), "key": key, "path": path, "token": token}
        run |= {"parameters": parameters, "seconds": number(asked, "timeout_seconds")}
        return {"run_id": self.runs.submit(run)["run_id"]}

    def run(self, asked: Asked) -> Run:
        """The run that a call is about."""
        only(asked, "run_id")
        wanted = number(asked, "run_id")
        if wanted not in self.runs.kept:
            raise Refusal(f"Run {wanted} does not exist.")
        return self.runs.kept[wanted]

    def described(self, run: Run) -> Asked:
        """A run as runs/get answers it: the whole, and its one task."""
        common = {"start_time": run["start"], "end_time": run["end"], "setup_duration": 0}
        common |= {"execution_duration": (run["end"] or now()) - run["start"], "cleanup_duration": 0}
        common["run_page_url"] = f"{self.base}/runs/{run['run_id']}/{run['page']}"
        task = {"run_id": run["task_run_id"], "task_key": run["key"], "attempt_number": 0, **common}
        work = {"notebook_path": run["path"], "base_parameters": run["parameters"]}
        task |= {"notebook_task": work, "state": outcome(run)}
        whole = dict(run)
        if run["result"] == "FAILED":  # a failed task is an internal error of the whole
            message = f"Task {run['key']} failed with message: {run['message']}."
            whole |= {"life": "INTERNAL_ERROR", "message": message}
        answer = {"run_id": run["run_id"], "job_id": run["job_id"], "run_name": run["name"], **common}
        answer |= {"run_type": "SUBMIT_RUN", "format": "MULTI_TASK", "creator_user_name": "reader"}
        return answer | {"state": outcome(whole), "tasks": [task]}

    def output(self, asked: Asked) -> Asked:
        """What came out of a task's run."""
        wanted = number(asked, "run_id")
        if wanted in self.runs.kept:
            message = "Retrieving the output of runs with multiple tasks is not supported."
            raise Refusal(f"{message} Please retrieve the output of each individual task run instead.")
        found = [run for run in self.runs.kept.values() if run["task_run_id"] == wanted]
        if not found:
            raise Refusal(f"Run {wanted} does not exist.")
        answer: Asked = {"metadata": self.described(found[0])["tasks"][0], "notebook_output": {}}
        if found[0]["result"] == "FAILED":
            answer["error"] = found[0].get("error", found[0]["message"])
            answer["error_trace"] = found[0].get("trace", "")
        return answer

    def cancel(self, asked: Asked) -> Asked:
        """Begin to stop a run; stopping one that has ended changes nothing."""
        self.runs.cancel(self.run(asked))
        return {}

    def listed(self, asked: Asked) -> Asked:
        """The latest runs, the newest first."""
        only(asked, "limit", "run_type")
        most, found = number(asked, "limit") or 20, list(self.runs.kept.values())[::-1]
        if most > MOST_LISTED or asked.get("run_type", "SUBMIT_RUN") != "SUBMIT_RUN":
            raise Refusal(f"the local workspace lists runs of type SUBMIT_RUN, at most {MOST_LISTED}")
        runs = [self.described(run) for run in found[:most]]
        return {"runs": [{k: v for k, v in run.items() if k != "tasks"} for run in runs],
                "has_more": len(found) > most}  # fmt: skip

    async def page(self, request: web.Request) -> web.Response:
        """The executed notebook of a run."""
        run = self.runs.kept.get(int(request.match_info["run"]))
        if run is None or not hmac.compare_digest(run["page"], request.match_info["page"]):
            raise web.HTTPNotFound
        file = self.runs.home / f"{run['run_id']}.html"
        text = file.read_text() if file.exists() else f"{run['life']} {run['result']} {run['message']}"
        headers = {"Content-Security-Policy": PAGE_POLICY, "Referrer-Policy": "no-referrer"}
        return web.Response(text=text, headers=headers, content_type="text/html")


def check_environment(key: Any, environments: Any) -> None:
    """Raise unless a task's environment is one of the run's; here all of them are this project's packages."""
    if not isinstance(environments, list) or not all(isinstance(one, dict) for one in environments):
        raise Refusal("environments is a list of objects")
    for environment in environments:
        only(environment, "environment_key", "spec")
        spec = environment.get("spec")
        if not isinstance(spec, dict) or not re.fullmatch(r"[1-9]\d?", str(spec.get("environment_version"))):
            raise Refusal("environments: spec has an environment_version")
        only(spec, "environment_version")
    if key is not None and key not in [one.get("environment_key") for one in environments]:
        raise Refusal(f"The environment key {str(key)[:100]!r} is not defined in `environments`.")


def read(body: bytes) -> Asked:
    """The JSON object of a request."""
    try:
        asked = json.loads(body)
    except ValueError as error:
        raise Refusal(f"Could not parse request object: {error}", "MALFORMED_REQUEST") from None
    if not isinstance(asked, dict):
        raise Refusal("Could not parse request object: it is no JSON object", "MALFORMED_REQUEST")
    return asked


def only(asked: Asked, *names: str) -> None:
    """Raise for a parameter that is not done here, rather than ignore it."""
    if strange := sorted(set(asked) - set(names)):
        raise Refusal(f"the local workspace does not do {', '.join(strange)}")


def number(asked: Asked, name: str) -> int:
    """A whole number, which may come as text; 0 when it is not given."""
    given = str(asked.get(name, 0))
    if not re.fullmatch(r"\d{1,18}", given):
        raise Refusal(f"{name}: {given[:40]!r} is no whole number")
    return int(given)


def outcome(run: Run) -> Asked:
    """The state of a run; a result only once there is one."""
    found = {"life_cycle_state": run["life"], "state_message": run["message"]}
    found["user_cancelled_or_timedout"] = run["stopped"]
    return found | ({"result_state": run["result"]} if run["result"] else {})


def main() -> None:
    """Serve on the port `databricks` until SIGTERM."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    cloud = State()
    runs = Runs(cloud.path("databricks", "runs"), databricks.folders(cloud))
    workspace = Workspace(cloud, runs)
    app = web.Application(middlewares=[host_guard(cloud.port("databricks"))])
    app.router.add_get(r"/runs/{run:\d{1,18}}/{page:[0-9a-f]+}", workspace.page)
    app.router.add_route("*", "/{path:.*}", workspace.answer)
    app.on_cleanup.append(runs.close)
    serve(app, cloud.port("databricks"))


if __name__ == "__main__":
    main()
