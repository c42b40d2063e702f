"""What stays out of a bundle: secrets and vehicle identification numbers always, positions and pictures as asked.

Text is rewritten. In binary files (vitals, rings, recordings) a number is overwritten in place: in a ring its message
then no longer fits its checksum, and is left out by every reader.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

STARS = b"*"
VIN_LENGTH = 17
VIN_LETTERS, VIN_DIGITS = b"ABCDEFGHJKLMNPRSTUVWXYZ", b"0123456789"
"""Letters and digits without I, O and Q, as ISO 3779 has them."""
LETTER, DIGIT, OTHER = b"A0 "


def _table(letter: int, digit: int) -> bytes:
    """What each byte becomes so that numbers can be looked for as plain text."""
    return bytes(letter if byte in VIN_LETTERS else digit if byte in VIN_DIGITS else OTHER for byte in range(256))


ALIKE, APART = _table(LETTER, LETTER), _table(LETTER, DIGIT)
LONG_ENOUGH = bytes([LETTER]) * VIN_LENGTH
MIXED = bytes([LETTER, DIGIT]), bytes([DIGIT, LETTER])
END = bytes([OTHER])
_NAMES = rb"pass(?:word|wd|phrase)?|secret|token|api_?key|private_?key|account_?key|connection_?string|credentials?|sas"
SECRET = re.compile(
    rb"""((?:%s)["']?\s*[=:]\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;}\]"'#]+)""" % _NAMES,
    re.IGNORECASE,
)
"""The end of a key that is named like a secret, and its value."""
SECRET_STEMS = (b"pass", b"secret", b"token", b"api", b"private", b"account", b"connection", b"credential", b"sas")
"""How the names of SECRET begin."""
URL_USER = re.compile(rb"([a-z][a-z0-9+.-]*://)[^/\s:@\"']+:[^/\s@\"']+@", re.IGNORECASE)
URL_SIGNATURE = re.compile(
    rb"([?&](?:sig|signature|token|x-amz-signature|x-amz-credential|key)=)[^&\s\"']+", re.IGNORECASE
)
PEM = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)
POSITION_NAMES = ("latitude", "longitude", "lat_deg", "lon_deg")
SECRETS_SAID, VIN_SAID, POSITIONS_SAID, PICTURES_SAID = (
    "secrets (keys named like one, credentials in URLs, private keys)",
    "vehicle identification numbers",
    "positions: messages with latitude or longitude",
    "pictures",
)


@dataclass(frozen=True)
class Redaction:
    """What is taken out beside secrets and vehicle identification numbers."""

    positions: bool = False
    pictures: bool = True

    @property
    def said(self) -> list[str]:
        """In words, for the header."""
        wanted = (
            (True, SECRETS_SAID),
            (True, VIN_SAID),
            (self.positions, POSITIONS_SAID),
            (self.pictures, PICTURES_SAID),
        )
        return [text for is_wanted, text in wanted if is_wanted]

    def of_text(self, data: bytes) -> bytes:
        """A file of text without secrets and identification numbers."""
        data = PEM.sub(b"***", data)
        if b"://" in data:
            data = URL_USER.sub(rb"\1***@", data)
            data = URL_SIGNATURE.sub(rb"\1***", data)
        return self.of_binary(_hide_secrets(data))

    def of_binary(self, data: bytes) -> bytes:
        """The same bytes with identification numbers overwritten; as long as before."""
        found = vin_places(data)
        if not found:
            return data
        cleaned = bytearray(data)
        for begin in found:
            cleaned[begin : begin + VIN_LENGTH] = STARS * VIN_LENGTH
        return bytes(cleaned)

    def drops(self, fields: Any) -> bool:
        """True for a message that tells where the vehicle is, when that is not to leave."""
        return self.positions and isinstance(fields, dict) and any(map(is_position, fields))


def vin_places(data: bytes) -> list[int]:
    """Where a number of 17 letters and digits stands alone; what is longer, or all of one kind, is none.

    Such a number has a letter beside a digit. In telemetry those are rare, and `find` is ten times as fast as a regular
    expression: most data is not even looked at twice, because nothing in it is long enough.
    """
    if LONG_ENOUGH not in data.translate(ALIKE):
        return []
    kinds, places = data.translate(APART) + END, set()
    for pair in MIXED:
        at = 0
        while (at := kinds.find(pair, at)) >= 0:
            begin, at = kinds.rfind(OTHER, 0, at) + 1, kinds.find(OTHER, at)
            if at - begin == VIN_LENGTH and not (data[max(0, begin - 1) : begin] + data[at : at + 1]).isalnum():
                places.add(begin)
    return sorted(places)


def _hide_secrets(data: bytes) -> bytes:
    """Each key that is named like a secret is looked for as plain text: most lines have none."""
    parts: list[bytes] = []
    done = 0
    for hit in sorted(_places(data.lower(), SECRET_STEMS)):
        if hit >= done and (match := SECRET.match(data, hit)) is not None:
            parts += (data[done:hit], _hidden(match))
            done = match.end()
    return b"".join([*parts, data[done:]])


def _places(data: bytes, words: Iterable[bytes]) -> Iterator[int]:
    for word in words:
        at = data.find(word)
        while at >= 0:
            yield at
            at = data.find(word, at + 1)


def _hidden(match: re.Match[bytes]) -> bytes:
    value = match[2]
    quote = value[:1] if value[:1] in (b'"', b"'") else b""
    return match[1] + quote + b"***" + quote


def is_position(name: Any) -> bool:
    """True for the name of a field that holds a latitude or a longitude."""
    return isinstance(name, str) and name.lower().startswith(POSITION_NAMES)


def has_position(text: bytes) -> bool:
    """True for a recorded message (JSON) that tells where the vehicle is."""
    if not any(name.encode() in text for name in POSITION_NAMES):
        return False
    try:
        return any(map(is_position, msgspec.json.decode(text)))
    except (msgspec.MsgspecError, TypeError):
        return True
