from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest

from cardan.engines.model import read_model
from cardan.engines.weights import read_weights
from cardan.runtime.cli.main import main

ROAD_NET = str(files("cardan.engines").joinpath("models/road_net.onnx"))
USUAL = ["engine", "import", ROAD_NET, "--rate", "20", "--deadline", "50ms"]


def test_what_is_imported_can_be_read_as_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*USUAL, "--name", "road", "--criticality", "high", "--output", str(tmp_path / "new"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    file = read_model("road.toml", folder=tmp_path / "new")
    assert document["verdict"] == "ok"
    assert document["sha256"] == file.model.sha256 == read_model("road_net", folder=tmp_path).model.sha256
    assert (file.model.criticality, file.model.deadline_ms) == ("high", 50.0)
    assert read_weights(file)


def test_half_precision_stores_the_frames_that_it_was_judged_by(tmp_path: Path) -> None:
    assert main([*USUAL, "--name", "half", "--fp16", "--output", str(tmp_path)]) == 0
    file = read_model("half.toml", folder=tmp_path)
    assert (tmp_path / file.model.accuracy.frames).is_file()


def test_a_refusal_is_exit_code_4_with_every_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import onnx
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 4, 4])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, 4, 4])
    graph = helper.make_graph([helper.make_node("Relu", ["image"], ["y"])], "open", [value], [out])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "n.onnx")
    command = ["engine", "import", str(tmp_path / "n.onnx"), "--rate", "20", "--deadline", "50ms"]
    assert main([*command, "--output", str(tmp_path / "new")]) == 4
    output = capsys.readouterr().out
    assert "refused" in output
    assert output.count("  - ") == 3
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--deadline", "50"], "expected a number and a unit"),
        (["--rate", "0"], "--rate 0 is no rate"),
        (["--rate", "fast"], "invalid float value"),
        (["--name", "Not A Name"], "cannot be the name"),
        (["--mean", "1"], "of no use without --scale"),
        (["--scale", "one"], "no list of numbers"),
        (["--shape", "image=1x0"], "is no shape"),
        (["--shape", "1x3"], "is no shape"),
    ],
)
def test_a_wrong_option_is_exit_code_2(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*USUAL, *words]) == 2
    assert said in capsys.readouterr().err
