"""Frame slots: large arrays stay in shared memory, and only a descriptor travels.

A pool is one file in the run directory: a page with leases, then a handful of slots. The writer fills a slot in
place; its generation is odd while it does. A reader gets a read-only view and a lease on it: the writer passes over
leased slots for as long as there are others. A reader may always ask afterwards whether its slot was reused: a view
is intact as long as the generation is still the one of the descriptor, so no reader takes a torn frame for a whole
one.

    page      words: slots, stride, then for each reader a row with the generation it holds of each slot
    slot      64 bytes with the generation, then the array
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from cardan.runtime.errors import BusError

SLOTS = 8
_SLOT_HEADER = 64
_PAGE = mmap.PAGESIZE
_WORD = 8
_SLOTS_AT, _STRIDE_AT, _LEASES_AT = 0, 1, 8
ROWS = (_PAGE // _WORD - _LEASES_AT) // SLOTS
"""Readers that can hold leases; any more of them do without."""


class SlotDescriptor(msgspec.Struct, frozen=True, array_like=True):
    """Where an array lies: file in the frames folder, slot, generation, dtype string, and shape."""

    file: str
    offset: int
    generation: int
    dtype: str
    shape: tuple[int, ...]


class SlotPool:
    """The slots of one output; only its publisher writes them.

    folder: the run's frames folder; name: file name prefix, unique for this output and start of its node. rows: how
    many readers may hold leases; lives: whether the reader of a row has a process (the leases of one that has none
    are void).
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        slots: int = SLOTS,
        *,
        rows: int = 0,
        lives: Callable[[int], bool] = lambda row: True,
    ) -> None:
        self._folder = folder
        self._name = name
        self._slots = slots
        self._rows = min(rows, ROWS)
        self._lives = lives
        self._files = 0
        self._file = ""
        self._mapping: mmap.mmap | None = None
        self._words: memoryview | None = None
        self._stride = 0
        self._next = 0
        self._issued: dict[int, tuple[int, int]] = {}
        self.overruled = 0
        """Slots that were taken although leased, since all were."""

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """A writable view of the oldest slot that nobody holds, marked as being written until `seal`."""
        count = int(np.prod(shape))
        mapping = self._mapping_for(count * dtype.itemsize)
        slot = self._free_slot(mapping)
        offset = _PAGE + slot * self._stride
        self._next = (slot + 1) % self._slots
        generation = _generation(mapping, offset) | 1
        _set_generation(mapping, offset, generation)
        array = np.frombuffer(mapping, dtype, count, offset + _SLOT_HEADER).reshape(shape)
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
            self._mapping = self._words = None
            (self._folder / self._file).unlink(missing_ok=True)

    def _free_slot(self, mapping: mmap.mmap) -> int:
        for step in range(self._slots if self._rows else 0):
            slot = (self._next + step) % self._slots
            if not self._is_leased(slot, _generation(mapping, _PAGE + slot * self._stride)):
                return slot
        self.overruled += self._rows > 0
        return self._next

    def _is_leased(self, slot: int, generation: int) -> bool:
        words = self._words
        if words is None or generation == 0:
            return False
        cells = range(_LEASES_AT + slot, _LEASES_AT + slot + self._rows * self._slots, self._slots)
        return any(words[cell] == generation and self._lives(row) for row, cell in enumerate(cells))

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
        size = _PAGE + stride * self._slots
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, size)
                mapping = mmap.mmap(descriptor, size)
            finally:
                os.close(descriptor)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise BusError(
                f"cannot make {size} bytes of shared memory for frames at {path}: {error.strerror}",
                hint="is /dev/shm large enough? `df -h /dev/shm`",
            ) from error
        self._words = memoryview(mapping)[:_PAGE].cast("Q")
        self._words[_SLOTS_AT], self._words[_STRIDE_AT] = self._slots, stride
        return mapping


class _PoolMap:
    """One pool as a reader sees it: everything to be read, and its own row of leases to be written."""

    def __init__(self, path: Path, row: int | None) -> None:
        with path.open("rb") as handle:
            self.mapping = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        if len(self.mapping) < _PAGE:
            raise ValueError("it is shorter than a page")
        words = memoryview(self.mapping)[:_PAGE].cast("Q")
        self._slots, self._stride = words[_SLOTS_AT], words[_STRIDE_AT]
        self._row: memoryview | None = None
        if row is not None and row < ROWS and 0 < self._slots <= SLOTS and self._stride > 0:
            self._row = _row_of(path, row, self._slots)

    def lease(self, descriptor: SlotDescriptor, held: bool) -> None:
        """Hold the slot of `descriptor`, or let it go."""
        if self._row is None:
            return
        slot = (descriptor.offset - _PAGE) // self._stride
        if not 0 <= slot < self._slots:
            return
        if held:
            self._row[slot] = descriptor.generation
        elif self._row[slot] == descriptor.generation:
            self._row[slot] = 0


