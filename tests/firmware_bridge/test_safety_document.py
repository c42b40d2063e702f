"""docs/safety.md says nothing that no test shows: every row of its table names tests, and they exist. Its figures are
those that were measured."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "safety.md").read_text()
NAMED = re.compile(r"`(test_\w+)::(test_\w+)`")


def names_in(file: str) -> set[str]:
    """Names of the tests in every file of this name."""
    found: set[str] = set()
    for path in (ROOT / "tests").rglob(f"{file}.py"):
        tree = ast.parse(path.read_text())
        found |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return found


def rows() -> list[str]:
    section = DOCUMENT.split("## Fault, reaction, bound, test")[1].split("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| ")][1:]


def test_every_row_of_the_table_names_a_test() -> None:
    assert len(rows()) > 20
    for row in rows():
        cells = row.strip("|").split(" | ")
        assert len(cells) == 4, row
        assert NAMED.search(cells[3]), row


def test_every_test_that_is_named_exists() -> None:
    named = NAMED.findall(DOCUMENT)
    missing = [f"{file}::{name}" for file, name in named if name not in names_in(file)]
    assert not missing


def report_script() -> Any:
    """benches/report.py, which fills the figures in."""
    spec = importlib.util.spec_from_file_location("benches_report", ROOT / "benches" / "report.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def documents() -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in (ROOT / "docs" / "benchmarks").glob("*.json")]


def test_the_figures_are_those_of_the_benchmarks() -> None:
    """`python benches/report.py --table` brings them up to date."""
    script = report_script()
    shown = [found["what"] for found in script.FIGURE.finditer(DOCUMENT)]
    assert len(shown) > 20
    assert script.with_figures(DOCUMENT, documents()) == DOCUMENT


def test_every_figure_that_is_shown_meets_its_bar() -> None:
    known = {document["bench"]: document["rows"] for document in documents()}
    for found in report_script().FIGURE.finditer(DOCUMENT):
        (row,) = [row for row in known[found["bench"]] if row["name"].startswith(found["what"])]
        assert row["ok"], row["name"]
