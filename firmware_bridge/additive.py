"""Toyota's additive checksum: the last byte is the sum of identifier, length and all other bytes, modulo 256."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AdditiveChecksum:
    """Checksum of the message with identifier `frame_id`; it has no counter of its own."""

    frame_id: int
    modulus = 0
    minimum_length = 1

    def protect(self, data: bytearray, counter: int) -> None:
        """Write the checksum into the last byte; `counter` is not used."""
        data[-1] = self._sum(data)

    def matches(self, data: bytes) -> bool:
        """True when the last byte is the checksum of the others."""
        return data[-1] == self._sum(data)

    def counter(self, data: bytes) -> int:
        """Always 0."""
        return 0

    def _sum(self, data: bytes | bytearray) -> int:
        return (sum(self.frame_id.to_bytes(4, "big")) + len(data) + sum(data[:-1])) & 0xFF
