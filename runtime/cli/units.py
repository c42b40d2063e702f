"""Numbers as people read them: few digits, the unit beside each, a dash where there is nothing."""

from __future__ import annotations

NOTHING = "-"


def ms(milliseconds: float | None) -> str:
    """Milliseconds with three significant digits, such as `0.04 ms` or `38.1 ms`."""
    if milliseconds is None:
        return NOTHING
    digits = 2 if milliseconds < 9.995 else 1 if milliseconds < 99.95 else 0
    return f"{milliseconds:.{digits}f} ms"


def latency(milliseconds: float | None) -> str:
    """A duration that may be very short: `4.2 us`, `38 us`, `1.70 ms`."""
    if milliseconds is None or milliseconds >= 0.9995:
        return ms(milliseconds)
    microseconds = milliseconds * 1e3
    if microseconds < 0.05:
        return "0 us"
    return f"{microseconds:.1f} us" if microseconds < 9.95 else f"{microseconds:.0f} us"


def age(age_s: float | None) -> str:
    """An age: `7 ms`, `2.4 s`, `12 min`, `3.0 h`."""
    if age_s is None:
        return NOTHING
    age_s = max(0.0, age_s)
    if age_s < 0.9995:
        return f"{age_s * 1e3:.0f} ms"
    if age_s < 99.5:
        return f"{age_s:.1f} s"
    return f"{age_s / 60:.0f} min" if age_s < 5970 else f"{age_s / 3600:.1f} h"


def rate(per_s: float | None) -> str:
    """A rate with four significant digits at most: `20.0 Hz`, `2258 Hz`."""
    if per_s is None:
        return NOTHING
    return f"{per_s:.1f} Hz" if per_s < 1000 else f"{per_s:.0f} Hz"


def size(size_bytes: float | None) -> str:
    """Bytes with a decimal prefix: `12.3 MB`."""
    if size_bytes is None:
        return NOTHING
    for unit in ("B", "kB", "MB", "GB"):
        if size_bytes < 999.5:
            return f"{size_bytes:.0f} {unit}" if unit == "B" or size_bytes >= 99.95 else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"


def duration(duration_s: float) -> str:
    """A span of time: `30.0 s`, `2 min 05 s`, `1 h 02 min`."""
    whole_s = round(duration_s)
    if duration_s < 99.95:
        return f"{max(0.0, duration_s):.1f} s"
    if whole_s < 3600:
        return f"{whole_s // 60} min {whole_s % 60:02d} s"
    return f"{whole_s // 3600} h {whole_s % 3600 // 60:02d} min"


def count(number: float | None) -> str:
    """A count with thin groups of thousands: `135 468`."""
    return NOTHING if number is None else f"{number:,.0f}".replace(",", " ")


def metres(length_m: float | None) -> str:
    """A length to the centimetre."""
    return NOTHING if length_m is None else f"{length_m:.2f} m"


def plural(number: int, noun: str) -> str:
    """`1 node`, `2 nodes`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
