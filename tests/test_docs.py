"""The site is built strictly: links lead to pages and anchors that are there, and nothing is loaded from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ELSEWHERE = re.compile(r"""<(?:script|img|link|iframe)[^>]+(?:src|href)=["'](?:https?:)?//""")


@pytest.mark.slow
def test_the_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    if find_spec("mkdocs") is None:
        pytest.skip("mkdocs is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    pages = {
        path.relative_to(tmp_path / "site").as_posix(): path.read_text() for path in (tmp_path / "site").rglob("*.html")
    }
    assert {"index.html", "glossary.html", "faults.html", "architecture.html", "packaging.html"} <= set(pages)
    assert {name for name, text in pages.items() if ELSEWHERE.search(text)} == set()
    assert 'href="page.html"' in pages["index.html"], "links of the README lead to pages of the site"


def test_the_words_of_the_glossary_are_in_order_and_explained_once() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    words = [word for word, _ in rows if word not in ("word", "---")]
    assert len(words) > 40
    assert words == sorted(words, key=str.lower)
    assert len(words) == len(set(words))
