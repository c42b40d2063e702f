"""One frame, several networks that want it in the same form: it is read once, and the others get copies.

Networks beside each other on one camera (lanes, objects, signs) mostly take the same part of the picture in the same
size. To make that from the frame costs far more than to copy what was made: a copy is a twentieth of it.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

import numpy as np

from cardan.engines.backends.backend import Arrays
from cardan.engines.loaded import Loaded
from cardan.runtime.messages import Message
from cardan.runtime.node import Reader

MessageId = tuple[str, int, int]
"""As readers tell it: topic, start of the publisher, sequence number."""


class _Filled(NamedTuple):
    """Inputs that hold a frame, until their engine is given the next one: that is noted under the same key."""

    message: MessageId
    frame_id: int
    loaded: Loaded
    reader: Reader[Message]


class SharedInputs:
    """What the networks of one host hold of their frames. Belongs to the host's thread."""

    def __init__(self) -> None:
        self._filled: dict[Hashable, _Filled] = {}

    def copy_or_none(self, loaded: Loaded, reader: Reader[Message]) -> tuple[int, bool] | None:
        """Fill the inputs from those of a network that has read the same message in the same form.

        Number of the frame, and whether it is valid now, as the reader says that has decoded it. None when there is no
        such network: `fill` them, and `note` it.
        """
        message = reader.newest_id
        held = self._filled.get(_key(loaded, message))
        if held is None or held.message != message or held.reader.newest_id != message:
            return None
        theirs, ours = held.loaded.session.inputs, loaded.session.inputs
        if theirs is not ours:
            if not _are_alike(theirs, ours):
                return None
            for name, array in ours.items():
                np.copyto(array, theirs[name])
        return held.frame_id, held.reader.valid

    def note(self, loaded: Loaded, reader: Reader[Message], frame_id: int, *, whole: bool) -> None:
        """The newest message was read into the inputs of this network. whole: it was there until the end."""
        message = reader.newest_id
        key = _key(loaded, message)
        if key is None or message is None:
            return
        if whole:
            self._filled[key] = _Filled(message, frame_id, loaded, reader)
        else:
            self._filled.pop(key, None)


def _key(loaded: Loaded, message: MessageId | None) -> Hashable:
    """Equal for networks that take the same frames in the same form; None for one that says nothing about that."""
    engine = loaded.engine
    if engine.form is None or message is None:
        return None
    return type(engine).fill, engine.form, engine.max_age_s, message[0]


def _are_alike(theirs: Arrays, ours: Arrays) -> bool:
    for name, array in ours.items():
        other = theirs.get(name)
        if other is None or other.shape != array.shape or other.dtype != array.dtype:
            return False
    return True
