"""Frames from the topics of a running vehicle: for adapters that only one program can open, and a node has it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from cardan.drivers.can.candump import LoggedFrame
from cardan.firmware_bridge.cli.can_source import on_wall_clock
from cardan.runtime.bus.envelope import HEADER_SIZE
from cardan.runtime.bus.tail import open_tail
from cardan.runtime.cli.exits import NoDataError
from cardan.runtime.cli.runs import FoundRun
from cardan.runtime.clock import Clock
from cardan.runtime.messages import CanFrame, CanFrames
from cardan.runtime.plan import Plan
from cardan.runtime.run import RunPaths, is_alive

CAN_FRAMES = "cardan.runtime.messages:CanFrames"
RECEIVER = "cardan.drivers.can.receiver:CanReceiver"


def frame_topics(plan: Plan) -> list[str]:
    """The topics on which the receivers of a plan publish frames."""
    return [
        output.topic
        for node in plan.nodes
        if node.use == RECEIVER
        for output in node.outputs
        if output.type == CAN_FRAMES
    ]


class TopicFrames:
    """What the receivers of a run publish of some channels; as other sources of frames."""

    live = True

    def __init__(self, found: FoundRun, bus_dir: Path, channels: Sequence[str], clock: Clock) -> None:
        topics = frame_topics(found.plan)
        if not topics:
            raise NoDataError(f"no node of {found.plan.name} publishes frames", hint="add a `can-receiver` node")
        self._channels = set(channels)
        self._clock = clock
        self._paths = RunPaths(bus_dir.parent, found.data_dir)
        self._tail = open_tail(found.plan, bus_dir, topics, clock)
        self._decoder = msgspec.msgpack.Decoder(CanFrames)
        self._frames: list[CanFrame] = []

    def take(self, wait_s: float) -> list[LoggedFrame] | None:
        self._tail.wait(wait_s)
        self._tail.drain(self._deliver)
        frames, self._frames = self._frames, []
        if not frames and not is_alive(self._paths):
            return None
        offset_ns = self._clock.wall_ns() - self._clock.now_ns()
        return [on_wall_clock(frame, offset_ns) for frame in frames]

    def _deliver(self, topic: str, message: bytes) -> None:
        frames = self._decoder.decode(message[HEADER_SIZE:]).frames
        self._frames += [frame for frame in frames if frame.channel in self._channels]

    def close(self) -> None:
        self._tail.close()
