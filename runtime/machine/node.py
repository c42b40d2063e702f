"""The node that watches the computer: a topic each second, samples in the event log, what is wrong as condition."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import msgspec

from cardan.runtime.bus.ports import Output
from cardan.runtime.cli.snapshot import Snapshot, take_snapshot
from cardan.runtime.clock import ns
from cardan.runtime.errors import CardanError
from cardan.runtime.machine.health import MachineHealth, look
from cardan.runtime.machine.judge import troubles
from cardan.runtime.machine.nodes import changes
from cardan.runtime.node.node import Node, NodeConfig
from cardan.runtime.plan import Plan
from cardan.runtime.run import RunPaths
from cardan.runtime.vitals import Vitals, open_vitals


class MachineConfig(NodeConfig, frozen=True):
    """Settings of the machine's watcher."""

    sample_s: Annotated[float, msgspec.Meta(ge=1.0)] = 10.0
    """How often a sample goes to the event log; also at once when something goes wrong."""
    root: str = "/"
    """Below it lie `proc` and `sys`: another folder for tests, and for the files of another computer."""


class Machine(Node):
    """Look at the computer once a second. Needs nothing of the vehicle and is needed by nothing."""

    config: MachineConfig
    rate_hz = 1.0
    health = Output(MachineHealth)

    def open(self) -> None:
        self.log.setLevel(logging.DEBUG)
        self._root = Path(self.config.root)
        self._health = look(self.context.data_dir, self._root)
        self._sampled_ns = self.clock.now_ns() - ns(self.config.sample_s)
        self._code = ""
        self._plan, self._vitals = self._open_vitals()
        self._shot: Snapshot | None = None

    def _open_vitals(self) -> tuple[Plan | None, Vitals | None]:
        """The vitals of this run; None where a node runs without one (tests)."""
        try:
            plan = msgspec.json.decode(self.context.plan_json, type=Plan)
            return plan, open_vitals(RunPaths(self.context.run_dir, self.context.data_dir).vitals, plan)
        except (CardanError, msgspec.MsgspecError):
            return None, None

    def step(self) -> None:
        now, now_ns = look(self.context.data_dir, self._root), self.clock.now_ns()
        self.health.send(now, valid=True)
        wrong = troubles(now, self._health)
        self._health = now
        code, text = (wrong[0].code, wrong[0].text) if wrong else ("", "")
        if code != self._code or now_ns - self._sampled_ns >= ns(self.config.sample_s):
            self._sample(now, now_ns)
        self.report_condition(code, text)
        self._code = code

    def _sample(self, now: MachineHealth, now_ns: int) -> None:
        self._sampled_ns = now_ns
        known = {name: value for name, value in msgspec.to_builtins(now).items() if value not in (None, "")}
        self.note("machine-sample", _text(now), level=logging.DEBUG, **known)
        if self._plan is None or self._vitals is None:
            return
        shot = take_snapshot(self._plan, self._vitals, now_ns)
        nodes = changes(shot, self._shot) if self._shot is not None else {}
        if nodes:
            self.note("nodes-sample", ", ".join(nodes), level=logging.DEBUG, nodes=nodes)
        self._shot = shot

    def close(self) -> None:
        if self.__dict__.get("_vitals") is not None:
            self._vitals.close()  # type: ignore[union-attr]  # the line above
            self._vitals = None


def _text(now: MachineHealth) -> str:
    """The sample for a person, of what is known."""
    parts = [
        f"{now.temp_zone} {now.temp_c:.0f} C" if now.temp_c is not None else "",
        f"{now.memory_available_mib:.0f} MiB of memory left" if now.memory_available_mib is not None else "",
        f"waiting for processors {now.cpu_pressure:.0f} %" if now.cpu_pressure is not None else "",
        f"{now.disk_free_mib / 1024:.1f} GiB of disk free" if now.disk_free_mib is not None else "",
    ]
    return ", ".join(part for part in parts if part)
