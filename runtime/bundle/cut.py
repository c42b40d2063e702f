"""Parts of recordings for a bundle: some seconds around each fault, the newest first, until the room is used up.

A part is an MCAP file of its own with the metadata of the recording; it is finished like one whose recorder was killed.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from cardan.runtime.bundle.job import Job
from cardan.runtime.bundle.redact import has_position
from cardan.runtime.clock import ns
from cardan.runtime.log.read import read_log
from cardan.runtime.log.record import LogRecord
from cardan.runtime.plan import Plan
from cardan.runtime.record.window import CHANNEL, CHUNK, MAGIC, MESSAGE, SCHEMA, Inner, channel_of, inside, parts

AROUND_NS = ns(15.0)
LAST_NS = ns(15.0)
MOST_SPANS = 20
LARGEST_MESSAGE = 64 << 10
HEADER, METADATA = 1, 12
CAMERA_FRAME = "cardan.runtime.messages:CameraFrame"
_RECORD = struct.Struct("<BQ")
_MESSAGE = struct.Struct("<HIQQ")

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
    cutter = Cutter(job, limit_bytes)
    taken = 0
    for span in wanted:
        if not all(cutter.add(path, span) for path in paths):
            break
        taken += 1
    written = cutter.write(job.folder / "recordings" / f"{job.run_id}.mcap")
    kinds = "without pictures" if job.redaction.pictures else "with pictures"
    return f"{written} messages of {taken} of {len(wanted)} spans around faults, {kinds}"


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
    """Collects chunks of spans in memory, at most about the limit."""

    def __init__(self, job: Job, limit_bytes: int) -> None:
        self._job = job
        self._left = limit_bytes
        self._wanted = _topics(job.plan, pictures=not job.redaction.pictures)
        self._head: list[bytes] = []
        self._announced: dict[int, bytes] = {}
        self._schemas: dict[int, bytes] = {}
        self._chunks: list[tuple[int, bytes]] = []
        self.messages = 0

    def add(self, path: Path, span: Span) -> bool:
        """Take the part of a file that lies in the span; False when there is no room for more."""
        channels: dict[int, str] = {}
        is_known = lambda: self._wanted <= set(channels.values())  # noqa: E731 - it closes over channels
        with suppress(OSError):
            for part in parts(path, *span, is_known):
                if part.opcode in (HEADER, METADATA) and len(self._head) < 8:
                    self._head.append(_framed(part.opcode, part.content))
                if part.opcode == CHUNK and not self._add_chunk(inside(part.content), channels, span):
                    return False
        return True

    def _add_chunk(self, records: Iterator[Inner], channels: dict[int, str], span: Span) -> bool:
        body: list[bytes] = []
        first_ns, last_ns = 1 << 63, 0
        for opcode, content in records:
            if opcode == MESSAGE and len(content) >= _MESSAGE.size:
                number, _, log_ns, _ = _MESSAGE.unpack_from(content)
                if span[0] <= log_ns <= span[1] and self._takes(channels.get(number, ""), content[_MESSAGE.size :]):
                    body += (_RECORD.pack(MESSAGE, len(content)), content.tobytes())
                    first_ns, last_ns = min(first_ns, log_ns), max(last_ns, log_ns)
            elif opcode == SCHEMA:
                self._schemas.setdefault(int.from_bytes(content[:2], "little"), content.tobytes())
            elif opcode == CHANNEL and (found := channel_of(content)) is not None:
                channels[found[0]] = found[1].topic
                self._announced.setdefault(found[0], content.tobytes())
        if not body:
            return True
        chunk = _chunk(self._job.redaction.of_binary(b"".join(body)), first_ns, last_ns)
        if len(chunk) > self._left:
            return False
        self._left -= len(chunk)
        self._chunks.append((first_ns, chunk))
        self.messages += len(body) // 2
        return True

    def _takes(self, topic: str, content: memoryview) -> bool:
        if topic not in self._wanted or (len(content) > LARGEST_MESSAGE and self._job.redaction.pictures):
            return False
        return not (self._job.redaction.positions and has_position(bytes(content)))

    def write(self, path: Path) -> int:
        """Write everything, in order of time, and finish the file; the number of messages."""
        from cardan.runtime.record.repair import repair

        path.parent.mkdir(parents=True, exist_ok=True)
        announced = [_framed(SCHEMA, data) for data in self._schemas.values()]
        announced += [_framed(CHANNEL, data) for data in self._announced.values()]
        with path.open("wb") as file:
            file.write(MAGIC)
            file.write(b"".join(dict.fromkeys(self._head)))
            file.write(_chunk(b"".join(announced), 0, 0) if announced else b"")
            for _, chunk in sorted(self._chunks, key=lambda item: item[0]):
                file.write(chunk)
        repair(path)
        return self.messages


def _topics(plan: Plan, *, pictures: bool) -> set[str]:
    return {topic for topic, output in plan.topics().items() if pictures or output.type != CAMERA_FRAME}


def _framed(opcode: int, content: bytes) -> bytes:
    return _RECORD.pack(opcode, len(content)) + content


def _chunk(data: bytes, first_ns: int, last_ns: int) -> bytes:
    import zstandard

    packed = zstandard.compress(data, 1)
    head = struct.pack("<QQQI", first_ns, last_ns, len(data), zlib.crc32(data))
    return _framed(CHUNK, head + struct.pack("<I", 4) + b"zstd" + struct.pack("<Q", len(packed)) + packed)
