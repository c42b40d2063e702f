"""`cardan engine status|swap|rollback` against a host that steps in another thread."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from cardan.engines.commands import Request, ask
from cardan.engines.host import EngineHost
from cardan.engines.model import ModelFile
from cardan.engines.testing import engines_bench
from cardan.runtime.cli.main import main
from cardan.runtime.errors import RunError
from cardan.runtime.manifest import EngineEntry
from cardan.runtime.testing import Bench

MakeNet = Callable[..., bytes]
WriteModel = Callable[..., ModelFile]


@pytest.fixture
def host(
    tmp_path: Path, make_road_net: MakeNet, write_model: WriteModel, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench[EngineHost]]:
    """A host that is the active run's, with one engine, `road`; its next network is new.toml."""
    write_model(tmp_path, make_road_net())
    write_model(tmp_path, make_road_net({"lead_gap": [31.0]}), name="new", file="new.onnx")
    stop = threading.Event()
    with engines_bench({"road": EngineEntry(use="road", model="net.toml", input="camera/frame")}, tmp_path) as bench:
        run = SimpleNamespace(plan=bench.plan, bus_dir=bench.context.run_dir / "bus", live=True)
        monkeypatch.setattr("cardan.engines.cli.running.find_run", lambda *_, **__: run)
        monkeypatch.chdir(tmp_path)

        def step() -> None:
            while not stop.wait(0.001):
                bench.node.step()

        stepping = threading.Thread(target=step)
        stepping.start()
        yield bench
        stop.set()
        stepping.join()


def shown(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    assert main(["engine", "status", "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)["engines"][0]
    return found


def wait_until_served(capsys: pytest.CaptureFixture[str], model: str) -> None:
    while shown(capsys)["model"] != model:
        continue


def test_the_status_says_what_serves(host: Bench[EngineHost], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "status"]) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[1].split()[:5] == ["road", "node", "first", "choice", "net"]


def test_a_network_is_changed_and_changed_back(host: Bench[EngineHost], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "swap", "road", "new.toml", "--frames", "0", "--yes"]) == 0
    assert "loading new" in capsys.readouterr().out
    wait_until_served(capsys, "new")
    assert main(["engine", "rollback", "road", "--yes"]) == 0
    assert "rolled back from new" in capsys.readouterr().out
    assert shown(capsys)["model"] == "net"


def test_what_the_host_refuses_has_its_own_exit_code(
    host: Bench[EngineHost], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["engine", "rollback", "road", "--yes"]) == 4
    assert "no network to go back to" in capsys.readouterr().err
    assert main(["engine", "swap", "road", "nothing.toml", "--json", "--yes"]) == 4
    assert json.loads(capsys.readouterr().out)["ok"] is False


def test_an_unknown_engine_is_named_with_what_is_near(
    host: Bench[EngineHost], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["engine", "swap", "raod", "new.toml", "--yes"]) == 3
    assert 'did you mean "road"?' in capsys.readouterr().err


def test_a_host_that_is_not_there_does_not_answer(tmp_path: Path) -> None:
    with pytest.raises(RunError, match='the engine host "engines" does not answer'):
        ask(tmp_path, "engines", Request(action="show"))


def test_the_plan_of_the_reference_vehicle_is_judged(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "plan"]) == 0
    assert "every deadline is met" in capsys.readouterr().out
    assert main(["engine", "plan", "--json"]) == 0
    host = json.loads(capsys.readouterr().out)["hosts"][0]
    assert (host["ok"], host["engines"][0]["slack_ns"]) == (True, 10_000_000)


def test_a_manifest_without_engines_has_no_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "vehicle.toml").write_text(
        'schema = 1\nname = "plain"\n[nodes.vehicle]\nuse = "sim-vehicle"\nchannels = ["vehicle"]\n'
    )
    assert main(["engine", "plan", str(tmp_path)]) == 3
    assert "declare them as [engines.NAME]" in capsys.readouterr().err
