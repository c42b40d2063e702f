"""Numbers read well at every size."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.cli import units


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (units.ms(0.0412), "0.04 ms"),
        (units.ms(38.12), "38.1 ms"),
        (units.ms(412.4), "412 ms"),
        (units.age(0.0071), "7 ms"),
        (units.age(2.44), "2.4 s"),
        (units.age(720), "12 min"),
        (units.age(9000), "2.5 h"),
        (units.rate(20.04), "20.0 Hz"),
        (units.rate(2258.1), "2258 Hz"),
        (units.size(999), "999 B"),
        (units.size(12_345_678), "12.3 MB"),
        (units.size(999_960), "1.0 MB"),
        (units.duration(30), "30.0 s"),
        (units.duration(125), "2 min 05 s"),
        (units.duration(3725), "1 h 02 min"),
        (units.count(135_468), "135 468"),
        (units.metres(0.123), "0.12 m"),
        (units.plural(1, "node"), "1 node"),
        (units.plural(2, "node"), "2 nodes"),
    ],
)
def test_numbers_have_few_digits_and_a_unit(text: str, expected: str) -> None:
    assert text == expected


def test_nothing_is_a_dash() -> None:
    assert {units.ms(None), units.age(None), units.rate(None), units.size(None), units.count(None)} == {"-"}


@given(st.floats(0, 1e12))
def test_columns_of_the_live_view_are_wide_enough(value: float) -> None:
    assert len(units.age(min(value, 3e6))) <= 7
    assert len(units.rate(min(value, 1e5))) <= 9
    assert len(units.size(value)) <= 8
