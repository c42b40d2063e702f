"""The file of a ring: made once by the supervisor, then mapped by whoever writes or reads it."""

from __future__ import annotations

import mmap
from pathlib import Path

from cardan.runtime.bus.records import Records
from cardan.runtime.bus.ring_layout import (
    DATA_BYTES,
    ENTRIES,
    MAGIC,
    MAGIC_AT,
    PAGE,
    TOPIC_AT,
    TOPIC_BYTES,
    USUAL_DATA_BYTES,
    WORD,
    entries_of,
    file_bytes,
    is_size,
)
from cardan.runtime.bus.shared_file import new_shared_file
from cardan.runtime.errors import BusError


class RingMap:
    """The file of one ring, mapped. Close it when no reader or writer of it is in use any more."""

    def __init__(self, mapping: mmap.mmap, path: Path) -> None:
        self._mapping = mapping
        self.path = path
        whole = memoryview(mapping)
        words = whole[:PAGE].cast("Q")
        self.data_bytes, self.entries = words[DATA_BYTES], words[ENTRIES]
        sound = words[MAGIC_AT] == MAGIC and is_size(self.data_bytes) and self.entries == entries_of(self.data_bytes)
        if not sound or len(whole) != file_bytes(self.data_bytes):
            words.release()
            whole.release()
            mapping.close()
            raise BusError(f"{path} is no ring of this release", hint="was it written by another version of cardan?")
        start = PAGE + self.entries * WORD
        self.words = words
        self.index = whole[PAGE:start].cast("Q")
        self.data = whole[start:]
        self.records = Records(whole, self.data_bytes, self.entries)
        self._whole = whole

    @property
    def topic(self) -> str:
        """The topic of this ring."""
        raw = bytes(self._whole[TOPIC_AT : TOPIC_AT + TOPIC_BYTES])
        return raw.split(b"\0", 1)[0].decode("utf-8", "replace")

    def close(self) -> None:
        self.records.release()
        for view in (self.words, self.index, self.data, self._whole):
            view.release()
        self._mapping.close()


def create_ring(path: Path, topic: str, data_bytes: int = USUAL_DATA_BYTES) -> None:
    """Make the file of an empty ring. data_bytes: a power of two, 4096 at least."""
    if not is_size(data_bytes):
        raise BusError(f"a ring of {data_bytes} bytes", hint="write a power of two, 4096 at least")
    size = file_bytes(data_bytes)
    with new_shared_file(path, size, f"the topic {topic}") as descriptor, mmap.mmap(descriptor, PAGE) as page:
        page[TOPIC_AT : TOPIC_AT + TOPIC_BYTES] = topic.encode()[: TOPIC_BYTES - 1].ljust(TOPIC_BYTES, b"\0")
        for word, value in ((DATA_BYTES, data_bytes), (ENTRIES, entries_of(data_bytes)), (MAGIC_AT, MAGIC)):
            page[word * WORD : (word + 1) * WORD] = value.to_bytes(WORD, "little")


def open_ring(path: Path, *, writable: bool = False) -> RingMap:
    """Map the file of a ring; BusError when it is gone, not ours to open, or no ring.

    Its publisher has all of its pages at once: else each message of the first time round would wait for one.
    """
    try:
        with path.open("r+b" if writable else "rb") as file:
            if writable:
                mapping = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE)
            else:
                mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is empty"
        raise BusError(
            f"cannot open the ring {path}: {reason}",
            hint="is the run active, and has nobody swept its shared memory (RemoveIPC= of logind.conf)?",
        ) from error
    if len(mapping) < PAGE:
        mapping.close()
        raise BusError(f"{path} is no ring: it has {PAGE} bytes at least", hint="was its file cut?")
    return RingMap(mapping, path)