def _row_of(path: Path, row: int, slots: int) -> memoryview | None:
    """The leases of one reader, all of them free; None where it may not write."""
    try:
        with path.open("r+b") as handle:
            page = mmap.mmap(handle.fileno(), _PAGE)
    except PermissionError:
        return None
    start = _LEASES_AT + row * slots
    cells = memoryview(page).cast("Q")[start : start + slots]
    for slot in range(slots):
        cells[slot] = 0
    return cells


class SlotMaps:
    """The reader's side: maps pools on demand and keeps the newest one of each output.

    rows: output (`node.port`) -> row of leases that this reader may use there; without one it holds none.
    """

    def __init__(self, folder: Path, rows: dict[str, int] | None = None) -> None:
        self._folder = folder
        self._rows = rows or {}
        self._mappings: dict[str, tuple[str, _PoolMap]] = {}

    def view(self, descriptor: SlotDescriptor) -> np.ndarray:
        """A read-only view of the array, leased until `release`; BusError when its pool is gone or it points outside.

        The slot may have been reused already: ask `intact`.
        """
        pool = self._map(descriptor.file)
        array = _array(pool.mapping, descriptor)
        pool.lease(descriptor, held=True)
        return array

    def release(self, descriptor: SlotDescriptor) -> None:
        """The reader is done with the array of `descriptor`."""
        known = self._mappings.get(_output_of(descriptor.file))
        if known is not None and known[0] == descriptor.file:
            known[1].lease(descriptor, held=False)

    def intact(self, descriptor: SlotDescriptor) -> bool:
        """False once the writer has begun to reuse the slot."""
        known = self._mappings.get(_output_of(descriptor.file))
        return (
            known is not None
            and known[0] == descriptor.file
            and _generation(known[1].mapping, descriptor.offset) == descriptor.generation
        )

    def close(self) -> None:
        self._mappings.clear()

    def _map(self, file: str) -> _PoolMap:
        output = _output_of(file)
        known = self._mappings.get(output)
        if known is not None and known[0] == file:
            return known[1]
        if os.sep in file or "\0" in file or file.startswith("."):
            raise BusError(f"a frame descriptor names the file {file!r} outside the frames folder")
        try:
            pool = _PoolMap(self._folder / file, self._rows.get(output))
        except (OSError, ValueError) as error:
            raise BusError(f"the frames of {output} are gone ({file}): {error}") from error
        self._mappings[output] = (file, pool)
        return pool


def _array(mapping: mmap.mmap, descriptor: SlotDescriptor) -> np.ndarray:
    """The array that a descriptor speaks of; BusError for one that no pool can have made."""
    try:
        dtype = np.dtype(descriptor.dtype)
        count = 1
        for extent in descriptor.shape:
            count *= extent
        start = descriptor.offset + _SLOT_HEADER
        outside = descriptor.offset < _PAGE or start + count * dtype.itemsize > len(mapping)
        if outside or dtype.hasobject or dtype.itemsize == 0 or any(extent < 0 for extent in descriptor.shape):
            raise BusError(f"a frame descriptor points outside its pool {descriptor.file}")
        array = np.frombuffer(mapping, dtype, count, start).reshape(descriptor.shape)
    except (TypeError, ValueError, SyntaxError, OverflowError, MemoryError) as error:
        raise BusError(f"a frame descriptor of {descriptor.file} makes no sense: {error}") from error
    array.flags.writeable = False
    return array


def _output_of(file: str) -> str:
    """`node.port` of a pool file `node.port.epoch.number`."""
    return file.rsplit(".", 2)[0]


def _address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def _generation(mapping: mmap.mmap, offset: int) -> int:
    return int.from_bytes(mapping[offset : offset + 8], "little")


def _set_generation(mapping: mmap.mmap, offset: int, generation: int) -> None:
    mapping[offset : offset + 8] = generation.to_bytes(8, "little")
