from __future__ import annotations

import statistics
import subprocess
import sys

import msgspec
import numpy as np
import pytest

from cardan.engines.backends.backend import BackendError, StickyError
from cardan.engines.backends.options import Fault, SimOptions
from cardan.engines.backends.sim import CRASH_EXIT, RunTimes, Sim, SimSession
from cardan.engines.model import Model
from cardan.engines.tensors import Tensor
from cardan.engines.validate import violation_or_none
from cardan.runtime.clock import FakeClock

MODEL = Model(
    name="aeb",
    file="aeb.onnx",
    sha256="ab" * 32,
    rate_hz=40.0,
    deadline_ms=20.0,
    inputs={"image": Tensor(dtype="uint8", shape=(1, 4, 4, 3))},
    outputs={"gap": Tensor(dtype="float32", shape=(1, 3), minimum=0.0, maximum=10.0)},
)


def session_with(clock: FakeClock, *faults: Fault, median_ms: float = 4.0) -> SimSession:
    options = SimOptions(median_ms=median_ms, sigma=0.0, faults=faults)
    return Sim(clock).load(msgspec.structs.replace(MODEL, sim=options), b"")


def test_a_run_takes_its_declared_time_on_the_clock() -> None:
    clock = FakeClock()
    session = session_with(clock)
    begin_ns = clock.now_ns()
    session.start()
    assert clock.now_ns() == begin_ns
    session.finish()
    assert clock.now_ns() - begin_ns == pytest.approx(4_000_000, abs=1)
    assert (session.outputs["gap"] == 5.0).all()


def test_run_times_have_the_declared_median_and_are_the_same_for_the_same_seed() -> None:
    options = SimOptions(median_ms=2.0, sigma=0.2, slow_share=0.1, slow_factor=5.0, seed=3)
    times, again = RunTimes(options), RunTimes(options)
    drawn = [times.next_ns() for _ in range(4000)]
    assert drawn == [again.next_ns() for _ in range(4000)]
    assert statistics.median(drawn) == pytest.approx(2_040_000, rel=0.03)
    assert sum(one > 5_000_000 for one in drawn) == pytest.approx(400, rel=0.2)


@pytest.mark.parametrize(("kind", "what"), [("nan", "not finite"), ("range", "outside 0 .. 10")])
def test_bad_numbers_come_once_as_declared(kind: str, what: str) -> None:
    session = session_with(FakeClock(), Fault(run=2, kind=kind))  # type: ignore[arg-type]  # one of its kinds
    problems = []
    for _ in range(3):
        session.run()
        problems.append(violation_or_none(session.outputs, MODEL.outputs))
    assert problems[0] is problems[2] is None
    assert what in str(problems[1])


def test_errors_come_as_declared() -> None:
    session = session_with(FakeClock(), Fault(run=1, kind="error"), Fault(run=3, kind="sticky"))
    with pytest.raises(BackendError) as caught:
        session.run()
    assert not isinstance(caught.value, StickyError)
    session.run()
    with pytest.raises(StickyError):
        session.run()


def test_a_slow_run_and_a_hang_pass_on_the_clock() -> None:
    clock = FakeClock()
    session = session_with(clock, Fault(run=1, kind="slow"), Fault(run=2, kind="hang", seconds=60.0))
    begin_ns = clock.now_ns()
    session.run()
    assert clock.now_ns() - begin_ns == pytest.approx(12_000_000, abs=3)
    session.run()
    assert clock.now_ns() - begin_ns == pytest.approx(60_012_000_000, abs=3)


def test_a_crash_ends_the_process_as_a_segmentation_fault_does() -> None:
    model = msgspec.structs.replace(MODEL, sim=SimOptions(median_ms=0.01, faults=(Fault(run=1, kind="crash"),)))
    program = (
        "import sys, msgspec; from cardan.engines.backends.sim import Sim; from cardan.engines.model import Model; "
        "from cardan.runtime.clock import MonotonicClock; "
        "Sim(MonotonicClock()).load(msgspec.json.decode(sys.argv[1], type=Model), b'').run()"
    )
    done = subprocess.run([sys.executable, "-c", program, msgspec.json.encode(model).decode()], timeout=30, check=False)
    assert done.returncode == CRASH_EXIT


def test_finish_without_start_is_refused() -> None:
    with pytest.raises(BackendError, match="nothing was started"):
        session_with(FakeClock()).finish()


def test_memory_is_bound_as_with_every_backend() -> None:
    session = session_with(FakeClock())
    array = np.zeros((1, 4, 4, 3), np.uint8)
    session.bind("image", array)
    assert session.inputs["image"] is array
    with pytest.raises(BackendError):
        session.bind("image", array[0])
    session.close()
