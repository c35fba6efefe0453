"""The life of one local cloud: set up, up, status, down, reset."""

import os
import shutil
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter

import psutil

from local_cloud import supervise, tools
from local_cloud.identity import write_identities
from local_cloud.part import Part
from local_cloud.parts import all_parts, aws, databricks, mariadb, spark
from local_cloud.state import PORTS, ROOT, TOOLS, State, Stop, write_private

KEPT_BY_RESET = ("tools", "test", "run")
NEEDED_MEMORY = 3 * 2**30  # bytes; everything with Airflow and Spark peaks below 5 GiB
NEEDED_DISK = 2 * 2**30
MOST_TRIES = 3  # processes of one part at `up`, the pause between two of them included
SINK_ZIP = TOOLS / "s3-sink.zip"


def set_up() -> None:
    """Everything that has to be fetched or compiled once."""
    say = lambda line: print(f"  {line}", flush=True)  # noqa: E731
    tools.java()  # what fetches jars needs it
    with ThreadPoolExecutor() as pool:
        database = pool.submit(mariadb.ensure_binaries, say)
        tools.ensure_jars(say)
        tools.ensure_java_classes(say)
        database.result()
    # What a reader uploads to MSK Connect as the plugin; a zip of what the worker loads here.
    sink = TOOLS / "plugins" / "s3-sink"
    if not SINK_ZIP.exists() or SINK_ZIP.stat().st_mtime < sink.stat().st_mtime:
        shutil.make_archive(str(SINK_ZIP.with_suffix("")), "zip", sink)


def check(state: State) -> None:
    """Raise Stop with the remedy when the machine cannot carry the cloud."""
    tools.java()
    free = shutil.disk_usage(state.home).free
    if free < NEEDED_DISK:
        raise Stop(f"only {free / 2**30:.1f} GiB free at {state.home}: 2 GiB are needed; free some disk")
    memory = psutil.virtual_memory().available
    if memory < NEEDED_MEMORY:
        raise Stop(
            f"only {memory / 2**30:.1f} GiB of memory available: 3 GiB are needed; close other programs"
        )


def up(state: State) -> None:
    """Start what is not running, wait until each part answers a real request, write cloud.env."""
    check(state)
    set_up()
    began = time.monotonic()
    if not supervise.is_up(state):
        left = supervise.shut_down(state)
        if left:
            print(f"  ended what an earlier cloud left running: {', '.join(left)}")
        state.choose_ports(list(PORTS), supervise.ports_of_others(state))
        state.make_secrets()
        if not state.path("iam", "keys.properties").exists():
            write_identities(state, [])  # `control` adds the roles as they are made, and keeps them
    for name, wanted in PORTS.items():
        if state.port(name) != wanted:
            print(f"  port {wanted} is taken: {name} uses {state.port(name)}")
    parts = all_parts(state)
    write_private(state.path("cloud.env"), cloud_env(state))
    if not supervise.is_up(state):
        supervise.launch(state, parts)
    start_parts(state, {part.name: part for part in parts if part.autostart})
    print(f"  the cloud on this machine is up in {time.monotonic() - began:.0f} s; `make down` stops it")


def start_parts(state: State, parts: dict[str, Part]) -> None:
    """Start each part as soon as those that it needs are ready."""
    order = TopologicalSorter({part.name: parts.keys() & set(part.needs) for part in parts.values()})
    order.prepare()
    starting: dict[Future[str], Part] = {}
    with ThreadPoolExecutor(max_workers=len(parts)) as pool:
        while order.is_active():
            ready = [parts[name] for name in order.get_ready()]
            starting |= {pool.submit(bring_up, state, part): part for part in ready}
            for future in wait(starting, return_when=FIRST_COMPLETED).done:
                part = starting.pop(future)
                print(f"  {part.name:<13} {part.kind:<9} {part.title:<38} {future.result():>6}", flush=True)
                order.done(part.name)


def bring_up(state: State, part: Part) -> str:
    """Start one part and wait until it is ready; returns the seconds. Raises Stop with the log's tail."""
    began = time.monotonic()
    if part.before:
        part.before()
    supervise.start(state, part.name)
    error: Exception | None = None
    pids: set[int] = set()
    while time.monotonic() - began < part.start_seconds:
        try:
            supervise.check_listeners(state, map(state.port, part.ports))
            part.ready()
            if part.after:
                part.after()
            return f"{time.monotonic() - began:.1f} s"
        except Stop:
            raise
        except Exception as problem:  # whatever a part that is not ready yet may answer
            error = problem
        pids.add(supervise.status(state)[part.name]["pid"])
        if len(pids) > MOST_TRIES:  # it ends again and again: more time will not help
            break
        time.sleep(0.1)
    text = f"{part.name} did not start ({error}). The end of {state.log(part.name)}:"
    raise Stop(text + "\n" + tail(state, part.name, 20))


