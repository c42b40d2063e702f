from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from cardan.engines.accelerator import Accelerator, any_gpu, this_cpu
from cardan.engines.backends.backend import Backend, BackendError, Session, StickyError
from cardan.engines.backends.onnxruntime import OnnxRuntime, optimised
from cardan.engines.backends.sim import Sim
from cardan.engines.build.cache import PlanCache, Sidecar
from cardan.engines.build.recipe import recipe_of
from cardan.engines.cuda.probe import Probed
from cardan.engines.model import BackendName, Model, ModelFile
from cardan.engines.opening import Opened, open_model
from cardan.runtime.clock import Clock, FakeClock
from cardan.runtime.errors import ConfigError

MakeNet = Callable[..., bytes]
WriteModel = Callable[..., ModelFile]

ORIN = Accelerator(kind="gpu", name="Orin", capability="8.7", multiprocessors=16)
GPU = Probed(gpu=ORIN)
NO_GPU = Probed(reason="there is no NVIDIA driver")
ALL = ("tensorrt", "tensorrt_rtx", "onnxruntime")


class Gpu:
    """A backend that builds, on a GPU that is not there: it loads what says that it is a plan."""

    builds = True

    def __init__(self, name: str) -> None:
        self.name = name

    def version(self) -> str:
        return "10.3.0"

    def load(self, model: Model, content: bytes) -> Session:
        if content == b"poison":
            raise StickyError("the accelerator is lost")
        if not content.startswith(b"plan"):
            raise BackendError("the plan was refused")
        return Sim(FakeClock()).load(model, content)


@pytest.fixture
def cache(tmp_path: Path) -> PlanCache:
    return PlanCache(tmp_path / "plans", FakeClock())


@pytest.fixture
def file(tmp_path: Path, make_road_net: MakeNet, write_model: WriteModel) -> ModelFile:
    return write_model(tmp_path, make_road_net(), backends=ALL)


def opened(file: ModelFile, cache: PlanCache, probed: Probed = GPU, **others: Backend) -> Opened:
    backends: Mapping[str, Any] = {
        "tensorrt": Gpu("tensorrt"), "tensorrt_rtx": Gpu("tensorrt_rtx"), "onnxruntime": OnnxRuntime(), **others
    }  # fmt: skip

    def find(name: BackendName, clock: Clock) -> Backend:
        backend: Backend = backends[name]
        return backend

    return open_model(file, cache, probed, FakeClock(), find)


def store(cache: PlanCache, file: ModelFile, backend: Backend, accelerator: Accelerator, content: bytes) -> str:
    recipe = recipe_of(file.model, backend, accelerator)
    cache.store(
        Sidecar(recipe=recipe, model="net", plan_sha256="", plan_bytes=0, accuracy={"lead_gap": 0.0}, accepted=True),
        content,
    )
    return recipe.key


def test_without_a_plan_the_fallback_serves_and_the_build_is_named(file: ModelFile, cache: PlanCache) -> None:
    result = opened(file, cache)
    assert (result.backend, result.preferred) == ("onnxruntime", False)
    assert [order.backend for order in result.orders] == ["tensorrt", "tensorrt_rtx"]
    assert result.reasons[0] == "net on tensorrt: no plan has been built"
    result.session.run()
    assert result.session.outputs["lead_gap"][0, 0] == 30.0


def test_a_good_plan_is_preferred(file: ModelFile, cache: PlanCache) -> None:
    store(cache, file, Gpu("tensorrt"), ORIN, b"plan for Orin")
    result = opened(file, cache)
    assert (result.backend, result.preferred, result.orders, result.reasons) == ("tensorrt", True, (), ())


def test_a_plan_for_every_gpu_serves_the_second_backend(file: ModelFile, cache: PlanCache) -> None:
    store(cache, file, Gpu("tensorrt_rtx"), any_gpu("8.7"), b"plan for 8.7")
    result = opened(file, cache)
    assert (result.backend, result.preferred) == ("tensorrt_rtx", False)


def test_without_a_gpu_nothing_of_it_is_touched_or_built(file: ModelFile, cache: PlanCache) -> None:
    store(cache, file, Gpu("tensorrt"), ORIN, b"plan for Orin")
    result = opened(file, cache, NO_GPU)
    assert (result.backend, result.orders) == ("onnxruntime", ())
    assert "no GPU: there is no NVIDIA driver" in result.reasons[0]


