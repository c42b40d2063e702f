"""Models, plans and pictures: what a call costs, what a camera picture costs, and what a damaged file can do. Rows for
engines.py.

Times are processor time of the one thread that works, so that other programs on the computer do not count.
"""

from __future__ import annotations

import gc
import os
import random
import signal
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from rows import Row, at_most, exactly

from cardan.engines.accelerator import any_gpu
from cardan.engines.backends.onnxruntime import OnnxRuntime, OnnxRuntimeSession, optimised
from cardan.engines.build.build import Build
from cardan.engines.build.cache import PlanCache, Sidecar
from cardan.engines.build.messages import Done
from cardan.engines.build.orders import order_for
from cardan.engines.build.recipe import Recipe
from cardan.engines.cuda.probe import Probed
from cardan.engines.model import Model, ModelFile, read_model
from cardan.engines.picture import PictureFiller, PictureSettings
from cardan.engines.tensors import Tensor
from cardan.engines.validate import OutputCheck
from cardan.engines.weights import read_weights
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.errors import ConfigError

ROUNDS = 7
CALLS = 300
KILLS = 200
PLACES = 1000
PLAN_BYTES = 300_000
CAMERA = {"width": 1920, "height": 1080, "top": 12, "crop_height": 1056, "out_width": 640, "out_height": 352}
"""The part of a full HD picture that has the shape of 640 x 352."""
RECIPE = Recipe(
    model_sha256="ab" * 32,
    backend="tensorrt",
    version="10.3.0",
    accelerator=any_gpu("8.7"),
    inputs={"image": "uint8 (1, 96, 192, 3)"},
    options={},
)


def rows(*, quick: bool) -> list[Row]:
    """All rows; within 20 s when quick, a minute else."""
    gc.disable()
    try:
        timed = [*call_rows(quick), *picture_rows(quick), load_row(quick)]
    finally:
        gc.enable()
    return [*timed, *damage_rows(quick), *plan_rows()]


# ---------------------------------------------------------------------------------------------------------------- calls


def call_rows(quick: bool) -> list[Row]:
    """Our call (bound inputs, run, every output checked) beside the library's own bound run, by turns."""
    road = read_model("road_net", folder=Path())
    large, large_extra = overhead_us(*large_net(), quick)
    middle, middle_extra = overhead_us(road.model, read_weights(road), quick)
    small, small_extra = overhead_us(*tiny_net(), quick)
    share = 100 * large_extra / large
    return [
        beside("call of a network of 1 ms and more over the bound run", share, 3.0, "%", "bound run, ms", large / 1e3),
        beside("call of road_net over the bound run", middle_extra, 15.0, "us", "bound run, us", middle),
        beside("call of a tiny network over the bound run", small_extra, 15.0, "us", "bound run, us", small),
    ]


def overhead_us(model: Model, content: bytes, quick: bool) -> tuple[float, float]:
    """Bound run, and what our call adds to it: medians over the rounds, microseconds."""
    session = OnnxRuntime().load(model, content)
    check = OutputCheck(session.outputs, model.outputs)

    def ours() -> None:
        session.run()
        check.violation_or_none()

    raw = bound_run(session)
    alone, extra = [], []
    for _ in range(3 if quick else ROUNDS):
        pairs = []
        for number in range(CALLS // 3 if quick else CALLS):
            calls = (raw, ours) if number % 2 else (ours, raw)
            one, other = (cpu_us(call) for call in calls)
            pairs.append((one, other) if number % 2 else (other, one))
        alone.append(statistics.median(one for one, _ in pairs))
        extra.append(statistics.median(other - one for one, other in pairs))
    session.close()
    return statistics.median(alone), statistics.median(extra)


def bound_run(session: OnnxRuntimeSession) -> Callable[[], None]:
    """What the library itself offers for bound buffers."""
    library: Any = session._session
    binding = session._binding
    return lambda: library.run_with_iobinding(binding)


def large_net() -> tuple[Model, bytes]:
    """Two convolutions with weights that mean nothing, more than a millisecond on one core."""
    draw = np.random.default_rng(1)
    weights = {"first": (64, 3, 3, 3), "second": (96, 64, 3, 3)}
    tensors = [numpy_helper.from_array(draw.normal(0, 0.05, form).astype(np.float32), n) for n, form in weights.items()]
    nodes = [
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "first"], ["half"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["half", "second"], ["quarter"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("ReduceMean", ["quarter"], ["mean"], axes=[2, 3], keepdims=1),
    ]
    return _net("large", (96, 192), (1, 96, 1, 1), nodes, tensors)


def tiny_net() -> tuple[Model, bytes]:
    """One small product: the library's own overhead is most of its run."""
    nodes = [helper.make_node("ReduceMean", ["float"], ["mean"], axes=[1, 2], keepdims=1)]
    return _net("tiny", (16, 16), (1, 1, 1, 3), nodes, [])


def _net(
    name: str, size: tuple[int, int], answer: tuple[int, ...], nodes: list[Any], weights: list[Any]
) -> tuple[Model, bytes]:
    """A network from a picture of that size to `mean`."""
    shape = (1, *size, 3)
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, shape)
    out = helper.make_tensor_value_info("mean", TensorProto.FLOAT, answer)
    cast = helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT)
    graph = helper.make_graph([cast, *nodes], name, [image], [out], weights)
    network: onnx.ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model = Model(
        name=name,
        file=f"{name}.onnx",
        sha256="ab" * 32,
        rate_hz=20.0,
        deadline_ms=50.0,
        inputs={"image": Tensor(dtype="uint8", shape=shape)},
        outputs={"mean": Tensor(dtype="float32", shape=answer, minimum=-1e6, maximum=1e6)},
    )
    return model, network.SerializeToString()


