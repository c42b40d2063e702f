"""The engine host on a fake clock, with simulated networks: their runs take declared times and fail as declared."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cardan.engines.backends.options import Fault, SimOptions
from cardan.engines.commands import Answer, Request, ask
from cardan.engines.core_time import CoreTime, ThreadWatch
from cardan.engines.host import EXIT_ACCELERATOR, EngineHost
from cardan.engines.model import Model
from cardan.engines.model_text import model_text
from cardan.engines.swap import STRIKES
from cardan.engines.tensors import Tensor
from cardan.engines.testing import engines_bench
from cardan.runtime.errors import DeviceError
from cardan.runtime.findings import ObjectedError
from cardan.runtime.manifest import EngineEntry
from cardan.runtime.messages import CameraFrame
from cardan.runtime.testing import Bench

USE = "depth_engine:DepthEngine"


class Ended(Exception):
    """The process would have ended here."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(Path(__file__).parent / "depth_engine.py", tmp_path)
    return tmp_path


@pytest.fixture
def no_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(code: int) -> None:
        raise Ended(code)

    monkeypatch.setattr(EngineHost, "end_process", staticmethod(end))


def write(
    folder: Path, name: str = "net", median_ms: float = 2.0, faults: tuple[Fault, ...] = (), **changes: Any
) -> str:
    """A simulated network; its name for the manifest. Another name is another network with another hash."""
    content = name.encode()
    (folder / f"{name}.onnx").write_bytes(content)
    values: dict[str, Any] = {
        "rate_hz": 20.0,
        "deadline_ms": 50.0,
        "backends": ("sim",),
        "sim": SimOptions(median_ms=median_ms, sigma=0.0, faults=faults),
    }
    model = Model(
        name=name,
        file=f"{name}.onnx",
        sha256=hashlib.sha256(content).hexdigest(),
        inputs={"pixel": Tensor(dtype="uint8", shape=(1,))},
        outputs={"depth": Tensor(dtype="float32", shape=(1,), minimum=0.0, maximum=80.0)},
        **values | changes,
    )
    (folder / f"{name}.toml").write_text(model_text(model))
    return f"{name}.toml"


def entry(model: str, **values: Any) -> EngineEntry:
    return EngineEntry(use=USE, model=model, input="bench/frame", **values)


Host = Callable[..., Bench[EngineHost]]


@pytest.fixture
def host(folder: Path) -> Iterator[Host]:
    """A host with these engines, by name; it is closed in the end."""
    benches = []

    def make(**engines: EngineEntry) -> Bench[EngineHost]:
        benches.append(engines_bench(engines, folder))
        return benches[-1]

    yield make
    for bench in benches:
        bench.close()


def send(bench: Bench[EngineHost], *names: str, frame_id: int = 0) -> None:
    for name in names:
        bench.send(f"{name}.frame", CameraFrame(frame_id=frame_id, image=np.zeros((1, 1, 3), np.uint8)))


def statuses(bench: Bench[EngineHost], name: str) -> list[str]:
    return [sample.value.status for sample in bench.sent(name)]


def drive(bench: Bench[EngineHost], frames: int, *names: str) -> None:
    """So many frames at 20 Hz to each engine, and time for all of them."""
    for frame_id in range(frames):
        send(bench, *names, frame_id=frame_id)
        end_ns = bench.clock.now_ns() + 50_000_000
        while bench.clock.now_ns() < end_ns:
            bench.step()


def nth(run: int, kind: str, count: int = 1) -> tuple[Fault, ...]:
    """Faults of runs from the `run`th after loading, which takes two runs."""
    return tuple(Fault(run=2 + run + at, kind=kind) for at in range(count))  # type: ignore[arg-type]  # one of the kinds


def test_a_result_says_what_it_comes_from(host: Host, folder: Path) -> None:
    bench = host(front=entry(write(folder), config={"scale": 2.0}))
    origin_ns = bench.clock.now_ns()
    send(bench, "front", frame_id=7)
    bench.node.step()
    sample = bench.sent("front")[0]
    result = sample.value
    assert (sample.valid, sample.origin_ns) == (True, origin_ns)
    assert (result.status, result.frame_id, result.distance_m) == ("ok", 7, 80.0)
    assert result.model == hashlib.sha256(b"net").hexdigest()[:12]
    assert (result.start_ns, result.end_ns, result.deadline_ns) == (
        origin_ns,
        origin_ns + 2_000_000,
        origin_ns + 50_000_000,
    )


