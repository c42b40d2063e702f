from __future__ import annotations

from pathlib import Path

import pytest

from cardan.runtime.manifest import FILE_NAME, Manifest, NodeEntry, find_manifest, read_manifest


def read(folder: Path, text: str) -> Manifest:
    path = folder / FILE_NAME
    path.write_text(text)
    return read_manifest(path)


def findings(manifest: Manifest) -> list[str]:
    return [str(finding).removeprefix(f"{manifest.path}:") for finding in manifest.findings.sorted()]


def test_a_manifest_needs_a_name_and_one_node_with_a_class(tmp_path: Path) -> None:
    manifest = read(tmp_path, 'schema = 1\nname = "small"\n[nodes]\na = { use = "x:Y" }\n')
    assert findings(manifest) == []
    assert (manifest.name, manifest.profile, manifest.folder) == ("small", "bench", tmp_path)
    assert manifest.nodes == {"a": NodeEntry(use="x:Y")}


def test_the_envelope_goes_to_the_bridge_as_it_stands_in_the_file(tmp_path: Path) -> None:
    text = 'schema = 1\nname = "x"\n[nodes.a]\nuse = "x"\n'
    text += "[envelope.accel_mps2]\nminimum = -1\nmaximum = 1\nrate_per_s = 2\n"
    manifest = read(tmp_path, text)
    assert findings(manifest) == []
    assert manifest.envelope == {"accel_mps2": {"minimum": -1, "maximum": 1, "rate_per_s": 2}}


def test_a_broken_node_is_left_out_and_the_others_stay(tmp_path: Path) -> None:
    manifest = read(tmp_path, 'schema = 1\nname = "x"\n[nodes.a]\nuse = 1\n[nodes.b]\nuse = "x"\n')
    assert list(manifest.nodes) == ["b"]
    assert manifest.broken_nodes == {"a"}


def test_several_mistakes_are_found_in_the_order_of_the_file(tmp_path: Path) -> None:
    manifest = read(tmp_path, "schema = 2\nname = 3\n[nodes.A]\nuse = []\nrate_hz = inf\n[envelope]\nx = 1\n")
    assert [text.split(":")[0] for text in findings(manifest)] == ["1", "2", "3", "4", "5", "7"]


@pytest.mark.parametrize("name", ["a/b", "", "Camera", "1st", "x" * 33, "ä", "a b", "a.b", "../a"])
def test_a_node_name_must_fit_into_a_topic_and_a_file_name(tmp_path: Path, name: str) -> None:
    (text,) = findings(read(tmp_path, f'schema = 1\nname = "x"\n[nodes."{name}"]\nuse = "x"\n'))
    assert f'"{name}" cannot be a name' in text


def test_a_folder_stands_for_its_vehicle_toml(tmp_path: Path) -> None:
    assert find_manifest(str(tmp_path)) == tmp_path / FILE_NAME
    assert find_manifest("other.toml") == Path("other.toml")


def test_no_name_stands_for_the_packaged_reference_vehicle() -> None:
    manifest = read_manifest(find_manifest(None))
    assert findings(manifest) == []
    assert manifest.name == "reference"
    assert {"steering_rad", "accel_mps2"} == set(manifest.envelope)


def test_a_folder_without_a_vehicle_toml_is_one_finding(tmp_path: Path) -> None:
    manifest = read_manifest(find_manifest(str(tmp_path)))
    assert findings(manifest) == [f"1: manifest: there is no such file, put a manifest in {tmp_path}"]
