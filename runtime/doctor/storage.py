"""Can what is to be kept be kept: is there room, is the disk quick enough, does it still live?"""

from __future__ import annotations

import ctypes
import fcntl
import os
import secrets
import struct
from contextlib import suppress
from pathlib import Path

from cardan.runtime.detect.parts import disks as detect_disks
from cardan.runtime.detect.tree import Tree
from cardan.runtime.doctor.check import Check, Result, Subject, failed, passed, unknown
from cardan.runtime.profile import DiskSettings
from cardan.runtime.small_file import small_text

LEAST_FREE = 1 << 30
PROBE_BYTES = 4 << 20
RANDOM_BYTES = 64 << 10
"""Written again and again: as many of them as there are bytes would cost the processor more than the disk."""
SLOWEST_MB_S = 20.0
"""A recorder of the reference vehicle writes less than 1 MB/s; cameras in full make it 20."""
WORN_PERCENT = 90
GET_LOG_PAGE, SMART_LOG, SMART_BYTES, ALL_NAMESPACES = 0x02, 0x02, 512, 0xFFFFFFFF
NVME_IOCTL_ADMIN_CMD = 0xC0484E41
NVME_COMMAND = struct.Struct("=B3xI16xQ4xII20xI4x")
"""struct nvme_admin_cmd of linux/nvme_ioctl.h: opcode, namespace, address, length, the tenth word, time-out in ms."""
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
    whole, quota = status.f_blocks * status.f_frsize, subject.profile.storage.quota_bytes
    text = f"{free / 1e9:.1f} GB free, recordings may take {quota / 1e9:.1f} GB"
    if quota > whole:
        remedy = f"write less into storage.quota_bytes of the profile {subject.profile.name}, or use another disk"
        return failed(f"{text}, and the disk has {whole / 1e9:.1f} GB in all", remedy)
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
            block = os.urandom(RANDOM_BYTES)
            for _ in range(PROBE_BYTES // RANDOM_BYTES):
                _write_all(descriptor, block)
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
    found = {path.parts[-3]: small_text(path) for path in files}
    values = {disk: max((int(part, 16) for part in text.split()), default=0) for disk, text in found.items() if text}
    worn = {disk: value for disk, value in values.items() if value >= WORN}
    if worn:
        text = ", ".join(f"{disk} has used about {value * 10} % of its life" for disk, value in worn.items())
        return failed(text, "replace it before it fails; keep less: recorder quota_bytes")
    used = {
        disk: used
        for disk in _nvme_disks(subject)
        if (used := percentage_used(subject.path(f"/dev/{disk}"))) is not None
    }
    parts = [f"{disk} has used at most {value * 10} % of its life" for disk, value in values.items()]
    parts += [f"{disk} has used {value} % of its life" for disk, value in used.items()]
    if any(value >= WORN_PERCENT for value in used.values()):
        return failed(", ".join(parts), "replace it before it fails; keep less: recorder quota_bytes")
    if parts:
        return passed(", ".join(parts))
    return unknown("no disk here says how worn it is", "NVMe disks say it to root; SATA: `smartctl -A /dev/sda`")


def _nvme_disks(subject: Subject) -> list[str]:
    return sorted(path.name for path in subject.path("/sys/class/nvme").glob("nvme*"))


def percentage_used(device: Path) -> int | None:
    """Of the life that an NVMe disk was made for, in its own estimate; None where it may not be asked.

    Get Log Page (02h), SMART / Health Information: byte 5 (NVM Express base specification 1.4, 5.14.1.2).
    """
    log = ctypes.create_string_buffer(SMART_BYTES)
    words = (SMART_BYTES // 4 - 1) << 16 | SMART_LOG
    command = bytearray(
        NVME_COMMAND.pack(GET_LOG_PAGE, ALL_NAMESPACES, ctypes.addressof(log), SMART_BYTES, words, 1000)
    )
    try:
        descriptor = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return log.raw[5] if fcntl.ioctl(descriptor, NVME_IOCTL_ADMIN_CMD, command) == 0 else None
    except OSError:
        return None
    finally:
        os.close(descriptor)


def disks(subject: Subject) -> Result:
    """The disks of the profile are there, of their size, and mounted where they were."""
    wanted = subject.profile.disks
    if not wanted:
        return unknown("the profile names no disks", "`cardan profile detect` finds them")
    found = detect_disks(Tree(subject.root))
    wrong = [text for name, disk in wanted.items() if (text := _disk_trouble(name, disk, found.get(name)))]
    if wrong:
        return failed(
            "; ".join(wrong), "is it plugged in, and in /etc/fstab? `lsblk`; else correct [disks] in the profile"
        )
    return passed(", ".join(f"{name} {disk.size_gb} GB" for name, disk in wanted.items()))


def _disk_trouble(name: str, wanted: DiskSettings, found: DiskSettings | None) -> str:
    if found is None:
        return f"there is no {name}"
    missing = [place for place in wanted.mounts if place not in found.mounts]
    if missing:
        return f"{name} is not mounted at {', '.join(missing)}"
    return f"{name} has {found.size_gb} GB, not {wanted.size_gb}" if found.size_gb != wanted.size_gb else ""


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
    Check("storage.disks", "are the disks of the profile there?", disks),
    Check("storage.wear", "has the flash life left?", wear),
)
