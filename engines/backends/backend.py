"""Backend and Session: the seam behind which every inference library lies.

    backend.load(model, content) -> session        once: memory is taken, buffers are bound, nothing has run
    session.inputs["image"][...] = picture         fill in place
    session.run()                                   or start(), and finish() when the answer is needed
    session.outputs["left_y"]                       valid until the next start
    session.close()                                 gives everything back

One thread at a time: a session may be loaded on one and run on another, never by two at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from cardan.engines.model import Model
from cardan.runtime.errors import DeviceError

Arrays = Mapping[str, NDArray[Any]]
"""Arrays by tensor name."""


class BackendError(DeviceError):
    """A network could not be loaded or run; the same backend may go on with the next."""


class StickyError(BackendError):
    """The accelerator is lost to this process, further calls would fail or hang: close nothing, end the process."""


class Session(Protocol):
    """A network that is ready to run, its input and output buffers bound once."""

    @property
    def inputs(self) -> Arrays:
        """Bound input buffers: fill them in place before `run`."""

    @property
    def outputs(self) -> Arrays:
        """Bound output buffers: filled by `finish`, valid until the next `start`."""

    def bind(self, name: str, array: NDArray[Any]) -> None:
        """Read the input `name` from `array` from now on: no copy, where the accelerator can reach that memory.

        BackendError when type, shape or layout differ. The array must stay alive; `inputs` shows it.
        """

    def start(self) -> None:
        """Hand a run to the accelerator without waiting for it; where there is none, `finish` does the work.

        A run may be started while one of another session is under way; the device takes them in order.
        """

    def finish(self) -> None:
        """Wait until the outputs of the run that was started are there. BackendError, StickyError when it failed."""

    def run(self) -> None:
        """`start` and `finish`."""

    def close(self) -> None:
        """Release the network; calling it again does nothing."""


class Backend(Protocol):
    """One inference library."""

    name: str
    """As models name it."""
    builds: bool
    """True when `load` takes a plan that was built for this computer, False when it takes the ONNX file itself."""

    def version(self) -> str:
        """Exact version of the library. BackendError when it cannot be used here: what is missing, what to install."""

    def load(self, model: Model, content: bytes) -> Session:
        """Make a session. content: the plan, or the ONNX file, whose hash the caller has checked.

        BackendError when the network cannot be used, or its tensors are not those that the model names.
        """


def require_tensors(model: Model, inputs: Arrays, outputs: Arrays) -> None:
    """BackendError unless a loaded network has exactly the tensors that its model names."""
    for kind, declared, found in (("input", model.inputs, inputs), ("output", model.outputs, outputs)):
        for name in sorted(declared.keys() | found.keys()):
            wanted, has = declared.get(name), found.get(name)
            if wanted is None or has is None or not wanted.fits(has):
                raise BackendError(
                    f'model "{model.name}": {kind} "{name}" is {_shown(has)} in the network, '
                    f"the model says {wanted or 'nothing of it'}",
                    hint="correct the tensors in the model's file, or import the network again: cardan engine import",
                )


def require_fit(model: Model, name: str, array: NDArray[Any]) -> None:
    """BackendError unless `array` can be bound to the input `name`."""
    wanted = model.inputs.get(name)
    if wanted is None or not wanted.fits(array):
        raise BackendError(
            f'model "{model.name}": {_shown(array)} cannot be bound to input "{name}"',
            hint=f"expected one block of memory, {wanted}" if wanted else f"inputs are {', '.join(model.inputs)}",
        )


def _shown(array: NDArray[Any] | None) -> str:
    return "absent" if array is None else f"{array.dtype} {array.shape}"