def test_a_plan_that_was_not_judged_is_judged_before_it_is_used(file: ModelFile, cache: PlanCache) -> None:
    recipe = recipe_of(file.model, Gpu("tensorrt"), ORIN)
    cache.store(Sidecar(recipe=recipe, model="net", plan_sha256="", plan_bytes=0), b"plan from the office")
    result = opened(file, cache)
    assert result.backend == "onnxruntime"
    assert [order.verify_key for order in result.orders] == [recipe.key, ""]


def test_a_plan_that_was_judged_bad_is_not_built_again_at_every_start(file: ModelFile, cache: PlanCache) -> None:
    key = store(cache, file, Gpu("tensorrt"), ORIN, b"plan")
    cache.judge(key, {"lead_gap": 0.5}, accepted=False)
    result = opened(file, cache)
    assert "deviates too far" in result.reasons[0]
    assert [order.backend for order in result.orders] == ["tensorrt_rtx"]


def test_a_damaged_plan_is_built_again(file: ModelFile, cache: PlanCache) -> None:
    key = store(cache, file, Gpu("tensorrt"), ORIN, b"plan")
    next(cache.folder.glob(f"{key}.*.plan")).write_bytes(b"plam")
    result = opened(file, cache)
    assert "hash differs" in result.reasons[0]
    assert result.orders[0].backend == "tensorrt"


def test_a_plan_that_the_library_refuses_lets_the_next_backend_serve(file: ModelFile, cache: PlanCache) -> None:
    store(cache, file, Gpu("tensorrt"), ORIN, b"not a plan")
    result = opened(file, cache)
    assert (result.backend, result.reasons[0]) == ("onnxruntime", "net on tensorrt: the plan was refused")


def test_a_lost_accelerator_is_nothing_to_fall_back_from(file: ModelFile, cache: PlanCache) -> None:
    store(cache, file, Gpu("tensorrt"), ORIN, b"poison")
    with pytest.raises(StickyError):
        opened(file, cache)


def test_the_stored_form_for_this_cpu_gives_the_same_answers(
    tmp_path: Path, cache: PlanCache, make_road_net: MakeNet, write_model: WriteModel
) -> None:
    content = make_road_net()
    file = write_model(tmp_path, content)
    plain = opened(file, cache)
    store(cache, file, OnnxRuntime(), this_cpu(), optimised(content))
    stored = opened(file, cache)
    assert plain.preferred
    assert stored.preferred
    assert plain.loaded_sha256 == file.model.sha256 != stored.loaded_sha256
    for result in (plain, stored):
        result.session.run()
    assert np.array_equal(plain.session.outputs["left_y"], stored.session.outputs["left_y"])


def test_another_model_stands_in_when_none_of_the_backends_runs(
    tmp_path: Path, cache: PlanCache, make_road_net: MakeNet, write_model: WriteModel
) -> None:
    write_model(tmp_path, make_road_net({"lead_gap": [44.0]}), name="small", file="small.onnx")
    file = write_model(tmp_path, make_road_net(), backends=("tensorrt",), fallback=("absent", "small"))
    result = opened(file, cache)
    result.session.run()
    assert result.session.outputs["lead_gap"][0, 0] == 44.0
    assert (result.file.model.name, result.preferred) == ("small", False)
    assert "absent" in result.reasons[1]


def test_a_stand_in_without_the_outputs_is_refused(
    tmp_path: Path, cache: PlanCache, make_road_net: MakeNet, write_model: WriteModel
) -> None:
    other = write_model(tmp_path, make_road_net(), name="small", file="small.onnx").model
    fewer = {name: tensor for name, tensor in other.outputs.items() if name != "lead_gap"}
    write_model(tmp_path, make_road_net(), name="small", file="small.onnx", outputs=fewer)
    file = write_model(tmp_path, make_road_net(), backends=("tensorrt",), fallback=("small",))
    with pytest.raises(ConfigError, match="runs nowhere") as caught:
        opened(file, cache)
    assert "it has no output lead_gap" in str(caught.value)


def test_replaced_weights_run_nowhere(file: ModelFile, cache: PlanCache, make_road_net: MakeNet) -> None:
    store(cache, file, Gpu("tensorrt"), ORIN, b"plan")
    file.weights.write_bytes(make_road_net({"lead_gap": [31.0]}))
    with pytest.raises(ConfigError, match="SHA-256"):
        opened(file, cache)


def test_a_simulated_model_needs_no_plan(file: ModelFile, cache: PlanCache) -> None:
    simulated = ModelFile(msgspec.structs.replace(file.model, backends=("sim",)), file.path)
    assert opened(simulated, cache, sim=Sim(FakeClock())).preferred
