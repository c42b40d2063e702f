"""`foxglove-live`: the run in Foxglove, for as long as it lasts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from cardan.runtime.bus.ports import Metric
from cardan.runtime.cli.runs import FoundRun
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.foxglove.settings import FoxgloveSettings, foxglove_missing
from cardan.runtime.node.node import Node, NodeConfig
from cardan.runtime.plan import Plan
from cardan.runtime.run import RunPaths
from cardan.runtime.vitals import open_vitals

if TYPE_CHECKING:
    from cardan.runtime.foxglove.stream import Stream


class FoxgloveConfig(NodeConfig, frozen=True, kw_only=True):
    """Settings of the node."""

    foxglove: FoxgloveSettings = FoxgloveSettings()


class FoxgloveLive(Node):
    """Serves its own run. It must not be real-time: the library has threads of its own."""

    config: FoxgloveConfig
    rate_hz = 50.0
    overtaken = Metric("messages")

    def open(self) -> None:
        self._stream: Stream | None = None
        self._counted = 0
        try:
            from cardan.runtime.foxglove.stream import Stream
        except ImportError as error:
            raise foxglove_missing(error) from error
        self._stream = Stream(self._found(), self.config.foxglove, MonotonicClock())
        self.log.info("Foxglove may connect to %s", self._stream.address)

    def step(self) -> None:
        stream = self._stream
        if stream is None:
            return
        stream.step()
        if stream.overtaken > self._counted:
            self.overtaken.observe(stream.overtaken - self._counted)
            self._counted = stream.overtaken

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()

    def _found(self) -> FoundRun:
        paths = RunPaths(self.context.run_dir, self.context.data_dir)
        plan = msgspec.json.decode(self.context.plan_json, type=Plan)
        return FoundRun(plan, open_vitals(paths.vitals, plan), paths.run_id, paths.data_dir, paths.bus)
