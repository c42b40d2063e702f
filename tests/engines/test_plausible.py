import numpy as np
import pytest

from cardan.engines.plausible import implausible_or_none


def lane(left: list[float], right: list[float], probability: float = 0.9) -> dict[str, np.ndarray]:
    return {"left_y": np.array([left]), "right_y": np.array([right]), "lane_probability": np.array([[probability]])}


def test_a_lane_of_ordinary_width_is_plausible() -> None:
    assert implausible_or_none(lane([1.7, 2.0], [-1.8, -1.4])) is None


@pytest.mark.parametrize("left", [-2.0, -1.0, 12.0])
def test_lines_that_cross_or_part_are_not(left: float) -> None:
    assert "m wide" in str(implausible_or_none(lane([1.7, left], [-1.8, -1.8])))


def test_lines_that_are_not_seen_may_be_anywhere() -> None:
    assert implausible_or_none(lane([-5.0], [5.0], probability=0.2)) is None
