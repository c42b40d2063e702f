"""A node of your own: how busy is this computer?"""

from __future__ import annotations

from pathlib import Path

from cardan.runtime.messages import Message
from cardan.runtime.node import Node, NodeConfig, Output


class Load(Message, frozen=True, kw_only=True):
    runnable: float
    """Processes that run or wait for a core, mean of the last minute."""


class LoadMeterConfig(NodeConfig, frozen=True):
    file: str = "/proc/loadavg"


class LoadMeter(Node):
    """Publishes the load average of Linux ten times a second."""

    config: LoadMeterConfig
    rate_hz = 10.0
    load = Output(Load)

    def step(self) -> None:
        first = Path(self.config.file).read_text().split()[0]
        self.load.send(Load(runnable=float(first)))
