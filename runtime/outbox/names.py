"""Names that become parts of folders and objects."""

from __future__ import annotations

import re

from cardan.runtime.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def checked_name(what: str, name: str) -> str:
    """`name` when it can be part of an object name. ConfigError otherwise."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f'{what} "{name}" cannot be part of an object name',
            hint="up to 64 letters, digits, dots, dashes and underscores, a letter or digit first",
        )
    return name
