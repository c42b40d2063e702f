"""`pkcs11:` addresses (RFC 7512): which key of which token, by which module, with a PIN from where."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, unquote_to_bytes

import msgspec

from cardan.runtime.errors import ConfigError, near_names

SCHEME = "pkcs11:"
PATH_ATTRIBUTES = ("token", "manufacturer", "model", "serial", "slot-id", "object", "id", "type")
QUERY_ATTRIBUTES = ("module-path", "pin-source")
TYPES = ("secret-key", "private")
EXAMPLE = "pkcs11:token=cardan;object=store?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:/etc/cardan/pin"
_PIN_SOURCE = re.compile(r"(file:.+|env:[A-Za-z_][A-Za-z0-9_]*)")


class TokenAddress(msgspec.Struct, frozen=True, kw_only=True):
    """A key in a token. Empty: any."""

    module: str
    """File of the token's library; without a folder the loader of the system finds it."""
    token: str = ""
    """Label."""
    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    slot_id: int | None = None
    object: str = ""
    """Label of the key."""
    id: bytes = b""
    type: str = ""
    """secret-key, private, or either."""
    pin_source: str = ""
    """`file:PATH` or `env:NAME`; empty: the token wants no PIN."""

    def __str__(self) -> str:
        """For people: which key of which token."""
        named = {"token": self.token, "serial": self.serial, "object": self.object}
        parts = [f"{name}={quote(value, safe=' ')}" for name, value in named.items() if value]
        return SCHEME + ";".join([*parts, *([f"id={self.id.hex()}"] if self.id else [])])


def is_token_address(text: str) -> bool:
    """Whether a setting names a key in a token, and not a file."""
    return text.startswith(SCHEME)


def parse_address(text: str) -> TokenAddress:
    """The address in `text`; ConfigError says which part of it cannot be used, and what was expected."""
    path, _, query = text.removeprefix(SCHEME).partition("?")
    parts = _attributes(path, ";", PATH_ATTRIBUTES)
    asked = _attributes(query, "&", QUERY_ATTRIBUTES)
    if "module-path" not in asked:
        raise _wrong("it names no module-path", "add ?module-path=FILE, the library of the token")
    if not {"object", "id"} & set(parts):
        raise _wrong("it names no key", "add object=LABEL or id=%01%02")
    kind = unquote(parts.get("type", ""))
    if kind and kind not in TYPES:
        raise _wrong(f'type "{kind}" is no key that can wrap', " or ".join(TYPES))
    source = unquote(asked.get("pin-source", ""))
    if source and not _PIN_SOURCE.fullmatch(source):
        raise _wrong(f'pin-source "{source}" is unknown', "file:PATH or env:NAME")
    slot = unquote(parts.get("slot-id", ""))
    if slot and not slot.isdecimal():
        raise _wrong(f'slot-id "{slot}" is no number', "slot-id=NUMBER, or leave it out")
    words = {name: unquote(parts.get(name, "")) for name in ("token", "manufacturer", "model", "serial", "object")}
    return TokenAddress(
        module=unquote(asked["module-path"]),
        slot_id=int(slot) if slot else None,
        id=unquote_to_bytes(parts.get("id", "")),
        type=kind,
        pin_source=source,
        **words,
    )


def _attributes(text: str, separator: str, known: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in filter(None, text.split(separator)):
        name, equals, value = item.partition("=")
        if name == "pin-value":
            raise _wrong("a PIN never stands in a manifest", "pin-source=file:PATH or pin-source=env:NAME")
        if name not in known:
            raise _wrong(f'unknown part "{name}"', near_names(name, list(known)))
        if not equals or not value or name in found:
            raise _wrong(f'"{name}" has no value, or two', f"{name}=VALUE once")
        found[name] = value
    return found


def _wrong(what: str, expected: str) -> ConfigError:
    return ConfigError(f"the address of the key in a token cannot be used: {what}", hint=f"{expected}, as in {EXAMPLE}")
