"""From a plan to live ports: the parts that a node holds while it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from cardan.runtime.bus.codec import MessageDecoder, MessageEncoder, has_arrays
from cardan.runtime.bus.envelope import HEADER_SIZE, Header, unpack
from cardan.runtime.bus.ports import Meter, Reader, Send, Writer
from cardan.runtime.bus.slots import SlotMaps, SlotPool
from cardan.runtime.clock import Clock
from cardan.runtime.errors import ConfigError, NodeError
from cardan.runtime.messages import AnyMessage, Message
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
    """Everything that connects one node instance to the bus and the vitals."""

    def __init__(self, plan: Plan, node: NodePlan, vitals: NodeVitals, clock: Clock, frames: Path | None) -> None:
        self._plan = plan
        self._node = node
        self._vitals = vitals
        self._clock = clock
        self._maps = SlotMaps(frames) if frames else None
        self._frames = frames
        self._by_topic: dict[str, list[Reader[Any]]] = {}
        self.writers: dict[str, Writer[Any]] = {}

    def connect(self, node: Node, context: NodeContext, send: Send, epoch: int) -> None:
        """Give `node` its live ports."""
        declared = type(node).ports()
        readers = {name: self._reader(type(node), name) for name in declared.inputs}
        inherit = inherited(list(readers.values()))
        for output in self._node.outputs:
            message_type = declared.outputs[output.port].type
            pool = self._pool(message_type, output.port, epoch)
            self.writers[output.port] = Writer(
                output.topic,
                MessageEncoder(message_type, pool),
                self._clock,
                send,
                self._series(SeriesKind.OUTPUT, output.port),
                epoch=epoch,
                inherit=inherit,
                pool=pool,
            )
        meters = {name: Meter(self._series(SeriesKind.METRIC, name)) for name in declared.metrics}
        node._wire(
            Wiring(
                config=convert_config(type(node), self._node.config),
                clock=self._clock,
                context=context,
                readers=readers,
                writers=self.writers,
                meters=meters,
                report_fault=lambda code, text: self._vitals.report_fault(self._clock.now_ns(), code, text),
            )
        )

    def deliver(self, topic: str, message: bytes) -> None:
        """Hand one message of the bus to the inputs that read it."""
        header: Header = unpack(message)
        for reader in self._by_topic.get(topic, ()):
            reader.deliver(topic, header, message[HEADER_SIZE:])

    def topics(self) -> list[str]:
        """Every topic this node reads."""
        return list(self._by_topic)

    def close(self) -> None:
        for writer in self.writers.values():
            writer.close()
        if self._maps is not None:
            self._maps.close()

    def _reader(self, node_type: type[Node], port: str) -> Reader[Any]:
        spec = node_type.ports().inputs[port]
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

    def _pool(self, message_type: type[Message], port: str, epoch: int) -> SlotPool | None:
        if self._frames is None or not has_arrays(message_type):
            return None
        for stale in self._frames.glob(f"{self._node.name}.{port}.*"):
            stale.unlink(missing_ok=True)
        return SlotPool(self._frames, f"{self._node.name}.{port}.{epoch}")


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
        plan_json=msgspec.json.encode(plan),
    )