def status(state: State) -> int:
    """Ask every part; exit code 0 only when all that should run work."""
    known = supervise.status(state)
    if not known:
        print("  nothing is up; `make up` starts it")
        return 1
    bad = 0
    for part in all_parts(state):
        info = known.get(part.name, {})
        running = info.get("statename") in ("RUNNING", "STARTING", "BACKOFF")
        word = "off"
        if running or part.autostart:
            try:
                supervise.check_listeners(state, map(state.port, part.ports))
                part.ready()
                word = "works"
            except Exception as problem:
                word, bad = f"DOES NOT ANSWER: {str(problem).splitlines()[0][:80]}", bad + 1
        memory = rss(info["pid"]) if info.get("pid") else 0
        port = state.port(part.ports[0]) if part.ports else ""
        size = f"{memory / 2**20:,.0f} MB" if memory else ""
        print(f"  {part.name:<13} {part.kind:<9} {port!s:<6} {size:>8}  {word}")
    return 1 if bad else 0


def rss(pid: int) -> int:
    """Resident memory of a process and its children, in bytes; 0 when it is gone."""
    try:
        process = psutil.Process(pid)
        return sum(p.memory_info().rss for p in [process, *process.children(recursive=True)])
    except psutil.Error:
        return 0


def tail(state: State, name: str, lines: int) -> str:
    """The last lines of one part's log."""
    file = state.log(name)
    if not file.exists():
        known = ", ".join(sorted(f.stem for f in state.path("logs").glob("*.log"))) or "none"
        raise Stop(f"no log called {name}; there are: {known}")
    return "\n".join(file.read_text(errors="replace").splitlines()[-lines:])


def down(state: State) -> None:
    """Stop every part, the AWS emulator by SIGTERM so that it writes its state."""
    was_up = supervise.is_up(state)
    left = supervise.shut_down(state)
    if left:
        print(f"  ended what was left running: {', '.join(left)}")
    print("  stopped; the data is kept" if was_up or left else "  nothing was up")


def reset(state: State) -> None:
    """Stop everything and delete all data, ports and secrets; programs, test state and reports stay."""
    supervise.shut_down(state)
    for entry in state.home.iterdir():
        if (entry.name in KEPT_BY_RESET and entry.parent == TOOLS.parent) or entry.name == ".lock":
            continue
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    print(f"  all data of the local cloud in {os.path.relpath(state.home, ROOT)} is deleted")


def cloud_env(state: State) -> str:
    """The addresses that cross to the lessons; the same keys that an .env for AWS would hold."""
    ours = ("aws", "control", "gateway", "databricks")
    at = {name: f"http://127.0.0.1:{state.port(name)}" for name in ours}
    return (
        "\n".join(
            f"{key}={value}"
            for key, value in {
                "PIPELINE_TARGET": "local",
                "AWS_ENDPOINT_URL": at["aws"],
                "AWS_ENDPOINT_URL_IAM": at["control"],
                "AWS_ENDPOINT_URL_SSM": at["control"],
                "AWS_ENDPOINT_URL_KAFKACONNECT": at["control"],
                "AWS_ENDPOINT_URL_MWAA": at["control"],
                "AWS_ENDPOINT_URL_API_GATEWAY": at["gateway"],
                "AWS_ENDPOINT_URL_APIGATEWAYV2": at["gateway"],
                "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
                "AWS_REGION": aws.REGION,
                "AWS_DEFAULT_REGION": aws.REGION,
                "AWS_ACCESS_KEY_ID": state.secret("reader_key_id"),
                "AWS_SECRET_ACCESS_KEY": state.secret("reader_secret"),
                "API_INVOKE_BASE": at["gateway"],
                "SOURCE_URL": mariadb.source_url(state),
                "CLIENT_HOME": state.path("client_machine"),
                "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
                "REST_PROXY": f"http://localhost:{state.port('rest_proxy')}",
                "SINK_ZIP": SINK_ZIP,
                "DATABRICKS_HOST": at["databricks"],
                "DATABRICKS_TOKEN": state.secret("databricks_token"),
                "DATABRICKS_NOTEBOOKS": f"/Workspace{databricks.GIT_FOLDER}",
                "JAVA_HOME": tools.java_home(),
                **spark.remote(state),
            }.items()
        )
        + "\n"
    )
