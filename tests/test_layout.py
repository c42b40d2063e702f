"""The five folders are importable as cardan.*, and only so."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("runtime", "drivers", "engines", "firmware_bridge", "hw_profiles")


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_bare_name_of_a_folder_is_refused(folder: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", f"import {folder}"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=30
    )
    assert run.returncode != 0
    assert f'ImportError: import "cardan.{folder}", not "{folder}"' in run.stderr


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_is_importable_through_its_link(folder: str) -> None:
    package = importlib.import_module(f"cardan.{folder}")
    assert package.__file__ is not None
    assert Path(package.__file__).resolve() == ROOT / folder / "__init__.py"


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_link_is_relative_so_that_a_clone_may_lie_anywhere(folder: str) -> None:
    assert os.readlink(ROOT / "src" / "cardan" / folder) == f"../../{folder}"


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_folder_with_modules_is_a_package(folder: str) -> None:
    without = sorted(
        str(path.parent.relative_to(ROOT))
        for path in (ROOT / folder).rglob("*.py")
        if not (path.parent / "__init__.py").exists()
    )
    assert without == []


@pytest.mark.parametrize("entry", entry_points(group="cardan.nodes"), ids=lambda entry: entry.name)
def test_every_entry_point_leads_to_a_node(entry: EntryPoint) -> None:
    assert issubclass(entry.load(), importlib.import_module("cardan.runtime.node").Node)
