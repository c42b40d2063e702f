"""Durations and counts are read as people write them, or refused with an example."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.cli.durations import parse_count, parse_duration_s
from cardan.runtime.cli.exits import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30.0), ("2m", 120.0), ("1.5h", 5400.0), ("500ms", 0.5), (".5s", 0.5), ("30 s", 30.0)]
)
def test_a_number_with_a_unit_is_a_duration(text: str, seconds: float) -> None:
    assert parse_duration_s(text, "--for") == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "s", "-3s", "1e3s", "nan s", "infs", "3 weeks", "30s30s", "٣s", f"{'9' * 500}h"]
)
def test_everything_else_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(UsageError, match="expected") as caught:
        parse_duration_s(text, "--for")
    assert caught.value.hint


@pytest.mark.parametrize("text", ["0s", "0.0h", "1000000h"])
def test_nothing_and_forever_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="30 days"):
        parse_duration_s(text, "--for")


def test_a_bare_number_is_offered_as_seconds() -> None:
    with pytest.raises(UsageError) as caught:
        parse_duration_s("30", "--for")
    assert caught.value.hint == "for example --for 30s"


@given(st.text(max_size=12))
def test_no_text_breaks_the_parsers(text: str) -> None:
    for parse in (parse_duration_s, parse_count):
        try:
            assert parse(text, "--x") > 0
        except UsageError:
            continue


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "ten", "", "²", "9" * 20])
def test_a_count_is_a_whole_number_from_one(text: str) -> None:
    with pytest.raises(UsageError, match="whole number"):
        parse_count(text, "--count")
