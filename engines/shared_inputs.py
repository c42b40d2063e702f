"""One frame, several networks that want it in the same form: it is read once, and the others get copies.

Networks beside each other on one camera (lanes, objects, signs) mostly take the same part of the picture in the same
size. To make that from the frame costs far more than to copy what was made: a copy is a twentieth of it.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from cardan.engines.loaded import Loaded
from cardan.runtime.messages import Message
from cardan.runtime.node import Reader


@dataclass(frozen=True)
class _Filled:
    """Inputs that hold a frame, until their engine is given the next one: that is noted under the same key."""

    message: tuple[str, int, int]
    frame_id: int
    loaded: Loaded


class SharedInputs:
    """What the networks of one host hold of their frames. Belongs to the host's thread."""

    def __init__(self) -> None:
        self._filled: dict[Hashable, _Filled] = {}

    def copy_or_none(self, loaded: Loaded, reader: Reader[Message]) -> int | None:
        """Fill the inputs from those of a network that has read the same message in the same form: number of the frame.

        None when there is none: `fill` them, and `note` it.
        """
        key = _key_or_none(loaded, reader)
        held = None if key is None else self._filled.get(key)
        if held is None or held.message != reader.newest_id:
            return None
        theirs, ours = held.loaded.session.inputs, loaded.session.inputs
        if any(name not in theirs or not _is_alike(theirs[name], array) for name, array in ours.items()):
            return None
        for name, array in ours.items():
            if theirs[name] is not array:
                np.copyto(array, theirs[name])
        return held.frame_id

    def note(self, loaded: Loaded, reader: Reader[Message], frame_id: int, *, whole: bool) -> None:
        """The newest message was read into the inputs of this network. whole: it was there until the end."""
        key, message = _key_or_none(loaded, reader), reader.newest_id
        if key is None or message is None:
            return
        if whole:
            self._filled[key] = _Filled(message, frame_id, loaded)
        else:
            self._filled.pop(key, None)


def _key_or_none(loaded: Loaded, reader: Reader[Message]) -> Hashable:
    """Equal for networks that are filled alike from one topic; None for one that says nothing about that."""
    form, message = loaded.engine.form, reader.newest_id
    return None if form is None or message is None else (type(loaded.engine).fill, form, message[0])


def _is_alike(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype
