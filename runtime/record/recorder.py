"""The recorder node: every topic into the run's MCAP file; a full or broken disk never stops anything else."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, ParamSpec

import msgspec

from cardan.runtime.bus.envelope import Sample
from cardan.runtime.bus.ports import Input, Metric
from cardan.runtime.clock import ns
from cardan.runtime.errors import BusError
from cardan.runtime.messages import AnyMessage
from cardan.runtime.node.node import Node, NodeConfig, NodeContext
from cardan.runtime.record.files import evict, next_part, recordings_dir
from cardan.runtime.record.recording import Recording
from cardan.runtime.record.repair import repair_steps, unfinished

P = ParamSpec("P")

CHUNK_S = 0.25
"""What SIGKILL of the recorder may cost: a chunk is closed before its oldest message is older than this."""

REPAIR_SLICE_S = 0.02
"""How long the repair of earlier files may delay a step; only the end of a repair waits for the disk."""

REPAIR_AT_CLOSE_S = 1.0


class RecorderConfig(NodeConfig, frozen=True):
    """Settings of the recorder."""

    quota_bytes: Annotated[int, msgspec.Meta(ge=1 << 20)] = 4 << 30
    """For all recordings of this computer together; the oldest go first."""
    file_bytes: Annotated[int, msgspec.Meta(ge=1 << 16)] = 256 << 20
    """A run continues in a new file at this size, so that the quota has something to take."""
    frame_decimation: Annotated[int, msgspec.Meta(ge=1)] = 1
    """Every n-th camera frame is recorded."""
    jpeg_quality: Annotated[int, msgspec.Meta(ge=1, le=95)] = 80
    sync_s: Annotated[float, msgspec.Meta(gt=0)] = 2.0
    """What a power cut may cost, beside the open chunk."""
    retry_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    """After an error of the disk: when to try again."""


class Recorder(Node):
    """Record every topic of the run."""

    config: RecorderConfig
    preload = ("PIL.Image", "zstandard")
    rate_hz = 10.0
    everything = Input(AnyMessage, queue=20000, many=True)
    messages = Metric("messages")
    written = Metric("bytes")
    dropped = Metric("messages")

    _recording: Recording | None = None

    def open(self) -> None:
        self._folder = recordings_dir(self.context.data_dir)
        self._metadata = _metadata(self.context)
        self._repairs = _no_repairs()
        self._counted: tuple[int, int] = (0, 0)
        self._last_ns = self._synced_ns = self._retry_ns = self.clock.now_ns()
        self._guarded(self._start)

    def step(self) -> None:
        self._record(self._take())
        if self._recording is None and self.clock.now_ns() >= self._retry_ns:
            self._guarded(self._start)
        self._guarded(self._keep_house)
        self._repair_for(REPAIR_SLICE_S)
        self._last_ns = self.clock.now_ns()

    def close(self) -> None:
        if self._recording is None:
            return
        self._record(self._take())
        self._guarded(self._finish)
        self._repair_for(REPAIR_AT_CLOSE_S)
        self._repairs.close()

    def _take(self) -> deque[Sample[AnyMessage]]:
        try:
            return deque(sorted(self.everything.take(), key=lambda sample: sample.sent_ns))
        except BusError as error:
            self.dropped.observe(1)
            self.report_fault("recorder-undecodable", error.message)
            return deque()

    def _record(self, samples: deque[Sample[AnyMessage]]) -> None:
        self._guarded(self._write, samples)
        if samples:
            self.dropped.observe(len(samples))

    def _write(self, samples: deque[Sample[AnyMessage]]) -> None:
        """Write and remove samples one by one, so that what is left after an error is what no file took."""
        recording = self._recording
        while recording is not None and samples:
            try:
                recording.write(samples[0])
            except TypeError as error:
                self.dropped.observe(1)
                self.report_fault("recorder-no-json", f"{samples[0].topic}: {error}")
            samples.popleft()

    def _keep_house(self) -> None:
        recording, now_ns = self._recording, self.clock.now_ns()
        if recording is None:
            return
        recording.end_chunk_if_due(now_ns, ns(CHUNK_S) - (now_ns - self._last_ns))
        self._count(recording)
        if recording.bytes_written >= self.config.file_bytes:
            self._finish()
            self._start()
        elif now_ns - self._synced_ns >= ns(self.config.sync_s):
            recording.sync()
            self._synced_ns = now_ns
            evict(self._folder, self.config.quota_bytes)

    def _count(self, recording: Recording) -> None:
        saved, written = recording.saved, recording.bytes_written
        self.messages.observe(saved - self._counted[0])
        self.written.observe(written - self._counted[1])
        self._counted = (saved, written)

    def _start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        evict(self._folder, self.config.quota_bytes)
        self._repairs = _repair_all(unfinished(self._folder))
        self._recording = Recording(
            next_part(self.context.data_dir, self.context.run_id),
            self._metadata,
            wall_offset_ns=self.clock.wall_ns() - self.clock.now_ns(),
            frame_decimation=self.config.frame_decimation,
            jpeg_quality=self.config.jpeg_quality,
        )
        self._counted = (0, 0)

    def _finish(self) -> None:
        recording = self._recording
        if recording is not None:
            recording.finish()
            self._count(recording)
            self._recording = None

    def _guarded(self, action: Callable[P, None], *arguments: P.args, **named: P.kwargs) -> None:
        """Do `action`; an error of the disk ends the recording for a while, and nothing else."""
        try:
            action(*arguments, **named)
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        recording, self._recording = self._recording, None
        self._retry_ns = self.clock.now_ns() + ns(self.config.retry_s)
        if recording is not None:
            recording.abandon()
            self.dropped.observe(recording.messages - recording.saved)
        text = f"nothing is recorded in {self._folder} for {self.config.retry_s:g} s: {error.strerror}"
        self.report_fault("recorder-disk", text)

    def _repair_for(self, duration_s: float) -> None:
        """Go on with the repair of earlier files; a failure leaves the file as it is."""
        deadline_ns = self.clock.now_ns() + ns(duration_s)
        for failure in self._repairs:
            if failure is not None:
                self.report_fault("recording-repair", failure)
            if self.clock.now_ns() >= deadline_ns:
                return


def _no_repairs() -> Generator[str | None, None, None]:
    yield from ()


def _repair_all(paths: list[Path]) -> Generator[str | None, None, None]:
    """Repair one file after the other, record by record; yields a text where a file could not be repaired."""
    for path in paths:
        try:
            for _ in repair_steps(path):
                yield None
        except OSError as error:
            yield f"{path} stays unfinished: {error.strerror}"


def _metadata(context: NodeContext) -> dict[str, str]:
    """What a recording says about its run."""
    plan: dict[str, Any] = msgspec.json.decode(context.plan_json) if context.plan_json else {}
    return {
        "run_id": context.run_id,
        "vehicle": str(plan.get("name", "")),
        "manifest": str(plan.get("manifest", "")),
        "manifest_sha256": str(plan.get("manifest_sha256", "")),
        "profile": context.profile.name,
        "envelope_hash": context.envelope_hash,
        "cardan_version": _version(),
        "plan": context.plan_json.decode(),
    }


def _version() -> str:
    try:
        return version("cardan")
    except PackageNotFoundError:
        return "unknown"
