"""Ports: what a node declares (Input, Output, Metric) and what it holds while it runs (Reader, Writer, Meter).

Declarations are class attributes; on a running node the same names are the live ends. A reader keeps the newest
message undecoded until somebody looks, so messages that are overtaken cost no decoding. Every message that does
not reach the node is counted where that is seen: lost (missing sequence), overtaken (a newer one came first),
dropped (a full queue).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import numpy as np

from cardan.runtime.bus.codec import MessageDecoder, MessageEncoder
from cardan.runtime.bus.envelope import HEADER_SIZE, Header, Sample, pack
from cardan.runtime.bus.slots import SlotPool
from cardan.runtime.clock import Clock, ns
from cardan.runtime.errors import BusError, NodeError
from cardan.runtime.messages import Message
from cardan.runtime.vitals import MICRO, SeriesVitals

if TYPE_CHECKING:
    from cardan.runtime.node.node import Node

M = TypeVar("M", bound=Message)

Send = Callable[[bytes, bytes, bytes], None]
"""Transport: topic, header, payload."""


class Input(Generic[M]):
    """Declares that a node reads a topic.

    max_age_s: older than this the value is not `fresh`; None = never stale. queue: 0 keeps the newest value only,
    else up to `queue` messages wait for `take()` and the oldest is dropped (and counted) when it is full.
    optional: may stay unwired. many: any number of topics (with AnyMessage, of any type).
    """

    def __init__(
        self,
        message_type: type[M],
        *,
        max_age_s: float | None = None,
        queue: int = 0,
        optional: bool = False,
        many: bool = False,
    ) -> None:
        self.type = message_type
        self.max_age_s = max_age_s
        self.queue = queue
        self.optional = optional
        self.many = many
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, node: None, owner: type) -> Input[M]: ...
    @overload
    def __get__(self, node: Node, owner: type) -> Reader[M]: ...
    def __get__(self, node: Node | None, owner: type) -> Input[M] | Reader[M]:
        if node is None:
            return self
        raise _unbound(owner, self.name)


class Output(Generic[M]):
    """Declares that a node publishes a topic `node/output`."""

    def __init__(self, message_type: type[M]) -> None:
        self.type = message_type
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, node: None, owner: type) -> Output[M]: ...
    @overload
    def __get__(self, node: Node, owner: type) -> Writer[M]: ...
    def __get__(self, node: Node | None, owner: type) -> Output[M] | Writer[M]:
        if node is None:
            return self
        raise _unbound(owner, self.name)


class Metric:
    """Declares a measured quantity that the node keeps in the vitals: count, sum, maximum and a histogram."""

    def __init__(self, unit: str) -> None:
        self.unit = unit
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, node: None, owner: type) -> Metric: ...
    @overload
    def __get__(self, node: Node, owner: type) -> Meter: ...
    def __get__(self, node: Node | None, owner: type) -> Metric | Meter:
        if node is None:
            return self
        raise _unbound(owner, self.name)


def _unbound(owner: type, name: str) -> NodeError:
    return NodeError(
        f"{owner.__name__}.{name} was used before the node was started",
        hint="use ports in open, step and close, not in __init__; test a node with cardan.runtime.testing.Bench",
    )


class Meter:
    """The live end of a Metric."""

    def __init__(self, series: SeriesVitals) -> None:
        self._series = series

    def observe(self, value: float) -> None:
        """Record one value in the metric's unit; its magnitude goes to the histogram."""
        self._series.observe(abs(round(value * MICRO)))


