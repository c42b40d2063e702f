"""Where chunks go: into the file of the run, into memory for a while, and into the clips of triggers.

Does the slow work of a recording (compress, write, sync); the recorder lets a thread of its own do it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cardan.runtime.clock import ns
from cardan.runtime.record.files import evict, free_room, next_clip, next_part, recordings_dir
from cardan.runtime.record.mcap_chunk import Chunk
from cardan.runtime.record.mcap_writer import ChunkFile
from cardan.runtime.record.preroll import PreRoll
from cardan.runtime.record.triggers import Roll

LATE_NS = ns(2.0)
"""A clip stays open for so long after its end: pictures come behind telemetry that was sent later."""

LONGEST_CLIP_S = 300.0
"""A clip whose trigger fires again and again ends after so long, and the next one begins."""


@dataclass
class Counts:
    """What has become of the messages so far. One thread writes, another one reads."""

    saved: int = 0
    """Messages in the files of the run, in chunks that a kill does not take."""
    bytes: int = 0
    """Of all files."""
    dropped: int = 0
    clips: int = 0


@dataclass(frozen=True, kw_only=True)
class ArchiveSettings:
    """What an archive is made with."""

    data_dir: Path
    run_id: str
    metadata: dict[str, str]
    file_bytes: int
    quota_bytes: int
    clip_quota_bytes: int
    preroll_ns: int
    preroll_bytes: int
    lead_ns: int = 0
    """A clip begins so much earlier than its trigger asks for: a video begins with a picture that stands for itself."""


class _Clip:
    """One clip that is being written."""

    def __init__(self, roll: Roll, from_ns: int, file: ChunkFile, limit_ns: int) -> None:
        self.file = file
        self.from_ns, self.to_ns = from_ns, roll.to_ns
        self._limit_ns = limit_ns

    def extend(self, to_ns: int) -> None:
        self.to_ns = min(max(self.to_ns, to_ns), self._limit_ns)


class Archive:
    """The files of one run. Not for two threads.

    make_file: opens a file for chunks. Errors of the disk (OSError) end what was being written; the caller calls
    `begin` again later.
    """

    def __init__(self, settings: ArchiveSettings, make_file: Callable[[Path, dict[str, str]], ChunkFile]) -> None:
        self._settings = settings
        self._folder = recordings_dir(settings.data_dir)
        self._make_file = make_file
        self._past = PreRoll(
            settings.preroll_ns + (settings.lead_ns if settings.preroll_ns else 0), settings.preroll_bytes
        )
        self._file: ChunkFile | None = None
        self._clips: dict[str, _Clip] = {}
        self.counts = Counts()

    @property
    def shortened(self) -> int:
        """Chunks that were given up before their time, since the past took too much memory."""
        return self._past.shortened

    def begin(self, room_bytes: int = 0) -> None:
        """Open the next file of the run. room_bytes: so much must be free; older recordings make place for it."""
        settings = self._settings
        self._folder.mkdir(parents=True, exist_ok=True)
        evict(self._folder, settings.quota_bytes, settings.clip_quota_bytes)
        if room_bytes:
            free_room(self._folder, room_bytes)
        self._file = self._make_file(next_part(settings.data_dir, settings.run_id), settings.metadata)
        self.counts.bytes += self._file.bytes_written

    def add(self, chunk: Chunk, *, of_run: bool) -> None:
        """Keep one closed chunk. of_run: it belongs into the file of the run, not into clips only."""
        self._past.add(chunk)
        if of_run and self._file is None:
            self.counts.dropped += chunk.messages
        if of_run and self._file is not None:
            try:
                self._write(self._file, chunk)
            except OSError:
                self.counts.dropped += chunk.messages
                raise
            self.counts.saved += chunk.messages
        for name, clip in list(self._clips.items()):
            if chunk.publish_ns[0] > clip.to_ns + LATE_NS:
                del self._clips[name]
                clip.file.finish()
            elif chunk.publish_ns[0] <= clip.to_ns and chunk.publish_ns[1] >= clip.from_ns:
                self._write(clip.file, chunk)

    def trigger(self, roll: Roll) -> None:
        """Begin the clip of a trigger, or let the one that is being written go on for longer."""
        clip = self._clips.get(roll.name)
        if clip is not None and roll.to_ns > clip.to_ns:
            clip.extend(roll.to_ns)
            return
        settings = self._settings
        self._folder.mkdir(parents=True, exist_ok=True)
        from_ns = roll.from_ns - settings.lead_ns
        past = self._past.since(from_ns)
        path = next_clip(settings.data_dir, settings.run_id, roll.kind, roll.name)
        file = self._make_file(path, {**settings.metadata, **_about(roll, past)})
        self._clips[roll.name] = _Clip(roll, from_ns, file, roll.at_ns + ns(LONGEST_CLIP_S))
        self.counts.clips += 1
        self.counts.bytes += file.bytes_written
        for chunk in past:
            self._write(file, chunk)

    def sync(self) -> None:
        """Bring everything to the disk; begin a new file when this one is long, and keep to the quota."""
        for file in self._open_files():
            file.sync()
        if self._file is not None and self._file.bytes_written >= self._settings.file_bytes:
            self._end_file()
            self.begin()

    def keep_quota(self) -> None:
        """Delete what the quota does not allow."""
        evict(self._folder, self._settings.quota_bytes, self._settings.clip_quota_bytes)

    def finish(self) -> None:
        """End every file."""
        clips, self._clips = self._clips, {}
        for clip in clips.values():
            clip.file.finish()
        self._end_file()

    def abandon(self) -> None:
        """Close every file as it is; they are repaired later."""
        files = self._open_files()
        self._file, self._clips = None, {}
        for file in files:
            file.abandon()

    def _end_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            before = file.bytes_written
            file.finish()
            self.counts.bytes += file.bytes_written - before

    def _write(self, file: ChunkFile, chunk: Chunk) -> None:
        before = file.bytes_written
        try:
            file.write(chunk)
        finally:
            self.counts.bytes += file.bytes_written - before

    def _open_files(self) -> list[ChunkFile]:
        return [*([] if self._file is None else [self._file]), *(clip.file for clip in self._clips.values())]


def _about(roll: Roll, past: list[Chunk]) -> dict[str, str]:
    """What a clip says about itself, beside its run."""
    begins_ns = min((chunk.publish_ns[0] for chunk in past), default=roll.at_ns)
    return {
        "trigger": roll.name,
        "kind": roll.kind,
        "when": roll.when,
        "fired_ns": str(roll.at_ns),
        "wanted_before_s": f"{(roll.at_ns - roll.from_ns) / 1e9:g}",
        "wanted_after_s": f"{(roll.to_ns - roll.at_ns) / 1e9:g}",
        "has_before_s": f"{max(0, roll.at_ns - begins_ns) / 1e9:.3f}",
    }
