"""The settings of the Foxglove server."""

from __future__ import annotations

from typing import Annotated

import msgspec

from cardan.runtime.errors import ConfigError

PORT = 8765
"""Where Foxglove looks by default."""


class FoxgloveSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is shown, and how often. Only this computer can look: the protocol knows no password."""

    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = PORT
    """0: any that is free."""
    picture_hz: Annotated[float, msgspec.Meta(gt=0.0, le=30.0)] = 5.0
    picture_px: Annotated[int, msgspec.Meta(ge=64, le=4096)] = 640
    """Pictures are made smaller until they are no wider."""
    rate_hz: Annotated[float, msgspec.Meta(gt=0.0, le=100.0)] = 20.0
    """The newest message of each topic is shown so often at most; those between are counted."""
    topics: Annotated[list[str], msgspec.Meta(min_length=1)] = msgspec.field(default_factory=lambda: ["*"])
    """Topics or patterns that are shown as JSON."""


def foxglove_missing(error: ImportError) -> ConfigError:
    """What to say where the library is not installed."""
    return ConfigError(f"Foxglove cannot be served: {error}", hint="pip install 'cardan[foxglove]'")
