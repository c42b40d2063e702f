"""The node `live`: tells a broker how the vehicle is and what has happened, and takes what is asked of it.

It reads the outbox and takes nothing from it: what it tells goes to the store as well. Nothing that arrives here goes
further than into a folder (see cardan.runtime.downlink); the node publishes no topic.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import msgspec

from cardan.runtime.bus.envelope import Sample
from cardan.runtime.bus.ports import Input, Metric
from cardan.runtime.clock import ns
from cardan.runtime.downlink.inbox import Inbox
from cardan.runtime.errors import BusError
from cardan.runtime.findings import Objection
from cardan.runtime.live.backlog import Backlog
from cardan.runtime.live.broker import BrokerSettings, tls_context
from cardan.runtime.live.budget import Budget
from cardan.runtime.live.feed import Feed, Position, Waiting
from cardan.runtime.live.happenings import Down, Happening, NotSubscribed, Outgoing, Received, Refused, Told, Up
from cardan.runtime.live.plan_facts import has_downlink, vehicle_id_or_none
from cardan.runtime.live.positions import keep_positions, positions_path, read_positions
from cardan.runtime.live.report import LiveReport, write_report
from cardan.runtime.live.session import Session, SessionSettings
from cardan.runtime.live.settings import LiveConfig, host_and_port
from cardan.runtime.live.teller import Teller
from cardan.runtime.live.texts import Identity, run_of, state_text, status_text
from cardan.runtime.live.topics import live_topics
from cardan.runtime.messages import AnyMessage
from cardan.runtime.node.node import Node
from cardan.runtime.outbox.folder import class_dir, outbox_dir, stream_of
from cardan.runtime.outbox.peek import Peek
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.outbox.telemetry import TelemetryEncoder
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.privacy.policy import open_policy
from cardan.runtime.privacy.review import review_positions
from cardan.runtime.run import RunPaths
from cardan.runtime.vitals import open_vitals

TOLD_CLASSES = (RecordClass.CRITICAL, RecordClass.EVENT)
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
KEEP_S = 0.5
"""How often the positions are kept: what a kill repeats at most."""
REPORT_S = 5.0
STOP_S = 1.5
FILES = ("ca", "certificate", "key")
STATE, STATUS = "state", "status"
"""Tokens of the messages that are no records."""
UNREACHABLE, REFUSED, NOT_AUTHORIZED, NOT_LISTENING, NO_CONSENT = (
    "live-unreachable",
    "live-refused",
    "live-not-authorized",
    "live-not-listening",
    "live-no-consent",
)


class Live(Node):
    """Tell a broker, and listen to it."""

    config: LiveConfig
    rate_hz = 20.0
    topics = Input(AnyMessage, queue=2000, many=True, optional=True)
    events = Metric("messages")
    """Told: the broker has answered."""
    states = Metric("messages")
    refused = Metric("messages")
    received = Metric("messages")
    connects = Metric("connections")

    _session: Session | None = None

    @classmethod
    def review(cls, plan: Plan, node: NodePlan) -> list[Objection]:
        """It tells what the outbox has, under the name that the outbox has."""
        if vehicle_id_or_none(plan) is None:
            what = "there is no outbox, whose records would be told"
            return [Objection(("nodes", node.name, "use"), what, 'add a node with use = "outbox"')]
        folder = Path(plan.manifest).parent
        missing = [name for name in FILES if not (folder / str(node.config.get(name, ""))).is_file()]
        found = [
            Objection(
                ("nodes", node.name, "config", name),
                f'there is no file "{node.config.get(name, "")}" beside the manifest',
                "put the PEM file there, or correct its name",
            )
            for name in missing
        ]
        return found + review_positions(plan, node, "topics")

    def open(self) -> None:
        config, context = self.config, self.context
        plan = msgspec.json.decode(context.plan_json, type=Plan)
        self._policy = open_policy(context.privacy, context.data_dir, context.manifest_dir)
        name = self._policy.vehicle_name(vehicle_id_or_none(plan) or "unnamed")
        self._identity = Identity(vehicle=name, boot=BOOT_ID.read_text().strip(), run=context.run_id)
        self._names = live_topics(config.prefix, name)
        self._tls = tls_context(self._broker(listens=False))
        self._listens = has_downlink(plan)
        self._vitals = open_vitals(RunPaths(context.run_dir, context.data_dir).vitals, plan)
        self._inbox = Inbox(context.data_dir)
        self._encoder = TelemetryEncoder()
        self._newest: dict[str, Sample[AnyMessage]] = {}
        self._problem: Down | None = None
        self._deaf: dict[str, str] = {}
        self._up = False
        self._lost_ns = self._kept_ns = self.clock.now_ns()
        self._said: tuple[bool, str, str] | None = None
        self._said_ns = 0
        self._stated_ns: int | None = None
        self._state_on_the_way = False
        self._feeds = self._open_feeds()
        self._kept = {stream: feed.position for stream, feed in self._feeds.items()}
        self._teller = Teller(
            self._identity,
            self._names,
            self._feeds,
            Budget(config.messages_per_s, config.bytes_per_s),
            offer=lambda outgoing: self._session is not None and self._session.offer(outgoing),
            consented=lambda purpose: purpose in self._policy.consent_now().purposes,
            expiry_s=config.event_expiry_s,
            most_bytes=config.max_message_bytes,
            random=Random(),
        )

    def _open_feeds(self) -> dict[str, Feed]:
        kept = read_positions(positions_path(self.context.data_dir))
        self._backlogs: dict[str, Backlog] = {}
        feeds = {}
        for kind in TOLD_CLASSES:
            stream, queue = stream_of(kind), class_dir(outbox_dir(self.context.data_dir), kind)
            own = self.context.data_dir / "live" / "backlog" / stream
            self._backlogs[stream] = Backlog(queue, own, self.config.backlog_bytes)
            peek = Peek(queue, own)
            feeds[stream] = Feed(lambda seq, peek=peek: _waiting(peek, seq), kept.get(stream) or Position())  # type: ignore[misc]
        return feeds

    def _broker(self, *, listens: bool) -> BrokerSettings:
        config, folder = self.config, self.context.manifest_dir
        host, port = host_and_port(config.broker)
        gone = status_text(self._identity, online=False, why="the connection was lost")
        return BrokerSettings(
            host=host,
            port=port,
            client_id=self._identity.vehicle,
            ca=folder / config.ca,
            certificate=folder / config.certificate,
            key=folder / config.key,
            keepalive_s=config.keepalive_s,
            session_expiry_s=config.session_expiry_s,
            connect_timeout_s=config.connect_timeout_s,
            will=Outgoing(None, self._names.status, gone, config.event_expiry_s),
            subscriptions=self._names.asked if listens else (),
        )

    # ------------------------------------------------------------------------------------------------ step

    def step(self) -> None:
        now_ns = self.clock.now_ns()
        self._look()
        allowed = "operation" in self._policy.consent_now().purposes
        self._connect_if(allowed)
        for happening in self._session.take() if self._session is not None else []:
            self._happened(happening, now_ns)
        self._hold()
        if self._up:
            self._teller.step(now_ns)
            self._tell_state(now_ns)
        if now_ns - self._kept_ns >= ns(KEEP_S):
            self._keep(now_ns)
        self._judge(now_ns, allowed)

    def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            if self._up:
                text = status_text(self._identity, online=False, why="the run has ended")
                session.offer(Outgoing(STATUS, self._names.status, text, self.config.event_expiry_s))
            session.stop(STOP_S)
            for happening in session.take():
                self._happened(happening, self.clock.now_ns())
        if hasattr(self, "_kept"):
            self._keep(self.clock.now_ns())
            if self._problem is None or not self._problem.refused:
                self._problem = Down("the run has ended", False)
            self._judge(self.clock.now_ns(), "operation" in self._policy.consent_now().purposes)
        if hasattr(self, "_vitals"):
            self._vitals.close()

    def _look(self) -> None:
        """Take what the bus has: positions for the policy, and the newest message of each topic."""
        try:
            samples = self.topics.take()
        except BusError as error:
            self.report_fault("live-undecodable", error.message)
            return
        for sample in samples:
            if sample.valid:
                self._policy.saw(sample.topic, sample.value, sample.sent_ns)
            self._newest[sample.topic] = sample

    def _hold(self) -> None:
        """Let nothing that is not told go with the outbox."""
        consented = self._policy.consent_now().purposes
        try:
            for stream, backlog in self._backlogs.items():
                backlog.keep_up(self._kept[stream], consented)
        except OSError as error:
            self.report_fault("live-disk", f"{self.context.data_dir}: {error.strerror}")

    def _connect_if(self, allowed: bool) -> None:
        """Nobody hears from this vehicle while there is no consent to its operation."""
        if allowed and self._session is None:
            config = self.config
            settings = SessionSettings(
                window=config.window,
                window_bytes=config.window_bytes,
                first_wait_s=config.first_wait_s,
                longest_wait_s=config.longest_wait_s,
            )
            self._session = Session(self._broker(listens=self._listens), self._tls, settings, self.clock)
            self._session.start()
        elif not allowed and self._session is not None:
            session, self._session = self._session, None
            session.stop(STOP_S)
            self._gone(Down("consent was withdrawn", False), self.clock.now_ns())

    def _happened(self, happening: Happening, now_ns: int) -> None:
        if isinstance(happening, Up):
            self._came(happening)
        elif isinstance(happening, Down):
            self._gone(happening, now_ns)
        elif isinstance(happening, Told):
            if self._teller.told(happening):
                self.events.observe(1)
            elif happening.token == STATE:
                self._state_on_the_way = False
                self.states.observe(1)
        elif isinstance(happening, Refused):
            self.refused.observe(1)
            self._teller.refused(happening, now_ns)
            if happening.token in (STATE, STATUS):
                self._state_on_the_way = False
                self._deaf[str(happening.token)] = happening.reason
        elif isinstance(happening, NotSubscribed):
            self._deaf[happening.topic] = happening.reason
        else:
            self._take_in(happening)

    def _came(self, up: Up) -> None:
        self._up, self._problem, self._stated_ns = True, None, None
        self._deaf.clear()
        self.connects.observe(1)
        if up.most_bytes is not None:
            self._teller.most_bytes = min(self.config.max_message_bytes, max(256, up.most_bytes - 512))
        self.log.info("%s has taken us in as %s", self.config.broker, self._identity.vehicle)
        if self._session is not None:
            text = status_text(self._identity, online=True, why="connected")
            self._session.offer(Outgoing(STATUS, self._names.status, text, self.config.event_expiry_s))

    def _gone(self, down: Down, now_ns: int) -> None:
        if self._up:
            self._lost_ns = now_ns
            self.log.info("%s: %s", self.config.broker, down.problem)
        self._up, self._problem, self._state_on_the_way = False, down, False
        self._teller.connection_lost()

    def _take_in(self, received: Received) -> None:
        """Into the inbox; only what is safe there is acknowledged."""
        self.received.observe(1)
        try:
            kept = self._inbox.put(received.payload)
        except OSError as error:
            self.report_fault("live-disk", f"{self._inbox.folder}: {error.strerror}")
            return
        if not kept:
            self.report_fault("live-inbox-full", f"{received.topic}: {len(received.payload)} bytes are left outside")
        elif self._session is not None:
            self._session.acknowledge(received)

    # ------------------------------------------------------------------------------------------------ state

    def _tell_state(self, now_ns: int) -> None:
        due = self._stated_ns is None or now_ns - self._stated_ns >= ns(self.config.state_interval_s)
        if not due or self._state_on_the_way or self._session is None:
            return
        expiry_s = max(1, round(3 * self.config.state_interval_s))
        if self._session.offer(Outgoing(STATE, self._names.state, self._state(), expiry_s)):
            self._stated_ns, self._state_on_the_way = now_ns, True

    def _state(self) -> bytes:
        extra = {
            "mono_ns": self.clock.now_ns(),
            "wall_ns": self.clock.wall_ns(),
            "policy": self._policy.hash,
            "told": {stream: msgspec.structs.asdict(feed.counts) for stream, feed in self._feeds.items()},
        }
        values = {topic: value for topic, sample in self._newest.items() if (value := self._value(sample)) is not None}
        return state_text(self._identity, run_of(self._vitals), extra, values)

    def _value(self, sample: Sample[AnyMessage]) -> Any:
        """The message as the policy lets it leave; None when it does not."""
        if self._policy.withheld(sample.topic, sample.sent_ns):
            return None
        try:
            outcome = self._policy.decide(self._encoder.encode(sample), sample.topic, sample.sent_ns)
        except (TypeError, ValueError) as error:
            self.report_fault("live-undecodable", f"{sample.topic}: {error}; take it out of live's inputs")
            return None
        if outcome.payload is None:
            return None
        record = msgspec.json.decode(outcome.payload)
        return {"sent_ns": sample.sent_ns, "valid": sample.valid, "message": record["message"]}

    # ------------------------------------------------------------------------------------------ positions, verdict

    def _keep(self, now_ns: int) -> None:
        self._kept_ns = now_ns
        positions = {stream: feed.position for stream, feed in self._feeds.items()}
        if positions == self._kept:
            return
        try:
            keep_positions(positions_path(self.context.data_dir), positions)
            self._kept = positions
        except OSError as error:
            self.report_fault("live-disk", f"{positions_path(self.context.data_dir)}: {error.strerror}")

    def _judge(self, now_ns: int, allowed: bool) -> None:
        """Say what is not as it should be at this moment, here and on disk."""
        code, text = self._trouble(now_ns, allowed)
        self.report_condition(code, text)
        said = (self._up, code, text)
        if said == self._said and now_ns - self._said_ns < ns(REPORT_S):
            return
        self._said, self._said_ns = said, now_ns
        report = LiveReport(
            broker=self.config.broker,
            vehicle=self._identity.vehicle,
            connected=self._up,
            code=code,
            text=text,
            told={stream: feed.counts for stream, feed in self._feeds.items()},
            wall_ns=self.clock.wall_ns(),
        )
        try:
            write_report(self.context.data_dir, report)
        except OSError as error:
            self.report_fault("live-disk", f"{self.context.data_dir}: {error.strerror}")

    def _trouble(self, now_ns: int, allowed: bool) -> tuple[str, str]:
        """Code and text; a text without a code is no finding (yet)."""
        config, problem = self.config, self._problem
        if not allowed:
            return NO_CONSENT, "nobody has consented to the purpose operation: nothing is told"
        if problem is not None and problem.refused:
            return REFUSED, f"{config.broker}: {problem.problem}"
        if not self._up:
            late = now_ns - self._lost_ns > ns(config.offline_after_s)
            why = problem.problem if problem is not None else "it has not answered yet"
            return UNREACHABLE if late else "", f"{config.broker}: {why}"
        if self._teller.pauses:
            topic, pause = next(iter(self._teller.pauses.items()))
            return NOT_AUTHORIZED, f'the broker takes nothing for "{topic}" from us: {pause.reason}'
        if self._deaf:
            topic, reason = next(iter(self._deaf.items()))
            names = {STATE: self._names.state, STATUS: self._names.status}
            code = NOT_AUTHORIZED if topic in names else NOT_LISTENING
            return code, f'the broker refuses us "{names.get(topic, topic)}": {reason}'
        return "", ""


def _waiting(peek: Peek, seq: int) -> Waiting:
    records = peek.after(seq)
    return Waiting(peek.log, records)
