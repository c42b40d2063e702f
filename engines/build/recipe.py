"""The recipe of a plan: everything that a compiled network depends on, and the key that follows from it.

Two builds of one recipe need not give the same bytes (the builder times its kernels), so a plan is found by what went
into it, never by what came out. A recipe that differs in anything is another plan: a miss, not an error.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from cardan.engines.accelerator import Accelerator, any_gpu
from cardan.engines.model import Model

if TYPE_CHECKING:  # it needs numpy, which who only looks at plans does not
    from cardan.engines.backends.backend import Backend

ANY_CAPABILITY = "any"
"""Of a plan that every GPU from compute capability 8.0 on may use."""
FORMAT = 1
"""Of keys and sidecars; another number makes every stored plan a miss."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What goes into a plan."""

    format: int = FORMAT
    model_sha256: str
    backend: str
    version: str
    """Exact: TensorRT 8.2.3 refuses plans of 8.2.1."""
    accelerator: Accelerator
    inputs: dict[str, str]
    """Type and shape of each input: shapes are compiled in."""
    options: dict[str, Any]

    @property
    def key(self) -> str:
        """32 hex digits; the name of the plan's files."""
        canonical = msgspec.json.encode(self, order="sorted")
        return hashlib.sha256(canonical).hexdigest()[:32]


def recipe_of(model: Model, backend: Backend, accelerator: Accelerator) -> Recipe:
    """The recipe of `model` on `accelerator`. BackendError when the backend is not usable here."""
    options: dict[str, Any] = msgspec.to_builtins(model.tensorrt) if backend.builds else {}
    for runtime_only in ("graph", "priority", "targets"):
        options.pop(runtime_only, None)
    return Recipe(
        model_sha256=model.sha256,
        backend=backend.name,
        version=backend.version(),
        accelerator=accelerator,
        inputs={name: str(tensor) for name, tensor in model.inputs.items()},
        options=options,
    )


def accelerators_for(backend: Backend, accelerator: Accelerator) -> list[Accelerator]:
    """Whose plans this accelerator can use, the most specific first.

    Plans of tensorrt_rtx hold for a compute capability, or for all; it compiles the last step when they are loaded.
    """
    if backend.name == "tensorrt_rtx":
        return [any_gpu(accelerator.capability), any_gpu(ANY_CAPABILITY)]
    return [accelerator]


def recipes_for(model: Model, backend: Backend, accelerator: Accelerator) -> list[Recipe]:
    """The recipes whose plans this accelerator can use, the most specific first; errors as in `recipe_of`."""
    own = recipe_of(model, backend, accelerator)
    return [msgspec.structs.replace(own, accelerator=one) for one in accelerators_for(backend, accelerator)]
