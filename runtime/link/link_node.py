"""`bus-link`: another computer as a node of this run. Its topics become outputs of this node, with times of our clock.

No other node holds a connection, so the state of the link is the state of one node: it is in the vitals, and in the
topic `NODE/link`. While the other computer is away, what came last is sent once more as not valid.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
import zmq

from cardan.runtime.bus.codec import MessageDecoder
from cardan.runtime.bus.envelope import Header
from cardan.runtime.bus.ports import Metric, Output
from cardan.runtime.bus.writer import Writer
from cardan.runtime.clock import NS_PER_S
from cardan.runtime.errors import BusError, ConfigError, near_names
from cardan.runtime.link.client import ClientSettings, LinkClient
from cardan.runtime.link.endpoints import check_endpoint, is_tcp
from cardan.runtime.link.keys import KeyFolder, keys_folder, parse_key
from cardan.runtime.link.presence import Change
from cardan.runtime.link.stamps import has_stamps, shift_stamps
from cardan.runtime.messages import Message, type_name
from cardan.runtime.node.node import Node, NodeConfig, Ports
from cardan.runtime.registry import load_message_type

Text = Annotated[str, msgspec.Meta(min_length=1)]
TOPIC = re.compile(r"[a-z][a-z0-9_-]*/[A-Za-z_][A-Za-z0-9_]*")
OUR_MESSAGES = "cardan.runtime.messages"
LOST, REFUSED, NO_TOPIC, OTHER_TYPE = "link-lost", "link-refused", "link-no-topic", "link-other-type"


class RemoteTopic(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one output carries."""

    topic: Text
    """`node/output` on the other computer."""
    type: Text
    """`module:Class` of its messages, or the name of a type of cardan.runtime.messages."""

    def __post_init__(self) -> None:
        if not TOPIC.fullmatch(self.topic):
            raise ConfigError(f'"{self.topic}" is no topic', hint='write it as on the other computer: "node/output"')


class LinkConfig(NodeConfig, frozen=True, kw_only=True):
    """Settings of a link."""

    address: Text
    """Where the other computer's gateway listens: `tcp://10.0.0.2:7447`."""
    server_key: str = ""
    """Its public key, or the name under which we trust it."""
    key: str = ""
    """Name of our own key pair."""
    keys: str = ""
    """Folder of the keys; empty: /etc/cardan/keys, or `keys` in the data folder."""
    topics: dict[str, RemoteTopic]
    """Our output -> what it carries."""
    beat_s: Annotated[float, msgspec.Meta(ge=0.01, le=10)] = 0.2
    timeout_s: Annotated[float, msgspec.Meta(ge=0.03, le=60)] = 1.0
    """Without an answer for so long the other computer counts as gone."""

    def __post_init__(self) -> None:
        check_endpoint(self.address, has_key=bool(self.key and self.server_key), to_bind=False)
        if self.timeout_s < 3 * self.beat_s:
            raise ConfigError(
                f"timeout_s = {self.timeout_s:g} is less than three beats of {self.beat_s:g} s",
                hint="raise timeout_s or lower beat_s",
            )


class LinkState(Message, frozen=True, kw_only=True):
    """How a link is."""

    up: bool
    peer: str
    """Name of the vehicle (manifest) on the other computer; empty until it has answered."""
    reason: str
    """Why it is not up; empty while it is."""
    since_ns: int
    """Since when it is so."""
    outages: int
    lost: int
    """Messages that were published there and did not arrive."""
    offset_ns: int
    """The other monotonic clock is so far ahead of ours, give or take `uncertainty_ns`."""
    uncertainty_ns: int
    clock_steps: int
    """How often the two clocks contradicted what was known of them."""


