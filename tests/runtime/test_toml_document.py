from __future__ import annotations

from pathlib import Path

import pytest

from cardan.runtime.toml_document import MAX_BYTES, read_document


def findings(path: Path) -> list[str]:
    return [str(finding) for finding in read_document(path, path.name, "manifest").findings.sorted()]


def write(folder: Path, content: bytes) -> Path:
    path = folder / "vehicle.toml"
    path.write_bytes(content)
    return path


def test_a_file_in_order_has_its_data_and_its_hash(tmp_path: Path) -> None:
    document = read_document(write(tmp_path, b"\xef\xbb\xbfa = 1\r\nb = 2\r\n"), "vehicle.toml", "manifest")
    assert document.data == {"a": 1, "b": 2}
    assert len(document.sha256) == 64
    assert not document.findings
    assert document.findings.line_of(("b", "not there")) == 2


def test_an_absent_file_lists_near_ones(tmp_path: Path) -> None:
    (tmp_path / "vehicle.toml").touch()
    assert findings(tmp_path / "vehicel.toml") == [
        'vehicel.toml:1: manifest: there is no such file, did you mean "vehicle.toml"?'
    ]


def test_text_that_is_not_utf_8_is_found_on_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, 'a = 1\nb = "Zündung"\n'.encode("latin-1"))
    assert findings(path) == ["vehicle.toml:2: toml: byte 0xfc is not UTF-8, save the file as UTF-8"]


def test_a_folder_a_device_and_a_recording_are_no_manifest(tmp_path: Path) -> None:
    assert "no regular file" in findings(tmp_path)[0]
    assert "no regular file" in findings(Path("/dev/null"))[0]
    assert "larger than" in findings(write(tmp_path, b"#" * (MAX_BYTES + 1)))[0]


def test_values_nested_without_end_are_a_finding(tmp_path: Path) -> None:
    assert "nested too deeply" in findings(write(tmp_path, b"a = " + b"[" * 20_000 + b"]" * 20_000))[0]


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_a_number_that_is_not_finite_is_found_wherever_it_stands(tmp_path: Path, number: str) -> None:
    path = write(tmp_path, f"[t]\na = [ 1.0,\n  {{ b = {number} }} ]\n".encode())
    assert findings(path) == [f"vehicle.toml:3: t.a[1].b: {number} is no setting and no limit, write a finite number"]


@pytest.mark.parametrize("text", ["a =", "= 1", "a = 1 1", "[a", "[[a]", "a = {", "a = '", 'a = """', "\x00", "a.=1"])
def test_a_syntax_error_is_one_finding_inside_the_file(tmp_path: Path, text: str) -> None:
    document = read_document(write(tmp_path, text.encode()), "vehicle.toml", "manifest")
    (finding,) = document.findings.sorted()
    assert (finding.line, finding.path) == (1, "toml")
    assert finding.remedy
