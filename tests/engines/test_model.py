from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

from cardan.engines.model import Model, ModelFile, Signature, model_names, read_model
from cardan.engines.model_text import model_text
from cardan.engines.weights import read_weights
from cardan.runtime.errors import ConfigError

MakeNet = Callable[..., bytes]
WriteModel = Callable[..., ModelFile]


def test_a_model_is_read_as_it_was_written(tmp_path: Path, make_road_net: MakeNet, write_model: WriteModel) -> None:
    file = write_model(
        tmp_path,
        make_road_net(),
        backends=("tensorrt", "onnxruntime"),
        fallback=("smaller",),
        signature=Signature(key="fleet", ed25519="AAAA"),
        meta={"names": ['a "quoted" name', "two"], "nested": {"deep": {"x": 1.5}}, "a key": True},
    )
    again = tmp_path / "again.toml"
    again.write_text(model_text(file.model))
    assert read_model("again.toml", folder=tmp_path).model == file.model
    assert file.model.backends == ("tensorrt", "onnxruntime")


def test_weights_are_read_only_as_the_model_names_them(
    tmp_path: Path, make_road_net: MakeNet, write_model: WriteModel
) -> None:
    content = make_road_net()
    file = write_model(tmp_path, content)
    assert read_weights(file) == content
    assert file.short_hash == hashlib.sha256(content).hexdigest()[:12]


def test_every_flipped_byte_of_the_weights_is_refused(
    tmp_path: Path, make_road_net: MakeNet, write_model: WriteModel
) -> None:
    content = make_road_net()
    file = write_model(tmp_path, content)
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 1
        file.weights.write_bytes(damaged)
        with pytest.raises(ConfigError, match="SHA-256"):
            read_weights(file)


def test_weights_that_are_not_there_are_named_with_their_place(
    tmp_path: Path, make_road_net: MakeNet, write_model: WriteModel
) -> None:
    file = write_model(tmp_path, make_road_net())
    file.weights.unlink()
    with pytest.raises(ConfigError, match=r"net\.onnx cannot be read"):
        read_weights(file)


@pytest.mark.parametrize(("name", "what"), [("road_nett", 'did you mean "road_net"'), ("absent.toml", "no file")])
def test_a_model_that_is_not_there_is_named_with_what_is_near(tmp_path: Path, name: str, what: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_model(name, folder=tmp_path)
    assert what in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("schema = 1", "", "schema: is missing"),
        ("rate_hz = 20.0", "rate_hz = 0.0", "rate_hz: 0.0 does not fit, expected a number above 0"),
        ("rate_hz = 20.0", "", "rate_hz: is missing"),
        ('sha256 = "', 'sha256 = "zz', "sha256"),
        ('name = "net"', 'name = "net"\nbackends = ["tensorflow"]', 'backends[0]: "tensorflow" is not allowed'),
        ('name = "net"', 'name = "net"\nbackends = []', "no backend is named"),
        ('name = "net"', 'name = "net"\nbackends = ["sim", "sim"]', "named twice"),
        ('name = "net"', 'name = "net"\nfallback = ["net"]', "its own fallback"),
        ('layout = "NHWC"', 'layout = "NHW"', 'inputs.image: layout "NHW" has 3 letters for 4 dimensions'),
        ("minimum = -60.0", "minimum = 90.0", "minimum 90 is above maximum 60"),
        ("minimum = -60.0", "minimum = nan", "nan"),
        ("shape = [1, 4, 4, 3]", "shape = [1, 4, -1, 3]", "inputs.image.shape"),
        ("deadline_ms = 50.0", "deadline = 50.0", 'unknown key "deadline", did you mean "deadline_ms"'),
    ],
)
def test_a_mistake_in_the_file_is_named_with_its_line(
    tmp_path: Path, make_road_net: MakeNet, write_model: WriteModel, old: str, new: str, what: str
) -> None:
    text = write_model(tmp_path, make_road_net()).path.read_text()
    assert old in text
    (tmp_path / "net.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        read_model("net.toml", folder=tmp_path)
    assert what in str(caught.value)
    assert f"{tmp_path}/net.toml:" in str(caught.value)


def test_a_file_that_is_no_toml_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "net.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_model("net.toml", folder=tmp_path)


@pytest.mark.parametrize("name", model_names())
def test_every_shipped_model_keeps_its_hash(tmp_path: Path, name: str) -> None:
    file = read_model(name, folder=tmp_path)
    assert file.model.name == name
    assert 0 < len(read_weights(file)) < 1_000_000


def test_the_shipped_network_is_the_one_that_was_measured(tmp_path: Path) -> None:
    card = json.loads(files("cardan.engines").joinpath("models/road_net.json").read_text())
    file = read_model("road_net", folder=tmp_path)
    assert (file.model.sha256, file.weights.stat().st_size) == (card["sha256"], card["bytes"])


def test_times_are_integer_nanoseconds(tmp_path: Path) -> None:
    model: Model = read_model("road_net", folder=tmp_path).model
    assert (model.period_ns, model.deadline_ns) == (50_000_000, 50_000_000)
