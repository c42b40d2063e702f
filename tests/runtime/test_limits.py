from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.firmware_bridge.envelope import envelope_hash as bridge_hash
from cardan.firmware_bridge.limits import read_envelope
from cardan.runtime.errors import ConfigError
from cardan.runtime.findings import Findings
from cardan.runtime.limits import STEERING_ONLY, EnvelopeSignal, check_limits, envelope_hash
from cardan.runtime.toml_convert import convert_table

GOOD: dict[str, dict[str, Any]] = {
    "steering_rad": {"minimum": -0.5, "maximum": 0.5, "rate_per_s": 1, "wheelbase_m": 2.7},
    "accel_mps2": {"minimum": -3.5, "maximum": 2.0, "rate_per_s": 10},
    "torque_nm": {"quantity": "other", "minimum": -9, "maximum": 9, "rate_per_s": 1},
}
NUMBERS = st.sampled_from([-9, -3.5, -1.3, -1.2, -0.5, 0, 0.4, 1, 1.2, 1.3, 2.0, 2.1, 3.0, 3.1, 5.0, 6])
NUMBER_KEYS = ("minimum", "maximum", "rate_per_s", "change_per_window", "safe_value", *STEERING_ONLY)
CHANGES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(NUMBER_KEYS, NUMBERS),
    "quantity": st.sampled_from(["steering_angle", "acceleration", "other", "speed"]),
    "on_violation": st.sampled_from(["clamp", "drop", "ignore"]),
    "maximum_by_speed": st.sampled_from([[], [[0, 1]], [[0, 1], [9, 0.5]], [[9, 1], [0, 1]], [[-1, 1]], [[1]], "x"]),
    "maximun": NUMBERS,
}


def findings(name: str, table: dict[str, Any]) -> list[str]:
    found = Findings("f", {})
    limits = convert_table(table, EnvelopeSignal, ("envelope", name), found)
    if limits is not None:
        check_limits(name, limits, ("envelope", name), found)
    return [str(item) for item in found.sorted()]


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    name = draw(st.sampled_from(sorted(GOOD)))
    changes = draw(st.dictionaries(st.sampled_from(sorted(CHANGES)), st.none(), max_size=3))
    table = GOOD[name] | {key: draw(CHANGES[key]) for key in changes}
    for key in draw(st.sets(st.sampled_from(sorted(table)), max_size=1)):
        del table[key]
    return name, table


@pytest.mark.parametrize("name", GOOD)
def test_limits_in_order_have_no_findings(name: str) -> None:
    assert findings(name, GOOD[name]) == []


@given(tables())
def test_the_check_and_the_bridge_accept_the_same_limits(named: tuple[str, dict[str, Any]]) -> None:
    name, table = named
    try:
        read_envelope({name: table}, period_s=0.01)
        accepted = True
    except ConfigError:
        accepted = False
    assert (findings(name, table) == []) is accepted


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"lateral_accel_mps2": 4}, "envelope.steering_rad.lateral_accel_mps2: 4 is too wide, expected at most 3"),
        ({"maximum_by_speed": [[9, 1], [0, 1]]}, "the speeds do not ascend, order the rows by speed"),
        ({"quantity": "other"}, "envelope.steering_rad.wheelbase_m: only a steering angle has this limit, remove it"),
    ],
)
def test_a_limit_that_is_wrong_is_named(change: dict[str, Any], expected: str) -> None:
    (text,) = findings("steering_rad", GOOD["steering_rad"] | change)
    assert text.endswith(expected)


def test_the_hash_is_that_of_the_bridge_and_knows_no_difference_between_1_and_1_0() -> None:
    assert envelope_hash(GOOD) == bridge_hash(GOOD)
    as_floats = {name: {k: float(v) if isinstance(v, int) else v for k, v in t.items()} for name, t in GOOD.items()}
    assert envelope_hash(as_floats) == envelope_hash(dict(reversed(GOOD.items())))
    assert envelope_hash({}) != envelope_hash(GOOD)
