"""Which key a setting means: one in a file, or one in a token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from cardan.runtime.errors import ConfigError
from cardan.runtime.findings import Objection
from cardan.runtime.toml_lines import TomlPath
from cardan.runtime.uplink.cipher import open_cipher
from cardan.runtime.uplink.keys.data_keys import DataKeys
from cardan.runtime.uplink.keys.sealer import OneKey, Sealer
from cardan.runtime.uplink.keys.software import read_recipient
from cardan.runtime.uplink.keys.token import Token
from cardan.runtime.uplink.keys.uri import is_token_address, parse_address

KEYS = "keys"
"""Folder of wrapped data keys, below the uplink's."""


def open_sealer(
    key: str,
    recipients: Sequence[str],
    *,
    base: Path,
    folder: Path,
    boot: str,
    report_fault: Callable[[str, str], None],
) -> Sealer:
    """What encrypts objects with `key`. A token that is away is no error here: it is asked when something is to leave.

    ConfigError when a file holds no key, an address is none, or a library is not installed.
    """
    if not is_token_address(key):
        return OneKey(open_cipher(base / Path(key).expanduser()))
    readers = [read_recipient(base / Path(name).expanduser()) for name in recipients]
    return DataKeys(folder, boot, Token(parse_address(key), base), readers, report_fault)


def review_key(path: TomlPath, key: str, recipients: Sequence[str]) -> list[Objection]:
    """What can be said against the settings before anything starts, without asking the token."""
    if is_token_address(key):
        try:
            parse_address(key)
        except ConfigError as error:
            return [Objection((*path, "encryption_key"), error.message, error.hint or "correct it")]
    elif recipients:
        what, remedy = "recipients want a key in a token", 'write encryption_key = "pkcs11:...", or remove them'
        return [Objection((*path, "encryption_recipients"), what, remedy)]
    return []
