"""What a stream of sequence numbers says about losses, from the first message that is seen on."""

from __future__ import annotations


class Gaps:
    """One topic of another run, joined at any moment."""

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._seq = 0
        self.lost = 0
        self.restarts = 0
        """How often its publisher was replaced by a new one."""

    def take(self, epoch: int, seq: int) -> int | None:
        """How many messages are missing before this one; None when it is no news (said again, or out of order)."""
        if epoch == self._epoch and seq <= self._seq:
            return None
        if self._epoch is None:
            missing = 0
        elif epoch == self._epoch:
            missing = seq - self._seq - 1
        else:
            missing = seq  # a new publisher begins at 0
            self.restarts += 1
        self._epoch, self._seq = epoch, seq
        self.lost += missing
        return missing

    def forget(self) -> None:
        """The other run is another one: its numbers begin anew, and nobody knows what it has sent before."""
        self._epoch = None
