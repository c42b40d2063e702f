"""The data keys of a vehicle: a random one for each start of the computer, wrapped before it encrypts anything.

They lie in `uplink/keys`, `NAME.wrapped` each, useless without the token. An object that has a name is sealed again
with the data key that it was sealed with, also after a start: the store knows objects by their bytes.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import suppress
from pathlib import Path

import msgspec

from cardan.runtime.disk import make_folder_durably, write_durably
from cardan.runtime.uplink.cipher import Cipher
from cardan.runtime.uplink.keys.software import RsaPublicKey
from cardan.runtime.uplink.keys.token import Token
from cardan.runtime.uplink.keys.wraps import decode_wraps, encode_wraps

KEY_BYTES = 32
SUFFIX = ".wrapped"


class KeptKey(msgspec.Struct, frozen=True, kw_only=True):
    """One file."""

    boot: str
    """The start of the computer that it was made in."""
    wraps: bytes
    """As they stand in the head of every object."""


class DataKeys:
    """Data keys, between starts on the disk. One thread; blocks while the token is asked, once for each data key.

    recipients: who else can open the objects. report_fault: a disk that does not take a data key keeps nothing from
    leaving; only what is sealed again after the next start is other bytes then.
    """

    def __init__(
        self,
        folder: Path,
        boot: str,
        token: Token,
        recipients: Sequence[RsaPublicKey] = (),
        report_fault: Callable[[str, str], None] = lambda code, text: None,
    ) -> None:
        self._folder = folder
        self._boot = boot
        self._token = token
        self._recipients = recipients
        self._report_fault = report_fault
        self._known: dict[str, Cipher] = {}
        self._now: Cipher | None = None

    def cipher(self, data_key: str = "") -> Cipher:
        if data_key:
            found = self._known.get(data_key) or self._unwrapped_or_none(data_key)
            if found is not None:
                return found
        if self._now is None:
            self._now = self._of_this_boot_or_none() or self._made()
        return self._now

    def forget_all_but(self, data_keys: Set[str]) -> None:
        for path, kept in self._kept():
            if kept is not None and kept.boot != self._boot and path.stem not in data_keys:
                with suppress(OSError):  # a disk that takes nothing keeps it
                    path.unlink(missing_ok=True)

    def retry(self) -> None:
        self._token.retry()

    def _of_this_boot_or_none(self) -> Cipher | None:
        wanted = {recipient.key_id for recipient in self._recipients}
        for path, kept in self._kept():
            if kept is not None and kept.boot == self._boot and wanted == set(_key_ids(kept)[1:]):
                found = self._unwrapped_or_none(path.stem)
                if found is not None:
                    return found
        return None

    def _unwrapped_or_none(self, name: str) -> Cipher | None:
        """None where it is not kept, or for another key of a token, or damaged."""
        kept = _read_or_none(self._folder / f"{name}{SUFFIX}")
        data_key = self._token.unwrap_or_none(decode_wraps(kept.wraps)) if kept is not None else None
        if kept is None or data_key is None or len(data_key) != KEY_BYTES:
            return None
        cipher = Cipher(data_key, kept.wraps)
        if cipher.key_name.hex() != name:
            return None
        self._known[name] = cipher
        return cipher

    def _made(self) -> Cipher:
        data_key = secrets.token_bytes(KEY_BYTES)
        own = self._token.wrap(data_key)
        wraps = encode_wraps([own, *(recipient.wrap(data_key) for recipient in self._recipients)])
        cipher = Cipher(data_key, wraps)
        name = cipher.key_name.hex()
        try:
            make_folder_durably(self._folder)
            write_durably(self._folder / f"{name}{SUFFIX}", msgspec.json.encode(KeptKey(boot=self._boot, wraps=wraps)))
        except OSError as error:
            self._report_fault("uplink-disk", f"a wrapped data key could not be kept: {error.strerror}")
        self._known[name] = cipher
        return cipher

    def _kept(self) -> Iterator[tuple[Path, KeptKey | None]]:
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            yield path, _read_or_none(path)


def _key_ids(kept: KeptKey) -> list[bytes]:
    return [wrap.key_id for wrap in decode_wraps(kept.wraps)]


def _read_or_none(path: Path) -> KeptKey | None:
    """None for a file that is not there or that a bad disk has changed: another data key is made."""
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=KeptKey)
        decode_wraps(kept.wraps)
    except (OSError, ValueError, msgspec.MsgspecError):
        return None
    return kept
