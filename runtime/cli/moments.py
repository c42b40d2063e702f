"""Moments as people write them: 14:32, 14:32:07.5, 2026-11-21T14:32, 5m (ago). UTC unless they say otherwise."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

from cardan.runtime.cli.durations import SECONDS
from cardan.runtime.cli.exits import UsageError

_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d+)?))?", re.ASCII)
_AGO = re.compile(r"-?(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)(?: ago)?", re.ASCII)
DAY_S = 86_400.0
LONGEST_S = 3650 * DAY_S
FORMS = "14:32, 14:32:07, 2026-11-21T14:32 (all UTC), 2026-11-21T14:32+02:00, or 5m for five minutes ago"


def parse_moment_ns(text: str, option: str, now_wall_ns: int) -> int:
    """Wall time of `text`; UsageError names the option. A time of day is the last such time before `now_wall_ns`."""
    text = text.strip()
    now = _utc(now_wall_ns)
    ago = _AGO.fullmatch(text)
    if ago is not None:
        seconds = float(ago[1]) * (DAY_S if ago[2] == "d" else SECONDS[ago[2]])
        if seconds > LONGEST_S:
            raise _wrong(text, option)
        return now_wall_ns - round(seconds * 1e9)
    clock = _CLOCK.fullmatch(text)
    try:
        if clock is not None:
            return _ns(_time_of_day(clock, now))
        found = datetime.fromisoformat(text.replace("Z", "+00:00").replace(" ", "T", 1))
        return _ns(found if found.tzinfo else found.replace(tzinfo=timezone.utc))
    except (ValueError, OverflowError) as error:
        raise _wrong(text, option) from error


def _time_of_day(clock: re.Match[str], now: datetime) -> datetime:
    second = float(clock[3] or 0)
    found = now.replace(
        hour=int(clock[1]), minute=int(clock[2]), second=int(second), microsecond=round(second % 1 * 1e6) % 1_000_000
    )
    return found if found <= now else found - timedelta(days=1)


def _utc(wall_ns: int) -> datetime:
    return datetime.fromtimestamp(wall_ns / 1e9, timezone.utc)


def _ns(moment: datetime) -> int:
    return round(moment.timestamp() * 1e6) * 1000


def _wrong(text: str, option: str) -> UsageError:
    return UsageError(f'{option} "{text}": expected a time', hint=FORMS)


def clock_text(wall_ns: int) -> str:
    """`14:32:07.123`, UTC."""
    return _utc(wall_ns).strftime("%H:%M:%S.%f")[:-3]


def date_text(wall_ns: int) -> str:
    """`2026-11-21 14:32:07`, UTC."""
    return _utc(wall_ns).strftime("%Y-%m-%d %H:%M:%S")
