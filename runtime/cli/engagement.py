"""Whether the vehicle is engaged, as the bridge says: a subscription that is made only once the run goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cardan.runtime.bus.envelope import HEADER_SIZE
from cardan.runtime.bus.zmq import ZmqSubscriber
from cardan.runtime.cli.foreign import decode_foreign
from cardan.runtime.cli.lines import safe_text
from cardan.runtime.errors import BusError


class EngagementReader:
    """Keeps the newest verdict. Not thread-safe; `close()` it."""

    def __init__(self, bus_dir: Path, topic: str) -> None:
        import zmq

        self._topic = topic
        self._context = zmq.Context()
        self._subscriber = ZmqSubscriber(self._context, bus_dir, [topic])
        self._newest = b""

    def read(self) -> str:
        """`enabled`, or `safe-stop (cause)`; empty while nothing has come. Never blocks."""
        self._subscriber.drain(self._keep)
        if not self._newest:
            return ""
        try:
            return describe(decode_foreign(self._newest[HEADER_SIZE:]))
        except BusError:
            return ""

    def _keep(self, topic: str, message: bytes) -> None:
        if topic == self._topic:
            self._newest = message

    def close(self) -> None:
        self._subscriber.close()
        self._context.term()


def describe(verdict: Any) -> str:
    """The engagement, and the cause of its last change unless everything is as wished."""
    if not isinstance(verdict, dict):
        return ""
    engagement, cause = (safe_text(str(verdict.get(name, ""))) for name in ("engagement", "cause"))
    return engagement if engagement == "enabled" or not cause else f"{engagement} ({cause})"
