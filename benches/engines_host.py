"""The engine host as a process: round trip, processor time, hangs, boot, memory. Rows for engines.py.

Where that is allowed everything here runs under SCHED_FIFO, ours and the peer alike, so that other programs on the same
computer do not count.
"""

from __future__ import annotations

import gc
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import zmq
from awake import processors_awake
from engines_nodes import NV12_720P, STRIDE
from light import LightRun, folders, running, wait_until
from rows import Row, at_most

from cardan.engines.backends.onnxruntime import OnnxRuntime
from cardan.engines.backends.options import Fault, SimOptions
from cardan.engines.commands import Request
from cardan.engines.heap import give_back_free_pages
from cardan.engines.model import Model, read_model
from cardan.engines.model_text import model_text
from cardan.engines.tensors import Tensor
from cardan.engines.testing import engine_bench
from cardan.engines.weights import read_weights
from cardan.runtime.graph import load_plan
from cardan.runtime.messages import CameraFrame
from cardan.runtime.plan import Plan
from cardan.runtime.vitals import NodeVitals, SeriesKind, SeriesVitals

HERE = Path(__file__).resolve().parent
HANG_EVERY = 100
"""Runs; at 20 Hz five seconds."""
PRIORITY = 5
WARM_UP_RUNS = 1_500
"""The scheduler remembers the times of a thousand runs."""


def rows(*, quick: bool) -> list[Row]:
    """All rows; within 35 s when quick, three minutes else."""
    with undisturbed(), processors_awake() as held:
        found = [held, *round_trip_rows(quick), *processor_rows(quick), *hang_rows(quick), boot_row(quick)]
    return found + memory_rows(quick)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Run under SCHED_FIFO, with all that is started meanwhile; as usual where that is not allowed."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except PermissionError:
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def manifest(folder: Path, nodes: str, engines: str) -> Plan:
    """The plan of a vehicle with an engine host and the nodes of engines_nodes.py."""
    shutil.copy(HERE / "engines_nodes.py", folder)
    text = 'schema = 1\nname = "bench"\n\n[nodes.engines]\nuse = "engine-host"\nprocess = "exec"\n'
    (folder / "vehicle.toml").write_text(f"{text}{nodes}\n{engines}")
    return load_plan(str(folder))


def write_sim(folder: Path, name: str, median_ms: float, faults: tuple[Fault, ...] = ()) -> str:
    """A simulated network that gives one number; the name of its file."""
    content = name.encode()
    (folder / f"{name}.onnx").write_bytes(content)
    model = Model(
        name=name,
        file=f"{name}.onnx",
        sha256=hashlib.sha256(content).hexdigest(),
        inputs={"pixel": Tensor(dtype="uint8", shape=(1,))},
        outputs={"number": Tensor(dtype="float32", shape=(1,), minimum=0.0, maximum=1.0)},
        rate_hz=20.0,
        deadline_ms=50.0,
        backends=("sim",),
        sim=SimOptions(median_ms=median_ms, faults=faults),
    )
    (folder / f"{name}.toml").write_text(model_text(model))
    return f"{name}.toml"


# ------------------------------------------------------------------------------------------------------- round trip


def round_trip_rows(quick: bool) -> list[Row]:
    """A 720p NV12 frame to the host and its result back, beside the same frame sent in a message of ZeroMQ."""
    whole, host, messages = [], [], []
    for _ in range(2 if quick else 5):
        for from_copy_ns, from_sent_ns in _trips_ns(1.0 if quick else 4.0):
            whole.append(from_copy_ns)
            host.append(from_sent_ns)
        messages += _message_trips_ns(300 if quick else 2_000)
    whole_us, host_us, peer_us = (statistics.median(trips) / 1e3 for trips in (whole, host, messages))
    ratio = whole_us / peer_us
    name = "host round trip of a 720p NV12 frame in shared memory, from sending to the result, less the run, p50"
    return [
        at_most(name, host_us, 150.0, "us"),
        Row("the same with copying the frame in", whole_us, "us", "shown", True, "in a ZeroMQ message", peer_us, ratio),
        at_most("the same, as a share of the frame in a message", ratio, 0.5, ""),
    ]


def _trips_ns(seconds: float) -> list[tuple[int, int]]:
    with folders() as folder:
        path = folder / "trips.json"
        nodes = f"""
[nodes.pinger]
use = "engines_nodes:Pinger"
inputs = {{ answer = "engines/ping" }}
config = {{ path = "{path}" }}
"""
        model = write_sim(folder, "ping", median_ms=0.001)
        engine = f'[engines.ping]\nuse = "engines_nodes:NumberEngine"\nmodel = "{model}"\ninput = "pinger/frame"\n'
        with running(manifest(folder, nodes, engine), folder) as run:
            time.sleep(seconds)
            run.stop()
        found: list[tuple[int, int]] = json.loads(path.read_text())
        return found[20:]


