"""A disk that remembers every write and every flush, in order: power cuts are made from its log afterwards.

A file in a FUSE file system of our own (the kernel's protocol, no library), on which a loop device and ext4 stand. A
cut at some moment leaves everything that was written before the last flush, and any part of what came after it: that is
what a disk with a write cache may do. Marks in the same log say what a program was promised before.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

SECTOR = 4096
MAX_WRITE = 128 << 10
DISK, MARKS = 2, 3
NAMES = {b"disk": DISK, b"marks": MARKS}
LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS, RELEASE, FSYNC = 1, 2, 3, 4, 14, 15, 16, 17, 18, 20
FLUSH, INIT, ACCESS, INTERRUPT, DESTROY, BATCH_FORGET = 25, 26, 34, 36, 38, 42
DIRECT_IO, BIG_WRITES = 1, 1 << 5

_IN = struct.Struct("<IIQQIIII")
_OUT = struct.Struct("<IiQ")
_ATTR = struct.Struct("<QQQQQQIIIIIIIIII")
_MOVE = struct.Struct("<QQII")


class Event(NamedTuple):
    """A write (`data` at `offset`), a flush (`data` is None), or a mark (`offset` is -1)."""

    offset: int
    data: bytes | None


class CannotRun(Exception):
    """What this needs is not here."""


def check() -> None:
    """CannotRun with the reason where there is no FUSE, no loop device, no ext4, or no right to mount."""
    if os.geteuid() != 0:
        raise CannotRun("mounting needs root")
    for path in ("/dev/fuse", "/dev/loop-control"):
        if not os.path.exists(path):
            raise CannotRun(f"there is no {path}")
    for program in ("mkfs.ext4", "losetup", "mount", "umount"):
        if subprocess.run(["sh", "-c", f"command -v {program}"], capture_output=True, check=False).returncode:
            raise CannotRun(f"{program} is not installed")


def run(*command: str) -> str:
    """A command that must work."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        raise CannotRun(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()


def fresh_image(folder: Path, size: int) -> bytes:
    """An empty ext4 file system."""
    path = folder / "fresh.img"
    with path.open("wb") as file:
        file.truncate(size)
    run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(path))
    image = path.read_bytes()
    path.unlink()
    return image


