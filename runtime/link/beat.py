"""The heartbeat of a link: a question up the subscription, an answer as a topic of its own, over one connection.

A link sends `@` + Beat up its XSUB socket, as ZeroMQ passes messages of a subscriber that are no subscriptions. The
gateway answers with topic `@link/ID` and Answer. Both are msgpack arrays. The answer proves that the gateway's
program works (its ZeroMQ threads would answer ZeroMQ's own pings for it), lets the link measure the clock, and says
what can be subscribed.
"""

from __future__ import annotations

import re
import zlib

import msgspec

from cardan.runtime.errors import BusError

MARK = b"@"
PREFIX = "@link/"
VERSION = 1
LINK_ID = re.compile(r"[0-9a-f]{16}")


class Beat(msgspec.Struct, frozen=True, array_like=True):
    """What a link asks, five times a second."""

    version: int
    link: str
    """16 random hex digits: where the answer goes."""
    sent_ns: int
    """On the clock of the link."""
    catalogue: int
    """`mark` of the topics that the link knows of; 0 for none."""


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What the gateway answers."""

    version: int
    sent_ns: int
    """As in the beat."""
    received_ns: int
    answered_ns: int
    """On the clock of the gateway."""
    run: str
    vehicle: str
    catalogue: int
    topics: dict[str, str] | None
    """Every topic that the gateway offers with its type; None when the link knows them."""


_beats = msgspec.msgpack.Decoder(Beat)
_answers = msgspec.msgpack.Decoder(Answer)


def answer_topic(link: str) -> str:
    """Where the answers to a link go."""
    return PREFIX + link


def pack_beat(beat: Beat) -> bytes:
    """The beat as it goes up the subscription."""
    return MARK + msgspec.msgpack.encode(beat)


def unpack_beat(data: bytes) -> Beat:
    """A beat from the network; BusError for anything else."""
    try:
        beat = _beats.decode(data[len(MARK) :]) if data[: len(MARK)] == MARK else None
    except msgspec.MsgspecError as error:
        raise BusError(f"this is no beat of a link: {error}") from error
    if beat is None or beat.version != VERSION or not LINK_ID.fullmatch(beat.link):
        raise BusError("this is no beat of a link", hint="do both computers run the same release of cardan?")
    return beat


def unpack_answer(data: bytes) -> Answer:
    """An answer from the network; BusError for anything else."""
    try:
        answer = _answers.decode(data)
    except msgspec.MsgspecError as error:
        raise BusError(f"this is no answer of a gateway: {error}") from error
    if answer.version != VERSION:
        raise BusError(
            f"the gateway speaks version {answer.version} of the link, expected {VERSION}",
            hint="do both computers run the same release of cardan?",
        )
    return answer


def mark(topics: dict[str, str]) -> int:
    """A number that changes when the offered topics do; never 0."""
    return zlib.crc32(msgspec.msgpack.encode(sorted(topics.items()))) or 1
