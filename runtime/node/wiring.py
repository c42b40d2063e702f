"""From a plan to live ports: the parts that a node holds while it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from cardan.runtime.bus.codec import SPILL_FROM, MessageDecoder, MessageEncoder
from cardan.runtime.bus.ends import Passed
from cardan.runtime.bus.envelope import HEADER_SIZE, Header, unpack
from cardan.runtime.bus.ports import Input, Meter
from cardan.runtime.bus.reader import Reader
from cardan.runtime.bus.ring_ends import Subscription
from cardan.runtime.bus.ring_layout import largest_message
from cardan.runtime.bus.slots import SlotMaps, SlotPool
from cardan.runtime.bus.writer import Send, Writer
from cardan.runtime.clock import Clock
from cardan.runtime.errors import BusError, ConfigError, NodeError
from cardan.runtime.messages import AnyMessage, Message, schema_id
from cardan.runtime.node.node import Node, NodeConfig, NodeContext, Wiring, inherited
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.registry import load_message_type
from cardan.runtime.run import RunPaths
from cardan.runtime.vitals import NodeVitals, SeriesKind, SeriesVitals, Vitals


def convert_config(node_type: type[Node], config: dict[str, Any]) -> NodeConfig:
    """The node's settings from the manifest's `config` table."""
    try:
        return msgspec.convert(config, type=node_type.config_type())
    except msgspec.ValidationError as error:
        raise ConfigError(f"config of {node_type.__name__}: {error}") from error


class Wire:
    """Everything that connects one node instance to the bus and the vitals.

    frames: folder of the run's frame slots; None: arrays travel inside their messages.
    """

    def __init__(self, plan: Plan, node: NodePlan, page: Vitals, clock: Clock, frames: Path | None) -> None:
        self._plan = plan
        self._node = node
        self._page = page
        self._vitals = page.nodes[node.name]
        self._clock = clock
        self._maps = SlotMaps(frames, _lease_rows(plan, node)) if frames else None
        self._frames = frames
        self._by_topic: dict[str, list[Reader[Any]]] = {}
        self.writers: dict[str, Writer[Any]] = {}

    def connect(self, node: Node, context: NodeContext, send: Send, epoch: int) -> None:
        """Give `node` its live ports."""
        config = convert_config(type(node), self._node.config)
        self._vitals.set_condition(self._clock.now_ns(), "")
        declared = type(node).ports_for(config, self._node.sys_path)
        readers = {name: self._reader(name, spec) for name, spec in declared.inputs.items()}
        inheritance = inherited(list(readers.values()))
        for output in self._node.outputs:
            message_type = declared.outputs[output.port].type
            pool = self._pool(output.topic, output.port, epoch)
            self.writers[output.port] = Writer(
                output.topic,
                MessageEncoder(message_type, pool, self._spill_from()),
                self._clock,
                send,
                self._series(SeriesKind.OUTPUT, output.port),
                epoch=epoch,
                inherited=inheritance,
                pool=pool,
            )
        meters = {name: Meter(self._series(SeriesKind.METRIC, name)) for name in declared.metrics}
        node._wire(
            Wiring(
                config=config,
                clock=self._clock,
                context=context,
                readers=readers,
                writers=self.writers,
                meters=meters,
                report_fault=lambda code, text: self._vitals.report_fault(self._clock.now_ns(), code, text),
                report_condition=lambda code: self._vitals.set_condition(self._clock.now_ns(), code),
            )
        )

    def deliver(self, topic: str, message: bytes, passed: Passed | None = None) -> None:
        """Hand one message of the bus to the inputs that read it; one without a sound envelope is counted as torn."""
        readers = self._by_topic.get(topic, ())
        try:
            header: Header = unpack(message)
        except BusError:
            for reader in readers:
                reader.refuse(topic)
            return
        for reader in readers:
            reader.deliver(topic, header, message[HEADER_SIZE:], passed)

    def subscriptions(self) -> dict[str, Subscription]:
        """How every topic that this node reads is read: each message if one of its inputs queues them.

        A node that was started again goes on behind the last message that its predecessor had.
        """
        outputs = self._plan.topics()
        return {
            topic: Subscription(
                every=any(reader.is_queue for reader in readers),
                schema=readers[0].schema_of(topic),
                next_index=max(reader.next_index(topic) for reader in readers),
                latched=outputs[topic].latched,
            )
            for topic, readers in self._by_topic.items()
        }

    def schemas(self, node_type: type[Node]) -> dict[str, int]:
        """Every topic that this node publishes, with the schema id of its messages."""
        config = convert_config(node_type, self._node.config)
        declared = node_type.ports_for(config, self._node.sys_path).outputs
        return {output.topic: schema_id(declared[output.port].type) for output in self._node.outputs}

    def close(self) -> None:
        for writer in self.writers.values():
            writer.close()
        if self._maps is not None:
            self._maps.close()

    def _reader(self, port: str, spec: Input[Any]) -> Reader[Any]:
        wired = next((item for item in self._node.inputs if item.port == port), None)
        topics: dict[str, tuple[MessageDecoder[Any], SeriesVitals]] = {}
        for topic in wired.topics if wired else []:
            decoder = MessageDecoder(self._type_of(topic, spec.type), self._maps)
            topics[topic] = (decoder, self._series(SeriesKind.INPUT, port, topic))
        reader: Reader[Any] = Reader(spec, self._clock, topics)
        for topic in topics:
            self._by_topic.setdefault(topic, []).append(reader)
        return reader

    def _type_of(self, topic: str, declared: type[Message]) -> type[Message]:
        if declared is not AnyMessage:
            return declared
        publisher = self._plan.node(topic.partition("/")[0])
        return load_message_type(self._plan.topics()[topic].type, publisher.sys_path)

    def _series(self, kind: SeriesKind, name: str, topic: str | None = None) -> SeriesVitals:
        series = self._vitals.find(kind, name, topic)
        if series is None:
            raise NodeError(f"{self._node.name}.{name} is not in the plan", hint="run `cardan check` again")
        return series

    def _spill_from(self) -> int:
        """Length from which a payload goes to shared memory."""
        return min(SPILL_FROM, largest_message(self._plan.ring_bytes) - HEADER_SIZE)

    def _pool(self, topic: str, port: str, epoch: int) -> SlotPool | None:
        """Slots for what is too large for a message; they take no memory before the first array."""
        if self._frames is None:
            return None
        for stale in self._frames.glob(f"{self._node.name}.{port}.*"):
            stale.unlink(missing_ok=True)
        readers = self._plan.readers(topic)
        name = f"{self._node.name}.{port}.{epoch}"
        return SlotPool(self._frames, name, rows=len(readers), lives=lambda row: self._lives(readers[row]))

    def _lives(self, node: str) -> bool:
        """True while `node` has a process: the supervisor takes the number away when it has ended."""
        return self._page.nodes[node].words[NodeVitals.PID] != 0


def _lease_rows(plan: Plan, node: NodePlan) -> dict[str, int]:
    """Output (`node.port`) -> the row in which this node keeps its leases: its place among the readers."""
    topics = {topic for item in node.inputs for topic in item.topics}
    return {topic.replace("/", "."): plan.readers(topic).index(node.name) for topic in topics}


def make_context(plan: Plan, name: str, paths: RunPaths, vitals: Vitals) -> NodeContext:
    """What the run tells a node. Of the CAN channels it sees those that its plan names (all, when it names none)."""
    channels = plan.node(name).channels or list(plan.profile.can)
    return NodeContext(
        name=name,
        run_id=paths.run_id,
        run_dir=paths.run_dir,
        data_dir=paths.data_dir,
        manifest_dir=Path(plan.manifest).resolve().parent,
        profile=plan.profile,
        envelope=json.loads(json.dumps(plan.envelope)),
        envelope_hash=plan.envelope_hash,
        can_channels={channel: plan.profile.can[channel] for channel in channels},
        rate_hz=plan.node(name).rate_hz,
        stop_wanted=lambda: vitals.stop_wanted,
        privacy=plan.privacy,
        plan_json=msgspec.json.encode(plan),
    )
