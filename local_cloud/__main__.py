"""The cloud on your machine: `python -m local_cloud up | status | logs NAME | down | reset`."""

import argparse
import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator

from helpers import environment
from local_cloud import cloud, tools
from local_cloud.state import TOOLS, State, Stop, make_private


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    environment.stay_local()
    parser = argparse.ArgumentParser(prog="python -m local_cloud", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("setup", help="fetch Java, jars and the database program; compile our Java")
    commands.add_parser("up", help="start everything that is not running yet")
    commands.add_parser("status", help="ask every part whether it works")
    logs = commands.add_parser("logs", help="print the end of one part's log")
    logs.add_argument("name")
    logs.add_argument("--lines", type=int, default=60)
    commands.add_parser("down", help="stop everything and keep its data")
    commands.add_parser("reset", help="stop everything and delete its data")
    asked = parser.parse_args(arguments)
    os.umask(0o077)  # whatever is written is for its owner only
    state = State()
    try:
        if asked.command == "setup":
            cloud.set_up()
        elif asked.command == "status":
            return cloud.status(state)
        elif asked.command == "logs":
            print(cloud.tail(state, asked.name, asked.lines))
        else:
            with alone(state):
                {"up": cloud.up, "down": cloud.down, "reset": cloud.reset}[asked.command](state)
    except (Stop, tools.ToolError) as problem:
        print(f"\n{problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped by Ctrl-C; `make down` ends what was started", file=sys.stderr)
        return 130
    return 0


@contextlib.contextmanager
def alone(state: State) -> Iterator[None]:
    """Only one up, down or reset at a time on one state folder, which nobody else can read."""
    lock = state.path(".lock")
    ours = state.home.is_relative_to(TOOLS.parent)
    try:
        if not (ours or lock.exists()) and state.home.exists() and any(state.home.iterdir()):
            raise Stop(f"{state.home} holds other things: set LOCAL_CLOUD_HOME to a new folder")
        make_private(TOOLS.parent if ours else state.home)
        state.home.mkdir(exist_ok=True, parents=True)
        file = lock.open("w")
    except OSError as error:
        raise Stop(
            f"{state.home} cannot be written ({error.strerror}): free it or set LOCAL_CLOUD_HOME"
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Stop(
                f"another `local_cloud` command works on {state.home}; try again when it is done"
            ) from None
        yield


if __name__ == "__main__":
    sys.exit(main())
