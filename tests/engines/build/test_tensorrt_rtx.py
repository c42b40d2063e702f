"""NVIDIA's own parser and builder, on a computer without a GPU: what TensorRT for RTX can do there."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from cardan.engines.accelerator import any_gpu
from cardan.engines.backends.tensorrt import Tensorrt
from cardan.engines.build.build import Build
from cardan.engines.build.cache import PlanCache
from cardan.engines.build.messages import BuildOrder, Cancelled, Done, Failed
from cardan.engines.build.orders import order_for
from cardan.engines.build.recipe import recipe_of, recipes_for
from cardan.engines.cuda.probe import Probed
from cardan.engines.model import Model, ModelFile, read_model
from cardan.engines.tensors import Tensor
from cardan.runtime.clock import MonotonicClock

if importlib.util.find_spec("tensorrt_rtx") is None:
    pytest.skip("needs tensorrt_rtx: pip install 'cardan[rtx]'", allow_module_level=True)

pytestmark = pytest.mark.slow

NO_GPU = Probed(reason="this is a test")
WriteModel = Callable[..., ModelFile]
Start = Callable[..., Build]


@pytest.fixture
def cache(tmp_path: Path) -> PlanCache:
    return PlanCache(tmp_path / "plans", MonotonicClock())


@pytest.fixture
def start(cache: PlanCache) -> Iterator[Start]:
    builds: list[Build] = []

    def make(file: ModelFile, target: str = "8.9") -> Build:
        order: BuildOrder = order_for(file, "tensorrt_rtx", NO_GPU, cache, target)
        builds.append(Build(order, MonotonicClock()))
        return builds[-1]

    yield make
    for build in builds:
        build.close()


@pytest.fixture
def road() -> ModelFile:
    return read_model("road_net", folder=Path())


def test_a_plan_is_built_for_a_gpu_that_is_not_there(cache: PlanCache, start: Start, road: ModelFile) -> None:
    phases: set[str] = set()
    ended = start(road).wait(lambda progress: phases.add(progress.phase))
    assert isinstance(ended, Done)
    assert ended.plan_bytes > 100_000
    assert "Building engine" in phases
    assert ended.accuracy is None
    recipe = recipe_of(road.model, Tensorrt("tensorrt_rtx"), any_gpu("8.9"))
    found = cache.find([recipe])
    assert len(found.content) == ended.plan_bytes
    assert found.sidecar is not None
    assert not found.sidecar.accepted  # until it has run on a GPU


def test_the_plan_is_found_by_every_gpu_of_its_kind_and_by_no_other(
    cache: PlanCache, start: Start, road: ModelFile
) -> None:
    assert isinstance(start(road, "8.6").wait(), Done)
    backend = Tensorrt("tensorrt_rtx")
    assert cache.find(recipes_for(road.model, backend, any_gpu("8.6"))).content
    assert not cache.find(recipes_for(road.model, backend, any_gpu("8.9"))).content
    assert isinstance(start(road, "any").wait(), Done)
    assert cache.find(recipes_for(road.model, backend, any_gpu("8.7"))).content


def test_a_flipped_byte_of_the_plan_is_refused_before_tensorrt_sees_it(
    cache: PlanCache, start: Start, road: ModelFile
) -> None:
    ended = start(road).wait()
    assert isinstance(ended, Done)
    path = next(cache.folder.glob(f"{ended.key}.*.plan"))
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    found = cache.find([recipe_of(road.model, Tensorrt("tensorrt_rtx"), any_gpu("8.9"))])
    assert "hash differs" in found.reason


def test_a_build_is_cancelled_between_two_steps(cache: PlanCache, start: Start, road: ModelFile) -> None:
    build = start(road)
    ended = build.wait(lambda progress: build.cancel())
    assert isinstance(ended, Cancelled)
    assert cache.sidecars() == []


def test_a_target_that_is_unknown_is_refused_with_those_that_are(start: Start, road: ModelFile) -> None:
    ended = start(road, "3.5").wait()
    assert isinstance(ended, Failed)
    assert '"3.5"' in ended.message
    assert "8.9" in str(ended.hint)


def test_an_operator_that_tensorrt_does_not_know_is_named(tmp_path: Path, start: Start) -> None:
    content = strings_net()
    ended = start(model_of(tmp_path, content)).wait()
    assert isinstance(ended, Failed)
    assert "cannot import model" in ended.message
    assert "NoSuchOperator" in ended.message


def test_bytes_that_are_no_network_are_refused_by_the_parser(tmp_path: Path, start: Start) -> None:
    ended = start(model_of(tmp_path, b"\x08\x08 not a network")).wait()
    assert isinstance(ended, Failed)
    assert "cannot import model" in ended.message


def test_a_network_that_the_target_cannot_run_is_a_failure_with_the_reason(start: Start, road: ModelFile) -> None:
    ended = start(road, "7.5").wait()
    assert isinstance(ended, Failed)
    assert "SM75" in ended.message


def test_without_a_driver_a_plan_is_not_even_deserialised(road: ModelFile) -> None:
    from cardan.engines.backends.backend import BackendError
    from cardan.engines.cuda.probe import probe_gpu

    if probe_gpu().gpu is not None:
        pytest.skip("this computer has a GPU")
    with pytest.raises(BackendError, match="no GPU to run on"):
        Tensorrt("tensorrt_rtx").load(road.model, b"garbage that would crash the library")


def strings_net() -> bytes:
    """A network with an operator of a domain that nobody has."""
    node = helper.make_node("NoSuchOperator", ["x"], ["y"], domain="org.example")
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])
    graph = helper.make_graph([node], "odd", [value], [out])
    model: onnx.ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("org.example", 1)], ir_version=8
    )
    return bytes(model.SerializeToString())


def model_of(folder: Path, content: bytes) -> ModelFile:
    """A model file around any bytes."""
    import hashlib

    from cardan.engines.model_text import model_text

    tensor = Tensor(dtype="float32", shape=(1, 2))
    model = Model(
        name="odd",
        file="odd.onnx",
        sha256=hashlib.sha256(content).hexdigest(),
        inputs={"x": tensor},
        outputs={"y": tensor},
        rate_hz=1.0,
        deadline_ms=100.0,
    )
    (folder / "odd.onnx").write_bytes(content)
    (folder / "odd.toml").write_text(model_text(model))
    return read_model("odd.toml", folder=folder)
