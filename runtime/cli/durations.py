"""Durations as people write them on a command line: 500ms, 30s, 2m, 1.5h."""

from __future__ import annotations

import math
import re

from cardan.runtime.cli.exits import UsageError

SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
LONGEST_S = 30 * 24 * 3600.0
_PATTERN = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|m|h)", re.ASCII)


def parse_duration_s(text: str, option: str) -> float:
    """Seconds of `text`; UsageError names the option and says what was expected."""
    match = _PATTERN.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f'{option} "{text}": expected a number and a unit (ms, s, m or h)',
            hint=f"for example {option} {_guess(text)}",
        )
    duration_s = float(match[1]) * SECONDS[match[2]]
    if not math.isfinite(duration_s) or not 0 < duration_s <= LONGEST_S:
        raise UsageError(f'{option} "{text}": expected more than nothing and at most 30 days', hint=f"{option} 30s")
    return duration_s


def parse_count(text: str, option: str) -> int:
    """A number of messages; UsageError unless it is a whole number of at least 1."""
    if not text.isascii() or not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise UsageError(f'{option} "{text}": expected a whole number from 1', hint=f"for example {option} 10")
    return int(text)


def _guess(text: str) -> str:
    """A bare number is most often seconds."""
    return f"{text}s" if text.isascii() and text.isdecimal() else "30s"
