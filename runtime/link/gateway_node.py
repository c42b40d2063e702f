"""`bus-gateway`: shows topics of this run to other computers, tools and foreign programs, for as long as it runs."""

from __future__ import annotations

from typing import Annotated

import msgspec
import zmq

from cardan.runtime.bus.ports import Metric
from cardan.runtime.errors import ConfigError
from cardan.runtime.findings import Objection
from cardan.runtime.link.endpoints import check_endpoint, is_tcp
from cardan.runtime.link.gateway import Counts, Gateway, GatewaySettings, offered
from cardan.runtime.link.keys import KeyFolder, keys_folder
from cardan.runtime.link.open_source import open_source
from cardan.runtime.link.repeats import Repeats
from cardan.runtime.node.node import Node, NodeConfig
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.run import RunPaths


class GatewayConfig(NodeConfig, frozen=True, kw_only=True):
    """Settings of a gateway."""

    bind: str = ""
    """`tcp://0.0.0.0:7447`, with `key`; empty: `NODE.gateway` in the folder of the run, for this computer only."""
    topics: Annotated[list[str], msgspec.Meta(min_length=1)] = msgspec.field(default_factory=lambda: ["*"])
    """Topics or patterns: nothing else can be asked for."""
    key: str = ""
    """Name of our own key pair; tcp needs one."""
    keys: str = ""
    """Folder of the keys; empty: /etc/cardan/keys, or `keys` in the data folder."""

    def __post_init__(self) -> None:
        if self.bind:
            check_endpoint(self.bind, has_key=bool(self.key), to_bind=True)
        elif self.key:
            raise ConfigError("a key is for tcp, and there is no address", hint='write bind = "tcp://0.0.0.0:7447"')


class BusGateway(Node):
    """Publishes what others ask for. Nothing can be sent into the run through it."""

    config: GatewayConfig
    rate_hz = 200.0
    """How often it looks at the topics: what it forwards is half a period late on average."""
    preload = ("cardan.runtime.link.gateway",)
    forwarded = Metric("messages")
    dropped = Metric("messages")
    unreadable = Metric("messages")
    overtaken = Metric("messages")
    refused = Metric("clients")

    @classmethod
    def review(cls, plan: Plan, node: NodePlan) -> list[Objection]:
        """Topics that nobody publishes cannot be shown."""
        try:
            offered(dict.fromkeys(plan.topics(), ""), node.config.get("topics", ["*"]))
        except ConfigError as error:
            return [Objection(("nodes", node.name, "config", "topics"), error.message, error.hint or "correct it")]
        return []

    def open(self) -> None:
        config, context = self.config, self.context
        plan = msgspec.json.decode(context.plan_json, type=Plan)
        paths = RunPaths(context.run_dir, context.data_dir)
        topics = {name: output.type for name, output in plan.topics().items()}
        folder = KeyFolder(keys_folder(context.data_dir, config.keys))
        bind = config.bind or f"ipc://{paths.run_dir / context.name}.gateway"
        self._zmq: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._seen = Counts()
        self._overtaken = 0
        self._source = open_source(self._zmq, plan, paths)
        self._gateway = Gateway(
            self._zmq,
            GatewaySettings(bind=bind, topics=offered(topics, config.topics), run=context.run_id, vehicle=plan.name),
            self._source,
            paths.frames,
            self.clock,
            Repeats(self.log.info, self.clock),
            pair=folder.load(config.key) if is_tcp(bind) else None,
            keys=folder if is_tcp(bind) else None,
        )
        self.wake_on(self._gateway.fileno())
        self.log.info("listening on %s", self._gateway.endpoint)

    def step(self) -> None:
        self._gateway.pump()
        counts, seen = self._gateway.counts, self._seen
        for name in ("forwarded", "dropped", "unreadable", "refused"):
            news = getattr(counts, name) - getattr(seen, name)
            if news:
                self.__dict__[name].observe(news)
                setattr(seen, name, getattr(counts, name))
        if self._source.overtaken > self._overtaken:
            self.overtaken.observe(self._source.overtaken - self._overtaken)
            self._overtaken = self._source.overtaken

    def close(self) -> None:
        gateway, context = getattr(self, "_gateway", None), getattr(self, "_zmq", None)
        if gateway is not None:
            gateway.close()
        if context is not None:
            context.destroy(linger=0)