def test_engines_run_one_after_the_other_by_deadline(host: Host, folder: Path) -> None:
    bench = host(
        slow=entry(write(folder, "slow", deadline_ms=100.0)), fast=entry(write(folder, "fast", deadline_ms=20.0))
    )
    send(bench, "slow", "fast")
    bench.step()
    assert (len(bench.sent("fast")), len(bench.sent("slow"))) == (1, 0)
    bench.step()
    assert bench.sent("slow")[0].value.start_ns >= bench.sent("fast")[0].value.end_ns


def test_an_engine_with_another_still_to_run_is_stepped_again_at_once(host: Host, folder: Path) -> None:
    bench = host(one=entry(write(folder, "one")), two=entry(write(folder, "two")))
    send(bench, "one", "two")
    bench.node.step()
    assert bench.node._again
    bench.node._again = False
    bench.node.step()
    assert not bench.node._again


def test_short_runs_follow_each_other_in_one_step_until_two_milliseconds_have_passed(host: Host, folder: Path) -> None:
    names = ("one", "two", "three", "four")
    bench = host(**{name: entry(write(folder, name, median_ms=0.8)) for name in names})
    send(bench, *names)
    bench.node.step()
    assert [len(bench.sent(name)) for name in names] == [1, 1, 1, 0]
    assert bench.node._again
    bench.node.step()
    assert len(bench.sent("four")) == 1


def test_the_least_critical_makes_room(host: Host, folder: Path) -> None:
    bench = host(
        brake=entry(write(folder, "brake", median_ms=30.0), criticality="high"),
        side=entry(write(folder, "side", median_ms=30.0), criticality="low"),
    )
    drive(bench, 20, "brake", "side")
    assert set(statuses(bench, "brake")) == {"ok"}
    assert len(bench.sent("brake")) == 20
    released, done, late, dropped = (
        bench.metric(f"side.{name}")[0] for name in ("released", "done", "late", "dropped")
    )
    assert released == 20
    assert dropped > 0
    assert released - done - late - dropped in (0, 1)


@pytest.mark.parametrize("kind", ["nan", "range", "error"])
def test_bad_numbers_are_a_status_and_never_data(host: Host, folder: Path, kind: str) -> None:
    bench = host(front=entry(write(folder, faults=nth(2, kind))))
    drive(bench, 3, "front")
    assert statuses(bench, "front") == ["ok", "invalid", "ok"]
    bad = bench.sent("front")[1]
    assert (bad.valid, bad.value.distance_m) == (False, 0.0)
    assert bench.metric("front.invalid") == (1, 1.0)


def test_a_slow_run_is_late_and_says_so(host: Host, folder: Path) -> None:
    bench = host(front=entry(write(folder, median_ms=30.0, faults=nth(2, "slow"))))
    drive(bench, 3, "front")
    assert statuses(bench, "front")[:2] == ["ok", "late"]


def test_when_no_frame_comes_that_is_said(host: Host, folder: Path) -> None:
    bench = host(front=entry(write(folder)))
    drive(bench, 1, "front")
    bench.step(300)
    stale = bench.sent("front")[1]
    assert (stale.value.status, stale.valid, stale.value.frame_id) == ("stale", False, 0)
    assert len(bench.sent("front")) == 2


def test_frames_of_a_restarted_camera_are_counted_from_its_start(host: Host, folder: Path) -> None:
    bench = host(front=entry(write(folder)))
    drive(bench, 2, "front")
    frame = CameraFrame(frame_id=0, image=np.zeros((1, 1, 3), np.uint8))
    bench.send("front.frame", frame, epoch=2)
    bench.send("front.frame", frame, epoch=2)
    bench.step()
    assert bench.metric("front.released")[0] == 4
    assert bench.sent("front")[-1].value.dropped == 1