class BusLink(Node):
    """Re-publishes topics of another computer."""

    config: LinkConfig
    rate_hz = 20.0
    preload = ("cardan.runtime.link.client",)
    link = Output(LinkState)
    lost = Metric("messages")
    """Gaps, each with its length."""
    outage_s = Metric("s")
    """Outages that have ended."""
    round_trip_s = Metric("s")
    uncertainty_s = Metric("s")
    unreadable = Metric("messages")
    """Messages of another type, or damaged."""

    @classmethod
    def ports_for(cls, config: NodeConfig, folders: list[str]) -> Ports:
        """One output more for each topic; ConfigError for a name that is taken, NodeError for an unknown type."""
        ports = cls.ports()
        if isinstance(config, LinkConfig):
            ports.outputs.update({name: _output(cls, name, remote, folders) for name, remote in config.topics.items()})
        return ports

    def open(self) -> None:
        config = self.config
        folder = KeyFolder(keys_folder(self.context.data_dir, config.keys))
        pair = folder.load(config.key) if is_tcp(config.address) else None
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._client: LinkClient | None = None
        self._outputs = {remote.topic: name for name, remote in config.topics.items()}
        self._decoders = {name: MessageDecoder(self._writer(name).type) for name in config.topics}
        self._shifts = {name for name in config.topics if has_stamps(self._writer(name).type)}
        self._refused_type: set[str] = set()
        self._told_ns = self._went_ns = 0
        self._lost = 0
        settings = ClientSettings(
            address=config.address,
            topics=tuple(self._outputs),
            beat_s=config.beat_s,
            timeout_s=config.timeout_s,
        )
        server_key = server_key_of(config.server_key, folder) if pair is not None else None
        self._client = LinkClient(self._context, settings, self.clock, pair=pair, server_key=server_key)
        self.wake_on(self._client.fileno())

    def step(self) -> None:
        client = self._client
        if client is None:
            return
        for change in client.step(self._deliver):
            self._changed(client, change)
        for round_trip_ns in client.round_trips_ns:
            self.round_trip_s.observe(round_trip_ns / NS_PER_S)
        if client.lost > self._lost:
            self.lost.observe(client.lost - self._lost)
            self._lost = client.lost
        self._judge(client)
        if client.round_trips_ns or self.clock.now_ns() - self._told_ns > NS_PER_S:
            self._tell(client)
        client.round_trips_ns.clear()

    def close(self) -> None:
        client = getattr(self, "_client", None)
        if client is not None:
            client.close()
        context = getattr(self, "_context", None)
        if context is not None:
            context.destroy(linger=0)

    def _writer(self, name: str) -> Writer[Any]:
        writer: Writer[Any] = self.__dict__[name]
        return writer

    def _deliver(self, topic: str, header: Header, payload: memoryview) -> None:
        name = self._outputs[topic]
        decoder = self._decoders[name]
        try:
            if header.schema != decoder.schema:
                self._refused_type.add(name)
                raise BusError(f"{topic} carries another message type")
            value = decoder.decode(payload)
        except BusError as error:
            self.unreadable.observe(1)
            self.log.debug("%s", error)
            return
        if name in self._shifts:
            estimate = self._client.estimate() if self._client is not None else None
            value = value if estimate is None else shift_stamps(value, estimate.to_local_ns)
        self._writer(name).send(value, valid=header.valid, origin_ns=header.origin_ns, sent_ns=header.sent_ns)

    def _changed(self, client: LinkClient, change: Change) -> None:
        if change is Change.CAME:
            self.log.info("%s: %s is there", self.config.address, client.vehicle)
            if client.presence.outages:
                self.outage_s.observe((self.clock.now_ns() - self._went_ns) / NS_PER_S)
        else:
            self._went_ns = self.clock.now_ns()
            self.log.warning("%s is gone: %s", self.config.address, client.reason)
            for name in self.config.topics:
                self._writer(name).withdraw()
        self._tell(client)

    def _judge(self, client: LinkClient) -> None:
        """What is not as it should be at this moment."""
        absent = sorted(set(self._outputs) - set(client.offered)) if client.offered is not None else []
        presence = client.presence
        waited_ns = self.clock.now_ns() - presence.since_ns
        if not presence.up and not presence.outages and waited_ns < self.config.timeout_s * NS_PER_S:
            return
        if not presence.up:
            refused = client.reason not in ("it has not answered yet", "it does not answer", "the connection was cut")
            self.report_condition(REFUSED if refused else LOST, f"{self.config.address}: {client.reason}")
        elif absent:
            known = near_names(absent[0], list(client.offered or {}))
            self.report_condition(NO_TOPIC, f'{client.vehicle} has no topic "{absent[0]}": {known}')
        elif self._refused_type:
            name = min(self._refused_type)
            remote = self.config.topics[name]
            there = (client.offered or {}).get(remote.topic, "unknown")
            here = type_name(self._writer(name).type)
            self.report_condition(OTHER_TYPE, f"{remote.topic} is a {there} there; here it is declared as {here}")
        else:
            self.report_condition("")

    def _tell(self, client: LinkClient) -> None:
        estimate, presence = client.estimate(), client.presence
        self._told_ns = self.clock.now_ns()
        if estimate is not None:
            self.uncertainty_s.observe(estimate.uncertainty_ns / NS_PER_S)
        state = LinkState(
            up=presence.up,
            peer=client.vehicle,
            reason="" if presence.up else client.reason,
            since_ns=presence.since_ns,
            outages=presence.outages,
            lost=client.lost,
            offset_ns=estimate.offset_ns if estimate else 0,
            uncertainty_ns=estimate.uncertainty_ns if estimate else 0,
            clock_steps=client.offset.steps,
        )
        self.link.send(state, valid=presence.up)


def server_key_of(given: str, folder: KeyFolder) -> bytes:
    """The public key of the other computer: `given` itself, or the trusted key of that name."""
    trusted = folder.trusted()
    if given in trusted:
        return trusted[given]
    if len(given) == 40:
        return parse_key(given)
    raise ConfigError(
        f'no trusted key is called "{given}" in {folder.folder}',
        hint=f"{near_names(given, list(trusted))}, or `cardan keys trust {given} KEY` with the key of that computer",
    )


def _output(cls: type[Node], name: str, remote: RemoteTopic, folders: list[str]) -> Output[Any]:
    if not name.isidentifier() or name.startswith("_"):
        raise ConfigError(f'"{name}" is no name of an output', hint="small letters, digits and _; a letter first")
    if hasattr(cls, name) or name in Node.__annotations__:
        raise ConfigError(f'an output cannot be called "{name}": a node has something of that name', hint="rename it")
    use = remote.type if ":" in remote.type else f"{OUR_MESSAGES}:{remote.type}"
    output: Output[Any] = Output(load_message_type(use, folders))
    output.name = name
    return output
