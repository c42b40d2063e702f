"""A bundle answers elsewhere what its vehicle would have answered; a damaged one says so in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.runtime.cli.conftest import Active
from tests.runtime.cli.looks import LOOKS, ONLY_FOLDER
from tests.runtime.small_vehicle import make_plan

from cardan.runtime import process_stat
from cardan.runtime.cli.bundle_make import GIVE_WAY, give_way
from cardan.runtime.cli.main import main
from cardan.runtime.cli.runs import FoundRun
from cardan.runtime.clock import FakeClock
from cardan.runtime.log.record import LogRecord, encode
from cardan.runtime.profile import Profile
from cardan.runtime.vitals import NodeVitals, RunState, Vitals, create_vitals

CODES = (0, 1, 3)
BRAKED = LogRecord(
    t_ns=1_005_000_000_000,
    wall_s=1_700_001_005.0,
    level="info",
    code="engagement",
    node="bridge",
    text="enabled -> disabled: driver-brake; password=hunter2",
    fields={"before": "enabled", "after": "disabled", "cause": "driver-brake"},
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of a small run, made while it went on. Made once: its collectors really look at this computer."""
    folder = tmp_path_factory.mktemp("bundle")
    clock, plan = FakeClock(), make_plan()
    page = create_vitals(folder / "vitals", plan, now_ns=clock.now_ns(), wall_ns=clock.wall_ns())
    page.words[Vitals.RUN_STATE] = RunState.RUNNING
    page.words[Vitals.HEARTBEAT_NS] = clock.now_ns() + 10_000_000_000
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARDAN_RUN_DIR", str(folder / "runs"))
        patch.setenv("CARDAN_DATA_DIR", str(folder / "data"))
        patch.setattr("os.nice", lambda by: 0)
        run = Active(plan, folder / "vitals", folder)
        logs = run.paths.logs
        logs.mkdir(parents=True)
        (logs / "bridge.log").write_bytes(encode(BRAKED))
        run.send("control/command", {"cycle": 7})
        run.send("bridge/verdict", {"vin": "WVWZZZ1JZXW000001"})
        run.send("camera/frame", {"latitude_deg": 48.1})
        assert main(["bundle", "make", "--out", str(folder / "b.cardan.zip"), "--no-positions", "--hurry"]) in (0, 1)
        run.close()
    page.close()
    return folder / "b.cardan.zip"