def test_an_engine_that_keeps_its_older_frame_runs_that(host: Host, folder: Path) -> None:
    bench = host(
        busy=entry(write(folder, "busy", median_ms=10.0, deadline_ms=30.0)),
        front=entry(write(folder, "front", drop="newer", deadline_ms=100.0)),
    )
    send(bench, "busy")
    send(bench, "front", frame_id=1)
    bench.step()  # busy runs
    send(bench, "front", frame_id=2)
    bench.step()
    assert [sample.value.frame_id for sample in bench.sent("front")] == [1]


def test_a_hang_ends_the_process(host: Host, folder: Path, no_exit: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ThreadWatch, "read", lambda self: CoreTime(0, 0))
    monkeypatch.setattr(ThreadWatch, "wants_core", lambda self: False)  # asleep, whatever this thread does
    bench = host(front=entry(write(folder)))
    bench.node._watchdog.begin("front", 80_000_000)
    bench.clock.advance_s(0.07)
    bench.node._watchdog.look(bench.clock.now_ns())
    bench.clock.advance_s(0.02)
    with pytest.raises(Ended, match=str(EXIT_ACCELERATOR)):
        bench.node._watchdog.look(bench.clock.now_ns())
    assert bench.fault is not None
    assert bench.fault[1] == "accelerator-hung"


def test_a_lost_accelerator_ends_the_process(host: Host, folder: Path, no_exit: None) -> None:
    bench = host(front=entry(write(folder, faults=nth(1, "sticky"))))
    send(bench, "front")
    with pytest.raises(Ended, match=str(EXIT_ACCELERATOR)):
        bench.node.step()
    assert bench.fault is not None
    assert bench.fault[1] == "accelerator-lost"


def test_what_cannot_be_loaded_is_stood_in_for(host: Host, folder: Path) -> None:
    write(folder, "small")
    bench = host(front=entry(write(folder, backends=("tensorrt",), fallback=("small",))))
    drive(bench, 1, "front")
    assert statuses(bench, "front") == ["fallback"]
    assert bench.sent("front")[0].valid
    assert bench.fault is not None
    assert bench.fault[1] == "engine-fallback"


def test_a_network_that_goes_bad_is_stood_in_for(host: Host, folder: Path) -> None:
    write(folder, "small")
    bench = host(front=entry(write(folder, fallback=("small",), faults=nth(2, "nan", 99))))
    drive(bench, 10, "front")
    assert statuses(bench, "front") == ["ok", *["invalid"] * STRIKES, *["fallback"] * 4]


def test_an_engine_that_nothing_can_serve_leaves_the_others_alone(host: Host, folder: Path) -> None:
    bench = host(front=entry(write(folder)), rear=entry(write(folder, "rear", backends=("tensorrt",))))
    drive(bench, 1, "front", "rear")
    assert (statuses(bench, "front"), statuses(bench, "rear")) == (["ok"], [])
    assert bench.fault is not None
    assert bench.fault[1] == "engine-not-served"


def test_a_host_that_can_serve_nothing_does_not_open(host: Host, folder: Path) -> None:
    with pytest.raises(DeviceError, match="no engine of this host"):
        host(rear=entry(write(folder, "rear", backends=("tensorrt",))))


def test_a_network_with_one_flipped_byte_is_not_loaded(host: Host, folder: Path) -> None:
    model = write(folder, "long_name_for_a_net")
    content = (folder / "long_name_for_a_net.onnx").read_bytes()
    (folder / "long_name_for_a_net.onnx").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DeviceError, match="no engine of this host"):
        host(front=entry(model))


@pytest.mark.parametrize(
    ("use", "said"),
    [
        ("depth_engine:NoEngine", "is not an Engine"),
        ("depth_engine:NeedyEngine", "distance_m must be given"),
        ("depth_engine:Depht", "no class"),
        ("raod", 'no engine is called "raod"'),
    ],
)
def test_what_is_no_engine_is_refused_by_name(folder: Path, use: str, said: str) -> None:
    with pytest.raises(ObjectedError, match=said):
        engines_bench({"front": EngineEntry(use=use, model=write(folder), input="a/b")}, folder)


