"""Which class is next: the higher one, but none waits for ever behind it."""

from __future__ import annotations

from collections.abc import Iterable

from cardan.runtime.clock import NS_PER_S
from cardan.runtime.outbox.segment import RecordClass

PATIENCE_NS = {
    RecordClass.CRITICAL: 0,
    RecordClass.EVENT: 60 * NS_PER_S,
    RecordClass.TREND: 300 * NS_PER_S,
    RecordClass.BULK: 1800 * NS_PER_S,
}
"""After so long without a turn a class has one before the higher ones."""


class Turns:
    """Strict order with aging: a class that waited too long is first, once."""

    def __init__(self, now_ns: int) -> None:
        self._since_ns = dict.fromkeys(RecordClass, now_ns)

    def order(self, allowed: Iterable[RecordClass], now_ns: int) -> list[RecordClass]:
        """The classes to try, one after the other; `allowed` are those that may leave at all."""
        classes = sorted(allowed)
        aged = [kind for kind in classes if now_ns - self._since_ns[kind] > PATIENCE_NS[kind] > 0]
        return aged + [kind for kind in classes if kind not in aged]

    def took(self, order: list[RecordClass], taken: RecordClass | None, now_ns: int) -> None:
        """`taken` had its turn; what stood before it in `order` had nothing to send. None: nobody had anything."""
        served = order if taken is None else order[: order.index(taken) + 1]
        self._since_ns.update(dict.fromkeys(served, now_ns))
