"""Whether the vehicle is engaged, as the bridge says: a subscription that is made only once the run goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cardan.runtime.bus.envelope import HEADER_SIZE
from cardan.runtime.bus.tail import open_tail
from cardan.runtime.cli.foreign import decode_foreign
from cardan.runtime.cli.lines import safe_text
from cardan.runtime.clock import Clock
from cardan.runtime.errors import BusError
from cardan.runtime.plan import Plan


class EngagementReader:
    """Keeps the newest verdict. Not thread-safe; `close()` it."""

    def __init__(self, plan: Plan, bus_dir: Path, topic: str, clock: Clock) -> None:
        self._tail = open_tail(plan, bus_dir, [topic], clock, last=1)
        self._newest = b""

    def read(self) -> str:
        """`enabled`, or `safe-stop (cause)`; empty while nothing has come. Never blocks."""
        self._tail.drain(self._keep)
        if not self._newest:
            return ""
        try:
            return describe(decode_foreign(self._newest[HEADER_SIZE:]))
        except BusError:
            return ""

    def _keep(self, topic: str, message: bytes) -> None:
        self._newest = message

    def close(self) -> None:
        self._tail.close()


def describe(verdict: Any) -> str:
    """The engagement, and the cause of its last change unless everything is as wished."""
    if not isinstance(verdict, dict):
        return ""
    engagement, cause = (safe_text(str(verdict.get(name, ""))) for name in ("engagement", "cause"))
    return engagement if engagement == "enabled" or not cause else f"{engagement} ({cause})"
