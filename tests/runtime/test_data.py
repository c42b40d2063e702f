from __future__ import annotations

from pathlib import Path

import pytest

from cardan.runtime.data import ENVIRONMENT_NAME, find_data
from cardan.runtime.errors import ConfigError


@pytest.fixture
def manifest_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout" / "examples" / "drive"
    folder.mkdir(parents=True)
    (tmp_path / "checkout" / "pyproject.toml").touch()
    return folder


def make(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def test_the_environment_wins_over_the_manifest_folder_and_that_over_the_shared_folder(
    tmp_path: Path, manifest_dir: Path
) -> None:
    environment = {ENVIRONMENT_NAME: str(tmp_path / "mine")}
    shared = make(tmp_path / "shared" / "data" / "minute")
    assert find_data("minute", manifest_dir, environment) == shared
    beside = make(manifest_dir / "data" / "minute")
    assert find_data("minute", manifest_dir, environment) == beside
    configured = make(tmp_path / "mine" / "minute")
    assert find_data("minute", manifest_dir, environment) == configured
    assert find_data("minute", manifest_dir, {}) == beside


def test_absent_data_is_an_error_that_lists_every_place_and_names_the_variable(
    tmp_path: Path, manifest_dir: Path
) -> None:
    with pytest.raises(ConfigError) as error:
        find_data("minute", manifest_dir, {ENVIRONMENT_NAME: str(tmp_path / "mine")})
    for place in (tmp_path / "mine", manifest_dir / "data", tmp_path / "shared" / "data"):
        assert str(place / "minute") in error.value.message
    assert error.value.hint is not None
    assert ENVIRONMENT_NAME in error.value.hint
    assert str(manifest_dir) in error.value.hint


@pytest.mark.parametrize("name", ["", "/etc", "../secrets", "a/../../b"])
def test_a_name_that_leaves_the_data_folder_is_refused(name: str, manifest_dir: Path) -> None:
    with pytest.raises(ConfigError, match="not the name of a data set"):
        find_data(name, manifest_dir, {})


def test_a_manifest_outside_any_checkout_is_fine(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="looked for"):
        find_data("minute", tmp_path, {})
