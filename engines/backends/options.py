"""What a model may say to each backend: the tables `[onnxruntime]`, `[tensorrt]` and `[sim]` of its file."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Threads = Annotated[int, msgspec.Meta(ge=1, le=64)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Level = Annotated[int, msgspec.Meta(ge=0, le=5)]


class OnnxRuntimeOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How onnxruntime runs a network."""

    threads: Threads = 1
    """1 keeps the run time steady beside a control loop; onnxruntime's own default takes every core and spins on it."""


class TensorrtOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How TensorRT builds and runs a network. Precision is no option: it lives in the ONNX file."""

    level: Level = 3
    """Builder optimisation level: each step up searches longer; 5 can take an hour on an embedded computer."""
    workspace_mib: Positive = 256.0
    """Scratch memory that a layer may use, while building and in every context."""
    targets: tuple[str, ...] = ()
    """tensorrt_rtx only: compute capabilities such as "8.9" to build for; empty: the GPU that is there."""
    graph: bool = True
    """Replay the network as one CUDA graph instead of enqueueing each kernel."""
    priority: Literal["high", "normal"] = "normal"
    """Of its stream. A bonus: TensorRT does not promise to honour it, so the deadline scheduler does not rely on it."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong in one run of the simulated backend."""

    run: Count
    """The run it happens in, counted from 1."""
    kind: Literal["error", "sticky", "hang", "crash", "slow", "nan", "range"]
    seconds: Positive = 3600.0
    """How long a hang lasts."""


class SimOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The declared run times of a network on the simulated backend: lognormal, and now and then a slow one."""

    median_ms: Positive = 1.0
    sigma: NotNegative = 0.08
    """Of the logarithm: 0.08 spreads the middle 68 % by 8 % to each side."""
    slow_share: Share = 0.0
    slow_factor: Positive = 3.0
    seed: int = 0
    faults: tuple[Fault, ...] = ()