def _message_trips_ns(count: int) -> list[int]:
    """The same frame inside a message to a process that answers with a number, one after the other."""
    with folders() as folder:
        there, back = f"ipc://{folder}/there", f"ipc://{folder}/back"
        process = multiprocessing.get_context("spawn").Process(target=_answer, args=(there, back), daemon=True)
        context = zmq.Context()
        out, answers = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
        out.bind(there)
        answers.bind(back)
        process.start()
        picture = np.zeros(NV12_720P, np.uint8)
        trips = []
        for _ in range(count + 20):
            begin_ns = time.monotonic_ns()
            out.send(picture.tobytes(), copy=False)
            answers.recv()
            trips.append(time.monotonic_ns() - begin_ns)
        process.kill()
        process.join()
        context.destroy(linger=0)
        return trips[20:]


def _answer(there: str, back: str) -> None:
    context = zmq.Context()
    frames, answers = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
    frames.connect(there)
    answers.connect(back)
    while True:
        image = np.frombuffer(frames.recv(copy=False).buffer, np.uint8)
        answers.send(msgspec.msgpack.encode({"number": int(image[::STRIDE].max())}))


# --------------------------------------------------------------------------------------------- processor time, boot


CAMERA = '\n[nodes.camera]\nuse = "engines_nodes:Camera"\n'


def _four_engines(folder: Path) -> Plan:
    table = '[engines.road{n}]\nuse = "road"\nmodel = "road_net"\ninput = "camera/frame"\n'
    return manifest(folder, CAMERA, "\n".join(table.format(n=n) for n in range(4)))


def processor_rows(quick: bool) -> list[Row]:
    """Processor time of the host with four engines of the demo network at 20 Hz, beside that of the network itself."""
    seconds = 3.0 if quick else 20.0
    with folders() as folder, running(_four_engines(folder), folder) as run:
        time.sleep(1.0)
        begin, begin_ns, runs = _cpu_s(run.pid("engines")), time.monotonic_ns(), _runs(run)
        time.sleep(seconds)
        used_s, runs = _cpu_s(run.pid("engines")) - begin, _runs(run) - runs
        elapsed_s = (time.monotonic_ns() - begin_ns) / 1e9
    share, network = 100 * used_s / elapsed_s, 100 * runs * _network_s() / elapsed_s
    name = f"host with 4 engines of the demo network at 20 Hz ({runs / elapsed_s:.0f} runs a second), of one core"
    return [
        Row(name, share, "%", "<= 5", share <= 5.0, "the network's own runs, back to back", network, share / network),
        Row("the same, less the network's own runs", share - network, "%", "shown", True),
    ]


def _runs(run: LightRun) -> int:
    return sum(_count(run, f"road{n}.run") for n in range(4))


def _network_s() -> float:
    """Processor time of one run of the demo network in this process."""
    file = read_model("road_net", folder=Path())
    session = OnnxRuntime().load(file.model, read_weights(file))
    taken = []
    for _ in range(300):
        begin_ns = time.thread_time_ns()
        session.run()
        taken.append(time.thread_time_ns() - begin_ns)
    return statistics.median(taken) / 1e9


def _cpu_s(pid: int) -> float:
    """Processor time of all threads of a process, from the kernel's scheduler."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def _count(run: LightRun, metric: str) -> int:
    series = run.vitals.nodes["engines"].find(SeriesKind.METRIC, metric)
    return series.words[SeriesVitals.COUNT] if series is not None else 0


def boot_row(quick: bool) -> Row:
    """From the start of the host's process, without a spare one, to its first result."""
    engine = '[engines.road]\nuse = "road"\nmodel = "road_net"\ninput = "camera/frame"\n'
    taken = []
    with folders() as folder, running(manifest(folder, CAMERA, engine), folder) as run:
        for _ in range(2 if quick else 7):
            time.sleep(0.5)
            done = _count(run, "road.done")
            killed_ns = time.monotonic_ns()
            os.kill(run.pid("engines"), signal.SIGKILL)
            wait_until(lambda before=done: _count(run, "road.done") > before, "a result after the kill")  # type: ignore[misc]
            end_ns = time.monotonic_ns()
            started_ns = run.word("engines", NodeVitals.STARTED_NS)
            assert started_ns > killed_ns
            taken.append((end_ns - started_ns) / 1e9)
    return at_most(
        "host: from exec to the first valid result (demo network, CPU), median", statistics.median(taken), 1.0, "s"
    )


# ------------------------------------------------------------------------------------------------------------ hangs


HANGS = 6
HANG_WATCH_S = 5.4


def hang_rows(quick: bool) -> list[Row]:
    """A hang of a low engine: what it costs the others, and how long the host is away; the worst of some runs.

    Each hang is in a run of its own: of a node that dies every few seconds the supervisor's pauses grow.
    """
    missed, away_ms = zip(*(_one_hang() for _ in range(1 if quick else HANGS)), strict=True)
    times = f", worst of {len(missed)}" if len(missed) > 1 else ""
    return [
        at_most(
            f"deadlines missed by others in {HANG_WATCH_S:g} s with a hang of a low engine{times}",
            max(missed),
            5.0,
            "%",
        ),
        at_most(f"host back with a result after a hang{times}", max(away_ms), 500.0, "ms"),
    ]


