"""The node `downlink`: judges what was asked from outside, does it at most once, and answers through the outbox.

It publishes no topic, so nothing that arrives from outside can reach a node that drives. What it may do is in
`commands`: none of it asks the bridge, and what touches a node is refused unless the vehicle is parked, as seen here.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Annotated, Any

import msgspec

from cardan.runtime.bus.envelope import Sample
from cardan.runtime.bus.ports import Input, Metric
from cardan.runtime.clock import NS_PER_S, ns
from cardan.runtime.downlink.answers import Answers
from cardan.runtime.downlink.collector import Chosen, Collector, collectors_of
from cardan.runtime.downlink.commands import Doing, Done, Means, begin
from cardan.runtime.downlink.documents import Campaign, Command
from cardan.runtime.downlink.inbox import Inbox
from cardan.runtime.downlink.judge import judge
from cardan.runtime.downlink.memory import Memory, RememberedCampaign, RememberedCommand, Result
from cardan.runtime.downlink.parked import Parked
from cardan.runtime.errors import BusError, CardanError, ConfigError
from cardan.runtime.findings import Objection
from cardan.runtime.live.plan_facts import vehicle_id_or_none
from cardan.runtime.messages import AnyMessage, BridgeVerdict, Message, VehicleState
from cardan.runtime.node.node import Node, NodeConfig
from cardan.runtime.outbox.door_messages import MOST_RECORD_BYTES, PutRecord
from cardan.runtime.outbox.folder import outbox_dir
from cardan.runtime.outbox.producer import NotKept, Producer, Unanswered
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.outbox.telemetry import TelemetryEncoder
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.privacy.policy import open_policy
from cardan.runtime.registry import load_message_type
from cardan.runtime.run import RunPaths
from cardan.runtime.vitals import open_vitals

LOOK_S = 0.2
WRITE_S = 2.0
"""How often what campaigns have spent is kept: a kill lets them spend a little more."""
OUTBOX_S = 0.3
AGAIN_S = 2.0
"""After a refusal of the outbox."""
MOST_WAITING = 5000
"""Samples of campaigns that wait for the outbox; the oldest go first, and are counted."""


class DownlinkConfig(NodeConfig, frozen=True, kw_only=True):
    """Settings of the downlink."""

    keys: Annotated[str, msgspec.Meta(min_length=1)]
    """Folder of the public keys (NAME.pub) of those who may ask; beside the manifest."""


class Downlink(Node):
    """Do what may be asked from outside."""

    config: DownlinkConfig
    rate_hz = 20.0
    topics = Input(AnyMessage, queue=20000, many=True, optional=True)
    """What campaigns may collect, and where speed and engagement are seen."""
    accepted = Metric("documents")
    refused = Metric("documents")
    collected = Metric("records")
    dropped = Metric("records")

    _memory: Memory | None = None

    @classmethod
    def review(cls, plan: Plan, node: NodePlan) -> list[Objection]:
        """Answers go through the outbox; keys must be there, since without them nobody can ask anything."""
        found = []
        if vehicle_id_or_none(plan) is None:
            what = "there is no outbox through which it could answer"
            found.append(Objection(("nodes", node.name, "use"), what, 'add a node with use = "outbox"'))
        folder = Path(plan.manifest).parent / str(node.config.get("keys", ""))
        if not any(folder.glob("*.pub")):
            what = f"there is no public key in {folder}"
            found.append(
                Objection(("nodes", node.name, "config", "keys"), what, "put NAME.pub of whoever may ask there")
            )
        return found

    def open(self) -> None:
        context = self.context
        self._keys = context.manifest_dir / self.config.keys
        self._plan = msgspec.json.decode(context.plan_json, type=Plan)
        self._policy = open_policy(context.privacy, context.data_dir, context.manifest_dir)
        self._vehicle = self._policy.vehicle_name(vehicle_id_or_none(self._plan) or "unnamed")
        paths = RunPaths(context.run_dir, context.data_dir)
        self._vitals = open_vitals(paths.vitals, self._plan)
        self._inbox = Inbox(context.data_dir)
        self._producer = Producer(outbox_dir(context.data_dir), context.name, clock=self.clock, timeout_s=OUTBOX_S)
        self._encoder = TelemetryEncoder()
        self._parked = Parked()
        self._types = self._types_of()
        memory = self._memory = Memory(context.data_dir)
        self._answers = Answers(memory)
        self._doing: dict[str, Doing] = {}
        self._waiting: deque[tuple[str, Chosen]] = deque()
        self._collectors: dict[str, list[Collector]] = {}
        self._looked_ns = self._wrote_ns = self.clock.now_ns()
        self._again_ns = 0
        self._handed: tuple[Any, ...] = ()
        self._changed = False
        self._means = Means(
            self._plan,
            self._vitals,
            context.data_dir,
            paths.logs,
            context.run_id,
            self.clock,
            lambda: self._parked.reason_against(self.clock.now_ns()),
            lambda purpose: purpose in self._policy.consent_now().purposes,
            self._put_own,
        )
        self._take_up(memory)

    def _types_of(self) -> dict[str, type[Message]]:
        """Message types of the topics that this node reads."""
        outputs = self._plan.topics()
        wired = {topic for item in self._plan.node(self.context.name).inputs for topic in item.topics}
        folders = {node.name: node.sys_path for node in self._plan.nodes}
        return {
            topic: load_message_type(outputs[topic].type, folders[topic.partition("/")[0]])
            for topic in wired
            if topic in outputs
        }

    def _take_up(self, memory: Memory) -> None:
        """Go on where an earlier process was: what it had begun is not begun again."""
        for name, command in memory.kept.commands.items():
            if command.result is None:
                text = "the computer or the node ended while it was being done; it is not done again"
                self._finish(memory, name, Done("interrupted", "cut-off", text))
        for remembered in memory.kept.campaigns.values():
            self._collect_for(remembered)

    # ------------------------------------------------------------------------------------------------ step

    def step(self) -> None:
        memory, now_ns = self._memory, self.clock.now_ns()
        if memory is None:
            return
        self._look(now_ns)
        if now_ns - self._looked_ns >= ns(LOOK_S):
            self._looked_ns = now_ns
            self._guarded(lambda: self._take_in(memory, now_ns))
        self._guarded(lambda: self._go_on(memory))
        if now_ns >= self._again_ns:
            self._guarded(lambda: self._tell(memory))
        if self._changed and now_ns - self._wrote_ns >= ns(WRITE_S):
            self._guarded(lambda: self._write(memory))

    def close(self) -> None:
        memory = self._memory
        if memory is not None:
            self._guarded(lambda: self._tell(memory))
            self._guarded(lambda: self._write(memory))
            self._producer.close()
            self._memory = None
        if hasattr(self, "_vitals"):
            self._vitals.close()

    def _look(self, now_ns: int) -> None:
        try:
            samples = self.topics.take()
        except BusError as error:
            self.report_fault("downlink-undecodable", error.message)
            return
        for sample in samples:
            self._see(sample)
            for name, collectors in self._collectors.items():
                for collector in collectors:
                    self._choose(name, collector.take(sample))
        for name, collectors in self._collectors.items():
            for collector in collectors:
                self._choose(name, collector.tick(now_ns))

    def _see(self, sample: Sample[AnyMessage]) -> None:
        value: Message = sample.value
        if isinstance(value, VehicleState):
            self._parked.speed(value.speed_mps, sample.valid, sample.sent_ns)
        elif isinstance(value, BridgeVerdict):
            self._parked.engagement(value.engagement, sample.sent_ns)

    # ------------------------------------------------------------------------------------------------ documents

    def _take_in(self, memory: Memory, now_ns: int) -> None:
        for path in self._inbox.waiting():
            verdict = judge(path.read_bytes(), self._keys, self._vehicle, self.clock.wall_ns() // NS_PER_S, memory.kept)
            memory.kept.floor_s = max(memory.kept.floor_s, verdict.issued_s)
            memory.forget_what_cannot_come_again()
            if verdict.result is not None:
                self.refused.observe(1)
                self.log.warning("%s refused: %s", verdict.result.name, verdict.result.text)
                self._answers.add(verdict.result, now_ns)
            if isinstance(verdict.document, Command):
                self._begin(memory, verdict.document, verdict.key)
            elif isinstance(verdict.document, Campaign):
                self._accept(memory, verdict.document, verdict.key)
            self._write(memory)
            self._inbox.remove(path)

    def _begin(self, memory: Memory, command: Command, key: str) -> None:
        """Remembered durably before anything is done: whatever happens now, it is not begun again."""
        self.accepted.observe(1)
        memory.kept.commands[command.id] = RememberedCommand(deadline_s=command.deadline_s, key=key, verb=command.verb)
        try:
            self._write(memory)
        except OSError:
            del memory.kept.commands[command.id]  # it stays in the inbox, and is begun when the disk takes it
            raise
        self.log.info("%s: %s, asked by %s", command.id, command.verb, key)
        self._doing[command.id] = begin(command.verb, command.arguments, f"{key}: {command.id}", self._means)

    def _accept(self, memory: Memory, campaign: Campaign, key: str) -> None:
        remembered = RememberedCampaign(campaign=campaign, key=key)
        known = memory.kept.campaigns.get(campaign.name)
        if known is not None and known.campaign.max_bytes == campaign.max_bytes:
            remembered.spent_bytes = known.spent_bytes
        try:
            collectors = collectors_of(campaign, self._types)
        except CardanError as error:
            self.refused.observe(1)
            text = error.message if error.hint is None else f"{error.message}; {error.hint}"
            self._answer(campaign, key, "refused", "does-not-fit", text)
            return
        self.accepted.observe(1)
        memory.kept.campaigns[campaign.name] = remembered
        self._collectors[campaign.name] = collectors
        if collectors:
            self._answer(campaign, key, "accepted")
        else:
            self._end(remembered, "it collects nothing")

    def _collect_for(self, remembered: RememberedCampaign) -> None:
        if remembered.ended:
            return
        try:
            self._collectors[remembered.campaign.name] = collectors_of(remembered.campaign, self._types)
        except CardanError as error:  # this run has other topics than the one that took it
            self.log.warning("%s rests: %s", remembered.campaign.title, error.message)

    def _end(self, remembered: RememberedCampaign, why: str) -> None:
        remembered.ended = why
        self._collectors.pop(remembered.campaign.name, None)
        self._changed = True
        self._answer(remembered.campaign, remembered.key, "ended", "", why, {"bytes": remembered.spent_bytes})

    def _answer(
        self,
        campaign: Campaign,
        key: str,
        state: str,
        reason: str = "",
        text: str = "",
        output: dict[str, Any] | None = None,
    ) -> None:
        result = Result(
            asked="campaign", name=campaign.title, state=state, reason=reason, text=text, key=key, output=output or {}
        )
        self._answers.add(result, self.clock.now_ns())
        self._changed = True

    # ------------------------------------------------------------------------------------------------ doing

    def _go_on(self, memory: Memory) -> None:
        for name, doing in list(self._doing.items()):
            done = doing.poll()
            if done is not None:
                del self._doing[name]
                self._finish(memory, name, done)
                self._write(memory)

    def _finish(self, memory: Memory, name: str, done: Done) -> None:
        command = memory.kept.commands[name]
        command.result = Result(
            asked="command",
            name=name,
            state=done.state,
            reason=done.reason,
            text=done.text,
            key=command.key,
            output={"verb": command.verb, **done.output},
        )
        self._answers.add(command.result, self.clock.now_ns())
        self._changed = True
        self.log.info("%s: %s %s", name, done.state, done.text)

    # ------------------------------------------------------------------------------------------------ campaigns

    def _choose(self, name: str, chosen: list[Chosen]) -> None:
        for item in chosen:
            if len(self._waiting) >= MOST_WAITING:
                self._waiting.popleft()
                self.dropped.observe(1)
            self._waiting.append((name, item))

    def _keep_samples(self, memory: Memory) -> None:
        wall_offset_ns = self.clock.wall_ns() - self.clock.now_ns()
        purposes = self._policy.consent_now().purposes
        while self._waiting:
            name, chosen = self._waiting[0]
            remembered = memory.kept.campaigns[name]
            if remembered.ended or remembered.campaign.purpose not in purposes:
                self._waiting.popleft()
                continue
            sample = chosen.sample
            payload = self._payload(remembered.campaign, sample)
            if payload is not None:
                record = PutRecord(sample.sent_ns, sample.sent_ns + wall_offset_ns, payload)
                self._put(RecordClass[chosen.keep_as.upper()], record, (name, sample.topic, sample.epoch, sample.seq))
                self.collected.observe(1)
                self._spend(memory, remembered, len(payload))
            self._waiting.popleft()

    def _payload(self, campaign: Campaign, sample: Sample[AnyMessage]) -> bytes | None:
        try:
            payload = self._encoder.encode(sample)[:-1] + f',"campaign":"{campaign.title}"}}'.encode()
            if len(payload) > MOST_RECORD_BYTES:
                raise TypeError(f"a message of {len(payload)} bytes is too long for a record")
            return payload
        except TypeError as error:
            self.dropped.observe(1)
            self.report_fault("downlink-undecodable", f"{sample.topic}: {error}")
            return None

    def _spend(self, memory: Memory, remembered: RememberedCampaign, size: int) -> None:
        remembered.spent_bytes += size
        self._changed = True
        now_s = max(self.clock.wall_ns() // NS_PER_S, memory.kept.floor_s)
        if remembered.spent_bytes >= remembered.campaign.max_bytes:
            self._end(remembered, "its budget is spent")
        elif now_s > remembered.campaign.expires_s:
            self._end(remembered, "it has expired")

    # ------------------------------------------------------------------------------------------------ outbox, disk

    def _tell(self, memory: Memory) -> None:
        """Answers, then samples, into the outbox; what it does not take waits."""
        try:
            while memory.kept.untold:
                message = msgspec.to_builtins(memory.kept.untold[0])
                payload = msgspec.json.encode({"topic": "downlink/result", "message": message})
                record = PutRecord(self.clock.now_ns(), self.clock.wall_ns(), payload)
                self._put(RecordClass.CRITICAL, record, (message["asked"], message["name"], message["state"]))
                del memory.kept.untold[0]
                self._changed = True
            self._keep_samples(memory)
        except (NotKept, Unanswered) as error:
            self._again_ns = self.clock.now_ns() + ns(AGAIN_S)
            self.report_condition("downlink-outbox", error.message)
            return
        self.report_condition("")

    def _put_own(self, topic: str, message: dict[str, Any]) -> bool:
        payload = msgspec.json.encode({"topic": topic, "message": message})
        record = PutRecord(self.clock.now_ns(), self.clock.wall_ns(), payload)
        try:
            self._put(RecordClass.TREND, record, (topic, message["name"], message["piece"]))
        except (NotKept, Unanswered):
            return False
        return True

    def _put(self, kind: RecordClass, record: PutRecord, token: tuple[Any, ...]) -> None:
        """Keep one record; after a failure call it again with the same token: the producer may hold the record yet."""
        if self._handed == token:
            self._producer.flush()
        else:
            self._producer.flush()
            self._handed = token
            try:
                self._producer.put_many(kind, [record])
            except NotKept:
                self._handed = ()
                raise
        self._handed = ()

    def _write(self, memory: Memory) -> None:
        self._wrote_ns = self.clock.now_ns()
        memory.write()
        self._changed = False

    def _guarded(self, action: Any) -> None:
        """Do `action`; while the disk refuses, nothing new is begun and what waits waits."""
        try:
            action()
        except OSError as error:
            self.report_fault("downlink-disk", f"{self.context.data_dir}: {error.strerror}")
        except ConfigError as error:
            self.report_fault("downlink-keys", error.message)
