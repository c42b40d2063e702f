"""The outbox node: chosen topics into the durable queue, and from there to the store when that is allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Annotated

import msgspec

from cardan.runtime.bus.envelope import Sample
from cardan.runtime.bus.ports import Input, Metric
from cardan.runtime.clock import ns
from cardan.runtime.errors import BusError, DeviceError, NodeError
from cardan.runtime.messages import AnyMessage
from cardan.runtime.node.node import Node, NodeConfig
from cardan.runtime.uplink.objects import checked_name
from cardan.runtime.uplink.queue import Queue, QueueLimits
from cardan.runtime.uplink.segment import RecordClass
from cardan.runtime.uplink.status import STREAM, SyncReport, queue_dir, store_dir, write_report
from cardan.runtime.uplink.store import open_store
from cardan.runtime.uplink.sync import Sync
from cardan.runtime.uplink.telemetry import TelemetryEncoder, Thinning

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

SYNC_SLICE_S = 0.05
"""How long a step goes on with deliveries; one delivery is never cut short."""

Positive = Annotated[float, msgspec.Meta(gt=0)]


class OutboxConfig(NodeConfig, frozen=True):
    """Settings of the outbox."""

    vehicle_id: str = "bench"
    """Names the vehicle in the store: letters, digits, dots, dashes, underscores."""
    consent: bool = False
    """True allows that data leaves the vehicle. Without it records are kept; the oldest go when the queue is full."""
    store: str = ""
    """`file:///an/existing/folder`; empty is `store` in the data folder."""
    rates_hz: dict[str, Annotated[float, msgspec.Meta(ge=0)]] = msgspec.field(default_factory=dict)
    """Most messages a second by topic; 0 keeps every message."""
    default_rate_hz: Annotated[float, msgspec.Meta(ge=0)] = 10.0
    """The same for topics that are not in `rates_hz`."""
    max_bytes: Annotated[int, msgspec.Meta(ge=1 << 16)] = 256 << 20
    segment_bytes: Annotated[int, msgspec.Meta(ge=1 << 12)] = 1 << 20
    """A segment, and so an object, is about this large before compression."""
    commit_interval_s: Positive = 0.1
    seal_interval_s: Positive = 30.0
    """A segment that is not full leaves after this time."""
    close_timeout_s: Positive = 2.0
    """How long the last delivery may take when the run ends; what is left waits for the next run."""


class Outbox(Node):
    """Keep chosen topics until the store has them."""

    config: OutboxConfig
    rate_hz = 10.0
    topics = Input(AnyMessage, queue=20000, many=True)
    records = Metric("records")
    synced = Metric("records")
    pending = Metric("records")
    evicted = Metric("records")
    refused = Metric("records")

    _queue: Queue | None = None

    def open(self) -> None:
        config, data_dir = self.config, self.context.data_dir
        self._encoder = TelemetryEncoder()
        self._thinning = Thinning(config.rates_hz, config.default_rate_hz)
        self._store = open_store(config.store, store_dir(data_dir))
        self._report: SyncReport | None = None
        self._last_delivery_wall_ns: int | None = None
        self._committed_ns = self._sealed_ns = self.clock.now_ns()
        queue = Queue(
            queue_dir(data_dir),
            vehicle=checked_name("vehicle_id", config.vehicle_id),
            boot=BOOT_ID.read_text().strip(),
            stream=STREAM,
            limits=QueueLimits(max_bytes=config.max_bytes, segment_bytes=config.segment_bytes),
        )
        try:
            queue.open()
        except OSError as error:
            raise DeviceError(f"the outbox in {queue.folder} cannot be opened: {error.strerror}") from error
        self._queue = queue
        self._sync = Sync(queue, self._store, Random())
        self._write_report()

    def step(self) -> None:
        now_ns = self.clock.now_ns()
        self._append()
        if now_ns - self._committed_ns >= ns(self.config.commit_interval_s):
            self._committed_ns = now_ns
            self._guarded(self._commit)
        if now_ns - self._sealed_ns >= ns(self.config.seal_interval_s):
            self._sealed_ns = now_ns
            self._guarded(self._live_queue.seal)
        self._deliver_until(now_ns + ns(SYNC_SLICE_S))
        self._write_report()

    def close(self) -> None:
        queue = self._queue
        if queue is None:
            return
        self._append()
        self._guarded(self._commit)
        self._guarded(queue.seal)
        self._deliver_until(self.clock.now_ns() + ns(self.config.close_timeout_s))
        self._write_report()
        self._guarded(queue.close)
        self._queue = None

    @property
    def _live_queue(self) -> Queue:
        if self._queue is None:
            raise NodeError("the outbox was used before it was opened")
        return self._queue

    def _append(self) -> None:
        try:
            samples = self.topics.take()
        except BusError as error:
            self.refused.observe(1)
            self.report_fault("outbox-undecodable", error.message)
            return
        wall_offset_ns = self.clock.wall_ns() - self.clock.now_ns()
        for sample in samples:
            if self._thinning.keeps(sample.topic, sample.sent_ns):
                self._append_one(sample, sample.sent_ns + wall_offset_ns)

    def _append_one(self, sample: Sample[AnyMessage], wall_ns: int) -> None:
        try:
            payload = self._encoder.encode(sample)
            self._live_queue.append(payload, kind=RecordClass.TREND, mono_ns=sample.sent_ns, wall_ns=wall_ns)
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

    def _guarded(self, action: Callable[[], object]) -> None:
        """Do `action`; what a refusing disk does not take is counted and given up, and nothing else stops."""
        try:
            action()
        except OSError as error:
            self.refused.observe(self._live_queue.discard())
            self.report_fault("outbox-disk", f"{self._live_queue.folder}: {error.strerror}")

    def _deliver_until(self, deadline_ns: int) -> None:
        while self.config.consent and self.clock.now_ns() <= deadline_ns:
            count = self._sync.step(self.clock.now_ns())
            if not count:
                return
            self.synced.observe(count)
            self._last_delivery_wall_ns = self.clock.wall_ns()

    def _write_report(self) -> None:
        report = SyncReport(
            store=self._store.url,
            consent=self.config.consent,
            problem=self._sync.problem,
            objects=self._sync.objects,
            last_delivery_wall_ns=self._last_delivery_wall_ns,
        )
        if report != self._report:
            self._report = report
            self._guarded(lambda: write_report(self.context.data_dir, report))
