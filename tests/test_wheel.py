"""The wheel holds every module and every data file of the folders, straight and through the sdist."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("runtime", "drivers", "engines", "firmware_bridge", "hw_profiles")
DATA_SUFFIXES = {".toml", ".dbc", ".onnx", ".json", ".service", ".conf", ".rules", ".html", ".css", ".js"}


def shipped_files() -> set[str]:
    """What has to be in the wheel, as `cardan/...`, by the rule of the layout and not by setuptools."""
    files = {"cardan/__init__.py", "cardan/py.typed"}
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.suffix == ".py" or path.suffix in DATA_SUFFIXES:
                files.add(f"cardan/{path.relative_to(ROOT)}")
    if may_compile():
        suffix = sysconfig.get_config_var("EXT_SUFFIX")
        files |= {f"cardan/{folder}/_native{suffix}" for folder in ("engines", "runtime/bus")}
    return files


def may_compile() -> bool:
    """Whether a C compiler and Python's headers are here: without them the wheel is built all the same."""
    headers = Path(sysconfig.get_path("include"), "Python.h").is_file()
    return headers and shutil.which(sysconfig.get_config_var("CC").split()[0]) is not None


def files_in_wheel(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if name.startswith("cardan/")}


def build(kind: str, source: Path, out: Path, **environment: str) -> Path:
    """Build `kind` (wheel or sdist) of the project in `source` without the network; returns the file."""
    command = [sys.executable, "-m", "build", f"--{kind}", "--no-isolation", "--outdir", str(out), str(source)]
    variables = {**os.environ, **environment}
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50, env=variables)
    assert run.returncode == 0, run.stdout + run.stderr
    (built,) = out.iterdir()
    return built


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of what the build reads, so that it leaves nothing in the working tree."""
    copy = tmp_path / "source"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in (*FOLDERS, "src"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.so")
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=ignored)
    return copy


@pytest.mark.slow
def test_the_wheel_holds_what_the_folders_hold(source: Path, tmp_path: Path) -> None:
    wheel = build("wheel", source, tmp_path / "wheel")
    assert files_in_wheel(wheel) == shipped_files()


@pytest.mark.slow
def test_the_wheel_through_the_sdist_holds_what_the_folders_hold(source: Path, tmp_path: Path) -> None:
    sdist = build("sdist", source, tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    wheel = build("wheel", unpacked, tmp_path / "wheel")
    assert files_in_wheel(wheel) == shipped_files()


@pytest.mark.slow
def test_without_a_compiler_the_wheel_holds_everything_else(source: Path, tmp_path: Path) -> None:
    wheel = build("wheel", source, tmp_path / "wheel", CC=str(tmp_path / "no-compiler"))
    assert files_in_wheel(wheel) == {name for name in shipped_files() if "_native" not in name}
