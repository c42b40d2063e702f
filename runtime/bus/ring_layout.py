"""How a ring lies in its file: a page of words, an index, and the records.

    page      4096 bytes: the 64-bit words below, then names; only the publisher writes them after the file was made
    index     one 64-bit word for each of the last `entries` messages: where its record starts
    data      the records, one after the other; none crosses the end

A place is counted in bytes written since the file was made, so it never repeats; it lies in the data at place modulo
the size of the data. A record is two words and the message (envelope and payload): seal (32 bits) and length (32
bits), then the number of the message. The seal is the CRC-32 of the message, begun with its number. Memory order is
not ours to command in Python: a reader believes a record only when its seal fits what it has copied.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

from cardan.runtime.errors import BusError

MAGIC = 0x3147_4E49_5256_4143  # "CAVRING1"
PAGE = 4096
WORD = 8

MAGIC_AT, DATA_BYTES, ENTRIES, RESERVED, COUNT, SCHEMA, EPOCH, PUBLISHER = range(8)
"""RESERVED: the place up to which the publisher may be writing. COUNT: messages that are complete.
SCHEMA, EPOCH and PUBLISHER (process id) are those of the newest publisher; 0 before the first."""
TOPIC_AT, TOPIC_BYTES = 512, 256

RECORD = struct.Struct("<IIQ")
"""Seal, length of the message, number of the message."""
RECORD_HEAD = RECORD.size
LOW_32 = 0xFFFF_FFFF
SALT = 0x5EA1_1234
"""What the number is mixed with where a seal begins: memory of zeros alone is no message."""
ALIGNMENT = 16

USUAL_DATA_BYTES = 1 << 20
SHORTEST_MEAN = 128
"""The index has an entry for every so many bytes of data; shorter messages fill it before the data."""


def largest_message(data_bytes: int) -> int:
    """Envelope and payload of the longest message that a ring takes: an eighth of it, so that a reader has time."""
    return data_bytes // 8 - RECORD_HEAD


def entries_of(data_bytes: int) -> int:
    """How many messages a ring holds at most."""
    return data_bytes // SHORTEST_MEAN


def file_bytes(data_bytes: int) -> int:
    """Size of the file of a ring."""
    return PAGE + entries_of(data_bytes) * WORD + data_bytes


class RingMap:
    """The file of one ring, mapped. Close it when no reader or writer of it is in use any more."""

    def __init__(self, mapping: mmap.mmap, path: Path) -> None:
        self._mapping = mapping
        self.path = path
        whole = memoryview(mapping)
        words = whole[:PAGE].cast("Q")
        self.data_bytes, self.entries = words[DATA_BYTES], words[ENTRIES]
        sound = words[MAGIC_AT] == MAGIC and _is_size(self.data_bytes) and self.entries == entries_of(self.data_bytes)
        if not sound or len(whole) != file_bytes(self.data_bytes):
            words.release()
            whole.release()
            mapping.close()
            raise BusError(f"{path} is no ring of this release", hint="was it written by another version of cardan?")
        start = PAGE + self.entries * WORD
        self.words = words
        self.index = whole[PAGE:start].cast("Q")
        self.data = whole[start:]
        self.heads = self.data.cast("Q")
        """The data as words: what records begin with."""
        self._whole = whole

    @property
    def topic(self) -> str:
        """The topic of this ring."""
        raw = bytes(self._whole[TOPIC_AT : TOPIC_AT + TOPIC_BYTES])
        return raw.split(b"\0", 1)[0].decode("utf-8", "replace")

    def close(self) -> None:
        for view in (self.words, self.index, self.heads, self.data, self._whole):
            view.release()
        self._mapping.close()


def _is_size(data_bytes: int) -> bool:
    return 4096 <= data_bytes <= 1 << 40 and data_bytes & (data_bytes - 1) == 0


def create_ring(path: Path, topic: str, data_bytes: int = USUAL_DATA_BYTES) -> None:
    """Make the file of an empty ring. data_bytes: a power of two, 4096 at least.

    All of its memory is taken at once: a full /dev/shm is an error here, and never a SIGBUS while the vehicle drives.
    """
    if not _is_size(data_bytes):
        raise BusError(f"a ring of {data_bytes} bytes", hint="write a power of two, 4096 at least")
    size = file_bytes(data_bytes)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)
            with mmap.mmap(descriptor, PAGE) as page:
                page[TOPIC_AT : TOPIC_AT + TOPIC_BYTES] = topic.encode()[: TOPIC_BYTES - 1].ljust(TOPIC_BYTES, b"\0")
                for word, value in ((DATA_BYTES, data_bytes), (ENTRIES, entries_of(data_bytes)), (MAGIC_AT, MAGIC)):
                    page[word * WORD : (word + 1) * WORD] = value.to_bytes(WORD, "little")
        finally:
            os.close(descriptor)
    except OSError as error:
        raise BusError(
            f"cannot make {size} bytes of shared memory for the topic {topic} at {path}: {error.strerror}",
            hint=f"has {path.parent} room, and may you write there? `df -h {path.parent}`",
        ) from error


def open_ring(path: Path, *, writable: bool = False) -> RingMap:
    """Map the file of a ring; BusError when it is gone, not ours to open, or no ring."""
    access = mmap.ACCESS_WRITE if writable else mmap.ACCESS_READ
    try:
        with path.open("r+b" if writable else "rb") as file:
            mapping = mmap.mmap(file.fileno(), 0, access=access)
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
