"""Find the run that a command speaks of: the one that is active, else the last one as it was kept on disk."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path

import msgspec

from cardan.runtime.bundle.header import Header, read_header_or_none
from cardan.runtime.cli.exits import NoDataError
from cardan.runtime.cli.snapshot import Snapshot, take_snapshot
from cardan.runtime.clock import Clock
from cardan.runtime.errors import RunError
from cardan.runtime.log.read import known_runs, log_folder
from cardan.runtime.plan import Plan, read_plan
from cardan.runtime.run import SERVICE_DATA, SERVICE_RUNS, RunPaths, current_run, data_folder, is_alive
from cardan.runtime.vitals import Vitals, open_vitals

DATA_LINK = "data"
"""Link in the run's folder to its data folder, so that other commands find recordings without being told."""


class Place(msgspec.Struct, frozen=True):
    """Where to look for a run, and for which: what --data-dir, --bundle and --at say. Stands where a path may."""

    data_dir: Path | None = None
    """None: of whoever asks, else of the service."""
    at_ns: int | None = None
    """The run that was there at this wall time."""

    @property
    def folder(self) -> Path:
        """The data folder itself."""
        if self.data_dir is not None:
            return self.data_dir
        own = data_folder()
        return SERVICE_DATA if _means_service(None) and not _has_last(own) and _may_read(SERVICE_DATA) else own

    def __fspath__(self) -> str:
        return str(self.folder)


class FoundRun(msgspec.Struct, frozen=True):
    """A run whose vitals page is open."""

    plan: Plan
    vitals: Vitals
    run_id: str
    data_dir: Path
    bus_dir: Path | None
    """Where its nodes publish; None when it has ended."""
    kept_dir: Path | None = None
    """Where plan, vitals and rings of a run lie that is over; None: where those of the last one do."""
    bundle: Header | None = None
    """The header of the bundle that it was found in."""

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
        return (self.kept_dir or RunPaths(Path(), self.data_dir).last) / "bus"

    @property
    def logs(self) -> Path:
        """Folder of its event log; that of all runs when this one left none."""
        return log_folder(self.data_dir) / self.run_id

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
        went_on = self.live or (self.bundle is not None and self.bundle.was_live)
        return "" if went_on or shot.ended else "the supervisor ended without stopping the run in order"


def find_run(place: str | Place | None, *, must_live: bool = False) -> FoundRun:
    """The active run, else (unless it must live) the last one; the one at a moment, if the place names one.

    NoDataError when there is none. Somebody who names no folder and has no run of their own means the run of the
    service. A bundle is of its time: no run in it is active.
    """
    if not isinstance(place, Place):
        place = Place(None if place is None else Path(place))
    bundle = None if place.data_dir is None else read_header_or_none(place.data_dir)
    active = None if bundle is not None else _active(place.data_dir)
    if active is not None and (place.at_ns is None or _began_before(active, place.at_ns)):
        return _live(active)
    if must_live:
        raise NoDataError("no run is active" + (" in a bundle" if bundle else ""), hint=_start_hint())
    if place.at_ns is not None:
        return _at(place.folder, place.at_ns, bundle)
    return _last(place.folder, bundle)


def _active(data_dir: Path | None) -> RunPaths | None:
    folder = data_folder() if data_dir is None else data_dir
    active = current_run(folder)
    if active is None and _means_service(data_dir) and _may_read(SERVICE_RUNS):
        active = current_run(SERVICE_DATA, SERVICE_RUNS)
    return active


def _means_service(data_dir: Path | None) -> bool:
    """Nothing that was said or set speaks of another folder."""
    return data_dir is None and not {"CARDAN_RUN_DIR", "CARDAN_DATA_DIR"} & set(os.environ)


def _began_before(paths: RunPaths, wall_ns: int) -> bool:
    return paths.run_id <= f"{run_label(wall_ns)}~"


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


def _last(folder: Path, bundle: Header | None) -> FoundRun:
    last = RunPaths(Path(), folder).last
    if not _has_last(folder):
        raise NoDataError(
            f"no run is active, and {folder} holds no earlier one",
            hint="start one with `cardan up`; if it kept its data elsewhere, name that with --data-dir",
        )
    plan = read_plan(last / "plan.json")
    vitals = open_vitals(last / "vitals", plan)
    run_id = bundle.run if bundle else _run_id(folder, vitals.words[Vitals.STARTED_WALL_NS])
    return FoundRun(plan, vitals, run_id, folder, None, bundle=bundle)


def _at(folder: Path, wall_ns: int, bundle: Header | None) -> FoundRun:
    """The newest run that had begun by then, if plan and vitals of it were kept."""
    runs = [name for name in known_runs(folder) if name <= f"{run_label(wall_ns)}~"]
    if not runs:
        known = known_runs(folder)
        since = f"the oldest run that is known here is {known[0]}" if known else "no run is known here"
        raise NoDataError(f"no run had begun at {stamp(wall_ns):%Y-%m-%d %H:%M:%S} UTC", hint=since)
    run_id = runs[-1]
    if _has_last(folder):
        last = _last(folder, bundle)
        if last.run_id == run_id:
            return last
        last.vitals.close()
    kept = RunPaths(Path(run_id), folder).logs
    if not (kept / "plan.json").exists() or not (kept / "vitals").exists():
        raise NoDataError(f"of run {run_id} only the log is kept", hint=f"`cardan log --at` shows it: {kept}")
    plan = read_plan(kept / "plan.json")
    return FoundRun(plan, open_vitals(kept / "vitals", plan), run_id, folder, None, kept_dir=kept, bundle=bundle)


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
    return next((name for name in reversed(known_runs(folder)) if name[: len(label)] <= label), "")
