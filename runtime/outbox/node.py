"""The outbox node: chosen topics into the durable queue. What empties it is the node `uplink`, see `claims`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec

from cardan.runtime.bus.envelope import Sample
from cardan.runtime.bus.ports import Input, Metric
from cardan.runtime.clock import ns
from cardan.runtime.errors import BusError, DeviceError, NodeError
from cardan.runtime.findings import Objection
from cardan.runtime.messages import AnyMessage
from cardan.runtime.node.node import Node, NodeConfig
from cardan.runtime.outbox.folder import class_dir, outbox_dir, stream_of
from cardan.runtime.outbox.names import checked_name
from cardan.runtime.outbox.queue import Queue, QueueLimits
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.outbox.telemetry import TelemetryEncoder, Thinning
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.privacy.policy import open_policy
from cardan.runtime.privacy.review import review_positions

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

Positive = Annotated[float, msgspec.Meta(gt=0)]


class OutboxConfig(NodeConfig, frozen=True):
    """Settings of the outbox."""

    vehicle_id: str = "bench"
    """Names the vehicle in the store: letters, digits, dots, dashes, underscores."""
    rates_hz: dict[str, Annotated[float, msgspec.Meta(ge=0)]] = msgspec.field(default_factory=dict)
    """Most messages a second by topic; 0 keeps every message."""
    default_rate_hz: Annotated[float, msgspec.Meta(ge=0)] = 10.0
    """The same for topics that are not in `rates_hz`."""
    max_bytes: Annotated[int, msgspec.Meta(ge=1 << 16)] = 256 << 20
    segment_bytes: Annotated[int, msgspec.Meta(ge=1 << 12)] = 1 << 20
    """A segment, and so an object, is about this large before compression."""
    commit_interval_s: Positive = 0.1
    seal_interval_s: Positive = 30.0
    """A segment that is not full is offered to the uplink after this time."""


class Outbox(Node):
    """Keep chosen topics until the store has them."""

    config: OutboxConfig
    rate_hz = 10.0
    topics = Input(AnyMessage, queue=20000, many=True)
    records = Metric("records")
    delivered = Metric("records")
    pending = Metric("records")
    evicted = Metric("records")
    refused = Metric("records")
    withheld = Metric("records")
    """Not kept: no consent to their purpose, or inside a zone."""

    _queue: Queue | None = None

    @classmethod
    def review(cls, plan: Plan, node: NodePlan) -> list[Objection]:
        """Under zones the outbox needs the position."""
        return review_positions(plan, node, "topics")

    def open(self) -> None:
        config = self.config
        context = self.context
        self._policy = open_policy(context.privacy, context.data_dir, context.manifest_dir)
        self._encoder = TelemetryEncoder()
        self._thinning = Thinning(config.rates_hz, config.default_rate_hz)
        self._committed_ns = self._sealed_ns = self.clock.now_ns()
        queue = Queue(
            class_dir(outbox_dir(self.context.data_dir), RecordClass.TREND),
            vehicle=self._policy.vehicle_name(checked_name("vehicle_id", config.vehicle_id)),
            boot=BOOT_ID.read_text().strip(),
            stream=stream_of(RecordClass.TREND),
            limits=QueueLimits(max_bytes=config.max_bytes, segment_bytes=config.segment_bytes),
        )
        try:
            queue.open()
        except OSError as error:
            raise DeviceError(f"the outbox in {queue.folder} cannot be opened: {error.strerror}") from error
        self._queue = queue
        self._guarded(self._follow_policy)

    def step(self) -> None:
        now_ns = self.clock.now_ns()
        self._guarded(self._follow_policy)
        self._append()
        if now_ns - self._committed_ns >= ns(self.config.commit_interval_s):
            self._committed_ns = now_ns
            self._guarded(self._commit)
        if now_ns - self._sealed_ns >= ns(self.config.seal_interval_s):
            self._sealed_ns = now_ns
            self._guarded(self._live_queue.seal)
        self._guarded(self._collect)

    def close(self) -> None:
        queue = self._queue
        if queue is None:
            return
        self._append()
        self._guarded(self._commit)
        self._guarded(queue.seal)
        self._guarded(self._collect)
        self._guarded(queue.close)
        self._queue = None

    @property
    def _live_queue(self) -> Queue:
        if self._queue is None:
            raise NodeError("the outbox was used before it was opened")
        return self._queue

    def _follow_policy(self) -> None:
        """Every record lies in a segment that says under which policy it was kept."""
        self._live_queue.keep_under(self._policy.hash, tuple(sorted(self._policy.consent_now().purposes)))

    def _append(self) -> None:
        try:
            samples = self.topics.take()
        except BusError as error:
            self.refused.observe(1)
            self.report_fault("outbox-undecodable", error.message)
            return
        wall_offset_ns = self.clock.wall_ns() - self.clock.now_ns()
        for sample in samples:
            if sample.valid:
                self._policy.saw(sample.topic, sample.value, sample.sent_ns)
        for sample in samples:
            if self._thinning.keeps(sample.topic, sample.sent_ns):
                self._append_one(sample, sample.sent_ns + wall_offset_ns)

    def _append_one(self, sample: Sample[AnyMessage], wall_ns: int) -> None:
        """The one place where a message becomes a record: what the policy withholds never reaches the disk."""
        if self._policy.withheld(sample.topic, sample.sent_ns):
            self.withheld.observe(1)
            return
        try:
            outcome = self._policy.decide(self._encoder.encode(sample), sample.topic, sample.sent_ns)
            if outcome.payload is None:
                self.withheld.observe(1)
                return
            self._live_queue.append(outcome.payload, kind=RecordClass.TREND, mono_ns=sample.sent_ns, wall_ns=wall_ns)
        except (TypeError, ValueError) as error:
            self.refused.observe(1)
            self.report_fault("outbox-refused", f"{sample.topic}: {error}; take it out of the outbox's inputs")

    def _commit(self) -> None:
        queue = self._live_queue
        before = queue.ledger()
        try:
            queue.commit()
        finally:
            after = queue.ledger()
            self.records.observe(after.produced - before.produced)
            self.evicted.observe(after.evicted - before.evicted)
            self.pending.observe(after.pending)

    def _collect(self) -> None:
        self.delivered.observe(self._live_queue.collect())

    def _guarded(self, action: Callable[[], object]) -> None:
        """Do `action`; what a refusing disk does not take is counted and given up, and nothing else stops."""
        try:
            action()
        except OSError as error:
            self.refused.observe(self._live_queue.discard())
            self.report_fault("outbox-disk", f"{self._live_queue.folder}: {error.strerror}")