# ---------------------------------------------------------------------------------------------------- while it runs


def asked(bench: Bench[EngineHost], **request: Any) -> Answer:
    """Ask the host, which answers in its next step."""
    answers: list[Answer] = []
    asking = threading.Thread(
        target=lambda: answers.append(ask(bench.context.run_dir, "node", Request(**request))), daemon=True
    )
    asking.start()
    while asking.is_alive():
        bench.node.step()
    return answers[0]


def swapped(bench: Bench[EngineHost], model: str, frames: int = 3) -> None:
    """Ask for another network, and wait until it is loaded."""
    assert asked(bench, action="swap", engine="front", model=model, frames=frames).ok
    loader = bench.node._changes._loading.get("front")
    if loader is not None:
        loader[0].join(10.0)
    bench.step()


def hash_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def models(bench: Bench[EngineHost]) -> list[str]:
    return [sample.value.model for sample in bench.sent("front")]


def test_another_network_serves_after_it_has_run_unseen(host: Host, folder: Path) -> None:
    bench = host(front=entry(write(folder, "old")))
    drive(bench, 2, "front")
    swapped(bench, write(folder, "new"))
    drive(bench, 5, "front")
    assert models(bench) == [hash_of("old")] * 5 + [hash_of("new")] * 2
    assert set(statuses(bench, "front")) == {"ok"}
    assert bench.metric("front.released")[0] == bench.metric("front.done")[0] == 7
    shown = asked(bench, action="show").engines[0]
    assert (shown["model"], shown["previous"]) == ("new", f"old {hash_of('old')} on sim")


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"faults": nth(2, "nan")}, "depth is not finite"), ({"median_ms": 60.0}, "and 50 ms is its deadline")],
)
def test_a_network_that_fails_unseen_never_serves(host: Host, folder: Path, changes: dict[str, Any], said: str) -> None:
    bench = host(front=entry(write(folder, "old")))
    swapped(bench, write(folder, "new", deadline_ms=50.0, when_late="run", **changes))
    drive(bench, 10, "front")
    assert set(models(bench)) == {hash_of("old")}
    assert said in bench.node._changes.news["front"]


def test_a_network_that_goes_bad_after_the_change_is_rolled_back(host: Host, folder: Path) -> None:
    bench = host(front=entry(write(folder, "old")))
    swapped(bench, write(folder, "new", faults=nth(5, "nan", 99)))
    drive(bench, 14, "front")
    assert models(bench)[3:] == [hash_of("new")] * (1 + STRIKES) + [hash_of("old")] * (14 - 3 - 1 - STRIKES)
    assert statuses(bench, "front")[3:] == ["ok", *["invalid"] * STRIKES, *["ok"] * 5]
    assert "rolled back" in bench.node._changes.news["front"]


def test_a_person_can_go_back(host: Host, folder: Path) -> None:
    bench = host(front=entry(write(folder, "old")))
    assert not asked(bench, action="rollback", engine="front").ok
    swapped(bench, write(folder, "new"), frames=0)
    drive(bench, 1, "front")
    assert asked(bench, action="rollback", engine="front").ok
    drive(bench, 1, "front")
    assert models(bench) == [hash_of("new"), hash_of("old")]


def test_a_tampered_network_is_refused_while_the_old_one_serves(host: Host, folder: Path) -> None:
    bench = host(front=entry(write(folder, "old")))
    model = write(folder, "new")
    (folder / "new.onnx").write_bytes(b"nex")
    swapped(bench, model)
    assert "expected" in bench.node._changes.news["front"]
    drive(bench, 1, "front")
    assert models(bench) == [hash_of("old")]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"action": "swap", "engine": "rear", "model": "x"}, 'no engine "rear" here; known: front'),
        ({"action": "swap", "engine": "front", "model": "x.toml"}, "there is no file"),
        ({"action": "explode", "engine": "front"}, "unknown action"),
    ],
)
def test_a_request_that_makes_no_sense_is_answered(
    host: Host, folder: Path, request_: dict[str, Any], said: str
) -> None:
    answer = asked(host(front=entry(write(folder))), **request_)
    assert not answer.ok
    assert said in answer.text
