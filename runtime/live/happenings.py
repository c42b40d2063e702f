"""What goes to a broker, and what happens on a connection to one."""

from __future__ import annotations

from typing import NamedTuple


class Outgoing(NamedTuple):
    """One message for the broker, QoS 1, not retained."""

    token: object
    """Given back when the broker has answered."""
    topic: str
    payload: bytes
    expiry_s: int
    """Nobody wants it later than this."""
    properties: tuple[tuple[str, str], ...] = ()
    """User properties."""


class Up(NamedTuple):
    """The broker has taken us in."""

    window: int
    """Most messages that it takes without having answered them."""
    most_bytes: int | None
    """Largest packet that it takes."""


class Down(NamedTuple):
    """There is no connection (any more); what was not answered may or may not have arrived."""

    problem: str
    refused: bool
    """True when trying again alone will not help: certificate, name or permission."""


class Told(NamedTuple):
    """The broker has taken a message over: PUBACK with a reason code that is no error."""

    token: object


class Refused(NamedTuple):
    """The broker does not take a message."""

    token: object
    reason: str
    for_good: bool
    """True when this message will never be taken, whoever sends it."""


class Received(NamedTuple):
    """A message for us. It comes again until it is acknowledged."""

    topic: str
    payload: bytes
    number: int
    """For the acknowledgement, on this connection."""


class NotSubscribed(NamedTuple):
    """The broker does not let us listen."""

    topic: str
    reason: str


Happening = Up | Down | Told | Refused | Received | NotSubscribed
