"""docs/safety.md says nothing that no test shows: every row of its table names tests, and they exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

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
