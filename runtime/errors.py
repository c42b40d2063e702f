"""The errors cardan raises: each says what, where, what was expected, and what to try."""

from __future__ import annotations


class CardanError(Exception):
    """An error that a person reads as one or two lines, never as a traceback.

    message: what happened and where; hint: what to try, shown on a line of its own.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class ConfigError(CardanError):
    """A setting has a value that its reader cannot use."""


class ManifestError(CardanError):
    """A manifest cannot be used: `str()` lists every finding, one line each."""


class ProfileError(CardanError):
    """A hardware profile cannot be used on this computer."""


class BusError(CardanError):
    """A topic cannot be published, read, or decoded."""


class NodeError(CardanError):
    """A node was used outside its contract (`open / step / close`)."""


class DeviceError(CardanError):
    """A device (CAN channel, camera, accelerator, disk) is absent or misbehaves."""


class RunError(CardanError):
    """A run cannot be started, reached, or stopped."""


def near_names(name: str, known: list[str]) -> str:
    """The tail of an unknown-name error: `did you mean "x"?`, or the list of known names."""
    from difflib import get_close_matches

    close = get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(f'"{item}"' for item in close) + "?"
    return "known: " + ", ".join(sorted(known)) if known else "none is known here"
