import numpy as np
import pytest

from cardan.engines.validate import Range, violation_or_none

RANGES = {"gap": Range(0.0, 100.0)}


def test_finite_values_in_range_are_data() -> None:
    assert violation_or_none({"gap": np.array([0.0, 100.0]), "other": np.array([1e9])}, RANGES) is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_never_data(value: float) -> None:
    assert violation_or_none({"other": np.array([1.0, value])}, RANGES) == "other is not finite"


@pytest.mark.parametrize("value", [-0.1, 100.1])
def test_a_value_outside_its_range_is_named(value: float) -> None:
    assert "gap is" in (violation_or_none({"gap": np.array([value, 50.0])}, RANGES) or "")
