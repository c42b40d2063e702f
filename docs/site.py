"""Hooks of mkdocs: pages that lie outside of docs/ become pages of the site, and links lead to them.

A link to a file that is no page (code, a data file) becomes the name of that file: whoever reads the site need not have
the repository beside it.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from urllib.parse import urlsplit

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "index.md": "README.md",
    "architecture.md": "ARCHITECTURE.md",
    "contributing.md": "CONTRIBUTING.md",
    "changelog.md": "CHANGELOG.md",
    "packaging.md": "packaging/README.md",
    "examples/own_node.md": "examples/own_node/README.md",
    "examples/rav4_minute.md": "examples/rav4_minute/README.md",
}
"""Page of the site -> file of the repository."""
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside."""
    for uri, source in PAGES.items():
        files.append(File.generated(config, uri, content=(ROOT / source).read_text()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let every link lead to where its page is on the site."""
    uri = page.file.src_uri
    here = PAGES.get(uri, f"docs/{uri}")
    return LINK.sub(lambda match: _link(match, here, uri), markdown)


def _link(match: re.Match[str], here: str, uri: str) -> str:
    mark, text, target = match.groups()
    parts = urlsplit(target)
    if parts.scheme or parts.netloc or not parts.path:
        return match[0]
    file = posixpath.normpath(posixpath.join(posixpath.dirname(here), parts.path))
    there = place_of(file)
    if there is None:
        return str(match[0]) if not (ROOT / file).exists() else f"{text} (`{file}`)"
    anchor = f"#{parts.fragment}" if parts.fragment else ""
    return f"{mark}[{text}]({posixpath.relpath(there, posixpath.dirname(uri) or '.')}{anchor})"


def place_of(file: str) -> str | None:
    """Where a file of the repository is on the site; None for one that is not."""
    for uri, source in PAGES.items():
        if source == file:
            return uri
    return file.removeprefix("docs/") if file.startswith("docs/") and not file.endswith(".py") else None
