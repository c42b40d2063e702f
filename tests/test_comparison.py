"""docs/comparison.md and its picture say what the documents of the benchmarks say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """docs/make_comparison.py, which writes both."""
    spec = importlib.util.spec_from_file_location("make_comparison", DOCS / "make_comparison.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def documents(script: ModuleType) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = script.read_documents()
    return found


def test_page_and_picture_are_of_the_documents_as_they_are(
    script: ModuleType, documents: list[dict[str, Any]], tmp_path: Path
) -> None:
    script.write(tmp_path, documents)
    for name in ("comparison.md", "pictures/comparison.svg"):
        assert (tmp_path / name).read_text() == (DOCS / name).read_text(), "run `python docs/make_comparison.py`"
    ElementTree.parse(tmp_path / "pictures" / "comparison.svg")


def test_who_takes_least_is_shown_as_such_also_where_it_is_not_cardan(
    script: ModuleType, documents: list[dict[str, Any]]
) -> None:
    for row in next(found for found in documents if found["bench"] == "recorder")["rows"]:
        if row["name"].startswith("small messages: processor time"):
            row["peer_value"] = 0.125
    found = script.page(script.answers(documents))
    assert "**mcap's writer 0.125**" in found
    assert "**supervisord 16." in found or "**circus" in found


def test_a_figure_that_was_not_measured_is_named_and_not_left_out(
    script: ModuleType, documents: list[dict[str, Any]]
) -> None:
    with pytest.raises(SystemExit, match=r"loop\.json has no figure of cardan in a row .*was the peer"):
        script.answers([document for document in documents if document["bench"] != "loop"])


def test_no_bar_leaves_the_picture(script: ModuleType, documents: list[dict[str, Any]]) -> None:
    picture = ElementTree.fromstring(script.picture(script.answers(documents)))
    bars = [bar for bar in picture.iter("{http://www.w3.org/2000/svg}rect") if "x" in bar.attrib]
    assert len(bars) == sum(len(question.bars) for question in script.QUESTIONS)
    assert all(int(bar.attrib["x"]) + int(bar.attrib["width"]) < script.WIDTH - 60 for bar in bars)
