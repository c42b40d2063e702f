"""What may be asked of a vehicle: commands and campaigns, and the signed envelope they travel in.

The envelope is JSON: {"cardan": 1, "key": NAME, "ed25519": BASE64, "body": TEXT}. The signature covers the body's text
as it stands there, so that no two ways to write the same document matter. The body is JSON too, of one of the types
here.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from cardan.runtime.errors import ConfigError
from cardan.runtime.privacy.settings import Purpose

COVERED = b"cardan downlink 1\n"
"""Stands before the body in what is signed, so that a signature of something else never fits."""
LONGEST_COMMAND_S = 7 * 86_400
LONGEST_CAMPAIGN_S = 366 * 86_400
EVERYBODY = "*"

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Seconds = Annotated[int, msgspec.Meta(ge=0, lt=1 << 40)]
"""Since 1970, UTC."""
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Verb = Literal["ping", "collect-bundle", "restart-node", "set-metered"]
Kept = Literal["event", "trend", "bulk"]


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A signed document as it travels."""

    cardan: Literal[1] = 1
    key: Annotated[str, msgspec.Meta(max_length=64)]
    ed25519: Annotated[str, msgspec.Meta(max_length=200)]
    body: str


class Command(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="command", forbid_unknown_fields=True):
    """Something to be done once, before a deadline."""

    id: Name
    vehicles: Annotated[list[Text], msgspec.Meta(min_length=1, max_length=10_000)]
    """Names as the outbox has them; "*" is every vehicle."""
    issued_s: Seconds
    deadline_s: Seconds
    verb: Verb
    arguments: dict[str, str] = {}

    def __post_init__(self) -> None:
        _check_times(self.issued_s, self.deadline_s, LONGEST_COMMAND_S)


class Collect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing to collect, and when."""

    topics: Annotated[list[Text], msgspec.Meta(min_length=1, max_length=50)]
    when: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    """A condition; empty: always."""
    before_s: Annotated[float, msgspec.Meta(ge=0, le=60)] = 0.0
    after_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 10.0
    """From the moment at which the condition fires."""
    rate_hz: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 0.0
    """Most messages a second of each topic; 0: all."""
    keep_as: Kept = "event"
    """Class of the records."""


class Campaign(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="campaign", forbid_unknown_fields=True):
    """What to collect until further notice. A higher version replaces a lower one; without `collect` it ends it."""

    name: Name
    version: Annotated[int, msgspec.Meta(ge=1, lt=1 << 53)]
    vehicles: Annotated[list[Text], msgspec.Meta(min_length=1, max_length=10_000)]
    issued_s: Seconds
    expires_s: Seconds
    purpose: Purpose
    max_bytes: Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]
    """Of all its records together; then it ends."""
    collect: Annotated[list[Collect], msgspec.Meta(max_length=20)] = []

    def __post_init__(self) -> None:
        _check_times(self.issued_s, self.expires_s, LONGEST_CAMPAIGN_S)

    @property
    def title(self) -> str:
        """Name and version, as its records bear them."""
        return f"{self.name}@{self.version}"


Document = Command | Campaign


def read_document(body: str | bytes) -> Document:
    """The document in a body; ConfigError says what is wrong with it."""
    try:
        document: Document = msgspec.json.decode(body, type=Document)
        return document
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(f"this is neither a command nor a campaign: {error}") from error


def read_envelope(data: bytes) -> Envelope:
    """The envelope in what arrived; ConfigError when it is none."""
    try:
        return msgspec.json.decode(data, type=Envelope)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(f"this is no signed document: {error}") from error


def covered(body: str) -> bytes:
    """What the signature covers."""
    return COVERED + body.encode()


def _check_times(issued_s: int, until_s: int, longest_s: int) -> None:
    if until_s <= issued_s:
        raise ValueError("it ends before it was issued")
    if until_s - issued_s > longest_s:
        raise ValueError(f"it would hold for more than {longest_s // 86_400} days")
