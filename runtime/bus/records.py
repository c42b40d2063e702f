"""The records of a ring: one message is added, or copied out and believed. This is what each message costs.

`Records` is compiled where that could be done when cardan was installed (`csrc/records.c`). Else it is the class below,
which does the same in Python, and which says what is meant: the model of the ring is tested with it.
"""

from __future__ import annotations

from zlib_ng.zlib_ng import crc32

from cardan.runtime.bus.bells import PythonBell
from cardan.runtime.bus.native import compiled
from cardan.runtime.bus.ring_layout import (
    ALIGNMENT,
    COUNT,
    LOW_32,
    PAGE,
    RECORD,
    RECORD_HEAD,
    RESERVED,
    SALT,
    WORD,
    largest_message,
)


class PythonRecords:
    """The records in `whole`, the memory of a ring. Stateless: all there is to know stands in that memory."""

    def __init__(self, whole: memoryview, data_bytes: int, entries: int) -> None:
        start = PAGE + entries * WORD
        self.words = whole[:PAGE].cast("Q")
        self.index = whole[PAGE:start].cast("Q")
        self.data = whole[start:]
        self.heads = self.data.cast("Q")
        """The data as words: what records begin with."""
        self._data_bytes = data_bytes
        self._entries = entries
        self._largest = largest_message(data_bytes)

    @property
    def count(self) -> int:
        """Messages that were ever completed in this ring."""
        return self.words[COUNT]

    def append(self, envelope: bytes, payload: bytes, bells: tuple[PythonBell, ...] = ()) -> bool:
        """Add one message, and ring the bells; False when it is longer than the ring takes.

        For the one publisher alone. The first bell may be rung before the message is there.
        """
        message = envelope + payload
        length = len(message)
        if length > self._largest:
            return False
        announced = bells[0].announce() if bells else 0
        count = self.words[COUNT]
        size, place = RECORD_HEAD + length, -(-self.words[RESERVED] // ALIGNMENT) * ALIGNMENT
        offset = place & (self._data_bytes - 1)
        if offset + size > self._data_bytes:
            place += self._data_bytes - offset
            offset = 0
        head = RECORD.pack(crc32(message, (count ^ SALT) & LOW_32), length, count)
        self.words[RESERVED] = (place + size + ALIGNMENT - 1) & -ALIGNMENT
        self.index[count % self._entries] = place
        self.data[offset : offset + size] = head + message
        self.words[COUNT] = count + 1
        for bell in bells:
            bell.ring(announced)
            announced = 0
        return True

    def read(self, number: int) -> bytes | None:
        """A copy of message `number`; None when it is overwritten, not complete, or damaged."""
        place = self.index[number % self._entries]
        offset = place & (self._data_bytes - ALIGNMENT)
        head, found = self.heads[offset // WORD], self.heads[offset // WORD + 1]
        start, length = offset + RECORD_HEAD, head >> 32
        if found != number or length > self._largest or start + length > self._data_bytes:
            return None
        message = self.data[start : start + length].tobytes()
        if crc32(message, (number ^ SALT) & LOW_32) != head & LOW_32:
            return None
        return message if self.words[RESERVED] <= place + self._data_bytes else None

    def read_newest(self, number: int) -> bytes | None:
        """A copy of message `number` when it is the newest, else None; as `read`."""
        return self.read(number) if self.words[COUNT] == number + 1 else None

    def read_run(self, first: int, end: int) -> list[bytes]:
        """The messages from `first` to before `end`, up to the first that `read` does not give."""
        messages: list[bytes] = []
        for number in range(first, end):
            message = self.read(number)
            if message is None:
                break
            messages.append(message)
        return messages

    def release(self) -> None:
        """Let go of the memory; nothing else may be called afterwards."""
        for view in (self.words, self.index, self.heads, self.data):
            view.release()


Records: type[PythonRecords] = PythonRecords if compiled is None else compiled.Records
