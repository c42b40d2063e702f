"""Find the run that a command speaks of: the one that is active, else the last one as it was kept on disk."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from cardan.runtime.cli.exits import NoDataError
from cardan.runtime.cli.snapshot import Snapshot, take_snapshot
from cardan.runtime.clock import Clock
from cardan.runtime.errors import RunError
from cardan.runtime.plan import Plan, read_plan
from cardan.runtime.run import SERVICE_DATA, SERVICE_RUNS, RunPaths, current_run, data_folder, is_alive
from cardan.runtime.vitals import Vitals, open_vitals

DATA_LINK = "data"
"""Link in the run's folder to its data folder, so that other commands find recordings without being told."""


@dataclass(frozen=True)
class FoundRun:
    """A run whose vitals page is open."""

    plan: Plan
    vitals: Vitals
    run_id: str
    data_dir: Path
    bus_dir: Path | None
    """Where its nodes publish; None when it has ended."""

    @property
    def live(self) -> bool:
        return self.bus_dir is not None

    @property
    def lives(self) -> bool:
        """True while a run that was active when it was found still is."""
        return self.bus_dir is not None and is_alive(RunPaths(self.bus_dir.parent, self.data_dir))

    @property
    def kept_bus_dir(self) -> Path:
        """Where the rings of the last run lie, if they were kept."""
        return RunPaths(Path(), self.data_dir).last_bus

    @property
    def title(self) -> str:
        return f"{self.plan.name} on {self.plan.profile.name}"

    def snapshot(self, clock: Clock) -> Snapshot:
        """The vitals now; of a run that has ended, at the last beat of its supervisor."""
        words = self.vitals.words
        ended_ns = words[Vitals.HEARTBEAT_NS] or words[Vitals.STARTED_NS]
        return take_snapshot(self.plan, self.vitals, clock.now_ns() if self.live else ended_ns)

    def trouble(self, shot: Snapshot) -> str:
        """What the vitals cannot say of themselves."""
        return "" if self.live or shot.ended else "the supervisor ended without stopping the run in order"


def find_run(data_dir: str | None, *, must_live: bool = False) -> FoundRun:
    """The active run, else (unless it must live) the last one; NoDataError when there is none.

    Somebody who names no folder and has no run of their own means the run of the service.
    """
    folder = data_folder() if data_dir is None else Path(data_dir)
    service = data_dir is None and not {"CARDAN_RUN_DIR", "CARDAN_DATA_DIR"} & set(os.environ)
    active = current_run(folder)
    if active is None and service and _may_read(SERVICE_RUNS):
        active = current_run(SERVICE_DATA, SERVICE_RUNS)
    if active is not None:
        return _live(active)
    if must_live:
        raise NoDataError("no run is active", hint=_start_hint())
    return _last(SERVICE_DATA if service and not _has_last(folder) and _may_read(SERVICE_DATA) else folder)


def _may_read(folder: Path) -> bool:
    return os.access(folder, os.R_OK | os.X_OK)


def _start_hint() -> str:
    """Why somebody may see nothing."""
    if SERVICE_RUNS.is_dir() and not _may_read(SERVICE_RUNS):
        return "start one with `cardan up`; the run of the service is shown to root (sudo)"
    return "start one with `cardan up`"


def _has_last(folder: Path) -> bool:
    last = RunPaths(Path(), folder).last
    return (last / "plan.json").exists() and (last / "vitals").exists()


def link_data(paths: RunPaths) -> None:
    """Note in the run's folder where its data goes."""
    (paths.run_dir / DATA_LINK).symlink_to(paths.data_dir.resolve())


def _live(paths: RunPaths) -> FoundRun:
    plan = read_plan(paths.plan)
    link = paths.run_dir / DATA_LINK
    data_dir = link.resolve() if link.is_symlink() else paths.data_dir
    return FoundRun(plan, open_vitals(paths.vitals, plan), paths.run_id, data_dir, paths.bus)


def _last(folder: Path) -> FoundRun:
    last = RunPaths(Path(), folder).last
    if not _has_last(folder):
        raise NoDataError(
            f"no run is active, and {folder} holds no earlier one",
            hint="start one with `cardan up`; if it kept its data elsewhere, name that with --data-dir",
        )
    plan = read_plan(last / "plan.json")
    vitals = open_vitals(last / "vitals", plan)
    return FoundRun(plan, vitals, _run_id(folder, vitals.words[Vitals.STARTED_WALL_NS]), folder, None)


def run_label(wall_ns: int) -> str:
    """How the id of a run begins: its start in UTC, such as `20261121-081500`."""
    return stamp(wall_ns).strftime("%Y%m%d-%H%M%S")


def stamp(wall_ns: int) -> datetime:
    """Wall time in UTC; RunError for a time that no calendar has."""
    try:
        return datetime.fromtimestamp(wall_ns / 1e9, timezone.utc)
    except (OverflowError, ValueError, OSError) as error:
        raise RunError(f"the vitals of this run are damaged: {wall_ns} is no time", hint="start a new run") from error


def _run_id(folder: Path, started_wall_ns: int) -> str:
    """The run whose log folder is the newest that is no younger than the vitals; empty when none is."""
    label = run_label(started_wall_ns)
    logs = folder / "logs"
    known = sorted(path.name for path in logs.iterdir()) if logs.is_dir() else []
    return next((name for name in reversed(known) if name[: len(label)] <= label), "")
