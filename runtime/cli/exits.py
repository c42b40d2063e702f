"""How a command ends: the exit codes, and the errors that only a command line has."""

from __future__ import annotations

from enum import IntEnum

from cardan.runtime.errors import CardanError, RunError


class Exit(IntEnum):
    """Exit codes, the same for every command."""

    HEALTHY = 0
    FINDING = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    INTERRUPTED = 5


class UsageError(CardanError):
    """The command line itself cannot be used."""


class NoDataError(CardanError):
    """There is nothing to show: no run, or nothing arrived."""


class RefusedError(CardanError):
    """The command was understood, and is not carried out as things are."""


def exit_of(error: CardanError) -> Exit:
    """The exit code that tells a script what kind of error this was."""
    if isinstance(error, UsageError):
        return Exit.USAGE
    if isinstance(error, RefusedError):
        return Exit.REFUSED
    return Exit.UNREACHABLE if isinstance(error, (NoDataError, RunError)) else Exit.FINDING
