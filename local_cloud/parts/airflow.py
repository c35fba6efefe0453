"""The real Airflow behind MWAA's stand-in, which starts these three parts: SQLite and LocalExecutor.

`python -m local_cloud.parts.airflow COMMAND` runs an airflow command in the environment's own settings.
Whoever may log in may run things here, so there is one user with a password made at the first `up`.
"""

import base64
import hashlib
import hmac
import json
import os
import sys
import urllib.request
from pathlib import Path
from typing import Any

from local_cloud.part import Part
from local_cloud.state import State, write_private

USER = "admin"
COMMANDS = {
    "airflow_api": ["api-server"],
    "airflow_tasks": ["scheduler", "--skip-serve-logs"],  # runs the tasks too; logs are read from the disk
    "airflow_dags": ["dag-processor"],
}
# What an environment's options may not change: whole sections, and how names of other sections begin.
OUR_SECTIONS = {"API", "API_AUTH", "DATABASE", "SECRETS", "WEBSERVER"}
OUR_OPTIONS = tuple(
    [
        "AUTH_MANAGER",
        "SIMPLE_AUTH_MANAGER_",
        "EXECUTOR",
        "EXECUTION_API_",
        "FERNET_KEY",
        "DAGS_FOLDER",
        "PLUGINS_FOLDER",
        "BASE_LOG_FOLDER",
        "DAG_BUNDLE_CONFIG_LIST",
        "UNIT_TEST_MODE",
        "FILE_TASK_HANDLER_",
    ]
)
HEALTH = {"airflow_api": "metadatabase", "airflow_tasks": "scheduler", "airflow_dags": "dag_processor"}
# MWAA's address for a browser with a web login token: the token, in the part that is never sent, becomes
# Airflow's cookie.
DOOR = '''from airflow.plugins_manager import AirflowPlugin
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware

app = FastAPI()
PAGE = """<script>
document.cookie = "_token=" + location.hash.slice(1) + "; path=/; samesite=lax; max-age=43200";
location.replace("/")</script>"""


@app.get("/aws-console-sso", response_class=HTMLResponse)
def enter() -> str:
    return PAGE


class Door(AirflowPlugin):
    name = "door"
    # No web page gets in by a name of its own that leads to this machine.
    hosts = {"allowed_hosts": ["127.0.0.1", "localhost"]}
    host_check = {"middleware": TrustedHostMiddleware, "args": [], "kwargs": hosts, "name": "hosts"}
    fastapi_root_middlewares = [host_check]
    fastapi_apps = [{"app": app, "url_prefix": "/aws_mwaa", "name": "door"}]
'''


def home(state: State) -> Path:
    """Airflow's folder; `options.json` in it exists while there is an environment."""
    return state.path("airflow")


def host(state: State) -> str:
    """Where the API server answers."""
    return f"127.0.0.1:{state.port('airflow')}"


def url(state: State) -> str:
    """The address of the API server."""
    return f"http://{host(state)}"


def made(state: State, purpose: str) -> str:
    """A secret for one purpose, the same at every start."""
    return hmac.new(state.secret("airflow").encode(), purpose.encode(), hashlib.sha512).hexdigest()


def password(state: State) -> str:
    """What the one user logs in with."""
    return made(state, "password")[:40]


def settings(state: State) -> dict[str, str]:
    """Airflow's settings as environment variables; the reader's options come last and win, as on MWAA."""
    key = base64.urlsafe_b64encode(bytes.fromhex(made(state, "fernet"))[:32]).decode()
    ours: dict[str, Any] = {
        "core.dags_folder": home(state) / "dags",
        "core.plugins_folder": home(state) / "plugins",
        "core.executor": "LocalExecutor",
        "core.parallelism": 2,
        "core.load_examples": False,
        "core.fernet_key": key,
        "core.execution_api_server_url": f"{url(state)}/execution/",
        "core.simple_auth_manager_users": f"{USER}:admin",
        "core.simple_auth_manager_passwords_file": home(state) / "passwords.json",
        "logging.file_task_handler_new_folder_permissions": "0o700",
        "logging.file_task_handler_new_file_permissions": "0o600",
        "database.sql_alchemy_conn": f"sqlite:///{home(state)}/airflow.db",
        "api.host": "127.0.0.1",
        "api.port": state.port("airflow"),
        "api.base_url": url(state),
        "api.workers": 1,
        "api.secret_key": made(state, "api"),
        "api_auth.jwt_expiration_time": 43_200,  # seconds: 12 hours, as a session of MWAA
        "api_auth.jwt_secret": made(state, "jwt"),
        "dag_processor.refresh_interval": 2,
        "workers.min_heartbeat_interval": 1,  # also how long the end of a task may go unnoticed
        "usage_data_collection.enabled": False,
    }
    file = home(state) / "options.json"
    ours |= json.loads(file.read_text()) if file.exists() else {}
    return {variable(name): str(value) for name, value in ours.items()} | {"AIRFLOW_HOME": str(home(state))}


def variable(option: str) -> str:
    """The environment variable of an option; a dot in the section's name becomes an underscore."""
    return f"AIRFLOW__{'__'.join(option.upper().rsplit('.', 1)).replace('.', '_')}"


def is_ours(option: str) -> bool:
    """Whether an option decides who comes in, or what is read and run: those the local cloud sets itself.

    With _cmd or _secret at its end a name says where Airflow takes the value from: the same option.
    """
    section, _, name = variable(option).removeprefix("AIRFLOW__").partition("__")
    return section in OUR_SECTIONS or name.startswith(OUR_OPTIONS)


def parts(state: State) -> list[Part]:
    """API server, scheduler and DAG processor; started again by `up` while there is an environment."""
    ours = (home(state) / "options.json").exists()

    def part(name: str) -> Part:
        def ready() -> None:
            found = health(state)[HEALTH[name]]
            if found["status"] != "healthy":
                raise ConnectionError(f"{HEALTH[name]} is {found['status']}")

        command = [sys.executable, "-m", "local_cloud.parts.airflow", *COMMANDS[name]]
        needs = ("control", "databricks", *(() if name == "airflow_api" else ("airflow_api",)))
        title, ports = f"Airflow {COMMANDS[name][0]}", ("airflow",) if name == "airflow_api" else ()
        return Part(name, "real", title, command, ready, ports, needs, autostart=ours, start_seconds=120)

    return [part(name) for name in COMMANDS]


def health(state: State) -> dict[str, Any]:
    """Airflow's word on each of its parts."""
    with urllib.request.urlopen(f"{url(state)}/api/v2/monitor/health", timeout=5) as answer:
        return dict(json.load(answer))


def main() -> None:
    """Become the airflow command."""
    state = State()
    write_private(home(state) / "passwords.json", json.dumps({USER: password(state)}))
    write_private(home(state) / "plugins" / "door.py", DOOR)
    (home(state) / "dags").mkdir(exist_ok=True)
    program = str(Path(sys.executable).with_name("airflow"))
    path = f"{Path(program).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    os.execve(program, [program, *sys.argv[1:]], {**os.environ, **settings(state), "PATH": path})


if __name__ == "__main__":
    main()
