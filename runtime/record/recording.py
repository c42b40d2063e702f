"""One open recording in one file: samples of any topic, in the order in which they are given."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from cardan.runtime.bus.envelope import Sample
from cardan.runtime.messages import Message
from cardan.runtime.record.channels import Channels
from cardan.runtime.record.mcap_chunk import ChunkBuilder
from cardan.runtime.record.mcap_writer import CHUNK_BYTES, OFFSET_KEY, ChunkFile

M = TypeVar("M", bound=Message)


class Recording:
    """Writes samples to one MCAP file. Errors of the disk (OSError) pass through. jpeg_quality: 1..95."""

    def __init__(self, path: Path, metadata: dict[str, str], *, wall_offset_ns: int, jpeg_quality: int) -> None:
        self._channels = Channels(wall_offset_ns=wall_offset_ns, jpeg_quality=jpeg_quality)
        self._file = ChunkFile(path, {**metadata, OFFSET_KEY: str(wall_offset_ns)}, self._channels.records)
        self._chunk = ChunkBuilder()

    def write(self, sample: Sample[M]) -> None:
        """Add one sample. TypeError when the message has a field without a JSON form: nothing is written then."""
        self._channels.add(self._chunk, sample)
        if self._chunk.size >= CHUNK_BYTES:
            self.end_chunk()

    def end_chunk(self) -> None:
        """Close the open chunk: what was written so far survives SIGKILL."""
        if self._chunk.size:
            chunk, self._chunk = self._chunk, ChunkBuilder()
            self._file.write(chunk.close(compress=True))

    def finish(self) -> None:
        """Write what is left, index and footer, sync, close."""
        self.end_chunk()
        self._file.finish()

    def abandon(self) -> None:
        """Close the file as it is; `repair` makes it readable."""
        self._file.abandon()
