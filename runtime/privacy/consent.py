"""Consent by purpose: what the manifest assumes until somebody says otherwise, and what was said, kept on disk.

    DATA/privacy/consent.json    {"schema": 1, "said": {"improvement": {"given": true, "by": "anna", "wall_ns": ...}}}

A file that cannot be read is no consent to anything.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from cardan.runtime.clock import Clock
from cardan.runtime.disk import make_folder_durably, write_durably
from cardan.runtime.errors import ConfigError
from cardan.runtime.privacy.settings import PURPOSES, Purpose


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """The last word about one purpose."""

    given: bool
    by: str
    wall_ns: int


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    schema: int = 1
    said: dict[Purpose, Said] = {}


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """What is consented to at this moment."""

    purposes: frozenset[str]
    said: dict[Purpose, Said] = {}
    """What somebody said; for all other purposes the manifest counts."""
    problem: str = ""
    """Why nothing is consented to although something may have been said."""

    def covers(self, purposes: frozenset[str]) -> bool:
        """True when every one of `purposes` is consented to."""
        return purposes <= self.purposes


def consent_path(data_dir: Path) -> Path:
    """Where the word of people is kept."""
    return data_dir / "privacy" / "consent.json"


class ConsentFile:
    """Consent as of now; looking costs one `stat` unless the file has changed. For one thread.

    defaults: what the manifest consents to.
    """

    def __init__(self, data_dir: Path, defaults: list[Purpose]) -> None:
        self.path = consent_path(data_dir)
        self._defaults = frozenset(defaults)
        self._stamp: tuple[int, int, int] | None = (-1, -1, -1)
        self._consent = Consent(purposes=frozenset())

    def now(self) -> Consent:
        """What is consented to; never raises."""
        stamp = self._look()
        if stamp != self._stamp:
            self._consent, self._stamp = self._read(), stamp
        return self._consent

    def say(self, purposes: list[Purpose], *, given: bool, by: str, clock: Clock) -> Consent:
        """Give or withdraw consent, durable when this returns; ConfigError when it cannot be written."""
        said = dict(self._read().said)
        for purpose in purposes:
            said[purpose] = Said(given=given, by=by, wall_ns=clock.wall_ns())
        try:
            make_folder_durably(self.path.parent)
            write_durably(self.path, msgspec.json.encode(_Document(said=said)))
        except OSError as error:
            raise ConfigError(f"{self.path} cannot be written: {error.strerror}", hint="who owns it?") from error
        return self.now()

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return None
        except OSError:
            return (-2, -2, -2)
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _read(self) -> Consent:
        try:
            document = msgspec.json.decode(self.path.read_bytes(), type=_Document)
        except FileNotFoundError:
            return Consent(purposes=self._defaults)
        except (OSError, msgspec.MsgspecError) as error:
            text = f"{self.path} cannot be read, so nothing is consented to: {error}"
            return Consent(purposes=frozenset(), problem=text)
        given = {name for name in PURPOSES if (said.given if (said := document.said.get(name)) else self._has(name))}
        return Consent(purposes=frozenset(given), said=document.said)

    def _has(self, purpose: str) -> bool:
        return purpose in self._defaults
