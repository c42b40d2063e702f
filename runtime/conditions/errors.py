"""What is wrong with a condition, and at which column of its text."""

from __future__ import annotations

from cardan.runtime.errors import ConfigError


class ConditionError(ConfigError):
    """A condition that cannot be used.

    at: place in the text, from 0. hint: what was expected there.
    """

    def __init__(self, what: str, hint: str, at: int) -> None:
        super().__init__(f"column {at + 1}: {what}", hint=hint)
        self.at = at
