"""What a tensor of a network is: its type and shape, and what its numbers mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

if TYPE_CHECKING:  # models are also read where nothing is computed: numpy takes longer to import than all of that
    import numpy as np
    from numpy.typing import NDArray

Size = Annotated[int, msgspec.Meta(ge=1)]


class Tensor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One `[inputs.NAME]` or `[outputs.NAME]` table of a model. Shapes are fixed: open ones are built in the field."""

    dtype: Literal["uint8", "int8", "int32", "int64", "float16", "float32", "bool"]
    shape: tuple[Size, ...]
    layout: str = ""
    """One letter for each dimension, such as NHWC; empty where the order is nobody's convention."""
    units: str = ""
    """Of the numbers as they leave or enter the network: m, rad, 1 (a probability), grey level."""
    minimum: float | None = None
    maximum: float | None = None
    """Beyond these an output is no data. None: any finite number."""

    def __post_init__(self) -> None:
        if self.layout and len(self.layout) != len(self.shape):
            raise ValueError(f'layout "{self.layout}" has {len(self.layout)} letters for {len(self.shape)} dimensions')
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum:g} is above maximum {self.maximum:g}")

    @property
    def bytes(self) -> int:
        """Size of one buffer."""
        import numpy as np

        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize

    def empty(self) -> NDArray[Any]:
        """A new buffer of this type and shape, filled with zeros."""
        import numpy as np

        return np.zeros(self.shape, self.dtype)

    def fits(self, array: np.ndarray) -> bool:
        """True when `array` can be the buffer of this tensor: same type and shape, one block of memory."""
        return array.dtype == self.dtype and array.shape == self.shape and array.flags.c_contiguous

    def __str__(self) -> str:
        return f"{self.dtype} {self.shape}"


def describe(array: np.ndarray) -> str:
    """dtype and shape of an array, as in `uint8 (1, 96, 192, 3)`."""
    return f"{array.dtype} {array.shape}"
