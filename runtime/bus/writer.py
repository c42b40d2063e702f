"""The publishing end of an output, as a node holds it while it runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np

from cardan.runtime.bus.codec import MessageEncoder
from cardan.runtime.bus.envelope import HEADER_SIZE, pack
from cardan.runtime.bus.slots import SlotPool
from cardan.runtime.clock import Clock
from cardan.runtime.messages import Message
from cardan.runtime.vitals import SeriesVitals

M = TypeVar("M", bound=Message)

Send = Callable[[bytes, bytes, bytes], None]
"""Transport: topic, header, payload."""


class Inherited(NamedTuple):
    """What a message says of itself when its node does not: each is asked for only where it is wanted."""

    valid: Callable[[], bool]
    """True when every latest-value input is."""
    origin_ns: Callable[[], int]
    """The newest origin among all inputs; 0 for a node without any."""


class Writer(Generic[M]):
    """The live end of an Output. `send` never blocks."""

    def __init__(
        self,
        topic: str,
        encoder: MessageEncoder[M],
        clock: Clock,
        send: Send,
        series: SeriesVitals,
        *,
        epoch: int,
        inherited: Inherited,
        pool: SlotPool | None = None,
    ) -> None:
        self.topic = topic
        self.type = encoder.message_type
        self._topic = topic.encode()
        self._encoder = encoder
        self._clock = clock
        self._send = send
        self._series = series
        self._epoch = epoch
        self._inherited = inherited
        self._pool = pool
        self._last: tuple[int, int, bytes] | None = None
        self.seq = 0

    def send(
        self, value: M, *, valid: bool | None = None, origin_ns: int | None = None, sent_ns: int | None = None
    ) -> None:
        """Publish `value`.

        valid: None = all latest-value inputs are fresh and valid. origin_ns: None = the newest origin among the
        inputs that arrived, or now for a node without inputs. sent_ns: None = now; earlier for what another computer
        has sent.
        """
        if valid is None:
            valid = self._inherited.valid()
        if origin_ns is None:
            origin_ns = self._inherited.origin_ns()
        payload = self._encoder.encode(value)
        now_ns = self._clock.now_ns()
        stamp_ns = sent_ns or now_ns
        header = pack(self.seq, stamp_ns, origin_ns or stamp_ns, self._encoder.schema, self._epoch, valid=valid)
        self._send(self._topic, header, payload)
        self._last = (stamp_ns, origin_ns or stamp_ns, payload)
        self.seq += 1
        cells = self._series.words.cells
        cells[SeriesVitals.LAST_NS] = now_ns
        cells[SeriesVitals.BYTES] += HEADER_SIZE + len(payload)
        self._series.observe(now_ns - (origin_ns or now_ns))

    def withdraw(self) -> None:
        """Say the last message once more, as not valid: it does not hold any longer, and nothing newer is known.

        It keeps its sequence number, so nobody takes it for another message, and no queue gets it twice.
        """
        if self._last is None:
            return
        sent_ns, origin_ns, payload = self._last
        header = pack(self.seq - 1, sent_ns, origin_ns, self._encoder.schema, self._epoch, valid=False)
        self._send(self._topic, header, payload)

    def slot(
        self, shape: tuple[int, ...], dtype: type[np.generic] | np.dtype[Any]
    ) -> AbstractContextManager[np.ndarray]:
        """An array in shared memory to fill in place; put it into the message that is sent after the block."""
        if self._pool is None:
            return nullcontext(np.empty(shape, dtype))
        return _Filling(self._pool, shape, np.dtype(dtype))

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()


class _Filling:
    """A slot from the moment it is taken until it is filled."""

    def __init__(self, pool: SlotPool, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._pool = pool
        self._array = pool.take(shape, dtype)

    def __enter__(self) -> np.ndarray:
        return self._array

    def __exit__(self, *_: object) -> None:
        self._pool.seal(self._array)
