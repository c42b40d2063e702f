"""Pseudonyms: names that stay the same and lead back to nobody without the key (HMAC-SHA-256, RFC 2104)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path

from cardan.runtime.errors import ConfigError
from cardan.runtime.privacy.settings import PrivacySettings

KEY_BYTES = 32
PREFIX = "p-"
HEX_DIGITS = 24
"""96 bits: two of 10^9 vehicles share one with a probability of 10^-11."""
VIN = re.compile(r"[A-HJ-NPR-Z0-9]{17}")
"""ISO 3779."""


class Pseudonyms:
    """Makes pseudonyms with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def of(self, text: str) -> str:
        """The pseudonym of `text`: `p-` and 24 hexadecimal digits."""
        return PREFIX + hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()[:HEX_DIGITS]

    @property
    def fingerprint(self) -> str:
        """Tells one key from another and nothing about it."""
        return hmac.new(self._key, b"fingerprint", hashlib.sha256).hexdigest()[:16]


def open_pseudonyms(settings: PrivacySettings, data_dir: Path, manifest_dir: Path) -> Pseudonyms:
    """Read the key that `settings` name, or the one in the data folder, which is made when it is needed and not there.

    A named key is never made: every pseudonym would be another one without a word. ConfigError when it is no key, or
    when others may read it.
    """
    if settings.pseudonym_key:
        return Pseudonyms(read_key(manifest_dir / Path(settings.pseudonym_key).expanduser()))
    if not (settings.pseudonymous or settings.vin_file or any(rule.action == "pseudonym" for rule in settings.fields)):
        return Pseudonyms(b"")
    path = data_dir / "privacy" / "pseudonym.secret"
    if not path.exists():
        _make_key(path)
    return Pseudonyms(read_key(path))


def read_key(path: Path, what: str = "the key of the pseudonyms") -> bytes:
    """32 bytes, in base64 in a file of its owner alone; ConfigError otherwise. what: the key that this should be."""
    try:
        mode, content = path.stat().st_mode, base64.b64decode(path.read_bytes().strip(), validate=True)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{what} {path} cannot be read: {error}",
            hint="`openssl rand -base64 32 > FILE && chmod 600 FILE` makes one; keep a copy of it",
        ) from error
    if len(content) != KEY_BYTES:
        raise ConfigError(f"{path} has {len(content)} bytes, and {what} has {KEY_BYTES}")
    if mode & 0o077:
        raise ConfigError(f"others may read {path}, {what}", hint=f"`chmod 600 {path}`")
    return content


def _make_key(path: Path) -> None:
    """Whole or not at all, and never over one that another process has made meanwhile."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(staged, path)
    finally:
        staged.unlink(missing_ok=True)


def read_vin(settings: PrivacySettings, manifest_dir: Path) -> str:
    """The vehicle identification number; empty when the settings name no file. ConfigError when it is none."""
    if not settings.vin_file:
        return ""
    path = manifest_dir / Path(settings.vin_file).expanduser()
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the identification number in {path} cannot be read: {error}") from error
    if not VIN.fullmatch(text):
        raise ConfigError(f"{path} holds no vehicle identification number", hint="17 capital letters and digits")
    return text
