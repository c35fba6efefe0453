"""The client machine: a folder with Kafka's command line tools, where SSM's commands run."""

import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from local_cloud import supervise, tools
from local_cloud.parts.aws import REGION
from local_cloud.state import ROOT, TOOLS, State, write_private

KAFKA_TOOLS = {
    "kafka-topics.sh": "org.apache.kafka.tools.TopicCommand",
    "kafka-get-offsets.sh": "org.apache.kafka.tools.GetOffsetShell",
    "kafka-console-producer.sh": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-consumer.sh": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-consumer-groups.sh": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
}
JAVA_OPTIONS = "-Xmx96m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto -Xlog:disable"
KAFKA_JARS = TOOLS / "jars" / "kafka"
# With the classes of one run in a file, the tools start in half the time. Java ignores one that does not fit.
ARCHIVE = KAFKA_JARS / "classes.jsa"
# Errors go to stderr in one line; what the tools print themselves is all of stdout.
LOG_CONFIG = """status=off
appender.err.type=Console
appender.err.name=err
appender.err.target=SYSTEM_ERR
appender.err.layout.type=PatternLayout
appender.err.layout.pattern=%p %m %ex{short.message}%n
rootLogger.level=error
rootLogger.appenderRef.err.ref=err
"""
# A client without the machine's settings would try in silence until its time-out, as it does on MSK.
RUN_CLASS = r"""#!/bin/sh
config='' bootstrap='' next=''
for word in "$@"; do
  [ "$next" = config ] && config=$word
  next=''
  case "$word" in
    --command-config=*) config=${word#*=} ;;
    --command-config | --consumer.config | --producer.config) next=config ;;
    --bootstrap-server*) bootstrap=yes ;;
  esac
done
refuse() { echo "$1 A client would try until its time-out." >&2; exit 1; }
if [ -n "$bootstrap" ] && [ -z "$config" ]; then
  refuse "--command-config is missing: the brokers talk to clients with IAM only."
fi
if [ -n "$bootstrap" ] && [ -r "$config" ]; then
  protocol=$(sed -n 's/^[[:space:]]*security\.protocol[[:space:]]*[=:][[:space:]]*//p' "$config" | tail -n 1)
  if [ "$protocol" != SASL_PLAINTEXT ]; then
    refuse "$config: security.protocol=$protocol; the brokers take SASL_PLAINTEXT here, SASL_SSL on MSK."
  fi
  ! grep -q '^[^#]*awsRoleArn' "$config" || refuse "$config: awsRoleArn works on MSK only, not here."
fi
"""
START = """archive="{archive}"
if [ -e "$archive" ] || [ -z "$bootstrap" ]; then
  exec {java} -XX:SharedArchiveFile="$archive" "$@"
fi
{java} -XX:ArchiveClassesAtExit="$archive.$$" "$@"
code=$?
if [ $code = 0 ]; then mv "$archive.$$" "$archive"; else rm -f "$archive.$$"; fi
exit $code
"""
UNIT, PROGRAM = "kafka-rest", "rest_proxy"


def home(state: State) -> Path:
    """The machine's home folder, CLIENT_HOME."""
    return state.path("client_machine")


def make(state: State) -> None:
    """Write the tools into the home folder; what the reader put there stays."""
    folder = home(state)
    log = folder / "kafka" / "config" / "tools-log4j2.properties"
    write_private(log, LOG_CONFIG)
    run_class = folder / "kafka" / "bin" / "kafka-run-class.sh"
    java = f'"{tools.java()}" {JAVA_OPTIONS} -Dlog4j2.configurationFile="{log}" -cp "{KAFKA_JARS}/*"'
    _script(run_class, RUN_CLASS + START.format(java=java, archive=ARCHIVE))
    for name, main_class in KAFKA_TOOLS.items():
        _script(run_class.parent / name, f'#!/bin/sh\nexec "{run_class}" {main_class} "$@"')
    shim = f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -m local_cloud.client_machine "$@"'
    _script(folder / "bin" / "systemctl", f"#!/bin/sh\n{shim}")


def environment(state: State, role: str) -> dict[str, str]:
    """What a command on the machine finds in its environment: a bare system and the role's identity."""
    folder = home(state)
    return {
        "PATH": f"{folder / 'bin'}:{Path(tools.java()).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "LOCAL_CLOUD_HOME": str(state.home),
        **identity(state, role),
    }


def identity(state: State, role: str) -> dict[str, str]:
    """The settings by which any AWS SDK acts as the role against this cloud."""
    return {
        "AWS_PROFILE": role,
        "AWS_SHARED_CREDENTIALS_FILE": str(state.path("iam", "credentials")),
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{state.port('aws')}",
    }


def systemctl(state: State, arguments: list[str]) -> int:
    """What systemd does for the one unit of this machine, done by the local cloud's supervisor."""
    verb, *units = [word for word in arguments if word not in ("--now", "--quiet", "--no-pager")]
    if verb == "daemon-reload":
        return 0
    if [unit.removesuffix(".service") for unit in units] != [UNIT]:
        return _refuse(
            f"systemctl {verb}: the local cloud has one unit, {UNIT}, not {' '.join(units) or 'none'}"
        )
    identity_file = home(state) / f"{UNIT}.env"  # while it is there, `up` starts the unit too
    running = supervise.status(state).get(PROGRAM, {}).get("statename") in ("STARTING", "RUNNING")
    if verb in ("is-active", "status"):
        print(("active" if running else "inactive") if verb == "is-active" else f"{UNIT}: active={running}")
        return 0 if running else 3
    if verb not in ("enable", "disable", "start", "stop", "restart"):
        return _refuse(f"the local cloud does not do systemctl {verb}")
    if verb in ("stop", "restart") or (verb == "disable" and "--now" in arguments):
        supervise.stop(state, PROGRAM)
    if verb == "disable":
        identity_file.unlink(missing_ok=True)
    if verb in ("start", "restart") or (verb == "enable" and "--now" in arguments):
        role = os.environ.get("AWS_PROFILE", "")
        lines = [f"{key}={value}" for key, value in identity(state, role).items()]
        write_private(identity_file, "\n".join(lines) + "\n")
        supervise.start(state, PROGRAM)
        if not _answers(state.port(PROGRAM), 20):
            return _refuse(f"{UNIT} does not answer; see {state.log(PROGRAM)}")
        supervise.check_listeners(state, [state.port(PROGRAM)])  # another program may be what answers
    return 0


def _answers(port: int, seconds: float) -> bool:
    """True once something speaks HTTP on the port."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2).close()
            return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            time.sleep(0.1)
    return False


def _refuse(message: str) -> int:
    print(message, file=sys.stderr)
    return 1


def _script(path: Path, text: str) -> None:
    write_private(path, f"{text}\n")
    path.chmod(0o700)


if __name__ == "__main__":
    try:
        sys.exit(systemctl(State(), sys.argv[1:] or ["nothing"]))
    except (OSError, RuntimeError) as error:  # the supervisor is away or refuses
        sys.exit(_refuse(f"systemctl: {error}"))
