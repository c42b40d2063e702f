"""The precision of a network is that of most of its weights, and no file is too strange to be asked."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardan.engines.precision import UNKNOWN, precision_of

ROAD_NET = Path(str(files("cardan.engines"))) / "models" / "road_net.onnx"


def save(path: Path, dtype: str, elements: int = 100) -> Path:
    """A network with weights of one type, and a larger shape of whole numbers beside them."""
    onnx = pytest.importorskip("onnx")
    weights = onnx.numpy_helper.from_array(np.zeros(elements, dtype), "w")
    shape = onnx.numpy_helper.from_array(np.zeros(1000, np.int64), "shape")
    graph = onnx.helper.make_graph([], "g", [], [], [shape, weights])
    onnx.save(onnx.helper.make_model(graph), str(path))
    return path


def test_the_shipped_network_has_weights_of_32_bits() -> None:
    assert precision_of(ROAD_NET) == "FP32"


@pytest.mark.parametrize(("dtype", "name"), [("float32", "FP32"), ("float16", "FP16"), ("int8", "INT8")])
def test_the_type_of_most_weights_counts(tmp_path: Path, dtype: str, name: str) -> None:
    assert precision_of(save(tmp_path / "net.onnx", dtype)) == name


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.integers(0, 400))
def test_a_damaged_file_has_no_precision_or_one(tmp_path: Path, noise: bytes, at: int) -> None:
    path = tmp_path / "net.onnx"
    whole = ROAD_NET.read_bytes()
    path.write_bytes(whole[:at] + noise + whole[at + len(noise) : 5000])
    assert isinstance(precision_of(path), str)


def test_what_is_no_network_has_none(tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").touch()
    assert precision_of(tmp_path / "empty.onnx") == precision_of(tmp_path / "none.onnx") == UNKNOWN
