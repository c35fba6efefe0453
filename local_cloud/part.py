"""What the supervisor has to know about one program of the local cloud."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Part:
    """One program: how it is started, what it needs first, and a real request that proves it ready.

    `ready` raises any exception while the part is not ready. At `up`, `before` runs ahead of the start and
    `after` once the part is ready; both are safe to repeat.
    """

    name: str
    kind: str  # "real", "emulated" or "stand-in"
    title: str
    command: list[str]
    ready: Callable[[], None]
    ports: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None
    autostart: bool = True
    before: Callable[[], None] | None = None
    after: Callable[[], None] | None = None
    start_seconds: int = 60  # longer than any normal start on a busy machine
    stop_seconds: int = 20
