"""A small share of benches/bus_fuzz.py, from fixed seeds."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

INPUTS = 600


@pytest.fixture(scope="module")
def fuzz() -> Any:
    """The cases beside this file; the tests are no package."""
    spec = importlib.util.spec_from_file_location("bus_fuzz_cases", Path(__file__).with_name("fuzz.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", ["messages", "descriptors", "rings", "rings in python"])
@pytest.mark.parametrize("seed", [1, 2])
def test_damaged_input_is_a_value_an_error_of_ours_or_nothing(fuzz: Any, kind: str, seed: int) -> None:
    outcome = fuzz.KINDS[kind](seed, INPUTS)
    assert outcome.findings == []
    assert sum(outcome.counts.values()) == INPUTS
    assert outcome.counts["refused"] > 0
    assert len(outcome.counts) > 1, "not all of it was refused"
