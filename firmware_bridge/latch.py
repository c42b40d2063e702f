"""A latched fault on disk: it outlives the bridge's process and the run, until a person resets it."""

from __future__ import annotations

from pathlib import Path

LONGEST_BYTES = 256


class Latch:
    """One small file in the data folder. What the disk refuses is left out: the bridge itself holds the fault."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def cause(self) -> str:
        """Why the fault was latched; "" when none is."""
        try:
            with self._path.open("rb") as file:
                return file.read(LONGEST_BYTES).decode("utf-8", "replace").strip() or "unknown"
        except FileNotFoundError:
            return ""
        except OSError as error:
            return f"latch-unreadable:{error.strerror}"

    def set(self, cause: str) -> str:
        """Keep the fault; what went wrong, "" when nothing did."""
        try:
            self._path.write_bytes(cause.encode()[:LONGEST_BYTES])
        except OSError as error:
            return f"{self._path}: {error.strerror}"
        return ""

    def clear(self) -> str:
        """Forget the fault; what went wrong, "" when nothing did."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            return f"{self._path}: {error.strerror}"
        return ""
