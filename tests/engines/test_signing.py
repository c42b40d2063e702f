from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from cardan.engines.cli.sign import with_signature
from cardan.engines.host import EngineHost, EngineHostConfig
from cardan.engines.model import ModelFile, Signature, read_model
from cardan.engines.signing import TrustedKeys, new_key, sign
from cardan.runtime.cli.main import main
from cardan.runtime.errors import ConfigError, DeviceError
from cardan.runtime.manifest import EngineEntry
from cardan.runtime.testing import Bench

pytest.importorskip("cryptography", reason="needs cardan[sign]")

MakeNet = Callable[..., bytes]
WriteModel = Callable[..., ModelFile]


@pytest.fixture
def folder(tmp_path: Path, make_road_net: MakeNet, write_model: WriteModel) -> Path:
    """A model, and two pairs of keys of which one is trusted."""
    write_model(tmp_path, make_road_net())
    (tmp_path / "keys").mkdir()
    for name in ("ours", "theirs"):
        new_key(name, tmp_path)
    (tmp_path / "ours.pub").rename(tmp_path / "keys" / "ours.pub")
    return tmp_path


def signed_by(folder: Path, key: str) -> None:
    assert main(["engine", "sign", str(folder / "net.toml"), "--key", str(folder / f"{key}.key")]) == 0


def open_host(folder: Path) -> Bench[EngineHost]:
    engines = {"road": EngineEntry(use="road", model="net.toml", input="camera/frame")}
    return Bench(EngineHost, config=EngineHostConfig(engines=engines, signed_by="keys"), manifest_dir=folder)


def test_a_model_signed_by_a_trusted_key_serves(folder: Path) -> None:
    signed_by(folder, "ours")
    with open_host(folder) as bench:
        assert list(bench.node._served) == ["road"]


def test_an_unsigned_model_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="is not signed"):
        TrustedKeys(folder / "keys").read_weights(read_model("net.toml", folder=folder))
    with pytest.raises(DeviceError, match="no engine of this host can be served"):
        open_host(folder)


def test_a_key_that_is_not_trusted_is_refused_by_name(folder: Path) -> None:
    signed_by(folder, "theirs")
    with pytest.raises(ConfigError, match='the key "theirs" is not among those that are trusted'):
        TrustedKeys(folder / "keys").require(read_model("net.toml", folder=folder).model)


def test_a_key_that_calls_itself_like_a_trusted_one_is_refused(folder: Path) -> None:
    (folder / "other").mkdir()
    new_key("ours", folder / "other")
    model = read_model("net.toml", folder=folder).model
    forged = msgspec.structs.replace(model, signature=sign(model, folder / "other" / "ours.key"))
    with pytest.raises(ConfigError, match="is not good"):
        TrustedKeys(folder / "keys").require(forged)


@pytest.mark.parametrize(
    "change", [{"deadline_ms": 51.0}, {"sha256": "0" * 64}, {"criticality": "low"}, {"meta": {}}, {"name": "nets"}]
)
def test_no_line_of_a_signed_model_can_be_changed(folder: Path, change: dict[str, object]) -> None:
    signed_by(folder, "ours")
    model = read_model("net.toml", folder=folder).model
    TrustedKeys(folder / "keys").require(model)
    with pytest.raises(ConfigError, match="is not good"):
        TrustedKeys(folder / "keys").require(msgspec.structs.replace(model, **change))


@pytest.mark.parametrize("text", ["", "AAAA", "not base64", "A" * 86 + "=="])
def test_what_is_no_signature_is_not_good(folder: Path, text: str) -> None:
    model = read_model("net.toml", folder=folder).model
    bad = msgspec.structs.replace(model, signature=Signature(key="ours", ed25519=text or "="))
    with pytest.raises(ConfigError, match="is not good"):
        TrustedKeys(folder / "keys").require(bad)


def test_a_name_that_leaves_the_folder_of_keys_is_none(folder: Path) -> None:
    model = read_model("net.toml", folder=folder).model
    bad = msgspec.structs.replace(model, signature=Signature(key="../theirs", ed25519="AAAA"))
    with pytest.raises(ConfigError, match="is not among those"):
        TrustedKeys(folder / "keys").require(bad)


def test_tampered_weights_of_a_signed_model_are_refused(folder: Path) -> None:
    signed_by(folder, "ours")
    weights = bytearray((folder / "net.onnx").read_bytes())
    weights[len(weights) // 2] ^= 1
    (folder / "net.onnx").write_bytes(weights)
    with pytest.raises(ConfigError, match="has SHA-256"):
        TrustedKeys(folder / "keys").read_weights(read_model("net.toml", folder=folder))


def test_signing_again_replaces_the_signature_and_keeps_every_other_line(folder: Path) -> None:
    path = folder / "net.toml"
    path.write_text("# a remark\n" + path.read_text())
    before = path.read_text()
    signed_by(folder, "theirs")
    signed_by(folder, "ours")
    text = path.read_text()
    assert text.startswith(before.rstrip())
    assert text.count("[signature]") == 1
    assert read_model("net.toml", folder=folder).model.signature is not None


def test_a_signature_in_the_middle_of_a_file_is_found() -> None:
    text = 'a = 1\n\n[signature]\nkey = "old"\ned25519 = "x"\n\n[meta]\nb = 2\n'
    assert with_signature(text, Signature(key="new", ed25519="y")) == (
        'a = 1\n\n[meta]\nb = 2\n\n[signature]\nkey = "new"\ned25519 = "y"\n'
    )


def test_private_keys_are_for_their_owner_alone_and_never_overwritten(folder: Path) -> None:
    assert (folder / "ours.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="File exists"):
        new_key("ours", folder)


def test_a_key_pair_is_made_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["engine", "new-key", "fleet", "--output", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["public"] == str(tmp_path / "fleet.pub")
    assert main(["engine", "new-key", "Fleet"]) == 2