# ------------------------------------------------------------------------------------------------------------- pictures


def picture_rows(quick: bool) -> list[Row]:
    """1080p into a 640 x 352 input; the peer is the usual way in numpy: convert, resize, normalise, transpose."""
    draw = np.random.default_rng(1)
    found = []
    for kind in ("nv12", "yuyv", "rgb"):
        settings = PictureSettings(format=kind, **CAMERA)  # type: ignore[arg-type]
        filler, out = PictureFiller(settings), np.empty(settings.out_shape, np.uint8)
        frame = draw.integers(16, 236, settings.frame_shape, dtype=np.uint8)
        ours_ms, peer_ms = by_turns_ms(
            partial(filler.fill, frame, out), partial(usual_way, settings, frame), 5 if quick else 12
        )
        name = f"{kind.upper()} 1920 x 1080 to a 640 x 352 input"
        found += [
            beside(name, ours_ms, 0.5, "ms", "convert, resize, normalise in numpy, ms", peer_ms),
            at_most(f"{name}, share of the usual way", ours_ms / peer_ms, 1 / 8, ""),
        ]
    return found


def by_turns_ms(ours: Callable[[], object], peer: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Best round of each, by turns: 40 calls of ours (their median), one of the peer."""
    found = [(statistics.median(cpu_us(ours) for _ in range(40)), cpu_us(peer)) for _ in range(rounds)]
    return min(one for one, _ in found) / 1e3, min(other for _, other in found) / 1e3


def usual_way(settings: PictureSettings, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Convert the whole picture to RGB, resize it, normalise it, bring the channels to the front."""
    height, width = settings.height, settings.width
    if settings.format == "rgb":
        picture = frame
    else:
        if settings.format == "nv12":
            light = frame[:height].astype(np.float32)
            pairs = frame[height:].reshape(height // 2, width // 2, 2).astype(np.float32)
            chroma = pairs.repeat(2, axis=0).repeat(2, axis=1)
        else:
            light = frame[:, 0::2].astype(np.float32)
            chroma = frame[:, 1::2].reshape(height, width // 2, 2).astype(np.float32).repeat(2, axis=1)
        light, u, v = (light - 16) * np.float32(255 / 219), chroma[..., 0] - 128, chroma[..., 1] - 128
        planes = [light + 1.596 * v, light - 0.392 * u - 0.813 * v, light + 2.017 * u]
        picture = np.clip(np.stack(planes, axis=-1), 0, 255).astype(np.uint8)
    rows_seen = 12 + np.arange(352) * 3 + 1
    small = picture[rows_seen][:, np.arange(640) * 3 + 1]
    normal = (small.astype(np.float32) / 255.0 - 0.45) / 0.225
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[np.newaxis])


# ---------------------------------------------------------------------------------------------------- files and damage


def load_row(quick: bool) -> Row:
    """The stored form for this CPU beside the ONNX file, from bytes to the first result."""
    file = read_model("road_net", folder=Path())
    weights = read_weights(file)
    stored = optimised(weights)
    times: dict[bytes, list[float]] = {weights: [], stored: []}
    for _ in range(5 if quick else 15):
        for content, spent in times.items():
            spent.append(cpu_us(partial(load_and_run, file.model, content)) / 1e3)
    ours, peer = statistics.median(times[stored]), statistics.median(times[weights])
    return Row(
        "load road_net from the plan cache", ours, "ms", "<= 0.5 x", ours <= 0.5 * peer, "ONNX", peer, peer / ours
    )


def load_and_run(model: Model, content: bytes) -> None:
    OnnxRuntime().load(model, content).run()


def damage_rows(quick: bool) -> list[Row]:
    """Kills while a plan is written, and one flipped byte in every so many places of a model and of a plan."""
    kills, places = (KILLS // 10, PLACES // 10) if quick else (KILLS, PLACES)
    with tempfile.TemporaryDirectory() as folder:
        bad, missing = killed_writers(Path(folder) / "kills", kills)
        plan = flipped_plans(Path(folder) / "plan", places)
        model = flipped_models(Path(folder), places)
    return [
        exactly(f"bad plans loaded after {kills} kills during writes", bad, 0, "plans"),
        exactly(f"plans lost by {kills} kills during writes", missing, 0, "plans"),
        exactly(f"plans refused of {places} with a flipped byte", plan, places, "plans"),
        exactly(f"models refused of {places} with a flipped byte", model, places, "models"),
    ]


def sidecar() -> Sidecar:
    return Sidecar(recipe=RECIPE, model="net", plan_sha256="", plan_bytes=0, accuracy={"gap": 0.0}, accepted=True)


def killed_writers(folder: Path, kills: int) -> tuple[int, int]:
    """(plans that were loaded and are not one that was written, plans that were there and are not any more)."""
    cache, draw = PlanCache(folder, MonotonicClock()), random.Random(7)
    began = time.monotonic()
    cache.store(sidecar(), plan_of(0))
    takes_s = time.monotonic() - began
    bad = missing = 0
    for trial in range(1, kills + 1):
        kill_after_s = draw.uniform(0.1, 3.0) * takes_s
        child = os.fork()
        if child == 0:
            signal.setitimer(signal.ITIMER_REAL, kill_after_s)  # its default action ends the process where it stands
            while True:
                cache.store(sidecar(), plan_of(trial))
        os.waitpid(child, 0)
        found = cache.find([RECIPE])
        missing += found.sidecar is None
        bad += found.sidecar is not None and found.content != plan_of(found.content[0] + 256 * found.content[1])
    return bad, missing


def plan_of(trial: int) -> bytes:
    return bytes((trial % 256, trial // 256)) + random.Random(trial).randbytes(PLAN_BYTES)


def flipped_plans(folder: Path, places: int) -> int:
    cache = PlanCache(folder, MonotonicClock())
    path = cache.plan_path(cache.store(sidecar(), plan_of(1)))
    return sum(cache.find([RECIPE]).sidecar is None for _ in flips(path, places))


def flipped_models(folder: Path, places: int) -> int:
    shipped = read_model("road_net", folder=Path())
    (folder / "road_net.toml").write_bytes(shipped.path.read_bytes())
    (folder / "road_net.onnx").write_bytes(shipped.weights.read_bytes())
    file = ModelFile(shipped.model, folder / "road_net.toml")
    return sum(refused(file) for _ in flips(file.weights, places))


def refused(file: ModelFile) -> bool:
    try:
        read_weights(file)
    except ConfigError:
        return True
    return False


def flips(path: Path, places: int) -> Any:
    """Flip one bit at each of so many places of a file, one after the other; it is whole again afterwards."""
    whole = path.read_bytes()
    for index in range(places):
        place = index * len(whole) // places
        with path.open("r+b") as opened:
            opened.seek(place)
            opened.write(bytes((whole[place] ^ (1 << index % 8),)))
        yield place
        with path.open("r+b") as opened:
            opened.seek(place)
            opened.write(whole[place : place + 1])


# ---------------------------------------------------------------------------------------------------------------- plans


def plan_rows() -> list[Row]:
    """A plan of TensorRT for RTX: found and checked beside built."""
    name = "find and check a plan of tensorrt_rtx"
    if find_spec("tensorrt_rtx") is None:
        return [Row(name, None, "tensorrt_rtx is not installed", "<= 0.1 x", False)]
    with tempfile.TemporaryDirectory() as folder:
        cache = PlanCache(Path(folder), MonotonicClock())
        file = read_model("road_net", folder=Path())
        order = order_for(file, "tensorrt_rtx", Probed(reason="not asked"), cache, "8.9")
        build = Build(order, MonotonicClock())
        ended = build.wait()
        build.close()
        if not isinstance(ended, Done):
            return [Row(name, None, msgspec.json.encode(ended).decode(), "<= 0.1 x", False)]
        recipes = [one.recipe for one in cache.sidecars()]
        ours_ms = statistics.median(cpu_us(lambda: cache.find(recipes)) for _ in range(20)) / 1e3
    built_ms = ended.build_s * 1e3
    return [Row(name, ours_ms, "ms", "<= 0.1 x", ours_ms <= 0.1 * built_ms, "build", built_ms, built_ms / ours_ms)]


def beside(name: str, value: float, limit: float, unit: str, peer: str, peer_value: float) -> Row:
    return Row(name, value, unit, f"<= {limit:g}", value <= limit, peer, peer_value)


def cpu_us(call: Callable[[], object]) -> float:
    """Microseconds of processor time of this thread for one call."""
    began = time.thread_time_ns()
    call()
    return (time.thread_time_ns() - began) / 1e3
