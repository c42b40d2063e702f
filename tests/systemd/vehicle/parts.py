"""Nodes that do what the tests want: each wish is a file in the data folder."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from cardan.runtime.messages import AnyMessage, Message
from cardan.runtime.node import Input, Node, Output

HUNG_AFTER_STEPS = 5


class Tick(Message, frozen=True, kw_only=True):
    """A running number."""

    number: int


class Pilot(Node):
    """Holds its start back while `hold` is there; hangs while `hang` is there. Writes down what it may do."""

    rate_hz = 50.0
    _steps = 0

    def open(self) -> None:
        folder = self.context.data_dir
        (folder / "rights.json").write_text(json.dumps(_rights(folder)))
        while (folder / "hold").exists():
            self.clock.sleep_until_ns(self.clock.now_ns() + 20_000_000)

    def step(self) -> None:
        self._steps += 1
        if self._steps > HUNG_AFTER_STEPS and (self.context.data_dir / "hang").exists():
            signal.pause()


class Ticker(Node):
    """Counts, and sends. Leaves a daemon behind while `daemon` is there."""

    rate_hz = 20.0
    tick = Output(Tick)
    _number = 0

    def open(self) -> None:
        if (self.context.data_dir / "daemon").exists():
            start_daemon()

    def step(self) -> None:
        self._number += 1
        self.tick.send(Tick(number=self._number))


class Logbook(Node):
    """Takes every message."""

    rate_hz = 10.0
    everything = Input(AnyMessage, queue=1000, many=True)

    def step(self) -> None:
        self.everything.take()


def start_daemon() -> None:
    """A process without our parent, session and process group, that sleeps under its own name."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execv("/bin/sleep", ["sleep", "1000"])
        os._exit(0)
    os.wait()


def _rights(folder: Path) -> dict[str, object]:
    return {
        "service_variables": sorted({"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & set(os.environ)),
        "scheduler": os.sched_getscheduler(0),
        "user": os.getuid(),
        "capabilities": _status("CapEff"),
        "may_write": [path for path in (str(folder), "/etc", "/usr", "/home", "/") if os.access(path, os.W_OK)],
        "sees_other_processes": Path("/proc/1/cmdline").exists(),
    }


def _status(key: str) -> str:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(key))
