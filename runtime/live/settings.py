"""Settings of the node `live`, within what Azure Event Grid and its like allow."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from cardan.runtime.errors import ConfigError
from cardan.runtime.node.node import NodeConfig

Text = Annotated[str, msgspec.Meta(min_length=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
EXAMPLE = "mqtts://broker.example.com:8883"


class LiveConfig(NodeConfig, frozen=True, kw_only=True):
    """Where the broker is and how much may be said to it.

    The upper bounds are Event Grid's: 512 KB a message, 1000 messages and 1 MB a second, 64 KB on the way, 8 hours.
    """

    broker: Text
    """`mqtts://HOST:PORT`; there is no way without TLS."""
    ca: Text
    """PEM file with the authorities that may vouch for the broker. Files are looked for beside the manifest."""
    certificate: Text
    """PEM file with our certificate and its chain."""
    key: Text
    """PEM file with its private key."""
    prefix: Text = "vehicles/{vehicle}"
    """Of all our topics at the broker."""
    state_interval_s: Annotated[float, msgspec.Meta(ge=1.0)] = 10.0
    """Between two reports of the state."""
    keepalive_s: Annotated[int, msgspec.Meta(ge=5, le=1160)] = 30
    """After one and a half times this without a word the broker publishes our last will."""
    session_expiry_s: Annotated[int, msgspec.Meta(ge=0, le=28_800)] = 3600
    """So long the broker keeps what is asked of us while we are away."""
    event_expiry_s: Annotated[int, msgspec.Meta(ge=1)] = 86_400
    """So long the broker may keep an event for somebody who is away."""
    max_message_bytes: Annotated[int, msgspec.Meta(ge=1 << 10, le=512_000)] = 64_000
    """Longer messages are not sent, and counted."""
    messages_per_s: Annotated[float, msgspec.Meta(gt=0, le=1000)] = 100.0
    """Most messages a second."""
    bytes_per_s: Annotated[float, msgspec.Meta(gt=0, le=1_000_000)] = 250_000.0
    """Most bytes a second."""
    window: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 32
    """Most messages on their way to the broker without an answer."""
    window_bytes: Annotated[int, msgspec.Meta(ge=1 << 10, le=64_000)] = 64_000
    """The same in bytes."""
    backlog_bytes: Annotated[int, msgspec.Meta(ge=0)] = 16 << 20
    """Of each class: what is not told yet is held so far, although the store has it and the outbox has removed it."""
    connect_timeout_s: Positive = 10.0
    """Until a try to connect counts as failed."""
    first_wait_s: Positive = 1.0
    """See `longest_wait_s`."""
    longest_wait_s: Positive = 300.0
    """Between two tries to connect lies at most `first_wait_s`, doubled with each failure, up to this; full jitter."""
    offline_after_s: Positive = 120.0
    """Without a connection for so long the node says so; a vehicle in a garage is no finding."""

    def __post_init__(self) -> None:
        host_and_port(self.broker)


def host_and_port(broker: str) -> tuple[str, int]:
    """Where `mqtts://HOST:PORT` leads; ConfigError for any other address."""
    try:
        parts = urlsplit(broker)
        if parts.scheme == "mqtts" and parts.hostname and parts.path in ("", "/") and not parts.username:
            return parts.hostname, parts.port or 8883
    except ValueError:
        pass
    raise ConfigError(f'"{broker}" is no address of a broker', hint=f'write "{EXAMPLE}"')
