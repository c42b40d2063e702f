"""A run on disk: one folder in shared memory while it lasts, swept when it ends or is found dead.

<runs>/<run id>/     mode 0700: plan.json, vitals, bus/ (sockets), frames/ (slots), lock (held by the supervisor)
<runs>/current       link to the newest run
<data>/logs/<run id>/   what stays of each run: the event log (a file for each writer), plan, vitals
<data>/last/            plan, vitals and rings of the last run
"""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path

import msgspec

from cardan.runtime.errors import RunError

KEPT_LOGS = 20
"""Runs whose logs are kept, with their plans and vitals."""
KEPT_BYTES = 512 << 20
"""And so much of them together; the oldest go first."""


class RunPaths(msgspec.Struct, frozen=True):
    """Where everything of one run lies."""

    run_dir: Path
    data_dir: Path

    @property
    def run_id(self) -> str:
        return self.run_dir.name

    @property
    def plan(self) -> Path:
        return self.run_dir / "plan.json"

    @property
    def vitals(self) -> Path:
        return self.run_dir / "vitals"

    @property
    def bus(self) -> Path:
        return self.run_dir / "bus"

    @property
    def frames(self) -> Path:
        return self.run_dir / "frames"

    @property
    def lock(self) -> Path:
        return self.run_dir / "lock"

    @property
    def logs(self) -> Path:
        return self.data_dir / "logs" / self.run_id

    @property
    def last(self) -> Path:
        return self.data_dir / "last"

    @property
    def last_bus(self) -> Path:
        return self.last / "bus"


SERVICE_RUNS = Path("/run/cardan")
SERVICE_DATA = Path("/var/lib/cardan")
"""What the unit of the service gives it as CARDAN_RUN_DIR and CARDAN_DATA_DIR."""


def runs_folder() -> Path:
    """The folder of all runs of this user: $CARDAN_RUN_DIR, or in shared memory (/dev/shm)."""
    configured = os.environ.get("CARDAN_RUN_DIR")
    return Path(configured) if configured else Path("/dev/shm") / f"cardan-{os.getuid()}"  # noqa: S108 - mode 0700


def data_folder(configured: str = "") -> Path:
    """Where recordings, logs and the outbox go: $CARDAN_DATA_DIR, the profile's folder, or ~/.local/share/cardan."""
    chosen = os.environ.get("CARDAN_DATA_DIR") or configured
    if chosen:
        return Path(chosen).expanduser()
    home = os.environ.get("XDG_DATA_HOME")
    return (Path(home) if home else Path.home() / ".local" / "share") / "cardan"


def new_run(data_dir: Path, wall_text: str) -> RunPaths:
    """Make the folder of a new run. wall_text: a label such as 20261121-081500, so that runs sort by time."""
    from secrets import token_hex  # the library behind it takes as long to load as a look at a run

    runs = runs_folder()
    run_dir = runs / f"{wall_text}-{token_hex(2)}"
    try:
        runs.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (run_dir, run_dir / "bus", run_dir / "frames"):
            folder.mkdir(mode=0o700)
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"cannot make a folder for the run: {error}",
            hint="set CARDAN_RUN_DIR and CARDAN_DATA_DIR to folders you may write",
        ) from error
    return RunPaths(run_dir, data_dir)


def point_current(paths: RunPaths) -> None:
    """Let `current` name this run."""
    link = runs_folder() / "current"
    staged = link.with_name(f"current.{paths.run_id}")
    staged.symlink_to(paths.run_id)
    staged.replace(link)


def current_run(data_dir: Path, runs: Path | None = None) -> RunPaths | None:
    """The newest run of this user that is alive, or None. runs: the folder of somebody else's runs."""
    link = (runs or runs_folder()) / "current"
    paths = RunPaths(link.resolve(), data_dir)
    return paths if paths.lock.exists() and is_alive(paths) else None


def hold_lock(paths: RunPaths) -> int:
    """Lock the run for the life of this process (the supervisor); the descriptor must stay open."""
    descriptor = os.open(paths.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def is_alive(paths: RunPaths) -> bool:
    """True while the supervisor of the run holds its lock."""
    try:
        descriptor = os.open(paths.lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def keep_last(paths: RunPaths) -> None:
    """Copy plan, vitals and rings to the data folder, so that `cardan status` and `trace` can still tell what happened.

    Rings are the lesser evidence (a MiB for each topic): where there is no room for them they are left out.
    """
    paths.last.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(paths.last_bus, ignore_errors=True)
    for source in (paths.plan, paths.vitals):
        if source.exists():
            staged = paths.last / f"{source.name}.new"
            shutil.copyfile(source, staged)
            staged.replace(paths.last / source.name)
    paths.last_bus.mkdir(exist_ok=True)
    with suppress(OSError):
        _keep_with_logs(paths)
    with suppress(OSError):
        for ring in paths.bus.glob("*.ring"):
            shutil.copyfile(ring, paths.last_bus / ring.name)


def keep_plan(paths: RunPaths) -> None:
    """The plan beside the logs of its run from the beginning on, whatever becomes of the computer."""
    paths.logs.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(paths.plan, paths.logs / paths.plan.name)


def _keep_with_logs(paths: RunPaths) -> None:
    """Plan and vitals beside the logs of the run, so that it can be looked at when later ones have ended."""
    paths.logs.mkdir(parents=True, exist_ok=True)
    for source in (paths.plan, paths.vitals):
        if source.exists():
            shutil.copyfile(source, paths.logs / source.name)


def sweep(paths: RunPaths) -> None:
    """Remove everything of a run that has ended from shared memory."""
    shutil.rmtree(paths.run_dir, ignore_errors=True)
    link = runs_folder() / "current"
    if link.is_symlink() and os.readlink(link) == paths.run_id:
        link.unlink(missing_ok=True)


def sweep_dead_runs(data_dir: Path) -> list[str]:
    """Remove what runs left whose supervisor is gone, the evidence of the newest kept; their ids."""
    swept = []
    folder = runs_folder()
    for run_dir in sorted(folder.iterdir()) if folder.is_dir() else []:
        paths = RunPaths(run_dir, data_dir)
        if run_dir.is_dir() and not run_dir.is_symlink() and paths.lock.exists() and not is_alive(paths):
            with suppress(OSError):
                _keep_if_newer(paths)
            sweep(paths)
            swept.append(paths.run_id)
    _prune_logs(data_dir)
    return swept


def _keep_if_newer(paths: RunPaths) -> None:
    """Nobody was left to keep plan and vitals of this run; do it unless a later run has ended since it began."""
    last = paths.last / "plan.json"
    _keep_with_logs(paths)
    if not last.exists() or last.stat().st_mtime_ns < paths.plan.stat().st_mtime_ns:
        keep_last(paths)


def _prune_logs(data_dir: Path) -> None:
    """Keep the newest runs' logs, within the quota; those of the newest run in any case."""
    logs = data_dir / "logs"
    folders = sorted((path for path in logs.iterdir() if path.is_dir()), reverse=True) if logs.is_dir() else []
    total = 0
    for place, path in enumerate(folders):
        total += _size(path)
        if place and (place >= KEPT_LOGS or total > KEPT_BYTES):
            shutil.rmtree(path, ignore_errors=True)


def _size(folder: Path) -> int:
    with suppress(OSError), os.scandir(folder) as entries:
        return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    return 0


def pick_free_port() -> int:
    """A UDP port of the loopback interface that nobody uses at this moment."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
