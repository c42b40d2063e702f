"""The reading end of an input, as a node holds it while it runs.

A reader keeps the newest message undecoded until somebody looks, so messages that are overtaken cost no decoding. Every
message that does not reach the node is counted where that is seen: lost (it never came), overtaken (a newer one came
first), dropped (a full queue, or shared memory that was reused). Those that came but were older than the input allows
are late.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Generic, TypeVar

from cardan.runtime.bus.codec import MessageDecoder
from cardan.runtime.bus.ends import AGAIN, Passed, other_type
from cardan.runtime.bus.envelope import Header, Sample, sample_of
from cardan.runtime.bus.ports import Input
from cardan.runtime.bus.rate import RateMeter
from cardan.runtime.clock import Clock, ns
from cardan.runtime.errors import BusError, NodeError
from cardan.runtime.messages import Message
from cardan.runtime.vitals import SeriesVitals

M = TypeVar("M", bound=Message)

LARGEST_GAP = 1 << 32
"""More messages than this do not go missing at once: a number was damaged."""

AHEAD_NS = ns(0.1)
"""So far may a stamp lie in the future, since the clocks of two computers are known to milliseconds only."""


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
        self._rate = RateMeter()
        self._only = next(iter(topics.values()))[1] if len(topics) == 1 else None

    @property
    def wired(self) -> bool:
        """False for an optional input that the manifest leaves open."""
        return bool(self._topics)

    def deliver(self, topic: str, header: Header, payload: bytes, passed: Passed | None = None) -> None:
        """Called by the transport with each message of a topic of this input, in order.

        passed: what the transport knows of messages before it; None leaves that to the sequence numbers.
        """
        decoder, series = self._topics[topic]
        if header.schema != decoder.schema:
            raise other_type(topic, self._spec.name)
        if not header.valid and self._is_newest(topic, header):
            self._withdraw(topic, header, passed)
            return
        if passed is None and _is_repeated(series, header):
            if self._newest is not None:
                return
            passed = Passed(AGAIN, 0, 0)
        self._count(series, header, passed)
        if self._spec.queue:
            if len(self._queue) >= self._limit:
                self._queue.popleft()
                series.words[SeriesVitals.DROPPED] += 1
            self._queue.append((topic, header, payload))
        else:
            series.words[SeriesVitals.OVERTAKEN] += self.new
            decoder.release()
        self._newest = (topic, header, payload)
        self._decoded = None
        self.new = True

    def refuse(self, topic: str) -> None:
        """Called instead of `deliver` for a message of which not even the envelope can be read."""
        self._topics[topic][1].words[SeriesVitals.TORN] += 1

    def _is_newest(self, topic: str, header: Header) -> bool:
        """True for the message that this reader had last."""
        if self._newest is None or self._newest[0] != topic:
            return False
        known = self._newest[1]
        return known.seq == header.seq and known.epoch == header.epoch

    def _withdraw(self, topic: str, header: Header, passed: Passed | None) -> None:
        """The publisher says the last message again, as not valid: see `Writer.withdraw`."""
        if self._newest is not None:
            self._newest = (topic, header, self._newest[2])
        if passed is not None and passed.number != AGAIN:
            self._topics[topic][1].words[SeriesVitals.LAST_INDEX] = passed.number + 1

    def _count(self, series: SeriesVitals, header: Header, passed: Passed | None) -> None:
        cells = series.words.cells
        now_ns = self._clock.now_ns()
        if cells[SeriesVitals.LAST_EPOCH] not in (0, header.epoch):
            cells[SeriesVitals.RESTARTS] += 1
            self.restarted = True
        if passed is None:
            missing = _missing(cells[SeriesVitals.LAST_EPOCH], cells[SeriesVitals.LAST_SEQ], header)
            cells[SeriesVitals.LOST] += missing
        elif passed.number != AGAIN:
            skipped, lost = min(passed.skipped, LARGEST_GAP), min(passed.lost, LARGEST_GAP)
            missing = skipped + lost
            cells[SeriesVitals.COUNT] += skipped
            cells[SeriesVitals.OVERTAKEN] += skipped
            cells[SeriesVitals.LOST] += lost
            cells[SeriesVitals.LAST_INDEX] = passed.number + 1
        else:
            return
        if self._newest is not None and header.sent_ns > self._newest[1].sent_ns:
            self._rate.add(header.sent_ns - self._newest[1].sent_ns, missing + 1)
        if self._max_age_ns is not None and now_ns - header.sent_ns > self._max_age_ns:
            cells[SeriesVitals.LATE] += 1
        cells[SeriesVitals.LAST_EPOCH], cells[SeriesVitals.LAST_SEQ] = header.epoch, header.seq
        cells[SeriesVitals.LAST_NS] = now_ns
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
        """The newest message, or None while nothing has arrived that can be read.

        One that cannot be read (its publisher's shared memory is gone) is counted as dropped.
        """
        if self._decoded is None and self._newest is not None:
            topic, _, payload = self._newest
            decoder, series = self._topics[topic]
            try:
                self._decoded = decoder.decode(payload)
            except BusError:
                series.words[SeriesVitals.DROPPED] += 1
                self._newest = None
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
        """True when there is a value and it is no older than `max_age_s`, nor from a future that cannot be."""
        if self.value_or_none is None or self._newest is None:
            return False
        age_ns = self._clock.now_ns() - self._newest[1].sent_ns
        return age_ns >= -AHEAD_NS and (self._max_age_ns is None or age_ns <= self._max_age_ns)

    @property
    def valid(self) -> bool:
        """True when the value is fresh and its sender called it valid."""
        return self.fresh and self._newest is not None and self._newest[1].valid

    @property
    def seq(self) -> int:
        """Sequence number of the newest message; -1 while there is none."""
        return -1 if self._newest is None else self._newest[1].seq

    @property
    def newest_id(self) -> tuple[str, int, int] | None:
        """Topic, start of its publisher, and sequence number of the newest message: equal for all readers that have it.

        None while there is none.
        """
        if self._newest is None:
            return None
        topic, header, _ = self._newest
        return topic, header.epoch, header.seq

    @property
    def sent_ns(self) -> int:
        """When the newest message was sent; 0 while there is none."""
        return 0 if self._newest is None else self._newest[1].sent_ns

    @property
    def origin_ns(self) -> int:
        """Capture time of the newest message's origin; 0 while there is none."""
        return 0 if self._newest is None else self._newest[1].origin_ns

    def schema_of(self, topic: str) -> int:
        """Schema id of the messages that this input takes from `topic`."""
        return self._topics[topic][0].schema

    def next_index(self, topic: str) -> int:
        """Number, in the ring of `topic`, of the first message that this input has not had in this run."""
        return self._topics[topic][1].words[SeriesVitals.LAST_INDEX]

    @property
    def received(self) -> int:
        """Messages received in this run, over all topics of this input."""
        return sum(series.words[SeriesVitals.COUNT] for _, series in self._topics.values())

    @property
    def lost(self) -> int:
        """Messages that were published but never arrived."""
        return sum(series.words[SeriesVitals.LOST] for _, series in self._topics.values())

    @property
    def late(self) -> int:
        """Messages that were older than `max_age_s` when they arrived."""
        return sum(series.words[SeriesVitals.LATE] for _, series in self._topics.values())

    @property
    def rate_hz(self) -> float:
        """Messages a second at which this input is published lately; 0 while fewer than two have arrived.

        A silence longer than the usual interval lowers it. Of an input that reads many topics, over all of them.
        """
        silent_ns = 0 if self._newest is None else self._clock.now_ns() - self._newest[1].sent_ns
        return self._rate.hz(silent_ns)

    @property
    def rate_ok(self) -> bool:
        """False while the input is published at less than `min_rate_hz`."""
        return self._spec.min_rate_hz is None or self.rate_hz >= self._spec.min_rate_hz

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
        self.release()
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
            taken.append(sample_of(header, value, topic))
        return taken

    def release(self) -> None:
        """The arrays of all messages that were taken are no longer used: their publisher may fill them again."""
        for decoder, _ in self._topics.values():
            decoder.release()

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


def _missing(last_epoch: int, last_seq: int, header: Header) -> int:
    """Messages between the last one and this one, as the sequence numbers say."""
    expected = last_seq + 1 if last_epoch == header.epoch else 0
    return min(max(0, header.seq - expected), LARGEST_GAP)


def _is_repeated(series: SeriesVitals, header: Header) -> bool:
    """True for a message that this node has had: a latched topic is sent again for a reader that came late."""
    words = series.words
    return bool(words[SeriesVitals.LAST_EPOCH] == header.epoch and header.seq <= words[SeriesVitals.LAST_SEQ])
