"""Session: a loaded network with its input and output arrays bound once, so that a run allocates nothing."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Session(Protocol):
    """A network that is ready to run. Belongs to one thread."""

    inputs: dict[str, NDArray[Any]]
    """Bound input arrays by tensor name: fill them in place before `run`."""
    outputs: dict[str, NDArray[Any]]
    """Bound output arrays by tensor name: valid until the next `run`."""
    metadata: dict[str, str]
    """What the model file says about itself."""

    def run(self) -> None:
        """Run the network once on the bound inputs. Blocks; DeviceError when the backend fails."""

    def close(self) -> None:
        """Release the network."""


def describe(array: np.ndarray) -> str:
    """dtype and shape of a tensor, as in `uint8 (1, 96, 192, 3)`."""
    return f"{array.dtype} {array.shape}"
