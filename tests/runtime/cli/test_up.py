"""What `cardan up` decides before anything starts, and what `cardan check` says about it."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import msgspec
import pytest

from cardan.runtime.cli.main import main
from cardan.runtime.cli.process_start import process_start_ns
from cardan.runtime.cli.up import with_free_ports
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.plan import Plan
from cardan.runtime.profile import CanChannelSettings, Profile

TINY = Path(__file__).parent / "tiny"


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDAN_RUN_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("CARDAN_DATA_DIR", str(tmp_path / "data"))


def test_each_bench_bus_gets_a_port_of_its_own_and_real_buses_stay_as_they_are(plan: Plan) -> None:
    channels = {
        "one": CanChannelSettings(name="one"),
        "two": CanChannelSettings(name="two"),
        "chosen": CanChannelSettings(name="chosen", port=43113),
        "real": CanChannelSettings(name="real", interface="socketcan", channel="can0"),
    }
    ready = with_free_ports(msgspec.structs.replace(plan, profile=Profile(name="x", can=channels))).profile.can
    assert ready["chosen"].port == 43113
    assert ready["real"] == channels["real"]
    assert len({ready["one"].port, ready["two"].port, 0, 43113}) == 4
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", ready["one"].port))


def test_the_start_of_this_process_lies_behind_us() -> None:
    clock = MonotonicClock()
    started_ns = process_start_ns(clock)
    assert 0 < clock.now_ns() - started_ns < 3600 * 1_000_000_000


@pytest.mark.parametrize("command", ["up", "check"])
def test_a_manifest_that_is_not_there_is_exit_code_2_with_near_names(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, str(TINY / "vehikle.toml")]) == 2
    assert 'hint: did you mean "vehicle.toml"?' in capsys.readouterr().err
    assert main([command, str(TINY / "no" / "such")]) == 2
    assert "holds a vehicle.toml" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["up", "check"])
def test_every_finding_is_one_line_and_nothing_starts(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (TINY / "vehicle.toml").read_text()
    (tmp_path / "parts.py").write_text((TINY / "parts.py").read_text())
    manifest = tmp_path / "vehicle.toml"
    manifest.write_text(text.replace("ticker/tick", "ticker/tock").replace('"parts:Gate"', '"parts:Gait"'))
    assert main([command, str(manifest)]) == 1
    output = capsys.readouterr()
    findings = [line for line in (output.out + output.err).splitlines() if line.startswith(f"{manifest}:")]
    assert [line.removeprefix(f"{manifest}:").split(":")[0] for line in findings] == ["10", "13"]
    assert "did you mean" in findings[0]
    assert not (tmp_path / "runs").exists()


def test_check_prints_the_graph_of_a_manifest_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(TINY)]) == 0
    output = capsys.readouterr()
    assert output.out.startswith("ok  tiny: 3 nodes, 4 topics on the profile bench\n")
    assert "tick <- ticker/tick" in output.out
    assert output.err == ""


def test_check_as_json_has_the_findings_or_the_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(TINY), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["schema_version"], document["verdict"], document["findings"]) == (1, "ok", [])
    assert [node["name"] for node in document["plan"]["nodes"]] == ["ticker", "steer", "gate"]
    broken = tmp_path / "broken.toml"
    broken.write_text("schema = 1\nname = 7\n")
    assert main(["check", str(broken), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["plan"] is None
    assert document["findings"][0]["line"] >= 1
    assert document["verdict"].startswith(f"{broken}:")


def test_an_unknown_profile_lists_the_near_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", str(TINY), "--profile", "benhc"]) == 1
    assert 'did you mean "bench"?' in capsys.readouterr().err
