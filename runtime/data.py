"""Find recorded data that is too large for the repository: by name, in the few places where it may lie."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from cardan.runtime.errors import ConfigError

ENVIRONMENT_NAME = "CARDAN_DATA"
"""Environment variable: a folder that holds data sets, each in a folder of its own."""


def find_data(name: str, manifest_dir: Path, environment: Mapping[str, str] = os.environ) -> Path:
    """The folder or file of the data set `name`.

    Tried in this order: `$CARDAN_DATA/name`, `data/name` beside the manifest, `shared/data/name` beside the checkout
    that holds the manifest. ConfigError lists what was tried.
    """
    if not name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise ConfigError(
            f'data "{name}" is not the name of a data set',
            hint=f"give a name such as rav4_minute, and its parent folder in {ENVIRONMENT_NAME}",
        )
    tried = _candidates(name, manifest_dir.resolve(), environment)
    for candidate in tried:
        if candidate.exists():
            return candidate
    raise ConfigError(
        f'no data "{name}": looked for ' + ", ".join(str(path) for path in tried),
        hint=f"set {ENVIRONMENT_NAME} to the folder that holds {name}/; "
        f"the README of {manifest_dir} says where the data comes from",
    )


def _candidates(name: str, manifest_dir: Path, environment: Mapping[str, str]) -> list[Path]:
    configured = environment.get(ENVIRONMENT_NAME)
    checkout = next(
        (path for path in (manifest_dir, *manifest_dir.parents) if (path / "pyproject.toml").exists()), None
    )
    folders = [
        Path(configured).expanduser() if configured else None,
        manifest_dir / "data",
        checkout.parent / "shared" / "data" if checkout else None,
    ]
    return [folder / name for folder in folders if folder is not None]
