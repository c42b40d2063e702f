import hashlib
import json
from importlib.resources import files
from pathlib import Path

import pytest

from cardan.engines.model import read_model
from cardan.runtime.errors import ConfigError


def test_a_model_beside_the_manifest_is_read_with_its_hash(tmp_path: Path) -> None:
    (tmp_path / "own.onnx").write_bytes(b"network")
    model = read_model("own.onnx", folder=tmp_path)
    assert model.sha256 == hashlib.sha256(b"network").hexdigest()
    assert model.short_hash == model.sha256[:12]


def test_a_shipped_model_is_found_by_name(tmp_path: Path) -> None:
    assert 0 < len(read_model("road_net.onnx", folder=tmp_path).content) < 1_000_000


def test_every_flipped_byte_is_refused(tmp_path: Path) -> None:
    content = bytes(range(64))
    expected = hashlib.sha256(content).hexdigest()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1
        (tmp_path / "own.onnx").write_bytes(damaged)
        with pytest.raises(ConfigError, match="SHA-256"):
            read_model("own.onnx", folder=tmp_path, sha256=expected)


def test_a_model_that_is_not_there_is_named_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent"):
        read_model("absent.onnx", folder=tmp_path)


def test_the_shipped_network_is_the_one_that_was_measured(tmp_path: Path) -> None:
    card = json.loads(files("cardan.engines").joinpath("models/road_net.json").read_text())
    model = read_model("road_net.onnx", folder=tmp_path)
    assert (model.sha256, len(model.content)) == (card["sha256"], card["bytes"])


def test_a_shipped_model_is_held_to_its_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "net.onnx").write_bytes(b"changed")
    (tmp_path / "models" / "net.json").write_text(json.dumps({"sha256": "ab" * 32}))
    monkeypatch.setattr("cardan.engines.model.files", lambda _package: tmp_path)
    with pytest.raises(ConfigError, match=r"expected abababababab\.\.\."):
        read_model("net.onnx", folder=tmp_path)
