"""One engine in a test: the host with its scheduler and checks, on a fake clock, one frame after the other.

with engine_bench("road", "road_net") as bench:
    bench.send("engine.frame", CameraFrame(...))
    bench.node.step()
    assert bench.sent("engine")[-1].value.status == "ok"
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cardan.engines.host import EngineHost, EngineHostConfig
from cardan.runtime.manifest import EngineEntry
from cardan.runtime.testing import Bench

NAME = "engine"
STEPS_HZ = 1000.0
"""`bench.step()` moves time on by a millisecond, so that no frame grows old by it."""


def engine_bench(
    use: str, model: str, *, manifest_dir: Path | None = None, hang_ms: float | None = None, **entry: Any
) -> Bench[EngineHost]:
    """A host with one engine, called `engine`. use, model, entry: as in the manifest's table of an engine."""
    return engines_bench({NAME: EngineEntry(use=use, model=model, input="bench/frame", **entry)}, manifest_dir, hang_ms)


def engines_bench(
    engines: dict[str, EngineEntry], manifest_dir: Path | None = None, hang_ms: float | None = None
) -> Bench[EngineHost]:
    """A host with these engines; engine NAME reads `NAME.frame`."""
    config = EngineHostConfig(engines=engines, hang_ms=hang_ms)
    return Bench(EngineHost, config=config, manifest_dir=manifest_dir, rate_hz=STEPS_HZ)