def _one_hang() -> tuple[float, float]:
    """Share of deadlines that the others missed in HANG_WATCH_S, in percent; how long the host was away, in ms."""
    with folders() as folder:
        low = write_sim(folder, "low", 2.0, faults=(Fault(run=2 + HANG_EVERY, kind="hang"),))
        tables = [
            f'[engines.low]\nuse = "engines_nodes:NumberEngine"\nmodel = "{low}"\ninput = "camera/frame"\n'
            'criticality = "low"\n'
        ]
        for name in ("front", "rear", "left"):
            model = write_sim(folder, name, 5.0)
            tables.append(
                f'[engines.{name}]\nuse = "engines_nodes:NumberEngine"\nmodel = "{model}"\ninput = "camera/frame"\n'
                'criticality = "high"\n'
            )
        plan = manifest(folder, CAMERA, "\n".join(tables))
        nodes = [msgspec.structs.replace(node, standby=node.name == "engines") for node in plan.nodes]
        with running(msgspec.structs.replace(plan, nodes=nodes), folder) as run:
            time.sleep(1.0)
            return _watch_hang(run)


def _watch_hang(run: LightRun) -> tuple[float, float]:
    others = ("front", "rear", "left")
    frames, done = _frames(run), sum(_count(run, f"{name}.done") for name in others)
    end_ns, gaps_ms = time.monotonic_ns() + round(HANG_WATCH_S * 1e9), []
    last_ns = _last_ns(run)
    while time.monotonic_ns() < end_ns:
        time.sleep(0.0005)
        now_ns = _last_ns(run)
        if now_ns != last_ns:
            gaps_ms.append((now_ns - last_ns) / 1e6)
            last_ns = now_ns
    frames, done = _frames(run) - frames, sum(_count(run, f"{name}.done") for name in others) - done
    if run.word("engines", NodeVitals.STARTS) != 2:
        return 100.0, 1000 * HANG_WATCH_S  # it did not hang, or did not come back: nothing was measured
    return 100 * (1 - done / (len(others) * frames)), max(gaps_ms)


def _frames(run: LightRun) -> int:
    series = run.vitals.nodes["camera"].find(SeriesKind.OUTPUT, "frame")
    return series.words[SeriesVitals.COUNT] if series is not None else 0


def _last_ns(run: LightRun) -> int:
    series = run.vitals.nodes["engines"].find(SeriesKind.OUTPUT, "front")
    return series.words[SeriesVitals.LAST_NS] if series is not None else 0


# ----------------------------------------------------------------------------------------------------------- memory


def memory_rows(quick: bool) -> list[Row]:
    """Resident memory of a host over runs and hot swaps with the demo network."""
    runs, swaps = (1_000, 12) if quick else (10_000, 50)
    with folders() as folder:
        for name in ("one", "two"):
            _copy_model(folder, name)
        with engine_bench("road", "one.toml", manifest_dir=folder) as bench:
            picture = CameraFrame(frame_id=0, image=np.zeros((360, 640, 3), np.uint8))

            def run(count: int) -> None:
                for _ in range(count):
                    bench.send("engine.frame", picture)
                    bench.step(3)  # the frame, its shadow, and one without anything to run
                    bench.sent("engine").clear()

            def swap(count: int) -> None:
                for number in range(count):
                    _swap(bench, folder, ("two", "one")[number % 2])
                    run(6)

            run(WARM_UP_RUNS)
            swap(10)
            before = _rss()
            run(runs)
            after_runs = _rss()
            swap(swaps)
            after_swaps = _rss()
    return [
        at_most(f"growth of resident memory over {runs} runs", 100 * (after_runs / before - 1), 1.0, "%"),
        at_most(f"growth of resident memory over {swaps} hot swaps", 100 * (after_swaps / after_runs - 1), 1.0, "%"),
    ]


def _copy_model(folder: Path, name: str) -> None:
    """The demo network under another name, which is in its bytes too: a host shares the weights of equal networks."""
    file = read_model("road_net", folder=folder)
    network = onnx.load_from_string(read_weights(file))
    network.doc_string = name
    content = network.SerializeToString()
    sha256 = hashlib.sha256(content).hexdigest()
    model = msgspec.structs.replace(file.model, name=name, file=f"{name}.onnx", sha256=sha256)
    (folder / model.file).write_bytes(content)
    (folder / f"{name}.toml").write_text(model_text(model))


def _swap(bench: Any, folder: Path, name: str) -> None:
    changes = bench.node._changes
    answer = changes.decide(Request(action="swap", engine="engine", model=f"{name}.toml", frames=4), folder)
    assert answer.ok, answer.text
    changes._loading["engine"][0].join()


def _rss() -> int:
    """Pages in use: what is free in the heap goes back first, so that only what grows counts."""
    gc.collect()
    give_back_free_pages()
    return int(Path("/proc/self/statm").read_text().split()[1])
