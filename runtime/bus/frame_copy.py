"""A frame is copied into its slot: past the caches of the processor where that is compiled (`csrc/copy.c`)."""

from __future__ import annotations

import numpy as np

from cardan.runtime.bus.native import compiled

STREAM_FROM = 1 << 18
"""Bytes from which on a frame goes past the caches: copy and first reading together are quicker from 128 KiB on."""


def copy_frame(target: np.ndarray, source: np.ndarray) -> None:
    """`target[...] = source`, for two arrays of one shape and type; `target` is contiguous."""
    if compiled is None or source.nbytes < STREAM_FROM or not source.flags.c_contiguous:
        target[...] = source
    else:
        compiled.copy(_bytes_of(target), _bytes_of(source))


def _bytes_of(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1).view(np.uint8)
