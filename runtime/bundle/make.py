"""Making a bundle: every collector in a process of its own with its time, what is done kept, then one file.

A bundle that was killed in the making goes on where it was when it is asked for again.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import zipfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from cardan.runtime.bundle.collectors import COLLECTORS, Collector, collect_or_why
from cardan.runtime.bundle.header import NAME, SUFFIX, Collected, Header, write_header
from cardan.runtime.bundle.job import Job
from cardan.runtime.bundle.pace import Pace
from cardan.runtime.clock import NS_PER_S, Clock, ns
from cardan.runtime.errors import RunError
from cardan.runtime.readable import readable

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
    job: Job, progress: Progress, say: Say, collectors: Iterable[Collector] = COLLECTORS, *, hurry: bool = False
) -> None:
    """Run every collector that is not done yet, each within its time. Beside a vehicle that runs it rests in between.

    hurry: it does not.
    """
    done = {item.name for item in progress.done}
    pace = Pace(job.clock) if job.is_live and not hurry else None
    for collector in collectors:
        if collector.name not in done:
            item = collect_apart(collector, job)
            progress.done.append(item)
            _keep(progress, job.folder)
            say(item)
            if pace is not None:
                pace.rest()


def collect_apart(collector: Collector, job: Job) -> Collected:
    """Run one collector in a process of its own: one that hangs is killed and named, and costs the others nothing."""
    clock, began_ns = job.clock, job.clock.now_ns()
    before = _files(job.folder)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_collector(collector, job, reader, writer)
    os.close(writer)
    ok, text = _result(reader, pid, collector.limit_s, clock)
    new = {path: size for path, size in _files(job.folder).items() if before.get(path) != size}
    seconds = round((clock.now_ns() - began_ns) / NS_PER_S, 3)
    return Collected(name=collector.name, ok=ok, text=text, files=len(new), bytes=sum(new.values()), seconds=seconds)


def _be_collector(collector: Collector, job: Job, reader: int, writer: int) -> None:
    """The process of a collector: what it prints goes nowhere, its answer into the pipe. A group of its own."""
    try:
        os.setpgid(0, 0)
        os.close(reader)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        ok, text = collect_or_why(collector, job)
        os.write(writer, msgspec.json.encode([ok, text[:2000]]))
    finally:
        os._exit(0)


def _result(reader: int, pid: int, limit_s: float, clock: Clock) -> tuple[bool, str]:
    """Its answer; without one in time the process and all that it started are killed."""
    ends_ns, data = clock.now_ns() + ns(limit_s), b""
    try:
        while (left_s := (ends_ns - clock.now_ns()) / NS_PER_S) > 0:
            if not readable([reader], left_s):
                break
            piece = os.read(reader, 4096)
            if not piece:
                ok, text = msgspec.json.decode(data, type=tuple[bool, str])
                return ok, text
            data += piece
        return False, f"no answer within {limit_s:g} s; what it looks at hangs"
    except msgspec.MsgspecError:
        return False, "it ended without an answer"
    finally:
        os.close(reader)
        for kill in (os.killpg, os.kill):
            with suppress(ProcessLookupError, PermissionError):
                kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(pid, 0)


def pack(job: Job, progress: Progress, made_wall_ns: int, versions: tuple[str, str], target: Path) -> Header:
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
    write_archive(job.folder, target)
    shutil.rmtree(job.folder, ignore_errors=True)
    return header


def write_archive(folder: Path, target: Path) -> None:
    """All files of a folder as one ZIP file, the header first. RunError when there is no room."""
    staged = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(staged, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for path in sorted(_files(folder), key=lambda path: (path.name != NAME, path)):
                kind = zipfile.ZIP_STORED if path.suffix in STORED else zipfile.ZIP_DEFLATED
                archive.write(path, str(path.relative_to(folder)), kind)
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
