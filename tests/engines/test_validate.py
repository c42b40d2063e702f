import numpy as np
import pytest

from cardan.engines.tensors import Tensor
from cardan.engines.validate import violation_or_none

TENSORS = {
    "gap": Tensor(dtype="float32", shape=(2,), minimum=0.0, maximum=100.0),
    "depth": Tensor(dtype="float32", shape=(1,), minimum=0.0),
}


def test_finite_values_in_range_are_data() -> None:
    outputs = {"gap": np.array([0.0, 100.0]), "other": np.array([1e9]), "depth": np.array([1e9])}
    assert violation_or_none(outputs, TENSORS) is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_never_data(value: float) -> None:
    assert violation_or_none({"other": np.array([1.0, value])}, TENSORS) == "other is not finite"


@pytest.mark.parametrize("value", [-0.1, 100.1])
def test_a_value_outside_its_range_is_named(value: float) -> None:
    assert "gap is" in (violation_or_none({"gap": np.array([value, 50.0])}, TENSORS) or "")


def test_a_range_may_be_open_to_one_side() -> None:
    assert violation_or_none({"depth": np.array([-1.0])}, TENSORS) == "depth is -1 .. -1, outside 0 .. inf"
