"""Nodes of the guest's vehicle."""

from __future__ import annotations

from cardan.runtime.node import Node

MIB = 1024 * 1024


class Hog(Node):
    """Takes 4 MiB more with each step."""

    rate_hz = 10.0

    def open(self) -> None:
        self.taken: list[bytearray] = []

    def step(self) -> None:
        block = bytearray(4 * MIB)
        block[::4096] = b"x" * len(block[::4096])  # touch every page
        self.taken.append(block)


class Idle(Node):
    """Does nothing, at its rate."""

    rate_hz = 10.0

    def step(self) -> None:
        return
