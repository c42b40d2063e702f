"""The recent past in memory: closed chunks, the newest of them, bounded by time and by bytes."""

from __future__ import annotations

from collections import deque

from cardan.runtime.record.mcap_chunk import Chunk


class PreRoll:
    """Keeps chunks for `span_ns`, as long as they are no more than `limit_bytes` together."""

    def __init__(self, span_ns: int, limit_bytes: int) -> None:
        self._span_ns = span_ns
        self._limit_bytes = limit_bytes
        self._chunks: deque[Chunk] = deque()
        self.bytes = 0
        self.shortened = 0
        """Chunks that were given up before their time, since there was no room."""

    def add(self, chunk: Chunk) -> None:
        """Keep one more chunk, and let go of what is too old or too much."""
        if not self._span_ns:
            return
        self._chunks.append(chunk)
        self.bytes += chunk.size
        while self._chunks and self._chunks[0].publish_ns[1] < chunk.publish_ns[1] - self._span_ns:
            self._drop()
        while self.bytes > self._limit_bytes:
            self._drop()
            self.shortened += 1

    def since(self, from_ns: int) -> list[Chunk]:
        """The chunks with messages of that moment or later, oldest first."""
        return [chunk for chunk in self._chunks if chunk.publish_ns[1] >= from_ns]

    def _drop(self) -> None:
        self.bytes -= self._chunks.popleft().size

    def __len__(self) -> int:
        return len(self._chunks)
