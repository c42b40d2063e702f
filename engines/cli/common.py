"""What the engine commands share: the models that were named, the cache, JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from cardan.engines.build.cache import FOLDER, PlanCache, Sidecar
from cardan.engines.model import ModelFile, read_model
from cardan.runtime.clock import Clock
from cardan.runtime.run import data_folder


def read_models(names: Sequence[str]) -> list[ModelFile]:
    """The models that a person named; paths start where they stand."""
    return [read_model(name, folder=Path()) for name in names]


def open_cache(data_dir: str | None, clock: Clock) -> PlanCache:
    """The plan cache of the data folder."""
    return PlanCache((Path(data_dir).expanduser() if data_dir else data_folder()) / FOLDER, clock)


def print_json(document: dict[str, Any]) -> None:
    """One document on standard output."""
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")


def state_of(sidecar: Sidecar) -> str:
    """In a few words: may this plan be used?"""
    if sidecar.accuracy is None:
        return "not judged yet"
    worst = max(sidecar.accuracy.values(), default=0.0)
    return f"{'good' if sidecar.accepted else 'REFUSED'}, deviates {worst:.2g}"
