"""Parts of recordings for a bundle: some seconds around each fault, the newest first, until the room is used up.

A part is an MCAP file of its own with the metadata of the recording. Whole chunks are taken; what may not leave is cut
out of them, and the rest is not looked at message by message: a minute has a hundred thousand of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from cardan.runtime.bundle.job import Job
from cardan.runtime.bundle.pace import used_ns
from cardan.runtime.bundle.redact import POSITION_NAMES, has_position
from cardan.runtime.bundle.source import NEVER_NS, Plain, Source
from cardan.runtime.bundle.trim import MESSAGE_HEAD, lengths, offsets_of, renumbered, times_of, trimmed
from cardan.runtime.clock import NS_PER_S, ns
from cardan.runtime.log.read import read_log
from cardan.runtime.log.record import LogRecord
from cardan.runtime.plan import Plan
from cardan.runtime.record.mcap_chunk import Chunk, compressed
from cardan.runtime.record.mcap_writer import ChannelRecords, ChunkFile
from cardan.runtime.record.places import Place
from cardan.runtime.record.window import schema_of

AROUND_NS = ns(15.0)
LAST_NS = ns(15.0)
MOST_SPANS = 20
LARGEST_MESSAGE = 64 << 10
INDEX_HEADS = 32
"""Bytes beside the index of one channel: of its record, and what the file's own index says of it."""
CAMERA_FRAME = "cardan.runtime.messages:CameraFrame"
PICTURES = ("foxglove.CompressedImage", "foxglove.RawImage", "foxglove.CompressedVideo")
"""Schemas of messages that are pictures, of whatever type they were, and however small."""

Span = tuple[int, int]
"""Begin and end, wall time in nanoseconds."""


def cut_recordings(job: Job, limit_bytes: int) -> str:
    """Write what fits; a line about it. ValueError when the run recorded nothing."""
    from cardan.runtime.bundle.collectors import Nothing
    from cardan.runtime.record.files import recording_paths

    paths = recording_paths(job.data_dir, job.run_id)
    if not paths:
        raise Nothing("the run recorded nothing")
    wanted = spans(read_log(job.logs), newest_ns=max(path.stat().st_mtime_ns for path in paths))
    with Cutter(job, paths, limit_bytes) as cutter:
        is_whole = all(map(cutter.add, wanted))
        written = cutter.write(job.folder / "recordings" / f"{job.run_id}.mcap")
    kinds = "without pictures" if job.redaction.pictures else "with pictures"
    rest = "" if is_whole else "; for older ones there was no more room, or time"
    return f"{written} messages of {cutter.taken_s:.0f} s around faults, {kinds}{rest}"


def spans(records: Iterable[LogRecord], newest_ns: int) -> list[Span]:
    """The seconds around each fault and each end of an engagement, joined where they touch, the newest first.

    The last quarter of a minute when there was none.
    """
    moments = sorted(record.wall_ns for record in records if record.level == "error" or _ends_control(record))
    joined: list[Span] = []
    for moment_ns in moments[-200:]:
        begin_ns, end_ns = moment_ns - AROUND_NS, moment_ns + AROUND_NS
        if joined and begin_ns <= joined[-1][1]:
            joined[-1] = joined[-1][0], end_ns
        else:
            joined.append((begin_ns, end_ns))
    return list(reversed(joined))[:MOST_SPANS] or [(newest_ns - LAST_NS, newest_ns + LAST_NS)]


def _ends_control(record: LogRecord) -> bool:
    return record.code == "engagement" and record.fields.get("before") == "enabled"


