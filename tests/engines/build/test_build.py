from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from cardan.engines.accelerator import Accelerator, any_gpu, this_cpu
from cardan.engines.backends.backend import BackendError
from cardan.engines.backends.onnxruntime import OnnxRuntime
from cardan.engines.build.background import BackgroundBuilds
from cardan.engines.build.build import Build
from cardan.engines.build.cache import PlanCache
from cardan.engines.build.messages import BuildOrder, Cancelled, Done, Failed
from cardan.engines.build.orders import order_for
from cardan.engines.build.recipe import recipe_of
from cardan.engines.cuda.probe import Probed
from cardan.engines.model import Accuracy, ModelFile, read_model
from cardan.runtime.clock import FakeClock, MonotonicClock

MakeNet = Callable[..., bytes]
WriteModel = Callable[..., ModelFile]

NO_GPU = Probed(reason="there is no NVIDIA driver")
ORIN = Probed(gpu=Accelerator(kind="gpu", name="Orin", capability="8.7", multiprocessors=16))


@pytest.fixture
def cache(tmp_path: Path) -> PlanCache:
    return PlanCache(tmp_path / "plans", MonotonicClock())


@pytest.fixture
def start(cache: PlanCache) -> Iterator[Callable[[BuildOrder], Build]]:
    builds: list[Build] = []

    def make(order: BuildOrder) -> Build:
        builds.append(Build(order, MonotonicClock()))
        return builds[-1]

    yield make
    for build in builds:
        build.close()


def road_order(cache: PlanCache) -> BuildOrder:
    return order_for(read_model("road_net", folder=Path()), "onnxruntime", NO_GPU, cache)


@pytest.mark.slow
def test_a_plan_is_built_judged_and_kept(cache: PlanCache, start: Callable[[BuildOrder], Build]) -> None:
    phases: list[str] = []
    ended = start(road_order(cache)).wait(lambda progress: phases.append(progress.phase))
    assert isinstance(ended, Done)
    assert ended.problems == ()
    assert "judging against FP32" in phases
    file = read_model("road_net", folder=Path())
    found = cache.find([recipe_of(file.model, OnnxRuntime(), this_cpu())])
    assert found.sidecar is not None
    assert (found.sidecar.accepted, found.sidecar.recipe.key) == (True, ended.key)
    session = OnnxRuntime().load(file.model, found.content)
    session.run()


@pytest.mark.slow
def test_a_plan_that_deviates_too_far_is_kept_but_not_accepted(
    tmp_path: Path, cache: PlanCache, start: Callable[[BuildOrder], Build]
) -> None:
    shipped = read_model("road_net", folder=Path())
    (tmp_path / "road_net.onnx").write_bytes(shipped.weights.read_bytes())
    text = shipped.path.read_text().replace("[meta]", "[accuracy]\nrelative_l2 = 1e-12\n\n[meta]")
    (tmp_path / "road_net.toml").write_text(text)
    file = read_model("road_net.toml", folder=tmp_path)
    assert file.model.accuracy == Accuracy(relative_l2=1e-12)
    ended = start(order_for(file, "onnxruntime", NO_GPU, cache)).wait()
    assert isinstance(ended, Done)
    assert "deviates by" in ended.problems[0]
    assert [sidecar.accepted for sidecar in cache.sidecars()] == [False]


@pytest.mark.slow
def test_a_stored_plan_is_judged_again_on_demand(cache: PlanCache, start: Callable[[BuildOrder], Build]) -> None:
    done = start(road_order(cache)).wait()
    assert isinstance(done, Done)
    cache.judge(done.key, {}, accepted=False)
    order = msgspec.structs.replace(road_order(cache), verify_key=done.key)
    again = start(order).wait()
    assert isinstance(again, Done)
    assert again.accuracy is not None
    assert cache.sidecars()[0].accepted


@pytest.mark.slow
def test_replaced_weights_are_refused_before_anything_is_built(
    tmp_path: Path, cache: PlanCache, make_road_net: MakeNet, write_model: WriteModel,
    start: Callable[[BuildOrder], Build],
) -> None:  # fmt: skip
    file = write_model(tmp_path, make_road_net())
    file.weights.write_bytes(make_road_net({"lead_gap": [31.0]}))
    ended = start(order_for(file, "onnxruntime", NO_GPU, cache)).wait()
    assert isinstance(ended, Failed)
    assert "SHA-256" in ended.message
    assert cache.sidecars() == []


@pytest.mark.slow
def test_a_build_that_is_cancelled_keeps_nothing(cache: PlanCache, start: Callable[[BuildOrder], Build]) -> None:
    build = start(road_order(cache))
    build.cancel()
    assert isinstance(build.wait(), Cancelled)
    assert cache.sidecars() == []


@pytest.mark.slow
def test_a_builder_that_dies_is_a_failure_with_its_signal(
    cache: PlanCache, start: Callable[[BuildOrder], Build]
) -> None:
    build = start(road_order(cache))
    os.kill(build._child.pid, signal.SIGSEGV)
    ended = build.wait()
    assert isinstance(ended, Failed)
    assert "SIGSEGV" in ended.message


@pytest.mark.slow
def test_a_builder_that_does_not_give_up_is_killed_after_a_while(cache: PlanCache) -> None:
    clock = FakeClock()
    build = Build(road_order(cache), clock)
    os.kill(build._child.pid, signal.SIGSTOP)
    build.cancel()
    clock.advance_s(9.0)
    assert build.poll() is None
    clock.advance_s(2.0)
    build.poll()
    select.select([build], [], [], 20.0)
    assert isinstance(build.wait(), Cancelled)
    build.close()


@pytest.mark.slow
def test_builds_in_the_background_never_block_and_come_one_by_one(cache: PlanCache) -> None:
    builds = BackgroundBuilds([road_order(cache), road_order(cache)], MonotonicClock())
    results = []
    while not builds.idle:
        ended = builds.poll()
        if ended is not None:
            results.append(ended[1])
        elif builds._build is not None:
            assert builds.shown.startswith("onnxruntime: ")
            select.select([builds._build], [], [], 10.0)
    assert [type(result) for result in results] == [Done, Done]
    builds.close()


@pytest.mark.parametrize(
    ("backend", "probed", "target", "what"),
    [
        ("tensorrt", NO_GPU, "", "no GPU to build for"),
        ("tensorrt_rtx", NO_GPU, "", "no GPU to build for"),
        ("tensorrt", ORIN, "8.9", "for this computer only"),
        ("onnxruntime", NO_GPU, "8.9", "for this computer only"),
        ("sim", NO_GPU, "", "has no plans"),
    ],
)
def test_what_cannot_be_built_here_is_said_before_it_is_tried(
    cache: PlanCache, backend: str, probed: Probed, target: str, what: str
) -> None:
    with pytest.raises(BackendError, match=what):
        order_for(read_model("road_net", folder=Path()), backend, probed, cache, target)  # type: ignore[arg-type]


def test_tensorrt_builds_for_the_very_gpu_and_rtx_for_its_kind(cache: PlanCache) -> None:
    file = read_model("road_net", folder=Path())
    assert order_for(file, "tensorrt", ORIN, cache).accelerator == ORIN.gpu
    named = order_for(file, "tensorrt_rtx", NO_GPU, cache, "8.9")
    assert (named.accelerator, named.targets) == (any_gpu("8.9"), ("8.9",))
    portable = order_for(file, "tensorrt_rtx", NO_GPU, cache, "any")
    assert (portable.accelerator, portable.targets) == (any_gpu("any"), ())
