"""The mutants that were tried are those of the code as it is, and every survivor is one of them, with its reason.

To try them takes an hour (`python benches/mutation.py`); here is only compared what that left in docs/benchmarks.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("envelope", "guard", "engage", "e2e")
EXPLAINED: dict[str, dict[str, str]] = tomllib.loads((Path(__file__).parent / "mutation_survivors.toml").read_text())


def load_mutants() -> Any:
    spec = importlib.util.spec_from_file_location("benches_mutants", ROOT / "benches" / "mutants.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tried() -> dict[str, Any]:
    """Name of each row -> the row."""
    document = json.loads((ROOT / "docs" / "benchmarks" / "mutation.json").read_text())
    return {row["name"]: row for row in document["rows"]}


@pytest.mark.parametrize("module", MODULES)
def test_the_mutants_of_this_code_were_tried_and_each_survivor_is_explained(module: str, tried: dict[str, Any]) -> None:
    script = load_mutants()
    found = script.mutants((ROOT / "firmware_bridge" / f"{module}.py").read_text())
    what_to_do = f"{module}.py has changed since: `python benches/report.py mutation`"
    assert tried[f"{module}: fingerprint of its mutants"]["value"] == script.fingerprint(found), what_to_do
    assert tried[f"{module}: mutants tried"]["value"] == len(found), what_to_do
    assert tried[f"{module}: survivors without explanation"]["value"] == 0
    assert set(EXPLAINED[module]) <= {mutant.name for mutant in found}
    assert all(len(reason) > 20 for reason in EXPLAINED[module].values())


def test_every_mutant_was_tried(tried: dict[str, Any]) -> None:
    assert tried["mutants not tried"]["value"] == 0
    assert all(row["ok"] for row in tried.values())


def test_a_comment_is_no_mutant_and_another_constant_is() -> None:
    script = load_mutants()
    before, noted, changed = (
        script.fingerprint(script.mutants(text))
        for text in ("LIMIT = 3\n", '"""A limit."""\n\nLIMIT = 3  # a reason\n', "LIMIT = 4\n")
    )
    assert before == noted != changed


def test_a_mutant_has_one_defect_and_the_rest_as_it_was() -> None:
    script = load_mutants()
    source = "def larger(a, b):\n    return a if a > b else b\n"
    sources = {mutant.source for mutant in script.mutants(source)}
    assert "def larger(a, b):\n    return a if a >= b else b" in sources
    assert len(sources) == len(script.mutants(source))
    assert source.strip() not in sources
