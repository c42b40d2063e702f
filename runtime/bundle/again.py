"""Taking more out of a bundle that is there: a new bundle, with the same id, of what is left."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from cardan.runtime.bundle.cut import Cutter
from cardan.runtime.bundle.header import NAME, Header, read_header_or_none, write_header
from cardan.runtime.bundle.job import Job
from cardan.runtime.bundle.make import write_archive
from cardan.runtime.bundle.redact import Redaction
from cardan.runtime.clock import Clock
from cardan.runtime.errors import RunError
from cardan.runtime.plan import read_plan

BINARY = ("vitals",)
RING, RECORDING = ".ring", ".mcap"
EVER = (0, 1 << 62)
POSITION_WORDS = (b"latitude", b"longitude", b"lat_deg", b"lon_deg")


def redact(opened: Path, target: Path, redaction: Redaction, clock: Clock) -> Header:
    """Write what is left of an opened bundle to `target`; RunError when it cannot be read or written."""
    header = read_header_or_none(opened)
    if header is None:
        raise RunError(f"{opened} is no bundle", hint="`cardan bundle list`")
    with tempfile.TemporaryDirectory(prefix="cardan-bundle-") as name:
        folder = Path(name)
        _clean_all(opened, folder, redaction, clock, header)
        said = list(dict.fromkeys([*header.redacted, *redaction.said]))
        new = msgspec.structs.replace(header, redacted=said)
        write_header(folder, new)
        write_archive(folder, target)
    return new


def _clean_all(opened: Path, folder: Path, redaction: Redaction, clock: Clock, header: Header) -> None:
    for path in sorted(opened.rglob("*")):
        name = path.relative_to(opened)
        if not path.is_file() or str(name) == NAME:
            continue
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == RECORDING:
            _cut(path, target, opened, redaction, clock, header)
        elif path.suffix == RING or path.name in BINARY:
            _clean(path, target, redaction.of_binary, drop=path.suffix == RING and redaction.positions)
        else:
            _clean(path, target, redaction.of_text, drop=False)


def _clean(path: Path, target: Path, of: Callable[[bytes], bytes], *, drop: bool) -> None:
    data = path.read_bytes()
    if not drop or not any(word in data for word in POSITION_WORDS):
        target.write_bytes(of(data))


def _cut(path: Path, target: Path, opened: Path, redaction: Redaction, clock: Clock, header: Header) -> None:
    """A recording is written anew from what may stay."""
    plan = read_plan(opened / "last" / "plan.json")
    job = Job(
        folder=target.parent,
        data_dir=opened,
        run_id=header.run,
        plan=plan,
        plan_path=opened / "last" / "plan.json",
        vitals_path=opened / "last" / "vitals",
        bus_dir=None,
        is_live=False,
        clock=clock,
        redaction=redaction,
    )
    with Cutter(job, [path], 1 << 40) as cutter:
        cutter.add(EVER)
        cutter.write(target)
