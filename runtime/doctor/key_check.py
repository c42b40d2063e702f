"""Is the key of encrypted objects there? Asked before a drive, since nothing leaves without it."""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec

from cardan.runtime.doctor.check import Check, Result, Subject, failed, passed, unknown
from cardan.runtime.errors import CardanError
from cardan.runtime.plan import Plan

UPLINK = "cardan.runtime.uplink.node:Uplink"
LIMIT_S = 4.0
"""A TPM takes a second for an RSA key, when its resource manager starts first."""


class _KeySettings(msgspec.Struct, frozen=True):
    encryption_key: str = ""
    encryption_recipients: list[str] = []


def key(subject: Subject) -> Result:
    """The key in a file can be read; the one in a token wraps a data key, and gives it back."""
    if subject.plan is None:
        return unknown("the manifest has findings", "cardan check")
    found = [settings for settings in _settings(subject.plan) if settings.encryption_key]
    if not found:
        return passed("objects leave as they are: no encryption_key")
    base = Path(subject.plan.manifest).resolve().parent
    try:
        return passed(", ".join(_tried(settings, base) for settings in found))
    except CardanError as error:
        return failed(f"nothing leaves: {error.message}", error.hint or "encryption_key of the uplink names it")


def _settings(plan: Plan) -> list[_KeySettings]:
    return [msgspec.convert(node.config, _KeySettings) for node in plan.nodes if node.use == UPLINK]


def _tried(settings: _KeySettings, base: Path) -> str:
    from cardan.runtime.uplink.cipher import open_cipher
    from cardan.runtime.uplink.keys.data_keys import KEY_BYTES
    from cardan.runtime.uplink.keys.software import read_recipient
    from cardan.runtime.uplink.keys.token import Token
    from cardan.runtime.uplink.keys.uri import is_token_address, parse_address

    if not is_token_address(settings.encryption_key):
        path = base / Path(settings.encryption_key).expanduser()
        open_cipher(path)
        return f"the key in {path}"
    address = parse_address(settings.encryption_key)
    for name in settings.encryption_recipients:
        read_recipient(base / Path(name).expanduser())
    wrap = Token(address, base).wrap(secrets.token_bytes(KEY_BYTES))
    return f"{address} wraps and unwraps ({wrap.kind.name})"


CHECKS = (Check("vehicle.key", "is the key of encrypted objects there?", key, limit_s=LIMIT_S),)
