"""Repair of unfinished recordings: a file whose recorder was killed gets the index and footer it lacks.

Chunks with a correct CRC are copied byte for byte, damaged ones are left out; messages are counted, not decoded.
The original stays until the finished copy is on the disk and takes its place.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from cardan.runtime.disk import sync_folder
from cardan.runtime.record.mcap_file import unlocked_or_none
from cardan.runtime.record.mcap_layout import (
    CHUNK,
    DATA_END,
    MAGIC,
    METADATA,
    RECORD,
    TAIL_BYTES,
    FileBuilder,
    chunk_info_or_none,
    is_tail,
)


class Repaired(msgspec.Struct, frozen=True, kw_only=True):
    """What a repair kept and what it left out."""

    path: Path
    messages: int
    chunks: int
    damaged_chunks: int
    bytes_before: int
    bytes_after: int


def is_finished(path: Path) -> bool:
    """True when the file ends as an MCAP file must: footer and magic."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        return is_tail(file.read())


def unfinished(folder: Path) -> list[Path]:
    """Recordings in `folder` that lack their footer and that nobody writes, oldest first."""
    found = []
    for path in sorted(folder.glob("*.mcap"), key=lambda path: path.stat().st_mtime_ns):
        with unlocked_or_none(path) as descriptor:
            if descriptor is not None and not is_finished(path):
                found.append(path)
    return found


def repair(path: Path) -> Repaired | None:
    """Finish the recording at `path`; None when it is finished already or somebody is writing it."""
    steps = repair_steps(path)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: Repaired | None = done.value
            return result


def repair_steps(path: Path) -> Generator[None, None, Repaired | None]:
    """The same bit by bit: each step copies one record (a chunk takes about 2 ms). OSError passes through."""
    with unlocked_or_none(path) as descriptor:
        if descriptor is None or is_finished(path):
            return None
        copy = path.with_name(path.name + ".repair")
        try:
            repaired = yield from _copy(path, copy)
            os.replace(copy, path)
        finally:
            copy.unlink(missing_ok=True)
        sync_folder(path.parent)
        return repaired


def no_repairs() -> Generator[str | None, None, None]:
    """Nothing to do."""
    yield from ()


def repair_all(paths: list[Path]) -> Generator[str | None, None, None]:
    """Repair one file after the other, record by record; yields a text where a file could not be repaired."""
    for path in paths:
        try:
            for _ in repair_steps(path):
                yield None
        except OSError as error:
            yield f"{path} stays unfinished: {error.strerror}"


def _copy(path: Path, copy: Path) -> Generator[None, None, Repaired]:
    size = path.stat().st_size
    builder = FileBuilder()
    damaged_chunks = 0
    with path.open("rb") as source, copy.open("wb") as target:
        target.write(builder.begin("cardan", "cardan repair"))
        for opcode, content in _data_records(source, size):
            kept = _kept(builder, opcode, content)
            damaged_chunks += opcode == CHUNK and not kept
            target.write(kept)
            yield
        target.write(builder.end())
        target.flush()
        os.fsync(target.fileno())
        return Repaired(
            path=path,
            messages=builder.messages,
            chunks=builder.chunks,
            damaged_chunks=damaged_chunks,
            bytes_before=size,
            bytes_after=target.tell(),
        )


def _kept(builder: FileBuilder, opcode: int, content: bytes) -> bytes:
    if opcode == METADATA:
        return builder.metadata(content)
    info = chunk_info_or_none(content) if opcode == CHUNK else None
    return b"" if info is None else builder.chunk(content, info)


def _data_records(source: BinaryIO, size: int) -> Iterator[tuple[int, bytes]]:
    """Opcode and content of each whole record up to the end of the data or to where the framing is lost."""
    if source.read(len(MAGIC)) != MAGIC:
        return
    while len(prefix := source.read(RECORD.size)) == RECORD.size:
        opcode, length = RECORD.unpack(prefix)
        if opcode == DATA_END or source.tell() + length > size:
            return
        yield opcode, source.read(length)
