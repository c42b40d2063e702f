"""Making a bundle: every collector apart and within its time, what is done kept, then one file.

A bundle that was killed in the making goes on where it was when it is asked for again.
"""

from __future__ import annotations

import secrets
import shutil
import zipfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec

from cardan.runtime.bundle.apart import Apart
from cardan.runtime.bundle.collectors import COLLECTORS, Collector
from cardan.runtime.bundle.header import NAME, SUFFIX, Collected, Header, write_header
from cardan.runtime.bundle.job import Job
from cardan.runtime.bundle.pace import Pace
from cardan.runtime.clock import NS_PER_S, ns
from cardan.runtime.errors import RunError

FOLDER = "bundles"
PROGRESS = "progress.json"
RESUME_NS = ns(900.0)
"""What was collected longer ago says nothing about now: it is collected anew."""
ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Letters and digits that are not taken for one another over the phone."""
ID_LENGTH = 6
STORED = (".mcap",)
"""Compressed as it is."""

Say = Callable[[Collected], None]


class Progress(msgspec.Struct, kw_only=True):
    """What is done of a bundle in the making."""

    id: str
    run: str
    asked: str
    """How it was asked for: another wish is another bundle."""
    began_wall_ns: int
    done: list[Collected] = []


def staging_of(data_dir: Path) -> Path:
    """Where a bundle is made; one at a time."""
    return data_dir / FOLDER / ".making"


def begin(data_dir: Path, run_id: str, asked: str, wall_ns: int) -> tuple[Progress, Path]:
    """Go on with what was begun for the same wish lately, else begin anew; RunError when nothing can be written."""
    folder = staging_of(data_dir)
    with suppress(OSError, msgspec.MsgspecError):
        progress = msgspec.json.decode((folder / PROGRESS).read_bytes(), type=Progress)
        is_new = 0 <= wall_ns - progress.began_wall_ns <= RESUME_NS
        if (progress.run, progress.asked) == (run_id, asked) and is_new:
            return progress, folder
    progress = Progress(id=new_id(), run=run_id, asked=asked, began_wall_ns=wall_ns)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _keep(progress, folder)
    except OSError as error:
        raise RunError(f"a bundle cannot be made in {folder}: {error.strerror}", hint="is there room? `df`") from error
    return progress, folder


def new_id() -> str:
    """Six letters and digits, such as K7M4QP."""
    return "".join(secrets.choice(ALPHABET) for _ in range(ID_LENGTH))


def collect_all(
    job: Job, progress: Progress, say: Say, collectors: Sequence[Collector] = COLLECTORS, pace: Pace | None = None
) -> None:
    """Run every collector that is not done yet, each within its time. pace: rest after each."""
    done = {item.name for item in progress.done}
    with Apart(job, collectors) as apart:
        for number, collector in enumerate(collectors):
            if collector.name not in done:
                item = _collect(collector.name, job, partial(apart.collect, number))
                progress.done.append(item)
                _keep(progress, job.folder)
                say(item)
                if pace is not None:
                    pace.rest(apart.used_ns)


def _collect(name: str, job: Job, collect: Callable[[], tuple[bool, str]]) -> Collected:
    """Run one, and count what is new in the folder."""
    clock, began_ns, before = job.clock, job.clock.now_ns(), _files(job.folder)
    ok, text = collect()
    new = {path: size for path, size in _files(job.folder).items() if before.get(path) != size}
    seconds = round((clock.now_ns() - began_ns) / NS_PER_S, 3)
    return Collected(name=name, ok=ok, text=text, files=len(new), bytes=sum(new.values()), seconds=seconds)


def pack(
    job: Job,
    progress: Progress,
    made_wall_ns: int,
    versions: tuple[str, str],
    target: Path,
    pace: Pace | None = None,
) -> Header:
    """Write the bundle to `target` in one step, and remove what it was made in. versions: computer, cardan."""
    header = Header(
        id=progress.id,
        made_wall_ns=made_wall_ns,
        run=job.run_id,
        was_live=job.is_live,
        vehicle=job.plan.name,
        computer=versions[0],
        cardan=versions[1],
        redacted=job.redaction.said,
        collectors=progress.done,
    )
    write_header(job.folder, header)
    (job.folder / PROGRESS).unlink(missing_ok=True)
    write_archive(job.folder, target, pace)
    shutil.rmtree(job.folder, ignore_errors=True)
    return header


def write_archive(folder: Path, target: Path, pace: Pace | None = None) -> None:
    """All files of a folder as one ZIP file, the header first; with a pace, at that. RunError when there is no room."""
    staged = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(staged, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for path in sorted(_files(folder), key=lambda path: (path.name != NAME, path)):
                kind = zipfile.ZIP_STORED if path.suffix in STORED else zipfile.ZIP_DEFLATED
                archive.write(path, str(path.relative_to(folder)), kind)
                if pace is not None:
                    pace.rest()
        staged.replace(target)
    except OSError as error:
        staged.unlink(missing_ok=True)
        raise RunError(
            f"the bundle cannot be written to {target}: {error.strerror}", hint="is there room? `df`"
        ) from error


def target_of(data_dir: Path, bundle_id: str) -> Path:
    """Where a bundle goes when nobody says otherwise."""
    return data_dir / FOLDER / f"{bundle_id}{SUFFIX}"


def _files(folder: Path) -> dict[Path, int]:
    found = {}
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.is_file() and path.name != PROGRESS and not path.name.startswith("."):
                found[path] = path.stat().st_size
    return found


def _keep(progress: Progress, folder: Path) -> None:
    new = folder / f".{PROGRESS}.new"
    new.write_bytes(msgspec.json.encode(progress))
    new.replace(folder / PROGRESS)
