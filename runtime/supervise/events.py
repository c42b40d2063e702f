"""Every lifecycle event has a code from one table, and goes as one JSON line to the run's `supervisor.log`."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import Any

from cardan.runtime.clock import NS_PER_S, Clock
from cardan.runtime.log.file import LogFile
from cardan.runtime.log.record import LogRecord, encode


class Code(Enum):
    """Code, level, and text of each event; the text is filled with the event's fields."""

    RUN_STARTING = ("run-starting", "info", "{nodes} nodes of {vehicle}, loaded in {loaded_ms:.0f} ms")
    RUN_THREADS = (
        "run-threads",
        "warning",
        "{threads} threads before the first fork, expected 1: set OMP_NUM_THREADS=1",
    )
    RUN_GROUPS = ("run-groups", "info", "control groups: {groups}")
    RUN_BEGAN = ("run-began", "info", "all nodes were told to go after {after_ms:.0f} ms")
    RUN_STATE = ("run-state", "info", "the run is {state}")
    RUN_CAUSE = ("run-cause", "error", "{cause}")
    RUN_MODE = ("run-mode", "warning", "mode {mode}: {why}")
    RUN_MODE_NORMAL = ("run-mode-normal", "info", "back to normal operation after {after_ms:.0f} ms")
    RUN_STOPPING = ("run-stopping", "info", "stopping: {reason}")
    RUN_ENDED = ("run-ended", "info", "the run ended with exit code {exit_code} after {after_s:.1f} s")
    RUN_GUARDIAN_LOST = ("run-guardian-lost", "warning", "the guardian of this run is dead; the supervisor sweeps")
    RUN_VERDICT = ("run-verdict", "info", "verdict: {verdict}")
    WAKEUP_LATENCY = ("wakeup-latency", "info", "processors wake up within {holds_us} us (wished: {wished_us})")
    WAKEUP_LATENCY_MISSING = ("wakeup-latency-missing", "error", "{error}")
    WATCHDOG_ARMED = ("watchdog-armed", "info", "{device} resets the computer after {timeout_s} s (wished: {wished_s})")
    WATCHDOG_MISSING = ("watchdog-missing", "error", "{error}")
    NODE_START = ("node-start", "info", "start {starts}, process {pid}, by {process}")
    NODE_START_FAILED = ("node-start-failed", "error", "could not make a process: {error}")
    NODE_READY = ("node-ready", "info", "ready after {after_ms:.1f} ms")
    NODE_LATE = ("node-late", "error", "not ready {limit_s:g} s after its start; killed")
    NODE_OUT_OF_MEMORY = ("node-out-of-memory", "error", "ended by the kernel at its memory limit of {limit_mib:g} MiB")
    NODE_HUNG = ("node-hung", "error", "no sign of life for {silent_ms:.0f} ms (limit {limit_ms:.0f}); killed")
    NODE_CLOSING_LATE = ("node-closing-late", "error", "still closing {limit_s:g} s after its last step; killed")
    NODE_EXIT = ("node-exit", "info", "ended: {how}")
    NODE_CRASH = ("node-crash", "error", "ended: {how}")
    NODE_RESTART = (
        "node-restart",
        "info",
        "restart {restarts} of {max_restarts} in {window_s:g} s, in {delay_ms:.0f} ms",
    )
    NODE_GAVE_UP = ("node-gave-up", "error", "{why}")
    NODE_FINISHED = ("node-finished", "info", "finished")
    NODE_STOP = ("node-stop", "info", "asked to stop")
    NODE_KILL = ("node-kill", "warning", "did not stop within {limit_s:g} s; killed")
    NODE_UNKILLABLE = ("node-unkillable", "error", "still there {after_s:g} s after SIGKILL: is a device driver stuck?")

    def __init__(self, code: str, level: str, text: str) -> None:
        self.code = code
        self.level = level
        self.text = text


class EventLog:
    """Appends events to a file. A full disk loses lines and stops nothing: `lost` counts them.

    echo: gets the level and the text of each event as well.
    """

    def __init__(self, path: Path, clock: Clock, echo: Callable[[str, str], None] | None = None) -> None:
        self._file = LogFile(path)
        self._clock = clock
        self._echo = echo

    @property
    def lost(self) -> int:
        return self._file.lost

    def write(self, code: Code, node: str = "", **fields: Any) -> None:
        """One event, of the whole run or of a node."""
        text = code.text.format(**fields)
        record = LogRecord(
            t_ns=self._clock.now_ns(),
            wall_s=round(self._clock.wall_ns() / NS_PER_S, 6),
            level=code.level,
            code=code.code,
            node=node,
            text=text,
            fields=fields,
        )
        self._file.append(encode(record))
        if self._echo is not None:
            self._echo(code.level, f"{node}: {text}" if node else text)

    def close(self) -> None:
        self._file.close()
