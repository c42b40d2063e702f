"""The outbox node: chosen topics, faults, and what comes through the door, kept on disk until the store has it.

What empties it is the node `uplink`, see `claims`; how other programs put records in, see `producer`.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from cardan.runtime.bus.envelope import Sample
from cardan.runtime.bus.ports import Input, Metric
from cardan.runtime.errors import BusError, ConfigError, DeviceError, NodeError
from cardan.runtime.findings import Objection
from cardan.runtime.log.read import log_folder
from cardan.runtime.messages import AnyMessage
from cardan.runtime.node.node import Node
from cardan.runtime.outbox.door import Door
from cardan.runtime.outbox.door_messages import PutRecord
from cardan.runtime.outbox.folder import outbox_dir, stream_of
from cardan.runtime.outbox.ledger import Ledger, total
from cardan.runtime.outbox.limits import checked
from cardan.runtime.outbox.log_watch import LogWatch
from cardan.runtime.outbox.names import checked_name
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.outbox.settings import OutboxConfig
from cardan.runtime.outbox.spool import NotTaken, Spool, Stamp
from cardan.runtime.outbox.telemetry import TelemetryEncoder, Thinning
from cardan.runtime.outbox.wall_clock import CLOCK_TOPIC, WallWatch, clock_record
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.privacy.policy import open_policy
from cardan.runtime.privacy.review import explain_consent, review_positions

__all__ = ["Outbox", "OutboxConfig"]

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Topic(msgspec.Struct):
    """What the policy needs to know of a record that comes through the door."""

    topic: str = ""


class Outbox(Node):
    """Keep what is to be sent until the store has it."""

    config: OutboxConfig
    rate_hz = 20.0
    topics = Input(AnyMessage, queue=20000, many=True)
    records = Metric("records")
    delivered = Metric("records")
    pending = Metric("records")
    evicted = Metric("records")
    refused = Metric("records")
    """Not kept: the disk did not take them, or they cannot be kept at all."""
    withheld = Metric("records")
    """Not kept: no consent to their purpose, or inside a zone."""

    _spool: Spool | None = None
    _door: Door | None = None

    @classmethod
    def review(cls, plan: Plan, node: NodePlan) -> list[Objection]:
        """The limits must go together, and under zones the outbox needs the position."""
        try:
            checked(msgspec.convert(node.config, OutboxConfig).spool_limits())
        except ConfigError as error:
            path = ("nodes", node.name, "config", "limits")
            return [Objection(path, error.message, error.hint or "correct the limits")]
        return review_positions(plan, node, "topics")

    @classmethod
    def explain(cls, plan: Plan, node: NodePlan) -> list[str]:
        """For which purposes it keeps records."""
        return explain_consent(plan, node)

    def open(self) -> None:
        config, context = self.config, self.context
        self._policy = open_policy(context.privacy, context.data_dir, context.manifest_dir)
        self._encoder = TelemetryEncoder()
        self._topic_decoder = msgspec.json.Decoder(Topic)
        self._thinning = Thinning(config.rates_hz, config.default_rate_hz)
        self._classes: dict[str, RecordClass] = {}
        boot = BOOT_ID.read_text().strip()
        self._wall = WallWatch(self.clock, boot)
        self._log_watch = LogWatch(log_folder(context.data_dir) / context.run_id) if config.log_events else None
        self._told: dict[RecordClass, str] = {}
        spool = Spool(
            outbox_dir(context.data_dir),
            vehicle=self._policy.vehicle_name(checked_name("vehicle_id", config.vehicle_id)),
            boot=boot,
            limits=config.spool_limits(),
        )
        self._guard_opening(spool, spool.open)
        self._spool = spool
        self._before = self._account()
        door = Door(spool, self._admitted)
        self._guard_opening(spool, door.open)
        self._door = door
        self.wake_on(door.fileno())

    def step(self) -> None:
        spool, door = self._parts()
        now = self._wall.stamp()
        consented = self._policy.consent_now().purposes
        spool.keep_under(self._policy.hash, tuple(sorted(consented)), now)
        spool.erase(consented, now)
        self._append(now)
        if door.serve(now):
            self.step_again()
        spool.step(now)
        door.answer()
        self._report(spool)

    def close(self) -> None:
        if self._spool is None:
            return
        now = self._wall.stamp()
        self._append(now)
        if self._door is not None:
            self._door.serve(now)
        self._spool.commit_all(now)
        if self._door is not None:
            self._door.answer()
            self._door.close()
        self._spool.close(now)
        self._report(self._spool)
        self._spool = self._door = None

    def _parts(self) -> tuple[Spool, Door]:
        if self._spool is None or self._door is None:
            raise NodeError("the outbox was used before it was opened")
        return self._spool, self._door

    @staticmethod
    def _guard_opening(spool: Spool, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError as error:
            raise DeviceError(f"the outbox in {spool.folder} cannot be opened: {error.strerror}") from error

    # -------------------------------------------------------------------------------------------------------- records

    def _append(self, now: Stamp) -> None:
        reading = self._wall.news_or_none(now)
        if reading is not None:
            self._put(RecordClass.CRITICAL, clock_record(reading), now, CLOCK_TOPIC)
        if self._log_watch is not None:
            for mono_ns, wall_ns, topic, payload in self._log_watch.take(now.mono_ns):
                self._put_if_allowed(RecordClass.CRITICAL, payload, Stamp(mono_ns, wall_ns, now.quality), topic)
        self._append_samples(now)

    def _append_samples(self, now: Stamp) -> None:
        try:
            samples = self.topics.take()
        except BusError as error:
            self.refused.observe(1)
            self.report_fault("outbox-undecodable", error.message)
            return
        for sample in samples:
            if sample.valid:
                self._policy.saw(sample.topic, sample.value, sample.sent_ns)
        for sample in samples:
            if self._thinning.keeps(sample.topic, sample.sent_ns):
                self._append_sample(sample, now)

    def _append_sample(self, sample: Sample[AnyMessage], now: Stamp) -> None:
        """A message becomes a record: what the policy withholds is not even encoded."""
        if self._policy.withheld(sample.topic, sample.sent_ns):
            self.withheld.observe(1)
            return
        try:
            payload = self._encoder.encode(sample)
        except TypeError as error:
            self._refuse(sample.topic, str(error))
            return
        stamp = Stamp(sample.sent_ns, now.wall_ns - now.mono_ns + sample.sent_ns, now.quality)
        self._put_if_allowed(self._class_of(sample.topic), payload, stamp, sample.topic)

    def _put_if_allowed(self, kind: RecordClass, payload: bytes, stamp: Stamp, topic: str) -> None:
        """The one place where records of this process pass the policy: what it withholds never reaches the disk."""
        try:
            outcome = self._policy.decide(payload, topic, stamp.mono_ns)
        except (TypeError, ValueError) as error:
            self._refuse(topic, str(error))
            return
        if outcome.payload is None:
            self.withheld.observe(1)
            return
        self._put(kind, outcome.payload, stamp, topic)

    def _put(self, kind: RecordClass, payload: bytes, stamp: Stamp, topic: str) -> None:
        if self._spool is None:
            raise NodeError("the outbox was used before it was opened")
        try:
            self._spool.put(kind, payload, stamp, now_ns=self.clock.now_ns())
        except NotTaken as error:
            if error.reason == "too long":
                self._refuse(topic, error.message)

    def _refuse(self, topic: str, why: str) -> None:
        self.refused.observe(1)
        self.report_fault("outbox-refused", f"{topic}: {why}; take it out of the outbox's inputs")

    def _admitted(self, record: PutRecord) -> PutRecord:
        """What of a record from the door may be kept. A withheld one leaves its number and the reason."""
        try:
            topic = self._topic_decoder.decode(record.payload).topic
            outcome = self._policy.decide(record.payload, topic, record.mono_ns)
        except (TypeError, ValueError) as error:
            raise NotTaken("unreadable", f"a record must be a JSON object with a topic: {error}") from error
        payload = outcome.payload
        if payload is None:
            self.withheld.observe(1)
            payload = msgspec.json.encode({"topic": "outbox/withheld", "message": {"reason": outcome.reason}})
        return PutRecord(record.mono_ns, record.wall_ns, payload)

    def _class_of(self, topic: str) -> RecordClass:
        kind = self._classes.get(topic)
        if kind is None:
            names = (name for pattern, name in self.config.classes.items() if fnmatchcase(topic, pattern))
            kind = self._classes[topic] = RecordClass[next(names, stream_of(RecordClass.TREND)).upper()]
        return kind

    # -------------------------------------------------------------------------------------------------------- account

    def _account(self) -> Ledger:
        spool = self._spool
        return total(spool.ledgers().values() if spool is not None else ())

    def _report(self, spool: Spool) -> None:
        before, after = self._before, self._account()
        self._before = after
        self.records.observe(after.produced - before.produced)
        self.delivered.observe(after.delivered - before.delivered)
        self.evicted.observe(after.evicted - before.evicted)
        self.pending.observe(after.pending)
        dropped = self._log_watch.take_dropped() if self._log_watch is not None else 0
        self.refused.observe(spool.take_refused() + dropped)
        troubles = dict(spool.troubles())
        for kind, text in troubles.items():
            if self._told.get(kind) != text:
                self.report_fault("outbox-disk", text)
        self._told = troubles
        self.report_condition("outbox-disk" if troubles else "", "; ".join(troubles.values()))
