"""Where the page is served and to whom, checked before anything listens."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

import msgspec

from cardan.runtime.errors import ConfigError

PORT = 7440
SHORTEST_TOKEN = 16


class WebSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the page's server. Everybody on this computer may look; anybody else needs TLS and the token."""

    bind: str = "127.0.0.1"
    """Address to listen on; one that other computers reach needs `token_file`, `certificate` and `key`."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = PORT
    """0: any that is free."""
    token_file: str = ""
    """File with the token, at least 16 characters; empty: no token."""
    certificate: str = ""
    """PEM file with the certificate and its chain; empty: no TLS."""
    key: str = ""
    """PEM file with its private key."""
    names: tuple[str, ...] = ()
    """Names, beside addresses and localhost, under which browsers may ask."""
    viewers: Annotated[int, msgspec.Meta(ge=1, le=64)] = 8
    """Pages that may be open at a time."""
    picture_px: Annotated[int, msgspec.Meta(ge=64, le=4096)] = 640
    """Pictures are made smaller until they are no wider."""


def is_loopback(address: str) -> bool:
    """True when only this computer reaches `address`."""
    try:
        return address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def check_settings(settings: WebSettings) -> None:
    """ConfigError unless only those who may look can."""
    if bool(settings.certificate) != bool(settings.key):
        raise ConfigError("TLS needs a certificate and its key", hint="give both files, PEM")
    guarded = settings.token_file and settings.certificate
    if not guarded and not is_loopback(settings.bind):
        raise ConfigError(
            f"the page would be open to everybody who reaches {settings.bind}",
            hint="give a token file, a certificate and its key, or bind 127.0.0.1 and use `ssh -L`",
        )


def read_token(path: str) -> str:
    """The token in the file `path`; empty when there is no path. ConfigError for one that is missing or too short."""
    if not path:
        return ""
    try:
        token = Path(path).read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the token in {path}: {error}", hint="ASCII on one line") from error
    if len(token) < SHORTEST_TOKEN or not token.isalnum():
        raise ConfigError(
            f"the token in {path} is not {SHORTEST_TOKEN} or more letters and digits",
            hint=f"python3 -c 'import secrets; print(secrets.token_hex(16))' > {path}",
        )
    return token
