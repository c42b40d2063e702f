"""Everything that needs an NVIDIA GPU, in one command of less than ten minutes.

    pip install -e '.[ort,cuda,rtx,import]'        # or the vehicle image's own tensorrt
    python benches/gpu.py --json > docs/benchmarks/gpu.json

Each part stands alone: one that fails becomes a row that says why, and the next goes on. Without a GPU it ends at once
with exit code 3 and prints nothing on standard output, so that an old document is not replaced.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import rows
from rows import Row

from cardan.engines.backends.find import find_backend
from cardan.engines.backends.options import TensorrtOptions
from cardan.engines.backends.trt_session import TensorrtSession
from cardan.engines.build.build import Build
from cardan.engines.build.cache import PlanCache
from cardan.engines.build.messages import Done
from cardan.engines.build.orders import order_for
from cardan.engines.build.recipe import recipes_for
from cardan.engines.cuda.device import Cuda
from cardan.engines.cuda.find import open_cuda
from cardan.engines.cuda.probe import Probed, probe_gpu
from cardan.engines.model import BackendName, read_model
from cardan.engines.tensors import Tensor
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.readable import readable

LIMIT_S = 540.0
"""No part begins later."""
BACKENDS: tuple[BackendName, ...] = ("tensorrt", "tensorrt_rtx")
RUNS = 400
START_S = 60.0
"""Imports, the driver, a plan that is compiled further on this GPU."""
COPIES = (1_382_400, 3_110_400)
"""Bytes of an NV12 picture of 720p and 1080p."""


class Bench:
    """What the parts share: the GPU, CUDA, a cache, the model and a plan of it for one backend."""

    def __init__(self, backend: BackendName, probed: Probed, cuda: Cuda, folder: Path) -> None:
        self.backend = backend
        self.probed = probed
        self.cuda = cuda
        self.clock = MonotonicClock()
        self.cache = PlanCache(folder, self.clock)
        self.file = read_model("road_net", folder=Path())

    def build(self) -> Done:
        """Build and judge the plan."""
        build = Build(order_for(self.file, self.backend, self.probed, self.cache), self.clock)
        try:
            ended = build.wait()
        finally:
            build.close()
        if not isinstance(ended, Done):
            raise SystemError(getattr(ended, "message", "cancelled"))
        return ended

    def session(self, **options: Any) -> TensorrtSession:
        """A session of the plan, with other options of [tensorrt]."""
        gpu = self.probed.gpu
        if gpu is None:
            raise SystemError(self.probed.reason)
        backend = find_backend(self.backend, self.clock)
        found = self.cache.find(recipes_for(self.file.model, backend, gpu))
        if not found.content:
            raise SystemError(found.reason)
        model = msgspec.structs.replace(self.file.model, tensorrt=TensorrtOptions(**options))
        session = backend.load(model, found.content)
        if not isinstance(session, TensorrtSession):
            raise TypeError("a TensorRT backend makes other sessions than expected")
        return session


Part = Callable[[Bench], Iterator[Row]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--infer-once", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--backend", choices=BACKENDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    probed = probe_gpu()
    if probed.gpu is None:
        print(f"no GPU: {probed.reason}", file=sys.stderr)
        return 3
    if arguments.infer_once:
        return infer_until_killed(Bench(arguments.backend, probed, open_cuda(), Path(arguments.infer_once)))
    found = [
        shown(f"GPU: {probed.gpu}, driver {probed.gpu.driver}", float(probed.gpu.multiprocessors), "multiprocessors")
    ]
    begin = time.monotonic()
    cuda = open_cuda()
    found += copy_rows(cuda)
    for backend in BACKENDS:
        if find_spec(backend) is None:
            found.append(Row(f"{backend}", None, "is not installed", "shown", True))
            continue
        with tempfile.TemporaryDirectory() as folder:
            found += backend_rows(Bench(backend, probed, cuda, Path(folder)), begin)
    return rows.report("gpu", found, as_json=arguments.json)


def backend_rows(bench: Bench, begin: float) -> list[Row]:
    """All parts on one backend."""
    parts: tuple[Part, ...] = (
        build_rows, memory_rows, call_rows, gap_rows, rate_rows, priority_rows, restart_rows,
    )  # fmt: skip
    found: list[Row] = []
    for part in parts:
        name = f"{bench.backend}: {part.__name__.removesuffix('_rows')}"
        if time.monotonic() - begin > LIMIT_S:
            found.append(Row(name, None, "not begun: time is up", "shown", False))
            continue
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            found += [named(row, bench.backend) for row in part(bench)]
        except Exception as error:  # whatever a driver or a library may say: the other parts are to be measured
            found.append(Row(name, None, " ".join(str(error).split())[:200], "shown", False))
    return found


def named(row: Row, backend: str) -> Row:
    """The row with its backend in front."""
    return Row(
        f"{backend}: {row.name}", *[getattr(row, field) for field in Row.__dataclass_fields__ if field != "name"]
    )


def shown(name: str, value: float | None, unit: str) -> Row:
    """A figure without a bar."""
    return Row(name, value, unit, "shown", True)


# ---------------------------------------------------------------------------------------------------------------- parts


def build_rows(bench: Bench) -> Iterator[Row]:
    """Does a plan build, load and agree with FP32 on this GPU?"""
    done = bench.build()
    worst = max((done.accuracy or {"": float("inf")}).values())
    yield shown("build", done.build_s, "s")
    yield rows.at_most("deviation from FP32, worst output", worst, bench.file.model.accuracy.relative_l2, "relative L2")
    began = time.monotonic()
    session = bench.session()
    load_s = time.monotonic() - began
    session.close()
    yield beside("load a plan, first run included", load_s, "s", "build, s", done.build_s)


def memory_rows(bench: Bench) -> Iterator[Row]:
    """What an engine takes of the device; the context is there already."""
    before, total = bench.cuda.memory_bytes()
    sessions = [bench.session() for _ in range(4)]
    after, _ = bench.cuda.memory_bytes()
    yield shown("device memory of one engine", (before - after) / len(sessions) / 2**20, "MiB")
    yield shown("device memory in use besides", (total - before) / 2**20, "MiB")
    for session in sessions:
        session.close()
    left, _ = bench.cuda.memory_bytes()
    yield rows.at_most("device memory not given back after closing", (before - left) / 2**20, 16.0, "MiB")


def call_rows(bench: Bench) -> Iterator[Row]:
    """Our call beside the replay of its graph and nothing else; what the graph saves of enqueueing."""
    session, plain = bench.session(), bench.session(graph=False)
    graph, stream = session._graph, session._stream
    if graph is None:
        yield Row("CUDA graph", None, "this provider or network gives none", "shown", False)
    else:

        def replay() -> None:
            bench.cuda.launch(graph, stream)
            bench.cuda.wait(stream)

        yield beside("call, copies included", *by_turns_us(session.run, "graph replay alone, us", replay))
        yield beside("enqueue with a graph", *by_turns_us(started(session), "without, us", started(plain)))
    session.close()
    plain.close()


def started(session: TensorrtSession) -> Callable[[], float]:
    """Starts a run and waits for it; gives the time of starting alone, in seconds."""

    def start_only() -> float:
        began = time.perf_counter()
        session.start()
        spent = time.perf_counter() - began
        session.finish()
        return spent

    return start_only


def gap_rows(bench: Bench) -> Iterator[Row]:
    """How long the GPU idles between two jobs: one after the other, and with the next one staged."""
    one, other = bench.session(), bench.session()
    began = time.perf_counter()
    for _ in range(RUNS):
        one.run()
    alone = (time.perf_counter() - began) / RUNS
    began = time.perf_counter()
    one.start()
    for index in range(RUNS - 1):
        (other if index % 2 == 0 else one).start()
        (one if index % 2 == 0 else other).finish()
    (one if RUNS % 2 else other).finish()
    staged = (time.perf_counter() - began) / RUNS
    busy = busy_s(bench, one)
    yield shown("time on the GPU of one job", busy * 1e6, "us")
    yield rows.at_most("idle gap between jobs, one staged", max(0.0, staged - busy) * 1e6, 50.0, "us")
    yield shown("idle gap between jobs, none staged", max(0.0, alone - busy) * 1e6, "us")
    one.close()
    other.close()


def busy_s(bench: Bench, session: TensorrtSession) -> float:
    """Between two events around one run, copies included."""
    cuda, stream = bench.cuda, session._stream
    begin, end = cuda.event(), cuda.event()
    spent = []
    for _ in range(RUNS // 4):
        cuda.record(begin, stream)
        session.start()
        cuda.record(end, stream)
        session.finish()
        spent.append(cuda.elapsed_s(begin, end))
    return statistics.median(spent)


def rate_rows(bench: Bench) -> Iterator[Row]:
    """Clocks fall while nothing runs: latency at 20 Hz beside back to back."""
    session = bench.session()
    busy = sorted(timed_s(session.run) for _ in range(RUNS))
    paced = []
    due_ns = bench.clock.now_ns()
    for _ in range(100):
        due_ns += 50_000_000
        bench.clock.sleep_until_ns(due_ns)
        paced.append(timed_s(session.run))
    session.close()
    back, at_rate = statistics.median(busy) * 1e6, statistics.median(paced) * 1e6
    yield beside("latency at 20 Hz, p50", at_rate, "us", "back to back, us", back)
    yield shown("latency back to back, p99", busy[int(0.99 * len(busy))] * 1e6, "us")


def priority_rows(bench: Bench) -> Iterator[Row]:
    """One urgent network while others keep the GPU busy: with and without a priority, and behind one job at most."""
    alone = bench.session()
    quiet = statistics.median(timed_s(alone.run) for _ in range(RUNS)) * 1e6
    alone.close()
    yield shown("urgent job alone, p50", quiet, "us")
    for priority in ("normal", "high"):
        urgent, others = bench.session(priority=priority), [bench.session() for _ in range(3)]
        spent = []
        for _ in range(RUNS // 2):
            for other in others:
                other.start()
            spent.append(timed_s(urgent.run))
            for other in others:
                other.finish()
        spent.sort()
        yield shown(f"urgent job beside three others, priority {priority}, p50", spent[len(spent) // 2] * 1e6, "us")
        yield shown(
            f"urgent job beside three others, priority {priority}, p99", spent[int(0.99 * len(spent))] * 1e6, "us"
        )
        for session in (urgent, *others):
            session.close()


def restart_rows(bench: Bench) -> Iterator[Row]:
    """SIGKILL in the middle of running; how long until another process has a result."""
    command = [sys.executable, __file__, "--infer-once", str(bench.cache.folder), "--backend", bench.backend]
    victim = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        if not said_something(victim):
            raise SystemError("the first process had no result")
        victim.send_signal(signal.SIGKILL)
        began = time.monotonic()
        heir = subprocess.Popen(command, stdout=subprocess.PIPE)
        try:
            if not said_something(heir):
                raise SystemError("the second process had no result")
            yield shown("from SIGKILL to the first result of another process", time.monotonic() - began, "s")
        finally:
            heir.kill()
            heir.communicate()
    finally:
        victim.kill()
        victim.communicate()


def said_something(process: subprocess.Popen[bytes]) -> bool:
    """Wait until it has said a line; False when it ends without one, or takes too long."""
    stream = process.stdout
    return stream is not None and bool(readable([stream.fileno()], START_S)) and bool(stream.readline())


def infer_until_killed(bench: Bench) -> int:
    """The process that is killed: says when it has a result, and goes on."""
    session = bench.session()
    session.run()
    print("ready", flush=True)
    until = time.monotonic() + 60.0
    while time.monotonic() < until:
        session.run()
    return 0


def copy_rows(cuda: Cuda) -> list[Row]:
    """A picture to the device: through a page-locked buffer of ours, from such a buffer, registered where it lies."""
    found = []
    for size in COPIES:
        copy = Copy(cuda, size)
        name, staged = f"{size / 1e6:.1f} MB to the device", copy.staged_us()
        found.append(beside(f"{name}, page-locked", copy.pinned_us(), "us", "through a buffer, us", staged))
        registered = copy.registered_us_or_none()
        if registered is not None:
            found.append(beside(f"{name}, registered", registered, "us", "through a buffer, us", staged))
        copy.close()
    return found


class Copy:
    """One size of picture, on its way to the device in each possible manner."""

    def __init__(self, cuda: Cuda, size: int) -> None:
        self._cuda = cuda
        self._stream = cuda.stream("normal")
        self._pageable = np.ones(size, np.uint8)
        self._pinned = cuda.pinned(Tensor(dtype="uint8", shape=(size,)))
        self._address = cuda.allocate(size)

    def staged_us(self) -> float:
        """Copied into page-locked memory first."""
        return self._median_us(self._pinned, self._pageable)

    def pinned_us(self) -> float:
        """From page-locked memory."""
        return self._median_us(self._pinned)

    def registered_us_or_none(self) -> float | None:
        """From memory that was page-locked where it lies; None where the device cannot."""
        if not self._cuda.register(self._pageable):
            return None
        spent = self._median_us(self._pageable)
        self._cuda.unregister(self._pageable)
        return spent

    def close(self) -> None:
        self._cuda.free_pinned(self._pinned)
        self._cuda.free(self._address)
        self._cuda.drop_stream(self._stream)

    def _median_us(self, source: np.ndarray, first: np.ndarray | None = None) -> float:
        spent = []
        for _ in range(100):
            began = time.perf_counter()
            if first is not None:
                np.copyto(source, first)
            self._cuda.copy_in(self._address, source, self._stream)
            self._cuda.wait(self._stream)
            spent.append(time.perf_counter() - began)
        return statistics.median(spent) * 1e6


# --------------------------------------------------------------------------------------------------------------- timing


def timed_s(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def by_turns_us(
    one: Callable[[], float | None], peer: str, other: Callable[[], float | None]
) -> tuple[float, str, str, float]:
    """Medians of both, by turns, as `beside` takes them; a call that returns seconds is taken at its word."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(RUNS):
        for call, spent in zip((one, other), times, strict=True):
            began = time.perf_counter()
            said = call()
            spent.append(time.perf_counter() - began if said is None else said)
    return statistics.median(times[0]) * 1e6, "us", peer, statistics.median(times[1]) * 1e6


def beside(name: str, value: float, unit: str, peer: str, peer_value: float) -> Row:
    """A figure without a bar, and what it is compared with."""
    return Row(name, value, unit, "shown", True, peer, peer_value, value / peer_value if peer_value else None)


if __name__ == "__main__":
    sys.exit(main())
