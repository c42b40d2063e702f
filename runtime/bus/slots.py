"""Frame slots: large arrays stay in shared memory, and only a descriptor travels.

A pool is one file in the run directory with a handful of slots. The writer fills a slot in place; its generation
is odd while it does. A reader gets a read-only view and may ask afterwards whether the writer has reused the slot:
a view is intact as long as the generation is still the one of the descriptor.
"""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from cardan.runtime.errors import BusError

SLOTS = 8
_SLOT_HEADER = 64
_PAGE = mmap.PAGESIZE


class SlotDescriptor(msgspec.Struct, frozen=True, array_like=True):
    """Where an array lies: file in the frames folder, slot, generation, dtype string, and shape."""

    file: str
    offset: int
    generation: int
    dtype: str
    shape: tuple[int, ...]


class SlotPool:
    """The slots of one output; only its publisher writes them.

    folder: the run's frames folder; name: file name prefix, unique for this output and start of its node.
    """

    def __init__(self, folder: Path, name: str, slots: int = SLOTS) -> None:
        self._folder = folder
        self._name = name
        self._slots = slots
        self._files = 0
        self._file = ""
        self._mapping: mmap.mmap | None = None
        self._stride = 0
        self._next = 0
        self._issued: dict[int, tuple[int, int]] = {}

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """A writable view of the oldest slot, marked as being written until `seal`."""
        size = int(np.prod(shape)) * dtype.itemsize
        mapping = self._mapping_for(size)
        offset = self._next * self._stride
        self._next = (self._next + 1) % self._slots
        generation = _generation(mapping, offset) | 1
        _set_generation(mapping, offset, generation)
        array = np.frombuffer(mapping, dtype, int(np.prod(shape)), offset + _SLOT_HEADER).reshape(shape)
        self._issued[_address(array)] = (offset, generation)
        return array

    def seal(self, array: np.ndarray) -> None:
        """The slot of `array` is filled: readers may take it."""
        offset, generation = self._issued[_address(array)]
        sealed = generation + 1
        self._issued[_address(array)] = (offset, sealed)
        if self._mapping is not None:
            _set_generation(self._mapping, offset, sealed)

    def describe(self, array: np.ndarray) -> SlotDescriptor:
        """The descriptor of `array`: as it is when it is a sealed slot of this pool, else copied into one."""
        known = self._issued.get(_address(array))
        if known is None or not array.flags.c_contiguous:
            slot = self.take(array.shape, array.dtype)
            slot[...] = array
            self.seal(slot)
            array, known = slot, self._issued[_address(slot)]
        offset, generation = known
        if generation & 1:
            raise BusError(
                "an array is sent while its slot is being filled", hint="send after the `with ...slot()` block"
            )
        return SlotDescriptor(self._file, offset, generation, array.dtype.str, array.shape)

    def close(self) -> None:
        """Unmap and remove the file; views that readers hold stay readable."""
        self._issued.clear()
        if self._mapping is not None:
            self._mapping = None
            (self._folder / self._file).unlink(missing_ok=True)

    def _mapping_for(self, size: int) -> mmap.mmap:
        needed = -(-(size + _SLOT_HEADER) // _PAGE) * _PAGE
        if self._mapping is None or needed > self._stride:
            self.close()
            self._mapping = self._create(needed)
        return self._mapping

    def _create(self, stride: int) -> mmap.mmap:
        self._file = f"{self._name}.{self._files}"
        self._files += 1
        self._stride, self._next = stride, 0
        path = self._folder / self._file
        size = stride * self._slots
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, size)
                return mmap.mmap(descriptor, size)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise BusError(
                f"cannot make {size} bytes of shared memory for frames at {path}: {error.strerror}",
                hint="is /dev/shm large enough? `df -h /dev/shm`",
            ) from error


class SlotMaps:
    """The reader's side: maps pools on demand and keeps the newest one of each output."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mappings: dict[str, tuple[str, mmap.mmap]] = {}

    def view(self, descriptor: SlotDescriptor) -> np.ndarray:
        """A read-only view of the array; BusError when its pool is gone or the descriptor points outside."""
        mapping = self._map(descriptor.file)
        dtype = np.dtype(descriptor.dtype)
        count = int(np.prod(descriptor.shape))
        start = descriptor.offset + _SLOT_HEADER
        if descriptor.offset < 0 or count < 0 or start + count * dtype.itemsize > len(mapping):
            raise BusError(f"a frame descriptor points outside its pool {descriptor.file}")
        array = np.frombuffer(mapping, dtype, count, start).reshape(descriptor.shape)
        array.flags.writeable = False
        return array

    def intact(self, descriptor: SlotDescriptor) -> bool:
        """False once the writer has begun to reuse the slot."""
        known = self._mappings.get(_output_of(descriptor.file))
        return (
            known is not None
            and known[0] == descriptor.file
            and (_generation(known[1], descriptor.offset) == descriptor.generation)
        )

    def close(self) -> None:
        self._mappings.clear()

    def _map(self, file: str) -> mmap.mmap:
        output = _output_of(file)
        known = self._mappings.get(output)
        if known is not None and known[0] == file:
            return known[1]
        if os.sep in file or file.startswith("."):
            raise BusError(f'a frame descriptor names the file "{file}" outside the frames folder')
        try:
            with (self._folder / file).open("rb") as handle:
                mapping = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise BusError(f"the frames of {output} are gone ({file}): {error}") from error
        self._mappings[output] = (file, mapping)
        return mapping


def _output_of(file: str) -> str:
    """`node.port` of a pool file `node.port.epoch.number`."""
    return file.rsplit(".", 2)[0]


def _address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def _generation(mapping: mmap.mmap, offset: int) -> int:
    return int.from_bytes(mapping[offset : offset + 8], "little")


def _set_generation(mapping: mmap.mmap, offset: int, generation: int) -> None:
    mapping[offset : offset + 8] = generation.to_bytes(8, "little")