class Cutter:
    """Collects the chunks of spans in memory, the newest first, as far as room and processor time of the job allow.

    A context: the recordings are open in it.
    """

    def __init__(self, job: Job, paths: Iterable[Path], limit_bytes: int) -> None:
        self._redaction = job.redaction
        self._left = limit_bytes
        self._begin_ns = NEVER_NS
        """Of the oldest recording that is open."""
        self._ends_ns = used_ns() + job.recordings_ns if job.recordings_ns is not None else None
        self.taken_s = 0.0
        """So much of the time that was recorded is in it."""
        self._wanted = _topics(job.plan, pictures=not job.redaction.pictures)
        self._channels: dict[int, ChannelRecords] = {}
        self._chunks: list[Chunk] = []
        self._taken: set[tuple[Source, Place]] = set()
        self._sources: dict[Source, dict[int, int]] = {}
        self._paths = list(paths)
        """Not opened yet, in order of time."""

    def __enter__(self) -> Cutter:
        return self

    def __exit__(self, *_: object) -> None:
        for source in self._sources:
            source.close()

    def _numbers(self, source: Source) -> dict[int, int]:
        """The wanted channels of a recording -> their number in the part: the same, unless another one has that."""
        numbers = {}
        for number, records in source.channels.items():
            hidden = self._redaction.pictures and _is_picture(records)
            if source.topics[number] in self._wanted and not hidden:
                numbers[number] = self._number_of(number, records)
        return numbers

    def _number_of(self, number: int, records: ChannelRecords) -> int:
        for known, theirs in self._channels.items():
            if (theirs.schema[2:], theirs.channel[4:]) == (records.schema[2:], records.channel[4:]):
                return known
        if number in self._channels:
            number = max(self._channels) + 1
        two = number.to_bytes(2, "little")
        self._channels[number] = ChannelRecords(two + records.schema[2:], two + two + records.channel[4:])
        return number

    def add(self, span: Span) -> bool:
        """Take every chunk that has something of a span; False when there is no room, or no time, for more."""
        return all(self._add(source, place) for source, place in self._chunks_of(span))

    def _chunks_of(self, span: Span) -> list[tuple[Source, Place]]:
        """Those that were not taken yet, the newest first."""
        self._open_until(span)
        found = [(source, place) for source in self._sources for place in source.chunks(*span)]
        new = [item for item in found if item not in self._taken]
        return sorted(new, key=lambda item: -item[1].first_ns)

    def _open_until(self, span: Span) -> None:
        """Open the recordings that may have something of a span: the newer ones were wanted before it."""
        while self._paths and (not self._sources or self._begin_ns > span[0]):
            with suppress(OSError):
                source = Source(self._paths.pop())
                self._sources[source] = self._numbers(source)
                self._begin_ns = min(self._begin_ns, source.begin_ns)

    def _add(self, source: Source, place: Place) -> bool:
        if self._ends_ns is not None and used_ns() > self._ends_ns:
            return False
        self._taken.add((source, place))
        found, numbers = source.read(place), self._sources[source]
        if found is None:
            return True
        data, index = trimmed(*found, self._unwanted(found, numbers))
        if not index:
            return True
        data, index = renumbered(data, index, numbers)
        chunk = compressed(self._redaction.of_binary(data), times_of(index), (0, 0), index)
        size = chunk.size + sum(INDEX_HEADS + len(pairs) for pairs in index.values())
        if size > self._left:
            return False
        self._left -= size
        self._chunks.append(chunk)
        self.taken_s += _seconds(place)
        return True

    def _unwanted(self, found: Plain, numbers: dict[int, int]) -> set[int]:
        """Offsets of the messages that stay out."""
        out = set(offsets_of(pairs for channel, pairs in found.indexes.items() if channel not in numbers))
        offsets = offsets_of(found.indexes.values())
        if self._redaction.pictures:  # whatever their topic is called
            sizes = zip(offsets, lengths(found.data, offsets), strict=True)
            out |= {offset for offset, length in sizes if length > LARGEST_MESSAGE + MESSAGE_HEAD}
        if self._redaction.positions and any(name.encode() in found.data for name in POSITION_NAMES):
            sizes = zip(offsets, lengths(found.data, offsets), strict=True)
            out |= {at for at, length in sizes if has_position(found.data[at + MESSAGE_HEAD : at + length])}
        return out

    def write(self, path: Path) -> int:
        """Write everything, in order of time; the number of messages."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # of a collector that was killed
        metadata: dict[str, str] = {}
        for source in self._sources:
            metadata = source.metadata | metadata
        file = ChunkFile(path, metadata, self._channels)
        try:
            for chunk in sorted(self._chunks, key=lambda chunk: chunk.info.start_ns):
                file.write(chunk)
        except OSError:
            file.abandon()
            raise
        file.finish()
        return sum(chunk.messages for chunk in self._chunks)


def _is_picture(records: ChannelRecords) -> bool:
    schema = schema_of(records.schema)
    return schema is not None and schema[1] in PICTURES


def _seconds(place: Place) -> float:
    return (place.last_ns - place.first_ns) / NS_PER_S


def _topics(plan: Plan, *, pictures: bool) -> set[str]:
    return {topic for topic, output in plan.topics().items() if pictures or output.type != CAMERA_FRAME}
