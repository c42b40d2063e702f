"""What `cardan new` writes: two nodes that are wired, their test, a manifest, and what to try next."""

from __future__ import annotations

MANIFEST = """\
# What runs in this vehicle. `cardan check .` checks it, `cardan up .` runs it.
# Every key: `cardan node type USE` for a node, docs/manifest.md for the rest.
schema = 1
name = "{name}"
profile = "bench" # any computer; `cardan profile detect --out computer.toml` writes the one you have

# A driver of yours: reads a device, publishes what it says.
[nodes.range]
use = "drivers.range_finder:RangeFinder"
config = {{ far_m = 12.0 }}

# A node of yours that reads what another one publishes, ten times a second.
[nodes.warner]
use = "drivers.warner:Warner"
inputs = {{ range = "range/range" }}
rate_hz = 10.0

# Nodes that are there already: `cardan node types`.
[nodes.recorder]
use = "recorder"
inputs = {{ everything = ["*"] }}
"""
RANGE_FINDER = '''\
"""A range finder. It only pretends: put the reading of your device into `step`."""

from __future__ import annotations

import math

from cardan.runtime.messages import Message
from cardan.runtime.node import Node, NodeConfig, Output


class Range(Message, frozen=True, kw_only=True):
    """How far away the nearest thing is."""

    distance_m: float


class RangeFinderConfig(NodeConfig, frozen=True):
    """Settings, checked before anything starts."""

    far_m: float = 10.0
    """Farthest that it sees."""


class RangeFinder(Node):
    """Publishes the distance twenty times a second."""

    config: RangeFinderConfig
    rate_hz = 20.0
    range = Output(Range)

    def step(self) -> None:
        phase = self.clock.now_ns() / 1e9
        self.range.send(Range(distance_m=self.config.far_m * (0.5 + 0.5 * math.sin(phase))))
'''
WARNER = '''\
"""Warns of what is near, and says so when it cannot know."""

from __future__ import annotations

from cardan.runtime.messages import Message
from cardan.runtime.node import Input, Node, NodeConfig, Output
from drivers.range_finder import Range


class Warning(Message, frozen=True, kw_only=True):
    """Whether something is too near."""

    near: bool


class WarnerConfig(NodeConfig, frozen=True):
    """Settings, checked before anything starts."""

    near_m: float = 2.0
    """Nearer than this is too near."""


class Warner(Node):
    """Reads the newest distance; a stale one is never taken for a distance."""

    config: WarnerConfig
    range = Input(Range, max_age_s=0.15)
    warning = Output(Warning)

    def step(self) -> None:
        if not self.range.fresh:
            self.warning.send(Warning(near=True), valid=False)
            return
        self.warning.send(Warning(near=self.range.value.distance_m < self.config.near_m))
'''
TEST = '''\
"""Run it in this folder: `python -m pytest`. The nodes run on a fake clock, in milliseconds."""

from __future__ import annotations

from cardan.runtime.testing import Bench
from drivers.range_finder import Range
from drivers.warner import Warner, WarnerConfig


def test_what_is_near_is_warned_of() -> None:
    with Bench(Warner, config=WarnerConfig(near_m=2.0), rate_hz=10.0) as bench:
        bench.send("range", Range(distance_m=1.0))
        bench.step()
        assert bench.sent("warning")[-1].value.near
        bench.send("range", Range(distance_m=5.0))
        bench.step()
        assert not bench.sent("warning")[-1].value.near


def test_a_distance_that_is_old_is_not_believed() -> None:
    with Bench(Warner, rate_hz=10.0) as bench:
        bench.send("range", Range(distance_m=5.0))
        bench.step(3)
        assert not bench.sent("warning")[-1].valid
'''


def new_files(name: str) -> dict[str, str]:
    """Path from the new folder -> text. name: of the vehicle."""
    return {
        "vehicle.toml": MANIFEST.format(name=name),
        "drivers/range_finder.py": RANGE_FINDER,
        "drivers/warner.py": WARNER,
        "test_warner.py": TEST,
    }
