from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cardan.engines.backends.onnxruntime import OnnxRuntime
from cardan.engines.frames import as_npz, random_frames, read_frames
from cardan.engines.gate import deviations, reference_outputs, session_outputs, too_far
from cardan.engines.model import read_model
from cardan.engines.tensors import Tensor
from cardan.engines.weights import read_weights
from cardan.runtime.errors import ConfigError

INPUTS = {"image": Tensor(dtype="uint8", shape=(1, 2, 2, 3)), "speed": Tensor(dtype="float32", shape=(1,), maximum=9.0)}


def test_the_optimised_network_passes_against_its_reference() -> None:
    file = read_model("road_net", folder=Path())
    content = read_weights(file)
    frames = random_frames(file.model.inputs)
    expected = reference_outputs(content, frames)
    found = deviations(session_outputs(OnnxRuntime().load(file.model, content), frames), expected)
    assert too_far(file.model, found) == []
    assert found.keys() == file.model.outputs.keys()
    wrong = {name: array * 1.002 for name, array in expected.items()}
    assert len(too_far(file.model, deviations(wrong, expected))) == len(file.model.outputs)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_never_pass(value: float) -> None:
    expected = {"gap": np.ones((2, 3))}
    assert deviations({"gap": np.full((2, 3), value)}, expected)["gap"] == np.inf


def test_another_shape_never_passes() -> None:
    assert deviations({"gap": np.ones((2, 2))}, {"gap": np.ones((2, 3))})["gap"] == np.inf


def test_frames_are_the_same_everywhere_and_survive_a_file(tmp_path: Path) -> None:
    frames = random_frames(INPUTS)
    path = tmp_path / "frames.npz"
    path.write_bytes(as_npz(frames, {"gap": np.zeros((4, 1))}))
    again = read_frames(path, INPUTS)
    assert all(np.array_equal(again[name], random_frames(INPUTS)[name]) for name in INPUTS)
    assert again["speed"].max() <= 9.0


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"\x93NUMPY"])
def test_a_file_that_holds_no_frames_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "frames.npz").write_bytes(content)
    with pytest.raises(ConfigError, match="no frames in"):
        read_frames(tmp_path / "frames.npz", INPUTS)


@pytest.mark.parametrize(
    "frames",
    [
        {"image": np.zeros((2, 1, 2, 2, 3), np.uint8)},
        {"image": np.zeros((2, 1, 2, 2, 3), np.float32), "speed": np.zeros((2, 1), np.float32)},
        {"image": np.zeros((2, 1, 2, 2, 3), np.uint8), "speed": np.zeros((3, 1), np.float32)},
        {"image": np.zeros((0, 1, 2, 2, 3), np.uint8), "speed": np.zeros((0, 1), np.float32)},
    ],
)
def test_frames_that_do_not_fit_are_refused(tmp_path: Path, frames: dict[str, np.ndarray]) -> None:
    (tmp_path / "frames.npz").write_bytes(as_npz(frames, {}))
    with pytest.raises(ConfigError):
        read_frames(tmp_path / "frames.npz", INPUTS)
