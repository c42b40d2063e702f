"""Can what is to be kept be kept: is there room, is the disk quick enough, does it still live?"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from cardan.runtime.doctor.check import Check, Result, Subject, failed, passed, read_text, unknown

LEAST_FREE = 1 << 30
PROBE_BYTES = 4 << 20
SLOWEST_MB_S = 20.0
"""A recorder of the reference vehicle writes less than 1 MB/s; cameras in full make it 20."""
WORN = 0x09
"""eMMC 5.1, DEVICE_LIFE_TIME_EST: 0x09 is 80 to 90 % of its life."""


def folder(subject: Subject) -> Result:
    """The data folder is there, or can be made, and can be written."""
    place = _nearest(subject.data_dir)
    if os.access(place, os.W_OK | os.X_OK):
        return passed(f"{subject.data_dir} can be written")
    return failed(f"{place} cannot be written", "set CARDAN_DATA_DIR, or storage.data_dir in the profile")


def space(subject: Subject) -> Result:
    """There is room for recordings and the outbox."""
    status = os.statvfs(_nearest(subject.data_dir))
    free = status.f_bavail * status.f_frsize
    text = f"{free / 1e9:.1f} GB free, recordings may take {subject.profile.storage.quota_bytes / 1e9:.1f} GB"
    if free < LEAST_FREE:
        return failed(text, f"what fills it? `du -xh {_nearest(subject.data_dir)} | sort -h | tail`")
    return passed(text)


def speed(subject: Subject) -> Result:
    """4 MiB reach the disk fast enough."""
    place = _nearest(subject.data_dir)
    probe = place / f".cardan-probe-{secrets.token_hex(4)}"
    try:
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            start_ns = subject.clock.now_ns()
            _write_all(descriptor, os.urandom(PROBE_BYTES))
            os.fdatasync(descriptor)
            seconds = max(1, subject.clock.now_ns() - start_ns) / 1e9
        finally:
            os.close(descriptor)
    except OSError as error:
        return failed(f"cannot write to {place}: {error.strerror}", "is the disk full, or mounted read-only?")
    finally:
        with suppress(OSError):
            probe.unlink()
    rate = PROBE_BYTES / 1e6 / seconds
    text = f"{rate:.0f} MB/s with sync"
    return passed(text) if rate >= SLOWEST_MB_S else failed(text, "is the disk busy or worn? `iostat -x 1`")


def wear(subject: Subject) -> Result:
    """The flash has life left, as it says itself."""
    files = subject.path("/sys/block").glob("mmcblk*/device/life_time")
    found = {path.parts[-3]: read_text(path) or "" for path in files}
    values = {disk: max((int(part, 16) for part in text.split()), default=0) for disk, text in found.items() if text}
    worn = {disk: value for disk, value in values.items() if value >= WORN}
    if worn:
        text = ", ".join(f"{disk} has used about {value * 10} % of its life" for disk, value in worn.items())
        return failed(text, "replace it before it fails; keep less: recorder quota_bytes")
    if values:
        parts = (f"{disk} has used at most {value * 10} % of its life" for disk, value in values.items())
        return passed(", ".join(parts))
    return unknown("no disk here says how worn it is", "NVMe: `nvme smart-log /dev/nvme0`")


def _nearest(place: Path) -> Path:
    """`place`, or the first folder above it that exists."""
    while not place.exists() and place != place.parent:
        place = place.parent
    return place


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


CHECKS = (
    Check("storage.folder", "can the data folder be written?", folder),
    Check("storage.space", "is there room for recordings?", space),
    Check("storage.speed", "is the disk quick enough?", speed, limit_s=5.0),
    Check("storage.wear", "has the flash life left?", wear),
)
