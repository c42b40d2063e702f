"""Which plan of a model is to be built here: for the GPU that is there, for a named one, or for this CPU."""

from __future__ import annotations

from cardan.engines.accelerator import Accelerator, any_gpu, this_cpu
from cardan.engines.backends.backend import BackendError
from cardan.engines.build.cache import BUDGET_BYTES, PlanCache
from cardan.engines.build.messages import BuildOrder
from cardan.engines.build.recipe import ANY_CAPABILITY
from cardan.engines.cuda.probe import Probed
from cardan.engines.model import BackendName, ModelFile

RTX_TARGETS = ("8.0", "8.6", "8.9", "12.0", "12.1")
"""Capabilities that TensorRT for RTX 1.7 builds for by name and that run any network; every other gets the common plan.
Written down, because asking the library would load it into the process that drives."""


def order_for(file: ModelFile, backend: BackendName, probed: Probed, cache: PlanCache, target: str = "") -> BuildOrder:
    """The order that a `Build` carries out. target: compute capability of another GPU than ours (tensorrt_rtx only).

    BackendError says why nothing can be built.
    """
    accelerator, targets = _accelerator(backend, probed, target)
    return BuildOrder(
        model=str(file.path),
        backend=backend,
        accelerator=accelerator,
        targets=targets,
        cache=str(cache.folder.absolute()),
        budget_bytes=BUDGET_BYTES,
    )


def _accelerator(backend: BackendName, probed: Probed, target: str) -> tuple[Accelerator, tuple[str, ...]]:
    if backend == "sim":
        raise BackendError("the simulated backend has no plans", hint="name onnxruntime, tensorrt or tensorrt_rtx")
    if target and backend != "tensorrt_rtx":
        raise BackendError(f"{backend} builds for this computer only", hint="--target is for tensorrt_rtx")
    if backend == "onnxruntime":
        return this_cpu(), ()
    if target == ANY_CAPABILITY:
        return any_gpu(ANY_CAPABILITY), ()
    if target:
        return any_gpu(target), (target,)
    if probed.gpu is None:
        hint = "build on the vehicle computer" + (", or name a GPU: --target 8.9" if backend == "tensorrt_rtx" else "")
        raise BackendError(f"{backend} has no GPU to build for: {probed.reason}", hint=hint)
    if backend == "tensorrt":
        return probed.gpu, ()
    capability = probed.gpu.capability
    return (any_gpu(capability), (capability,)) if capability in RTX_TARGETS else (any_gpu(ANY_CAPABILITY), ())
