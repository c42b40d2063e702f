"""Is this asked by somebody whom we trust, of us, now, and for the first time? A pure decision on bytes and memory."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from cardan.runtime.downlink.documents import (
    EVERYBODY,
    Campaign,
    Command,
    Document,
    covered,
    read_document,
    read_envelope,
)
from cardan.runtime.downlink.memory import MOST_CAMPAIGNS, MOST_COMMANDS, Kept, Result
from cardan.runtime.errors import ConfigError
from cardan.runtime.signing import public_key, verify


class Verdict(NamedTuple):
    """What is to follow."""

    document: Document | None
    """To be done; None: nothing is."""
    key: str
    result: Result | None
    """To be told at once; None for what is known already."""
    issued_s: int
    """When a trusted key has signed it; 0 where none has."""


class Asked(NamedTuple):
    """A document that a trusted key has signed."""

    document: Document
    key: str


def read_signed(data: bytes, keys: Path) -> Asked:
    """The document in a signed envelope; ConfigError says why it is not to be trusted."""
    envelope = read_envelope(data)
    verify(covered(envelope.body), envelope.ed25519, public_key(keys, envelope.key))
    return Asked(read_document(envelope.body), envelope.key)


def judge(data: bytes, keys: Path, vehicle: str, now_s: int, kept: Kept) -> Verdict:
    """Decide over what arrived. now_s: the wall clock, which counts unless a trusted key has signed a later time."""
    try:
        asked = read_signed(data, keys)
    except ConfigError as error:
        name = hashlib.sha256(data).hexdigest()[:16]
        text = error.message if error.hint is None else f"{error.message}; {error.hint}"
        result = Result(asked="unknown", name=name, state="refused", reason="not-trusted", text=text)
        return Verdict(None, "", result, 0)
    document, key = asked
    reason, text = _against(document, vehicle, max(now_s, kept.floor_s), kept)
    if reason == "known":
        return Verdict(None, key, None, document.issued_s)
    if reason:
        return Verdict(None, key, _result(document, key, reason, text), document.issued_s)
    return Verdict(document, key, None, document.issued_s)


def _against(document: Document, vehicle: str, now_s: int, kept: Kept) -> tuple[str, str]:
    """Code and text of what speaks against it; empty when nothing does."""
    if vehicle not in document.vehicles and EVERYBODY not in document.vehicles:
        return "not-for-us", f"it is for other vehicles than {vehicle}"
    if isinstance(document, Command):
        return _against_command(document, now_s, kept)
    return _against_campaign(document, now_s, kept)


def _against_command(command: Command, now_s: int, kept: Kept) -> tuple[str, str]:
    if command.id in kept.commands:
        return "known", ""
    if now_s > command.deadline_s:
        return "expired", f"its deadline was {now_s - command.deadline_s} s ago by the clock of this computer"
    if len(kept.commands) >= MOST_COMMANDS:
        return "busy", f"{MOST_COMMANDS} commands are remembered already"
    return "", ""


def _against_campaign(campaign: Campaign, now_s: int, kept: Kept) -> tuple[str, str]:
    known = kept.campaigns.get(campaign.name)
    if known is not None and known.campaign == campaign:
        return "known", ""
    if known is not None and campaign.version <= known.campaign.version:
        return "old-version", f"version {known.campaign.version} is here already"
    if now_s > campaign.expires_s:
        return "expired", f"it ended {now_s - campaign.expires_s} s ago by the clock of this computer"
    if known is None and len(kept.campaigns) >= MOST_CAMPAIGNS:
        return "busy", f"{MOST_CAMPAIGNS} campaigns are here already; end one with a version that collects nothing"
    return "", ""


def _result(document: Document, key: str, reason: str, text: str) -> Result:
    kind, name = kind_and_name(document)
    return Result(asked=kind, name=name, state="refused", reason=reason, text=text, key=key)


def kind_and_name(document: Document) -> tuple[str, str]:
    """How results call a document."""
    return ("command", document.id) if isinstance(document, Command) else ("campaign", document.title)
