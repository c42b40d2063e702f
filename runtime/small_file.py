"""Small files of the kernel below /proc and /sys: one number, one word, or a page of lines."""

from __future__ import annotations

from pathlib import Path


def small_text(path: Path) -> str:
    """The content without the blanks around it; empty when there is no such file, or it cannot be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
