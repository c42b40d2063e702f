from __future__ import annotations

import json
from pathlib import Path

import pytest

from cardan.engines.cuda.probe import probe_gpu
from cardan.engines.model import read_model
from cardan.runtime.cli.main import main


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDAN_DATA_DIR", str(tmp_path / "data"))


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_without_plans_the_list_is_exit_code_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "list"]) == 3
    assert "no plans in" in printed(capsys)


@pytest.mark.slow
def test_a_plan_is_built_once_listed_shown_and_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "build", "road_net"]) == 0
    assert "road_net for onnxruntime: built" in printed(capsys)
    assert main(["engine", "build", "road_net"]) == 0
    assert "road_net for onnxruntime: is there: good" in printed(capsys)
    assert main(["engine", "list", "--json"]) == 0
    plans = json.loads(printed(capsys))["plans"]
    assert [(plan["model"], plan["accepted"]) for plan in plans] == [("road_net", True)]
    assert main(["engine", "show", "road_net"]) == 0
    assert "plan good" in printed(capsys)
    assert main(["engine", "verify", "road_net"]) == 0
    assert "from FP32" in printed(capsys)
    plan = next((tmp_path / "data" / "plans").glob("*.plan"))
    plan.write_bytes(b"replaced")
    assert main(["engine", "verify", "road_net"]) == 1
    assert "BAD" in printed(capsys)
    assert main(["engine", "list"]) == 1
    assert main(["engine", "build", "road_net"]) == 0
    assert "built" in printed(capsys)


def test_what_cannot_be_built_here_is_skipped_or_if_it_was_asked_for_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if probe_gpu().gpu is not None:
        pytest.skip("this computer has a GPU")
    assert main(["engine", "build", "road_net", "--backend", "tensorrt"]) == 1
    assert "no GPU to build for" in printed(capsys)


def test_replaced_weights_are_a_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shipped = read_model("road_net", folder=tmp_path)
    (tmp_path / "road_net.toml").write_bytes(shipped.path.read_bytes())
    (tmp_path / "road_net.onnx").write_bytes(shipped.weights.read_bytes()[:-1] + b"x")
    assert main(["engine", "verify", str(tmp_path / "road_net.toml")]) == 1
    assert "has SHA-256" in printed(capsys)


def test_all_shipped_models_are_as_they_should_be(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "verify", "--json"]) == 0
    assert all(check["ok"] for check in json.loads(printed(capsys))["checks"])


def test_a_model_is_measured_back_to_back_and_at_its_rate(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "bench", "road_net", "--backend", "sim", "--for", "60ms", "--json"]) == 0
    document = json.loads(printed(capsys))
    assert document["backend"] == "sim"
    back_to_back, at_rate = document["series"]
    assert back_to_back["p50_ms"] > 0.9
    assert at_rate["runs"] == 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["engine", "show", "rod_net"], 1, 'did you mean "road_net"'),
        (["engine", "build"], 2, "required"),
        (["engine", "build", "road_net", "--backend", "tensorflow"], 2, "invalid choice"),
        (["engine", "bench", "road_net", "--for", "3"], 2, "expected a number and a unit"),
    ],
)
def test_a_mistake_is_a_line_and_a_hint(
    words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == code
    error = capsys.readouterr().err
    assert said in error
    assert "hint" in error
