"""Addresses that others use: `ipc://` on this computer, `tcp://` between computers, and tcp never without keys."""

from __future__ import annotations

import re
from pathlib import Path

from cardan.runtime.errors import ConfigError

TCP = re.compile(r"tcp://(\[[0-9a-fA-F:.%a-z]+\]|[^\s:/\[\]]+):(\d{1,5}|\*)")
LONGEST_PATH = 107
"""Bytes in the name of a Unix socket."""


def is_tcp(endpoint: str) -> bool:
    """True for an address that leaves this computer, or could."""
    return endpoint.startswith("tcp://")


def check_endpoint(endpoint: str, *, has_key: bool, to_bind: bool) -> str:
    """The endpoint; ConfigError when it cannot be used, or is tcp without a key."""
    if is_tcp(endpoint):
        return _check_tcp(endpoint, has_key=has_key, to_bind=to_bind)
    if not endpoint.startswith("ipc://"):
        raise ConfigError(f'"{endpoint}" is no address', hint="write tcp://0.0.0.0:7447 or ipc:///folder/name.sock")
    path = endpoint.removeprefix("ipc://")
    if not Path(path).is_absolute():
        raise ConfigError(f'"{endpoint}" is not an absolute path', hint="write ipc:///folder/name.sock, three slashes")
    if len(path.encode()) > LONGEST_PATH:
        raise ConfigError(f"{path} is longer than {LONGEST_PATH} bytes", hint="use a shorter path for the socket")
    return endpoint


def _check_tcp(endpoint: str, *, has_key: bool, to_bind: bool) -> str:
    match = TCP.fullmatch(endpoint)
    if match is None or (match[2] != "*" and not 1 <= int(match[2]) <= 65535) or (match[2] == "*" and not to_bind):
        raise ConfigError(f'"{endpoint}" is no address', hint="write tcp://ADDRESS:PORT, such as tcp://0.0.0.0:7447")
    if not has_key:
        what = f"{endpoint} would be open to everybody: tcp is encrypted here, always"
        hint = 'make keys with `cardan keys new NAME`, and name them: key = "NAME" in the manifest, --key NAME here'
        raise ConfigError(what, hint=hint)
    return endpoint
