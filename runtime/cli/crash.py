"""An error that nobody foresaw: one line for the person, the details in a file."""

from __future__ import annotations

import os
import platform
import tempfile
import traceback
from pathlib import Path

from cardan.runtime.cli.version import versions
from cardan.runtime.clock import Clock, MonotonicClock
from cardan.runtime.run import data_folder

NAME = "cardan-crash"


def describe_crash(error: BaseException, words: list[str], clock: Clock | None = None) -> str:
    """Write the details down; the text to show."""
    text = str(error).splitlines()
    line = f"cardan failed unexpectedly: {type(error).__name__}{': ' + text[0] if text else ''}"
    path = _write(_details(error, words), (clock or MonotonicClock()).wall_ns())
    return f"{line}\n  hint: the details are in {path}; please report them" if path else line


def _details(error: BaseException, words: list[str]) -> str:
    facts = {"command": ["cardan", *words], "platform": platform.platform(), **versions()}
    return "\n".join([*(f"{name}: {value}" for name, value in facts.items()), "", *traceback.format_exception(error)])


def _write(text: str, wall_ns: int) -> Path | None:
    """In the data folder, or where the system keeps temporary files when that cannot be written."""
    for folder in (data_folder() / "crashes", Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{NAME}-{wall_ns}-{os.getpid()}.txt"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
            return path
        except OSError:
            continue
    return None
