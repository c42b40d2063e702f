"""What a bundle is to be of: the run, the folder that is filled, and what is taken out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cardan.runtime.bundle.redact import Redaction
from cardan.runtime.clock import Clock
from cardan.runtime.plan import Plan

DEFAULT_BYTES = 20 << 20


@dataclass(frozen=True, kw_only=True)
class Job:
    """One bundle in the making. The folder has the layout of a data folder."""

    folder: Path
    data_dir: Path
    run_id: str
    plan: Plan
    plan_path: Path
    vitals_path: Path
    bus_dir: Path | None
    """Where the rings of the run lie; None when none were kept."""
    is_live: bool
    clock: Clock
    limit_bytes: int = DEFAULT_BYTES
    """Of the whole bundle, as far as recordings go: what is left for them after everything else."""
    recordings_ns: int | None = None
    """Processor time that may go into parts of recordings; None: as much as it takes."""
    redaction: Redaction = field(default_factory=Redaction)

    @property
    def logs(self) -> Path:
        """Of the run, in the data folder."""
        return self.data_dir / "logs" / self.run_id

    def write(self, name: str, data: bytes) -> int:
        """Put a file into the bundle; its size."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return len(data)

    def copy(self, source: Path, name: str, *, text: bool) -> int:
        """Put a copy of a file into the bundle, cleaned; its size."""
        data = source.read_bytes()
        return self.write(name, self.redaction.of_text(data) if text else self.redaction.of_binary(data))
