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

import math
import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from cardan.runtime.bus.frame_copy import copy_frame
from cardan.runtime.bus.native import fence
from cardan.runtime.errors import BusError

SLOTS = 8
_SLOT_HEADER = 64
_PAGE = mmap.PAGESIZE
_WORD = 8
_SLOTS_AT, _STRIDE_AT, _LEASES_AT = 0, 1, 8
_ARRAY_OF_FIVE, _UINT_64 = b"\x95", b"\xcf"
"""How msgpack begins a descriptor, and a number of eight bytes."""
ROWS = (_PAGE // _WORD - _LEASES_AT) // SLOTS
"""Readers that can hold leases; any more of them do without."""


class SlotDescriptor(msgspec.Struct, frozen=True, array_like=True):
    """Where an array lies: file in the frames folder, slot, generation, dtype string, and shape."""

    file: str
    offset: int
    generation: int
    dtype: str
    shape: tuple[int, ...]


@dataclass(slots=True, eq=False)
class _Slot:
    """One slot: where it lies, and what is made once for all of its frames of one form."""

    offset: int
    generation_at: int
    """As a word."""
    leases: memoryview
    """The generations of it that readers hold, one of each row."""
    array: np.ndarray | None = None
    packed: tuple[bytes, bytes] = b"", b""
    """The descriptor as msgpack, before and behind the generation."""
    following: _Slot = field(init=False)


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
        self._words = memoryview(b"").cast("Q")
        self._slot_at: dict[int, _Slot] = {}
        """Address of an array -> the slot that it fills."""
        self._stride = 0
        self._next = self._newest_slot = _Slot(0, 0, memoryview(b""))
        self._newest: np.ndarray | None = None
        self._shape: tuple[int, ...] = ()
        self._dtype: np.dtype[Any] | None = None
        self._dtype_text = ""
        self.overruled = 0
        """Slots that were taken although leased, since all were."""

    def take(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """A writable view of the oldest slot that nobody holds, marked as being written until `seal`."""
        if dtype is not self._dtype or shape != self._shape:
            self._change_form(shape, dtype)
        slot, words = self._next, self._words
        generation = words[slot.generation_at]
        if generation in slot.leases.tolist() and self._is_leased(slot):
            slot = self._free_slot()
            generation = words[slot.generation_at]
        self._next = slot.following
        words[slot.generation_at] = generation | 1
        fence()  # who still reads it finds out before it can see anything of what comes
        array = slot.array
        if array is None or array.shape != shape:
            array = self._make_array(slot, shape, dtype)
        self._newest, self._newest_slot = array, slot
        return array

    def _change_form(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._map_for(math.prod(shape) * dtype.itemsize)
        self._shape, self._dtype, self._dtype_text = shape, dtype, dtype.str
        self._forget_arrays()

    def _forget_arrays(self) -> None:
        for slot in self._slot_at.values():
            slot.array = None

    def _make_array(self, slot: _Slot, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """The slowest part of taking a slot."""
        pack = msgspec.msgpack.encode
        before = _ARRAY_OF_FIVE + pack(self._file) + pack(slot.offset) + _UINT_64
        slot.packed = before, pack(self._dtype_text) + pack(shape)
        array: np.ndarray = np.ndarray(shape, dtype, self._mapping, slot.offset + _SLOT_HEADER)
        slot.array = array
        return array

    def seal(self, array: np.ndarray) -> None:
        """The slot of `array`, which was taken from here, is filled: readers may take it."""
        slot = self._slot_or_none(array)
        if slot is not None:
            self._words[slot.generation_at] += 1

    def describe(self, array: np.ndarray) -> SlotDescriptor:
        """The descriptor of `array`: as it is when it is a sealed slot of this pool, else copied into one."""
        slot = self._slot_or_none(array)
        if slot is None or not array.flags.c_contiguous:
            copy = self.take(array.shape, array.dtype)
            copy_frame(copy, array)
            self.seal(copy)
            array, slot = copy, self._newest_slot
        generation = self._words[slot.generation_at]
        if generation & 1:
            raise _being_filled()
        dtype_text = self._dtype_text if array is self._newest else array.dtype.str
        return SlotDescriptor(self._file, slot.offset, generation, dtype_text, array.shape)

    def pack(self, array: np.ndarray) -> bytes:
        """The descriptor of `array` as msgpack; of the newest slot, as it was taken, only its generation is missing."""
        if array is not self._newest:
            return msgspec.msgpack.encode(self.describe(array))
        generation = self._words[self._newest_slot.generation_at]
        if generation & 1:
            raise _being_filled()
        before, behind = self._newest_slot.packed
        return before + generation.to_bytes(_WORD, "big") + behind

    def close(self) -> None:
        """Unmap and remove the file; views that readers hold stay readable."""
        self._forget_arrays()
        for slot in self._slot_at.values():
            slot.leases.release()
        self._slot_at.clear()
        self._newest = self._dtype = None
        if self._mapping is not None:
            self._mapping, self._words = None, memoryview(b"").cast("Q")
            (self._folder / self._file).unlink(missing_ok=True)

    def _slot_or_none(self, array: np.ndarray) -> _Slot | None:
        """The slot that `array` fills. Of the newest this is known; of any other array it is slow to ask."""
        return self._newest_slot if array is self._newest else self._slot_at.get(_address(array))

    def _free_slot(self) -> _Slot:
        """The first one behind the next that nobody holds; else the next."""
        slot = self._next.following
        while slot is not self._next:
            if not self._is_leased(slot):
                return slot
            slot = slot.following
        self.overruled += 1
        return slot

    def _is_leased(self, slot: _Slot) -> bool:
        generation = self._words[slot.generation_at]
        if generation:
            for row, held in enumerate(slot.leases.tolist()):
                if held == generation and self._lives(row):
                    return True
        return False

    def _map_for(self, size: int) -> None:
        needed = -(-(size + _SLOT_HEADER) // _PAGE) * _PAGE
        if self._mapping is None or needed > self._stride:
            self.close()
            self._mapping = self._create(needed)

    def _create(self, stride: int) -> mmap.mmap:
        self._file = f"{self._name}.{self._files}"
        self._files += 1
        self._stride = stride
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
        self._words = memoryview(mapping).cast("Q")
        self._words[_SLOTS_AT], self._words[_STRIDE_AT] = self._slots, stride
        slots = [self._slot(number) for number in range(self._slots)]
        for number, slot in enumerate(slots):
            slot.following = slots[(number + 1) % self._slots]
        self._next = slots[0]
        start = _address(np.frombuffer(mapping, np.uint8)) + _SLOT_HEADER
        self._slot_at = {start + slot.offset: slot for slot in slots}
        return mapping

    def _slot(self, number: int) -> _Slot:
        offset = _PAGE + number * self._stride
        first = _LEASES_AT + number
        leases = self._words[first : first + self._rows * self._slots : self._slots]
        return _Slot(offset, offset // _WORD, leases)


class _Seen(NamedTuple):
    """A slot as a reader has seen it last."""

    dtype: str
    shape: tuple[int, ...]
    array: np.ndarray
    slot: int
    """Its number."""


class _PoolMap:
    """One pool as a reader sees it: everything to be read, and its own row of leases to be written."""

    def __init__(self, path: Path, row: int | None) -> None:
        with path.open("rb") as handle:
            self.mapping = mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ)
        if len(self.mapping) < _PAGE:
            raise ValueError("it is shorter than a page")
        words = memoryview(self.mapping)[:_PAGE].cast("Q")
        slots, stride = words[_SLOTS_AT], words[_STRIDE_AT]
        sound = 0 < slots <= SLOTS and stride > 0
        self._slot_at = {_PAGE + number * stride: number for number in range(slots)} if sound else {}
        self._seen: dict[int, _Seen] = {}
        """Offset -> a slot of this pool."""
        self._row: memoryview | None = None
        if row is not None and row < ROWS and sound:
            self._row = _row_of(path, row, slots)

    def view(self, descriptor: SlotDescriptor) -> np.ndarray:
        """A read-only view of what `descriptor` speaks of, leased; BusError for one that no pool can have made."""
        seen = self._seen.get(descriptor.offset)
        if seen is None or seen.shape != descriptor.shape or seen.dtype != descriptor.dtype:
            array, slot = self._array(descriptor), self._slot_at.get(descriptor.offset)
            if slot is None:
                return array
            seen = self._seen[descriptor.offset] = _Seen(descriptor.dtype, descriptor.shape, array, slot)
        if self._row is not None:
            self._row[seen.slot] = descriptor.generation
        return seen.array

    def _array(self, descriptor: SlotDescriptor) -> np.ndarray:
        dtype, size = _measure(descriptor)
        start = descriptor.offset + _SLOT_HEADER
        if descriptor.offset < _PAGE or start + size > len(self.mapping):
            raise BusError(f"a frame descriptor points outside its pool {descriptor.file}")
        try:
            array: np.ndarray = np.ndarray(descriptor.shape, dtype, self.mapping, start)
        except (TypeError, ValueError, OverflowError) as error:
            raise _no_array(descriptor, error) from error
        return array

    def generation(self, offset: int) -> int:
        """Of the slot at `offset`; 0 where there is none."""
        return int.from_bytes(self.mapping[offset : offset + _WORD], "little") if offset >= _PAGE else 0

    def let_go(self, descriptor: SlotDescriptor) -> None:
        """End the lease of the slot that `descriptor` speaks of."""
        seen = self._seen.get(descriptor.offset)
        if self._row is not None and seen is not None and self._row[seen.slot] == descriptor.generation:
            self._row[seen.slot] = 0


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
        self._pools: dict[str, _PoolMap] = {}
        self._files: dict[str, str] = {}

    def view(self, descriptor: SlotDescriptor) -> np.ndarray:
        """A read-only view of the array, leased until `release`; BusError when its pool is gone or it points outside.

        The slot may have been reused already: ask `intact`.
        """
        pool = self._pools.get(descriptor.file) or self._map(descriptor.file)
        return pool.view(descriptor)

    def release(self, descriptor: SlotDescriptor) -> None:
        """The reader is done with the array of `descriptor`."""
        pool = self._pools.get(descriptor.file)
        if pool is not None:
            pool.let_go(descriptor)

    def intact(self, descriptor: SlotDescriptor) -> bool:
        """False once the writer has begun to reuse the slot."""
        pool = self._pools.get(descriptor.file)
        fence()  # what was read of the array was read before this look
        return pool is not None and pool.generation(descriptor.offset) == descriptor.generation

    def close(self) -> None:
        self._pools.clear()
        self._files.clear()

    def _map(self, file: str) -> _PoolMap:
        """The pool `file`, and it replaces the one before it of the same output."""
        if os.sep in file or "\0" in file or file.startswith("."):
            raise BusError(f"a frame descriptor names the file {file!r} outside the frames folder")
        output = _output_of(file)
        try:
            pool = _PoolMap(self._folder / file, self._rows.get(output))
        except (OSError, ValueError) as error:
            raise BusError(f"the frames of {output} are gone ({file}): {error}") from error
        self._pools.pop(self._files.get(output, ""), None)
        self._files[output], self._pools[file] = file, pool
        return pool


def _measure(descriptor: SlotDescriptor) -> tuple[np.dtype[Any], int]:
    """Type and length in bytes of the array that a descriptor speaks of; BusError when it cannot be one."""
    try:
        dtype = np.dtype(descriptor.dtype)
        size = math.prod(descriptor.shape) * dtype.itemsize
        if dtype.hasobject or dtype.itemsize == 0 or any(extent < 0 for extent in descriptor.shape):
            raise ValueError(f"{descriptor.dtype!r} {descriptor.shape} is no array that a pool holds")
    except (TypeError, ValueError, SyntaxError, OverflowError, MemoryError) as error:
        raise _no_array(descriptor, error) from error
    return dtype, size


def _being_filled() -> BusError:
    return BusError("an array is sent while its slot is being filled", hint="send after the `with ...slot()` block")


def _no_array(descriptor: SlotDescriptor, error: Exception) -> BusError:
    return BusError(f"a frame descriptor of {descriptor.file} makes no sense: {error}")


def _output_of(file: str) -> str:
    """`node.port` of a pool file `node.port.epoch.number`."""
    return file.rsplit(".", 2)[0]


def _address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])
