"""The recorder node: topics into the run's MCAP file and into clips of triggers; the disk never stops anything else.

The node sorts, encodes and looks at triggers; a thread of its own compresses, writes and syncs. What waits for a slow
disk is bounded, and what is beyond that is dropped and counted.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import msgspec

from cardan.runtime.bus.envelope import Sample
from cardan.runtime.bus.ports import Input, Metric
from cardan.runtime.clock import NS_PER_S, ns
from cardan.runtime.errors import BusError
from cardan.runtime.findings import Objection
from cardan.runtime.messages import AnyMessage
from cardan.runtime.node.node import Node, NodeConfig
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.record.about import about
from cardan.runtime.record.archive import Archive, ArchiveSettings
from cardan.runtime.record.channels import Channels
from cardan.runtime.record.files import recording_paths, recordings_dir
from cardan.runtime.record.mcap_chunk import ChunkBuilder
from cardan.runtime.record.mcap_writer import CHUNK_BYTES, OFFSET_KEY, ChunkFile
from cardan.runtime.record.policy import Place, Sorter, keyframe_lead_s, policy_of
from cardan.runtime.record.repair import no_repairs, repair_all, unfinished
from cardan.runtime.record.review import review, types_of
from cardan.runtime.record.settings import RecorderConfig
from cardan.runtime.record.step_tap import StepTap
from cardan.runtime.record.triggers import Triggers
from cardan.runtime.record.video.child import Coded
from cardan.runtime.record.video.tracks import Track, Tracks
from cardan.runtime.record.worker import Worker
from cardan.runtime.run import RunPaths

CHUNK_S = 0.15
"""A chunk is closed before its oldest message is older than this: with the time that the disk takes for it, SIGKILL of
the recorder and a power cut cost a quarter of a second."""

REPAIR_SLICE_S = 0.02
"""How long the repair of earlier files may delay a step; only the end of a repair waits for the disk."""

REPAIR_AT_CLOSE_S = 0.3
ENCODERS_CLOSE_S = 0.5
"""How long encoders may take for the pictures that are in them when the run ends."""
CLOSE_S = 1.5
"""How long encoders and the disk may take together for what is left when the run ends."""


class Recorder(Node):
    """Record the topics of the run, each as its policy says."""

    config: RecorderConfig
    preload = ("PIL.Image", "zstandard")
    rate_hz = 10.0
    everything = Input(AnyMessage, queue=20000, many=True)
    messages = Metric("messages")
    written = Metric("bytes")
    encoded = Metric("frames")
    dropped = Metric("messages")
    clips = Metric("clips")

    @classmethod
    def review(cls, plan: Plan, node: NodePlan) -> list[Objection]:
        """Policies and triggers must fit the topics."""
        return review(plan, node)

    @classmethod
    def wants_step_notes(cls, config: NodeConfig) -> bool:
        """Unless the settings say otherwise."""
        return isinstance(config, RecorderConfig) and config.steps

    def open(self) -> None:
        config, context = self.config, self.context
        plan = msgspec.json.decode(context.plan_json, type=Plan)
        self._folder = recordings_dir(context.data_dir)
        self._triggers = Triggers(config.triggers, types_of(plan, self._topics(plan)))
        self._sorter = Sorter(config.topics, clips=bool(config.triggers))
        wall_offset_ns = self.clock.wall_ns() - self.clock.now_ns()
        self._channels = Channels(
            wall_offset_ns=wall_offset_ns, jpeg_quality=config.jpeg_quality, is_raw=self._keeps_pixels
        )
        self._tracks = Tracks(
            config.topics,
            context.profile.video,
            self._rate_of(plan),
            limit_bytes=config.buffer_bytes,
            trouble=self._video_trouble,
        )
        self._video_troubles: dict[str, str] = {}
        self._lost_in_encoders = 0
        self._cut_streams: set[str] = set()
        self._chunks = {Place.RUN: ChunkBuilder(), Place.CLIPS: ChunkBuilder()}
        self._archive = self._make_archive(wall_offset_ns)
        paths = RunPaths(context.run_dir, context.data_dir)
        first = not recording_paths(context.data_dir, context.run_id)
        self._steps = StepTap(plan, paths.bus, from_start=first) if config.steps else None
        self._trouble: OSError | None = None
        self._seen: tuple[int, int, int, int] = (0, 0, 0, 0)
        self._repairs = no_repairs()
        self._retry_ns: int | None = None
        self._last_ns = self._synced_ns = self._evicted_ns = self.clock.now_ns()
        self._worker = Worker("cardan-recorder", config.buffer_bytes, self._failed)
        self._begin(0)

    def step(self) -> None:
        self._record(self._take())
        self.everything.release()
        self._record_videos()
        now_ns = self.clock.now_ns()
        for roll in self._triggers.tick(now_ns):
            self._fire(roll)
        self._close_chunks(now_ns, ns(CHUNK_S) - (now_ns - self._last_ns))
        self._keep_house(now_ns)
        self._count()
        self._repair_for(REPAIR_SLICE_S)
        self._last_ns = self.clock.now_ns()

    def close(self) -> None:
        if not hasattr(self, "_worker") or self._worker.ended:
            return
        began_ns = self.clock.now_ns()
        self._record(self._take())
        self._tracks.close(ENCODERS_CLOSE_S)
        self._record_videos()
        self._close_chunks(0, -1)
        self._worker.put(self._archive.finish, large=True)
        if self._steps is not None:
            self._steps.close()
        left_s = max(CLOSE_S - ENCODERS_CLOSE_S, CLOSE_S - (self.clock.now_ns() - began_ns) / NS_PER_S)
        if not self._worker.close(left_s):
            self.report_fault("recorder-disk", f"the disk did not take what was left within {left_s:.1f} s")
        self._look_after_trouble()
        self._count()
        self._repair_for(REPAIR_AT_CLOSE_S)
        self._repairs.close()

    def settle(self, timeout_s: float = 10.0) -> bool:
        """Wait until all that was closed so far has been written; for tests and benchmarks."""
        return self._worker.settle(timeout_s)

    def _topics(self, plan: Plan) -> list[str]:
        node = next((node for node in plan.nodes if node.name == self.context.name), None)
        return [] if node is None else [topic for item in node.inputs for topic in item.topics]

    def _keeps_pixels(self, topic: str) -> bool:
        return policy_of(topic, self.config.topics).keeps_pixels()

    @staticmethod
    def _rate_of(plan: Plan) -> Callable[[str], float]:
        rates = {node.name: node.rate_hz for node in plan.nodes}
        return lambda topic: rates.get(topic.partition("/")[0]) or 0.0

    def _make_archive(self, wall_offset_ns: int) -> Archive:
        config, context = self.config, self.context
        settings = ArchiveSettings(
            data_dir=context.data_dir,
            run_id=context.run_id,
            metadata={**about(context), OFFSET_KEY: str(wall_offset_ns)},
            file_bytes=config.file_bytes,
            quota_bytes=config.quota_bytes,
            clip_quota_bytes=config.own_clip_quota_bytes,
            preroll_ns=self._triggers.longest_before_ns,
            preroll_bytes=config.preroll_bytes,
            lead_ns=ns(keyframe_lead_s(config.topics)) if config.triggers else 0,
        )
        return Archive(settings, lambda path, metadata: ChunkFile(path, metadata, self._channels.records))

    def _take(self) -> list[Sample[AnyMessage]]:
        try:
            return sorted(self.everything.take(), key=lambda sample: sample.sent_ns)
        except BusError as error:
            self.dropped.observe(1)
            self.report_fault("recorder-undecodable", error.message)
            return []

    def _record(self, samples: list[Sample[Any]]) -> None:
        for notes in self._steps.take() if self._steps is not None else ():
            self._write(Place.RUN, notes)
        for sample in samples:
            place = self._sorter.place(sample.topic, sample.sent_ns)
            if place is not Place.NOWHERE:
                self._write(place, sample)
            for roll in self._triggers.look(sample):
                self._fire(roll)

    def _write(self, place: Place, sample: Sample[Any]) -> None:
        chunk = self._chunks[place]
        if self._tracks.any and self._went_to_encoder(place, sample):
            return
        try:
            if self._channels.of(sample).form is None:
                self._write_raw(place, sample)
            else:
                self._channels.add(chunk, sample)
        except TypeError as error:
            self.dropped.observe(1)
            self.report_fault("recorder-no-json", f"{sample.topic}: {error}")
        if chunk.size >= CHUNK_BYTES:
            self._close_chunk(place)

    def _went_to_encoder(self, place: Place, sample: Sample[Any]) -> bool:
        """Whether that is all that becomes of a message; False: it is to be written as it is."""
        if self._tracks.offer(place, sample):
            return True
        if not self._tracks.keeps_nothing_else(sample):
            return False
        self.dropped.observe(1)
        return True

    def _write_raw(self, place: Place, sample: Sample[Any]) -> None:
        chunk = ChunkBuilder()
        self._channels.add(chunk, sample)
        self._put_picture(place, chunk)

    def _put_picture(self, place: Place, chunk: ChunkBuilder) -> bool:
        """A picture is a chunk of its own; it waits until no telemetry does."""
        of_run, closed = place is Place.RUN, chunk.close(compress=False)
        taken = self._worker.put(lambda: self._archive.add(closed, of_run=of_run), closed.size, large=True)
        if not taken:
            self._refused(closed.messages)
        return taken

    def _record_videos(self) -> None:
        """What the encoders have given, and what they have lost."""
        for track, coded in self._tracks.take():
            self.encoded.observe(1)
            self._write_coded(track, coded)
        lost = self._tracks.lost()
        if lost != self._lost_in_encoders:
            self.dropped.observe(lost - self._lost_in_encoders)
            self._lost_in_encoders = lost
        troubles, self._video_troubles = self._video_troubles, {}
        for topic, reason in troubles.items():
            kept = policy_of(topic, self.config.topics).fallback
            how = "not kept" if kept == "none" else f"kept as {kept}"
            self.report_fault("recorder-video", f"{reason}; pictures of {topic} are {how} meanwhile")

    def _write_coded(self, track: Track, coded: Coded) -> None:
        """A picture that was refused takes all with it that need it: up to the next that stands for itself."""
        if track.topic in self._cut_streams and not coded.unit.keyframe:
            self.dropped.observe(1)
            return
        self._cut_streams.discard(track.topic)
        chunk = ChunkBuilder()
        self._channels.add_video(chunk, track, coded)
        if not self._put_picture(track.place, chunk):
            self._cut_streams.add(track.topic)

    def _video_trouble(self, topic: str, reason: str) -> None:
        """In the thread of an encoder."""
        self._video_troubles[topic] = reason

    def _close_chunks(self, now_ns: int, age_ns: int) -> None:
        for place, chunk in self._chunks.items():
            if age_ns < 0 or now_ns - chunk.oldest_ns > age_ns:
                self._close_chunk(place)

    def _close_chunk(self, place: Place) -> None:
        chunk = self._chunks[place]
        if not chunk.size:
            return
        self._chunks[place] = ChunkBuilder()
        of_run = place is Place.RUN

        def keep() -> None:
            self._archive.add(chunk.close(compress=True), of_run=of_run)

        if not self._worker.put(keep, chunk.size):
            self._refused(chunk.messages)

    def _refused(self, messages: int) -> None:
        """The disk is so slow that too much waits for it."""
        self.dropped.observe(messages)
        self.report_condition("recorder-slow", f"the disk is too slow for {self._folder}: messages are dropped")
        self.report_fault("recorder-slow", f"the disk is too slow for {self._folder}: messages were dropped")

    def _fire(self, roll: Any) -> None:
        self.log.info("trigger %s: %s", roll.name, roll.when)
        self._worker.put(lambda: self._archive.trigger(roll))

    def _keep_house(self, now_ns: int) -> None:
        self._look_after_trouble()
        if self._retry_ns is not None and now_ns >= self._retry_ns:
            full = self._trouble_errno == errno.ENOSPC
            self._begin(min(self.config.file_bytes, self.config.quota_bytes) if full else 0)
        if now_ns - self._synced_ns >= ns(self.config.sync_s):
            self._synced_ns = now_ns
            self._worker.put(self._archive.sync)
        if now_ns - self._evicted_ns >= ns(self.config.evict_s):
            self._evicted_ns = now_ns
            self._worker.put(self._archive.keep_quota)

    def _begin(self, room_bytes: int) -> None:
        """Open the next file, and look for earlier ones that were cut off."""
        self._retry_ns = None
        self._worker.put(lambda: self._archive.begin(room_bytes))
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._repairs = repair_all(unfinished(self._folder))
        except OSError:
            self._repairs = no_repairs()  # the worker meets the same trouble, and tells

    def _failed(self, error: OSError) -> None:
        """In the worker: end what was being written."""
        self._archive.abandon()
        self._trouble = error

    def _look_after_trouble(self) -> None:
        error, self._trouble = self._trouble, None
        if error is None:
            return
        self._trouble_errno = error.errno
        self._retry_ns = self.clock.now_ns() + ns(self.config.retry_s)
        text = f"nothing is recorded in {self._folder} for {self.config.retry_s:g} s: {error.strerror}"
        self.report_condition("recorder-disk", text)
        self.report_fault("recorder-disk", text)

    def _count(self) -> None:
        """Bring the worker's counts into the vitals."""
        counts = self._archive.counts
        now = (counts.saved, counts.bytes, counts.dropped, counts.clips)
        meters = (self.messages, self.written, self.dropped, self.clips)
        for meter, value, before in zip(meters, now, self._seen, strict=True):
            if value != before:
                meter.observe(value - before)
        if now[0] != self._seen[0] and self._retry_ns is None and now[2] == self._seen[2]:
            self.report_condition("")
        self._seen = now

    def _repair_for(self, duration_s: float) -> None:
        """Go on with the repair of earlier files; a failure leaves the file as it is."""
        deadline_ns = self.clock.now_ns() + ns(duration_s)
        for failure in self._repairs:
            if failure is not None:
                self.report_fault("recording-repair", failure)
            if self.clock.now_ns() >= deadline_ns:
                return