class Reader(Generic[M]):
    """The live end of an Input. Not thread-safe: it belongs to the node's only thread."""

    def __init__(
        self, spec: Input[M], clock: Clock, topics: dict[str, tuple[MessageDecoder[Any], SeriesVitals]]
    ) -> None:
        self._spec = spec
        self._clock = clock
        self._topics = topics
        self._max_age_ns = None if spec.max_age_s is None else ns(spec.max_age_s)
        self._newest: tuple[str, Header, bytes] | None = None
        self._decoded: M | None = None
        self._queue: deque[tuple[str, Header, bytes]] = deque()
        self._limit = spec.queue or 1
        self.new = False
        """True when a message has arrived since the last step."""
        self.restarted = False
        """True when a publisher of this input was replaced by a new one since the last step."""
        self._only = next(iter(topics.values()))[1] if len(topics) == 1 else None

    @property
    def wired(self) -> bool:
        """False for an optional input that the manifest leaves open."""
        return bool(self._topics)

    def deliver(self, topic: str, header: Header, payload: bytes) -> None:
        """Called by the transport with each message of a topic of this input, in order."""
        decoder, series = self._topics[topic]
        if header.schema != decoder.schema:
            raise BusError(
                f"{topic} carries another message type than {self._spec.name} reads",
                hint="do publisher and reader run the same code? `cardan check`",
            )
        self._count(series, header)
        if self._spec.queue:
            if len(self._queue) >= self._limit:
                self._queue.popleft()
                series.words[SeriesVitals.DROPPED] += 1
            self._queue.append((topic, header, payload))
        elif self.new:
            series.words[SeriesVitals.OVERTAKEN] += 1
        self._newest = (topic, header, payload)
        self._decoded = None
        self.new = True

    def _count(self, series: SeriesVitals, header: Header) -> None:
        words = series.words
        epoch = words[SeriesVitals.LAST_EPOCH]
        expected = words[SeriesVitals.LAST_SEQ] + 1 if epoch == header.epoch else 0
        if epoch not in (0, header.epoch):
            words[SeriesVitals.RESTARTS] += 1
            self.restarted = True
        words[SeriesVitals.LOST] += max(0, header.seq - expected)
        words[SeriesVitals.LAST_EPOCH], words[SeriesVitals.LAST_SEQ] = header.epoch, header.seq
        now_ns = self._clock.now_ns()
        words[SeriesVitals.LAST_NS] = now_ns
        series.observe(now_ns - header.sent_ns)

    @property
    def value(self) -> M:
        """The newest message; NodeError while nothing has arrived (ask `fresh` first)."""
        value = self.value_or_none
        if value is None:
            raise NodeError(f"{self._spec.name} has no value yet", hint=f"ask `self.{self._spec.name}.fresh` first")
        return value

    @property
    def value_or_none(self) -> M | None:
        """The newest message, or None while nothing has arrived."""
        if self._decoded is None and self._newest is not None:
            topic, _, payload = self._newest
            self._decoded = self._topics[topic][0].decode(payload)
        return self._decoded

    @property
    def intact(self) -> bool:
        """False when the publisher has reused the shared memory of the value's arrays: discard what you read."""
        return self._newest is None or self._topics[self._newest[0]][0].intact

    @property
    def age_s(self) -> float:
        """Seconds since the newest message was sent; infinite while there is none."""
        if self._newest is None:
            return float("inf")
        return (self._clock.now_ns() - self._newest[1].sent_ns) / 1e9

    @property
    def fresh(self) -> bool:
        """True when there is a value and it is no older than `max_age_s`."""
        if self._newest is None:
            return False
        return self._max_age_ns is None or self._clock.now_ns() - self._newest[1].sent_ns <= self._max_age_ns

    @property
    def valid(self) -> bool:
        """True when the value is fresh and its sender called it valid."""
        return self.fresh and self._newest is not None and self._newest[1].valid

    @property
    def seq(self) -> int:
        """Sequence number of the newest message; -1 while there is none."""
        return -1 if self._newest is None else self._newest[1].seq

    @property
    def sent_ns(self) -> int:
        """When the newest message was sent; 0 while there is none."""
        return 0 if self._newest is None else self._newest[1].sent_ns

    @property
    def origin_ns(self) -> int:
        """Capture time of the newest message's origin; 0 while there is none."""
        return 0 if self._newest is None else self._newest[1].origin_ns

    @property
    def received(self) -> int:
        """Messages received in this run, over all topics of this input."""
        return sum(series.words[SeriesVitals.COUNT] for _, series in self._topics.values())

    @property
    def lost(self) -> int:
        """Messages that were published but never arrived."""
        return sum(series.words[SeriesVitals.LOST] for _, series in self._topics.values())

    @property
    def restarts(self) -> int:
        """How often a publisher of this input was replaced by a new one in this run, as seen from here."""
        return sum(series.words[SeriesVitals.RESTARTS] for _, series in self._topics.values())

    @property
    def is_queue(self) -> bool:
        """True when messages wait for `take()`."""
        return self._spec.queue > 0

    def take(self) -> list[Sample[M]]:
        """Every waiting message in order of arrival (queue inputs); empties the queue.

        A message that cannot be read any more (its publisher's shared memory is gone, or was reused) is left out and
        counted as dropped.
        """
        taken = []
        while self._queue:
            topic, header, payload = self._queue.popleft()
            decoder, series = self._topics[topic]
            try:
                value = decoder.decode(payload)
                if not decoder.intact:
                    raise BusError(f"a frame of {topic} was overwritten before it was read")
            except BusError:
                series.words[SeriesVitals.DROPPED] += 1
                continue
            taken.append(Sample(value, topic, header.seq, header.epoch, header.sent_ns, header.origin_ns, header.valid))
        return taken

    def step_begins(self, now_ns: int) -> None:
        """Called by the loop before each step: keeps the worst age of an input that reads one topic."""
        if self._only is None or self._newest is None:
            return
        age_ns = now_ns - self._newest[1].sent_ns
        if age_ns > self._only.words[SeriesVitals.WORST_AGE_NS]:
            self._only.words[SeriesVitals.WORST_AGE_NS] = age_ns

    def step_done(self) -> None:
        """Called by the loop after each step."""
        self.new = False
        self.restarted = False


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
        inherit: Callable[[], tuple[bool, int]],
        pool: SlotPool | None = None,
    ) -> None:
        self.topic = topic
        self._topic = topic.encode()
        self._encoder = encoder
        self._clock = clock
        self._send = send
        self._series = series
        self._epoch = epoch
        self._inherit = inherit
        self._pool = pool
        self.seq = 0

    def send(self, value: M, *, valid: bool | None = None, origin_ns: int | None = None) -> None:
        """Publish `value`.

        valid: None = all latest-value inputs are fresh and valid. origin_ns: None = the newest origin among the
        inputs that arrived, or now for a node without inputs.
        """
        if valid is None or origin_ns is None:
            inherited_valid, inherited_origin_ns = self._inherit()
            valid = inherited_valid if valid is None else valid
            origin_ns = inherited_origin_ns if origin_ns is None else origin_ns
        payload = self._encoder.encode(value)
        now_ns = self._clock.now_ns()
        header = pack(self.seq, now_ns, origin_ns or now_ns, self._encoder.schema, self._epoch, valid=valid)
        self._send(self._topic, header, payload)
        self.seq += 1
        self._series.words[SeriesVitals.LAST_NS] = now_ns
        self._series.words[SeriesVitals.BYTES] += HEADER_SIZE + len(payload)
        self._series.observe(now_ns - (origin_ns or now_ns))

    @contextmanager
    def slot(self, shape: tuple[int, ...], dtype: type[np.generic] | np.dtype[Any]) -> Iterator[np.ndarray]:
        """An array in shared memory to fill in place; put it into the message that is sent after the block."""
        if self._pool is None:
            yield np.empty(shape, dtype)
            return
        array = self._pool.take(shape, np.dtype(dtype))
        try:
            yield array
        finally:
            self._pool.seal(array)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
