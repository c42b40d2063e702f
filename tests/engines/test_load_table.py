from __future__ import annotations

from pathlib import Path

import pytest

from cardan.engines.load_table import explain_load
from cardan.runtime.errors import ManifestError
from cardan.runtime.graph import load_plan

HEAD = """\
schema = 1
name = "test"

[nodes.engines]
use = "engine-host"
process = "exec"

[nodes.camera]
use = "sim-camera"
inputs = { truth = "vehicle/truth" }
rate_hz = 20.0
step_budget_ms = 20.0

[nodes.vehicle]
use = "sim-vehicle"
channels = ["vehicle"]
"""


def engine(name: str, **values: object) -> str:
    table = {"use": "road", "model": "road_net", "input": "camera/frame"} | values
    return f"\n[engines.{name}]\n" + "".join(f"{key} = {value!r}\n" for key, value in table.items())


def explained(folder: Path, *engines: str) -> list[str]:
    (folder / "vehicle.toml").write_text(HEAD + "".join(engines))
    plan = load_plan(str(folder))
    return explain_load(plan, plan.node("engines"))


def test_the_reference_vehicle_meets_its_deadlines() -> None:
    plan = load_plan()
    lines = explain_load(plan, plan.node("engines"))
    assert lines[0] == "engines on engines: 20 % of the accelerator, every deadline is met"
    assert " ".join(lines[2].split()) == "road 20 Hz 50 ms 30 ms 10 ms 20 % high 10 ms"


def test_who_may_have_to_make_room_is_named(tmp_path: Path) -> None:
    low = [engine(f"side{n}", run_ms=10.0, criticality="low") for n in range(6)]
    lines = explained(tmp_path, engine("front", run_ms=10.0), *low)
    assert "140 % of the accelerator: those of high criticality meet their deadlines" in lines[0]
    assert lines[0].endswith("make room: side0, side1, side2, side3, side4, side5")


def test_without_a_run_time_there_is_no_verdict(tmp_path: Path) -> None:
    lines = explained(tmp_path, engine("front"))
    assert lines[0] == "engines on engines: not judged, run_ms is not declared for front"
    assert lines[2].split()[-1] == "-"


def test_a_host_without_engines_says_so(tmp_path: Path) -> None:
    assert explained(tmp_path) == ["engines runs no engine"]


@pytest.mark.parametrize("rival", ["medium", "low"])
def test_a_lesser_engine_cannot_be_interrupted_by_a_critical_one(tmp_path: Path, rival: str) -> None:
    with pytest.raises(ManifestError, match=r"engines.front.run_ms: .* above all that of side"):
        explained(tmp_path, engine("front", run_ms=10.0), engine("side", run_ms=25.0, criticality=rival))
