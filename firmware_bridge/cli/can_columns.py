"""Stored frames added to the traffic of their channel many at a time: an hour of a bus in seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from cardan.drivers.can.candump import StoredFrame
from cardan.drivers.can.error_frames import decode_error_frame
from cardan.firmware_bridge.cli.can_traffic import Traffic, frame_bits
from cardan.firmware_bridge.frame_reader import Definition, FrameReader, Identifier
from cardan.firmware_bridge.many_frames import Bytes, ManyJudge, in_rows
from cardan.runtime.messages import CanFrame

EXTENDED_BIT = 29
"""Behind the identifier, so that both are one number."""


class Columns:
    """Adds frames of one channel to its traffic; what comes of it is what `Traffic.see` makes of them one by one."""

    def __init__(self, traffic: Traffic, reader: FrameReader | None) -> None:
        self._traffic = traffic
        self._reader = reader
        self._judges: dict[Identifier, ManyJudge | None] = {}

    def see(self, frames: Sequence[StoredFrame], offset_ns: int) -> None:
        """Take the next frames. offset_ns: wall clock minus the clock of their stamps."""
        traffic = self._traffic
        traffic.first_ns = traffic.first_ns or frames[0].stamp_ns + offset_ns
        traffic.newest_ns = frames[-1].stamp_ns + offset_ns
        if frames[0].remote:  # has no data, and is alone
            traffic.remote += 1
            self._count(frames[0])
            return
        if True in [frame.error for frame in frames]:
            errors = [frame for frame in frames if frame.error]
            traffic.error_frames += len(errors)
            traffic.newest_error = decode_error_frame(errors[-1].id, errors[-1].data)
            frames = [frame for frame in frames if not frame.error]
        if frames:
            self._see_data(frames)

    def _count(self, frame: StoredFrame) -> None:
        self._traffic.frames += 1
        self._traffic.counts[(frame.id, frame.extended)] += 1
        slow, _ = frame_bits(CanFrame(frame.channel, frame.id, b"", frame.stamp_ns, frame.extended))
        self._traffic.slow_bits += slow

    def _see_data(self, frames: Sequence[StoredFrame]) -> None:
        data = [frame.data for frame in frames]
        sizes = _small(map(len, data))
        extended, fd = _small([frame.extended for frame in frames]), _small([frame.fd for frame in frames])
        keys = np.array([frame.id for frame in frames], np.int64) | extended << EXTENDED_BIT
        self._traffic.frames += len(frames)
        self._add_bits(sizes, extended, fd)
        order, starts = _groups(keys)
        rows = in_rows(data)[order]
        sizes = sizes[order]
        for start, end in zip(starts, [*starts[1:], len(frames)], strict=True):
            key = int(keys[order[start]])
            identifier = key & (1 << EXTENDED_BIT) - 1, bool(key >> EXTENDED_BIT)
            self._traffic.counts[identifier] += end - start
            definition = self._reader.definition_or_none(identifier) if self._reader is not None else None
            if definition is not None:
                self._judge(identifier, definition, rows[start:end], sizes[start:end], data, order[start:end])

    def _add_bits(self, sizes: NDArray[np.int64], extended: NDArray[np.int64], fd: NDArray[np.int64]) -> None:
        """Frames of the same kind and size take the same time on the bus."""
        for kind, times in enumerate(np.bincount(sizes << 2 | extended << 1 | fd).tolist()):
            if times:
                slow, fast = frame_bits(CanFrame("", 0, bytes(kind >> 2), 0, bool(kind & 2), bool(kind & 1)))
                self._traffic.slow_bits += times * slow
                self._traffic.fast_bits += times * fast

    def _judge(
        self,
        identifier: Identifier,
        definition: Definition,
        rows: Bytes,
        sizes: NDArray[np.int64],
        data: Sequence[bytes],
        places: NDArray[np.int64],
    ) -> None:
        """The verdicts on the frames of one message. places: of them in `data`."""
        if identifier not in self._judges:
            self._judges[identifier] = ManyJudge.of(definition)
        many, name = self._judges[identifier], definition.codec.name
        fits = sizes == definition.codec.length
        if many is not None:
            for verdict, times in many.judge(rows[fits]).items():
                self._traffic.judged(name, verdict, times)
            places = places[~fits]
        for place in places.tolist():
            self._traffic.judged(name, definition.judge(data[place]))


def _small(numbers: Iterable[int]) -> NDArray[np.int64]:
    """Numbers below 256 as a column."""
    return np.frombuffer(bytes(numbers), np.uint8).astype(np.int64)


def _groups(keys: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[int]]:
    """Places of the frames with those of one key together, each in the order of the bus, and where each key begins."""
    small = keys.max() < 1 << 16
    order = np.argsort(keys.astype(np.uint16) if small else keys, kind="stable")
    return order, [0, *(np.flatnonzero(np.diff(keys[order])) + 1).tolist()]
