"""A compiled part is taken when it is there and of this code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cardan.runtime.compiled_part import compiled_part


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "some_package"
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("some_package", "some_package._native"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return folder


def test_a_part_that_was_not_compiled_is_none(package: Path) -> None:
    assert compiled_part("some_package", 3) is None


@pytest.mark.parametrize(("edition", "taken"), [(3, True), (2, False)])
def test_only_a_part_of_this_code_is_taken(package: Path, edition: int, taken: bool) -> None:
    (package / "_native.py").write_text(f"EDITION = {edition}\n")
    assert (compiled_part("some_package", 3) is not None) == taken