class LogDisk:
    """Serves one disk image from a thread of this process. Only other processes may touch what is mounted on it."""

    def __init__(self, folder: Path, image: bytes) -> None:
        self._folder = folder
        self.disk = bytearray(image)
        self.broken = False
        """Every write fails. The mark `break` does that."""
        self.log: list[Event] = []
        self.written_bytes = 0

    def mount(self) -> None:
        self._fuse = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        libc = ctypes.CDLL(None, use_errno=True)
        options = f"fd={self._fuse},rootmode=40000,user_id=0,group_id=0".encode()
        if libc.mount(b"log-disk", os.fsencode(self._folder), b"fuse", 0, options):
            raise CannotRun(f"mount of FUSE: {os.strerror(ctypes.get_errno())}")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def unmount(self) -> None:
        run("umount", "-l", str(self._folder))
        self._thread.join(10)
        os.close(self._fuse)

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self._fuse, MAX_WRITE + SECTOR)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                    continue
                return
            _, opcode, unique, node, *_ = _IN.unpack_from(request)
            body = request[_IN.size :]
            if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
                continue
            try:
                answer, code = self._answer(opcode, node, body), 0
            except OSError as error:
                answer, code = b"", -(error.errno or errno.EIO)
            try:
                os.write(self._fuse, _OUT.pack(_OUT.size + len(answer), code, unique) + answer)
            except OSError:
                continue
            if opcode == DESTROY:
                return

    def _answer(self, opcode: int, node: int, body: bytes) -> bytes:
        if opcode == INIT:
            return struct.pack("<IIIIHHIIHHI7I", 7, 31, 1 << 17, BIG_WRITES, 16, 12, MAX_WRITE, 1, 32, 0, 0, *[0] * 7)
        if opcode == LOOKUP:
            inode = NAMES.get(body.rstrip(b"\0"))
            if inode is None:
                raise OSError(errno.ENOENT, "")
            return struct.pack("<QQQQII", inode, 0, 3600, 3600, 0, 0) + self._attributes(inode)
        if opcode in (GETATTR, SETATTR):
            return struct.pack("<QII", 3600, 0, 0) + self._attributes(node)
        if opcode == OPEN:
            return struct.pack("<QII", node, DIRECT_IO, 0)
        if opcode == READ:
            _, offset, size, _ = _MOVE.unpack_from(body)
            return bytes(self.disk[offset : offset + size]) if node == DISK else b""
        if opcode == WRITE:
            return self._write(node, body)
        if opcode == FSYNC:
            if node == DISK:
                self.log.append(Event(0, None))
            return b""
        if opcode == STATFS:
            return struct.pack("<QQQQQIIII6I", 0, 0, 0, 0, 0, SECTOR, 255, SECTOR, 0, *[0] * 6)
        if opcode in (RELEASE, FLUSH, ACCESS, DESTROY):
            return b""
        raise OSError(errno.ENOSYS, "")

    def _write(self, node: int, body: bytes) -> bytes:
        _, offset, size, _ = _MOVE.unpack_from(body)
        data = body[40 : 40 + size]
        if node == DISK and self.broken:
            raise OSError(errno.EIO, "")
        if data == b"break":
            self.broken = True
        if node == DISK:
            self.disk[offset : offset + size] = data
            self.written_bytes += size
        self.log.append(Event(offset if node == DISK else -1, data))
        return struct.pack("<II", size, 0)

    def _attributes(self, inode: int) -> bytes:
        mode, size = (0o40755, 0) if inode == 1 else (0o100600, len(self.disk) if inode == DISK else 0)
        return _ATTR.pack(inode, size, size // 512, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, SECTOR, 0)


@contextmanager
def logged_file_system(folder: Path, image: bytes) -> Iterator[tuple[LogDisk, Path]]:
    """ext4 on a disk that remembers; the disk, and where it is mounted."""
    fuse, mounted = folder / "fuse", folder / "mounted"
    fuse.mkdir(exist_ok=True)
    mounted.mkdir(exist_ok=True)
    disk = LogDisk(fuse, image)
    disk.mount()
    try:
        loop = run("losetup", "--find", "--show", str(fuse / "disk"))
        try:
            run("mount", "-t", "ext4", loop, str(mounted))
            try:
                yield disk, mounted
            finally:
                run("umount", str(mounted))
        finally:
            run("losetup", "-d", loop)
    finally:
        disk.unmount()


class Cuts:
    """Images as they may lie on the disk after a power cut at positions of a log, asked for in rising order."""

    def __init__(self, image: bytes, log: list[Event]) -> None:
        self._sure = bytearray(image)
        self._log = log
        self._applied = 0

    def image(self, position: int, chance: Random) -> bytearray:
        """Everything up to the last flush before `position`, and a random half of the later pieces of 4 KiB."""
        flush = max((i for i in range(self._applied, position) if self._log[i].data is None), default=self._applied)
        for event in self._log[self._applied : flush]:
            self._put(self._sure, event)
        self._applied = flush
        image = bytearray(self._sure)
        for event in self._log[flush:position]:
            if event.data is None or event.offset < 0:
                continue
            for start in range(0, len(event.data), SECTOR):
                if chance.random() < 0.5:
                    self._put(image, Event(event.offset + start, event.data[start : start + SECTOR]))
        return image

    @staticmethod
    def _put(image: bytearray, event: Event) -> None:
        if event.data is not None and event.offset >= 0:
            image[event.offset : event.offset + len(event.data)] = event.data


def marks_before(log: list[Event], position: int) -> list[str]:
    """What a program had been promised by then."""
    return [event.data.decode() for event in log[:position] if event.offset < 0 and event.data is not None]
