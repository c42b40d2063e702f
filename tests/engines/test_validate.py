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


@pytest.mark.parametrize("count", [1, 64, 65, 1000])
@pytest.mark.parametrize(("value", "what"), [(np.nan, "not finite"), (-np.inf, "not finite"), (-0.5, "outside 0 .. 9")])
def test_one_bad_number_among_many_is_seen(count: int, value: float, what: str) -> None:
    tensors = {"map": Tensor(dtype="float32", shape=(count,), minimum=0.0, maximum=9.0)}
    numbers = np.ones(count, np.float32)
    assert violation_or_none({"map": numbers}, tensors) is None
    numbers[-1] = value
    assert what in str(violation_or_none({"map": numbers}, tensors))


@pytest.mark.parametrize("value", [-0.1, 100.1])
def test_a_value_outside_its_range_is_named(value: float) -> None:
    assert "gap is" in (violation_or_none({"gap": np.array([value, 50.0])}, TENSORS) or "")


def test_a_range_may_be_open_to_one_side() -> None:
    assert violation_or_none({"depth": np.array([-1.0])}, TENSORS) == "depth is -1 .. -1, outside 0 .. inf"