@pytest.fixture
def bundle(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, on a computer that has no run of its own."""
    for name, value in (("XDG_CACHE_HOME", "cache"), ("CARDAN_RUN_DIR", "runs"), ("CARDAN_DATA_DIR", "data")):
        monkeypatch.setenv(name, str(tmp_path / value))
    return Path(shutil.copy(made, tmp_path / "b.cardan.zip"))


def test_a_bundle_names_what_it_has_and_what_failed(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "open", str(bundle), "--json"]) in (0, 1)
    document = json.loads(capsys.readouterr().out)
    collectors = {item["name"]: item for item in document["collectors"]}
    assert collectors["run"]["ok"] and collectors["log"]["ok"] and collectors["rings"]["ok"]
    assert "1 left out for positions" in collectors["rings"]["text"]
    assert not collectors["engage"]["ok"], "the bridge of this run answers nobody"
    assert "engage" in document["verdict"] and len(document["id"]) == 6


def test_the_looking_commands_look_into_it(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--bundle", str(bundle), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["vehicle"] == "small"
    assert main(["why", "disengage", "--bundle", str(bundle), "--json"]) == 0
    assert "driver-brake" in json.loads(capsys.readouterr().out)["verdict"]
    assert main(["topic", "echo", "control/command", "--last", "5", "--bundle", str(bundle)]) == 0
    assert main(["log", "--bundle", str(bundle)]) == 0
    shown = capsys.readouterr().out
    assert "hunter2" not in shown and "WVWZZZ1JZXW000001" not in shown


def test_nothing_that_is_secret_is_in_the_file(bundle: Path) -> None:
    import zipfile

    with zipfile.ZipFile(bundle) as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
    assert b"hunter2" not in content and b"WVWZZZ1JZXW000001" not in content and b"latitude_deg" not in content


@pytest.mark.parametrize("words", [words for words in LOOKS if words not in ONLY_FOLDER])
def test_every_looking_command_ends_in_order(bundle: Path, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    named = [str(bundle)] if words == "bundle open" else ["--bundle", str(bundle)]
    assert main([*words.split(), *named]) in (*CODES, 4)
    assert "failed unexpectedly" not in capsys.readouterr().err


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_bundle_ends_with_one_line(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    whole = bundle.read_bytes()
    at = data.draw(st.integers(0, len(whole)))
    noise = data.draw(st.binary(max_size=64))
    cut = data.draw(st.booleans())
    file = tmp_path / "damaged.zip"
    file.write_bytes(whole[:at] + noise + (b"" if cut else whole[at + len(noise) :]))
    words = data.draw(st.sampled_from(["status", "why disengage", "log", "topic list"]))
    assert main([*words.split(), "--bundle", str(file)]) in CODES
    assert "failed unexpectedly" not in capsys.readouterr().err


class Beside:
    """A run as `give_way` sees it, on a computer with three processors."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, profile: Profile, ran_on: dict[str, int], folder: Path) -> None:
        plan = msgspec.structs.replace(make_plan(), profile=profile)
        critical = [msgspec.structs.replace(node, critical=node.name in ran_on) for node in plan.nodes]
        plan = msgspec.structs.replace(plan, nodes=critical)
        self.vitals = create_vitals(folder / "vitals", plan, now_ns=1, wall_ns=1)
        for number, (name, processor) in enumerate(ran_on.items(), start=1):
            self.vitals.nodes[name].words[NodeVitals.PID] = number
            (folder / str(number)).mkdir()
            (folder / str(number) / "stat").write_text(f"{number} (a ) b) S {'0 ' * 35}{processor} 0 0\n")
        self.found = FoundRun(plan, self.vitals, "run", folder, folder)
        self.done: list[object] = []
        monkeypatch.setattr("os.nice", self.done.append)
        monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1, 2})
        monkeypatch.setattr("os.sched_setaffinity", lambda pid, cores: self.done.append(cores))
        monkeypatch.setattr(process_stat, "PROC", folder)


ALL, LISTED = {"control": "all", "background": "all"}, {"control": [1], "background": [0, 2]}


@pytest.mark.parametrize(
    ("cores", "ran_on", "left"),
    [
        (LISTED, {"control": 2, "bridge": 2}, {0, 2}),
        (ALL, {"camera": 0, "control": 2, "bridge": 2}, {0, 1}),
        (ALL, {}, {0, 1, 2}),
    ],
    ids=["those of the profile", "but the one where most of what drives ran", "nothing critical runs"],
)
def test_making_one_keeps_off_the_processors_of_what_drives(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cores: Any, ran_on: dict[str, int], left: set[int]
) -> None:
    beside = Beside(monkeypatch, Profile(name="some", cores=cores), ran_on, tmp_path)
    give_way(beside.found)
    beside.vitals.close()
    assert beside.done == [GIVE_WAY, left]


def test_where_there_is_one_processor_it_is_shared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    beside = Beside(monkeypatch, Profile(name="some"), {"control": 0}, tmp_path)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0})
    give_way(beside.found)
    beside.vitals.close()
    assert beside.done == [GIVE_WAY]


def test_a_list_of_bundles(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "list"]) == 0
    assert capsys.readouterr().out == "no bundle was made here\n"
    folder = tmp_path / "data" / "bundles"
    folder.mkdir(parents=True)
    (folder / "one.cardan.zip").write_bytes(bundle.read_bytes())
    (folder / "bad.cardan.zip").write_bytes(b"nothing")
    assert main(["bundle", "list", "--json"]) == 0
    said = capsys.readouterr()
    assert len(json.loads(said.out)["bundles"]) == 1 and "bad.cardan.zip" in said.err


def test_more_is_taken_out_later(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bundle", "redact", str(bundle), "--no-positions", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["file"].endswith("b-redacted.cardan.zip") and len(document["redacted"]) == 4
    assert main(["status", "--bundle", document["file"]]) == 0
    assert main(["bundle", "redact", str(bundle), "--out", str(bundle)]) == 2
