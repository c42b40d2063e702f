"""What stays out of a bundle: secrets and vehicle identification numbers always, positions and pictures as asked.

Text is rewritten. In binary files (vitals, rings, recordings) a number is overwritten in place: in a ring its message
then no longer fits its checksum, and is left out by every reader.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec

STARS = b"*"
VIN_LENGTH = 17
VIN = re.compile(rb"[A-HJ-NPR-Z0-9]{17,}")
"""Letters and digits without I, O and Q, as ISO 3779 has them."""
_NAMES = rb"pass(?:word|wd|phrase)?|secret|token|api_?key|private_?key|account_?key|connection_?string|credentials?|sas"
SECRET = re.compile(
    rb"""(["']?(?:[A-Za-z0-9_.-]*[_.-])?(?:%s)["']?\s*[=:]\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;}\]"'#]+)""" % _NAMES,
    re.IGNORECASE,
)
"""A key that is named like a secret, and its value."""
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
        data = URL_USER.sub(rb"\1***@", data)
        data = URL_SIGNATURE.sub(rb"\1***", data)
        data = SECRET.sub(_hidden, data)
        return self.of_binary(data)

    def of_binary(self, data: bytes) -> bytes:
        """The same bytes with identification numbers overwritten; as long as before."""
        used = data.rstrip(b"\0")  # most of a ring was never written to
        return VIN.sub(_starred, used) + data[len(used) :]

    def drops(self, fields: Any) -> bool:
        """True for a message that tells where the vehicle is, when that is not to leave."""
        return self.positions and isinstance(fields, dict) and any(map(is_position, fields))


def _starred(match: re.Match[bytes]) -> bytes:
    """Stars for a number of 17 letters and digits that stands alone; what is longer, or all of one kind, stays."""
    word = match[0]
    begin, end = match.span()
    neighbours = match.string[max(0, begin - 1) : begin] + match.string[end : end + 1]
    alone = len(word) == VIN_LENGTH and not neighbours.isalnum()
    return STARS * VIN_LENGTH if alone and not word.isdigit() and not word.isalpha() else word


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
