"""A moment is read as people write it, in UTC unless it says otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.cli.exits import UsageError
from cardan.runtime.cli.moments import clock_text, date_text, parse_moment_ns

NOON_NS = 1_763_726_400_000_000_000  # 2025-11-21 12:00:00 UTC


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("11:32", "2025-11-21 11:32:00"),
        ("11:32:07", "2025-11-21 11:32:07"),
        ("14:32", "2025-11-20 14:32:00"),
        ("5m", "2025-11-21 11:55:00"),
        ("-90s", "2025-11-21 11:58:30"),
        ("2d ago", "2025-11-19 12:00:00"),
        ("2025-11-01", "2025-11-01 00:00:00"),
        ("2025-11-01T14:32", "2025-11-01 14:32:00"),
        ("2025-11-01 14:32:07", "2025-11-01 14:32:07"),
        ("2025-11-01T14:32:07+02:00", "2025-11-01 12:32:07"),
        ("2025-11-01T14:32:07Z", "2025-11-01 14:32:07"),
    ],
)
def test_a_moment(text: str, meant: str) -> None:
    assert date_text(parse_moment_ns(text, "--at", NOON_NS)) == meant


def test_a_moment_has_milliseconds() -> None:
    assert clock_text(parse_moment_ns("11:32:07.25", "--at", NOON_NS)) == "11:32:07.250"


@given(st.text(max_size=30))
def test_any_text_is_a_moment_or_a_usage_error(text: str) -> None:
    try:
        assert isinstance(parse_moment_ns(text, "--at", NOON_NS), int)
    except UsageError as error:
        assert "--at" in error.message and "14:32" in (error.hint or "")


@pytest.mark.parametrize("text", ["25:00", "yesterday", "14", "2025-13-01", "99999999d", ""])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected a time"):
        parse_moment_ns(text, "--since", NOON_NS)
