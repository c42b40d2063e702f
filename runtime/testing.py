"""Run a node in a test: its real ports and loop rules on a fake clock and an in-process bus.

bench = Bench(Cruise, config=CruiseConfig(gap_s=1.8))
bench.send("vehicle", VehicleState(...))
bench.step()
assert bench.sent("command")[-1].valid
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Generic, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from cardan.runtime.bus.codec import MessageDecoder, MessageEncoder
from cardan.runtime.bus.envelope import Sample, pack, sample_of, unpack
from cardan.runtime.clock import NS_PER_S, FakeClock
from cardan.runtime.errors import NodeError
from cardan.runtime.messages import AnyMessage, Message, type_name
from cardan.runtime.node.node import Node, NodeConfig, NodeContext, Ports
from cardan.runtime.node.wiring import Wire
from cardan.runtime.plan import InputPlan, MetricPlan, NodePlan, OutputPlan, Plan
from cardan.runtime.privacy.settings import PrivacySettings
from cardan.runtime.profile import CanChannelSettings, Profile
from cardan.runtime.vitals import NodeVitals, SeriesKind, Vitals, create_vitals

N = TypeVar("N", bound=Node)
M = TypeVar("M", bound=Message)


def blank(message_type: type[M], **fields: Any) -> M:
    """A message of which a test says only what it cares for: everything else is zero, False or empty.

    TypeError for a field of a type that has no such value.
    """
    hints = get_type_hints(message_type)
    required = [field.name for field in msgspec.structs.fields(message_type) if field.required]
    return message_type(**{name: _nothing(hints[name]) for name in required if name not in fields}, **fields)


def _nothing(hint: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        return tuple(_nothing(item) for item in arguments)
    return (origin or hint)()


class Bench(Generic[N]):
    """One node on a bench: send to its inputs, step it, look at what it sent.

    topics: for `many` inputs, the topics and their message types. outputs are decoded again, so what a test sees is
    what a reader would see. Close it (or use it as a context manager) to close the node.
    """

    def __init__(
        self,
        node_type: type[N],
        *,
        config: NodeConfig | None = None,
        rate_hz: float | None = None,
        data_dir: Path | None = None,
        manifest_dir: Path | None = None,
        envelope: dict[str, dict[str, Any]] | None = None,
        envelope_hash: str = "0" * 16,
        can_channels: dict[str, CanChannelSettings] | None = None,
        topics: dict[str, type[Message]] | None = None,
        profile: Profile | None = None,
        privacy: PrivacySettings | None = None,
        open_node: bool = True,
    ) -> None:
        self._sys_path = [] if manifest_dir is None else [str(manifest_dir)]
        self._ports: Ports = node_type.ports() if config is None else node_type.ports_for(config, self._sys_path)
        self._folder = tempfile.TemporaryDirectory(prefix="cardan-bench-")
        folder = Path(self._folder.name)
        self.clock = FakeClock()
        self._types = dict(topics or {})
        self._period_ns = round(NS_PER_S / (rate_hz or node_type.rate_hz or 100.0))
        plan = self._plan_for(node_type, config, profile or Profile(name="test"), envelope or {}, envelope_hash)
        self.plan = msgspec.structs.replace(plan, privacy=privacy or PrivacySettings())
        self.vitals: Vitals = create_vitals(
            folder / "vitals", self.plan, now_ns=self.clock.now_ns(), wall_ns=self.clock.wall_ns()
        )
        self._sent: dict[str, list[Sample[Any]]] = {}
        self._sequences: dict[str, int] = {}
        self.context = NodeContext(
            name="node",
            run_id="bench",
            run_dir=folder,
            data_dir=data_dir or folder / "data",
            manifest_dir=manifest_dir or folder,
            profile=self.plan.profile,
            envelope=self.plan.envelope,
            envelope_hash=envelope_hash,
            can_channels=can_channels or dict(self.plan.profile.can),
            rate_hz=NS_PER_S / self._period_ns,
            stop_wanted=lambda: self.vitals.stop_wanted,
            privacy=self.plan.privacy,
            plan_json=msgspec.json.encode(self.plan),
        )
        self.context.data_dir.mkdir(parents=True, exist_ok=True)
        self.wire = Wire(self.plan, self.plan.nodes[0], self.vitals, self.clock, None)
        self.node: N = node_type()
        self._decoders = {f"node/{name}": MessageDecoder(output.type) for name, output in self._ports.outputs.items()}
        self.wire.connect(self.node, self.context, self._receive, epoch=1)
        if open_node:
            self._open()

    def _open(self) -> None:
        try:
            self.node.open()
        except BaseException:
            self.close()
            raise

    def _plan_for(
        self,
        node_type: type[N],
        config: NodeConfig | None,
        profile: Profile,
        envelope: dict[str, dict[str, Any]],
        envelope_hash: str,
    ) -> Plan:
        ports = self._ports
        inputs = [
            InputPlan(
                port=name,
                topics=list(self._types) if spec.many else [f"bench/{name}"],
                max_age_s=spec.max_age_s,
                queue=spec.queue,
                many=spec.many,
            )
            for name, spec in ports.inputs.items()
        ]
        outputs = [
            OutputPlan(port=name, topic=f"node/{name}", type=type_name(spec.type))
            for name, spec in ports.outputs.items()
        ]
        sources: dict[str, list[OutputPlan]] = {}
        for topic, kind in self._types.items():
            output = OutputPlan(port=topic, topic=topic, type=type_name(kind))
            sources.setdefault(topic.partition("/")[0], []).append(output)
        node = NodePlan(
            name="node",
            index=0,
            use=f"{node_type.__module__}:{node_type.__qualname__}",
            sys_path=self._sys_path,
            config=msgspec.to_builtins(config) if config is not None else {},
            inputs=inputs,
            outputs=outputs,
            metrics=[MetricPlan(name=name, unit=spec.unit) for name, spec in ports.metrics.items()],
        )
        return Plan(
            name="bench",
            manifest="bench.toml",
            manifest_sha256="0" * 64,
            profile=profile,
            envelope=envelope,
            envelope_hash=envelope_hash,
            nodes=[node, *(NodePlan(name=n, index=1, use="", outputs=outs) for n, outs in sources.items())],
        )

    def send(
        self,
        port: str,
        message: Message,
        *,
        topic: str | None = None,
        valid: bool = True,
        origin_ns: int | None = None,
        epoch: int = 1,
    ) -> None:
        """Publish `message` to an input, as sent at this moment. topic: for `many` inputs.

        epoch: which start of the publisher this is; a higher one is a publisher that was restarted.
        """
        spec = self._ports.inputs.get(port)
        if spec is None:
            raise NodeError(f'{type(self.node).__name__} has no input "{port}"')
        name = topic or f"bench/{port}"
        expected = self._types.get(name, AnyMessage) if spec.many else spec.type
        encoder = MessageEncoder(type(message) if expected is AnyMessage else expected)
        now_ns = self.clock.now_ns()
        counter = name if epoch == 1 else f"{name}#{epoch}"
        seq = self._sequences.get(counter, 0)
        self._sequences[counter] = seq + 1
        header = pack(seq, now_ns, now_ns if origin_ns is None else origin_ns, encoder.schema, epoch, valid=valid)
        self.wire.deliver(name, header + encoder.encode(message))

    def step(self, count: int = 1) -> None:
        """`count` cycles of the node: time moves on by a period, then the node steps."""
        for _ in range(count):
            self.clock.advance_ns(self._period_ns)
            self.node.step()
            for reader in self.node._readers:
                reader.step_done()

    def sent(self, port: str) -> list[Sample[Any]]:
        """Everything the node has sent on an output, oldest first."""
        return self._sent.get(f"node/{port}", [])

    def metric(self, name: str) -> tuple[int, float]:
        """Count and sum of a metric, in its unit."""
        series = self.vitals.nodes["node"].find(SeriesKind.METRIC, name)
        if series is None:
            raise NodeError(f'{type(self.node).__name__} has no metric "{name}"')
        return series.words[series.COUNT], series.words[series.SUM] / 1e6

    @property
    def fault(self) -> tuple[int, str, str] | None:
        """The first fault that the node reported: time, code, text."""
        return self.vitals.nodes["node"].fault

    @property
    def node_vitals(self) -> NodeVitals:
        return self.vitals.nodes["node"]

    @property
    def finished(self) -> bool:
        """True once the node has called `finish()`."""
        return self.node._finished

    def close(self) -> None:
        """Close the node and remove what it left."""
        try:
            self.node.close()
        finally:
            self.wire.close()
            self._folder.cleanup()

    def __enter__(self) -> Bench[N]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _receive(self, topic: bytes, header: bytes, payload: bytes) -> None:
        name = topic.decode()
        info = unpack(header + payload[:0])
        value = self._decoders[name].decode(payload)
        self._sent.setdefault(name, []).append(sample_of(info, value, name))
