"""`cardan can health`: a verdict on each CAN channel, with what is wrong and what helps."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator

import msgspec

from cardan.drivers.can.link_state import read_links
from cardan.firmware_bridge.cli.can_decode import reader_for
from cardan.firmware_bridge.cli.can_filter import frame_filter
from cardan.firmware_bridge.cli.can_findings import Facts, findings
from cardan.firmware_bridge.cli.can_health_view import HEALTHY, document_of, health_lines, verdict_of
from cardan.firmware_bridge.cli.can_source import Batch, FrameSource, recorded_links
from cardan.firmware_bridge.cli.can_stream import Limits, limits_of, no_frame, stream
from cardan.firmware_bridge.cli.can_target import Failures, Target, find_target, readers_of
from cardan.firmware_bridge.cli.can_traffic import Traffic, missing_and_slow
from cardan.firmware_bridge.frame_reader import FrameReader
from cardan.runtime.can_health import CanLink
from cardan.runtime.cli import units
from cardan.runtime.cli.exits import Exit, NoDataError
from cardan.runtime.cli.lines import write_lines
from cardan.runtime.cli.runs import FoundRun
from cardan.runtime.cli.snapshot import NodeShot
from cardan.runtime.clock import NS_PER_S, Clock, MonotonicClock
from cardan.runtime.profile import CanChannelSettings

LISTEN_S = 2.0
DROPPED = "frames_dropped"
"""Metric of the nodes that read a channel."""


def run(arguments: argparse.Namespace) -> int:
    """Listen, judge, print; 1 when there is a finding, 3 when there is nothing to judge."""
    clock = MonotonicClock()
    target = find_target(arguments, clock)
    readers = readers_of(arguments, target)
    limits = limits_of(arguments.duration)
    if target.live and limits == Limits():
        limits = Limits(None, LISTEN_S)
    heard = Heard(target, readers, arguments.channel)
    heard.listen(limits, clock)
    documents = [document_of(facts, findings(facts), readers) for facts in heard.facts(clock)]
    verdict = verdict_of(documents)
    if arguments.json:
        document = {"schema_version": 1, "verdict": verdict, "source": target.title, "live": target.live}
        document["channels"] = documents
        sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    else:
        write_lines(health_lines(verdict, target.title, documents), sys.stdout)
    return int(Exit.HEALTHY if verdict == HEALTHY else Exit.FINDING)


class Heard:
    """What one target said while it was listened to."""

    def __init__(self, target: Target, readers: dict[str, FrameReader], channel: str | None) -> None:
        self._target = target
        self._readers = readers
        self._channel = channel
        names = [name for name in target.channels if channel in (None, name)]
        self._traffic = {name: Traffic() for name in names}
        self._failures: Failures = {}
        self._listened_s = 0.0

    def listen(self, limits: Limits, clock: Clock) -> None:
        """Take frames until a limit. NoDataError for a file that has none.

        A bus that is silent is a finding, and so is a run that recorded nothing: its vitals still tell something.
        """
        started_ns = clock.now_ns()
        many = self._target.batches if limits == Limits() else None
        try:
            batches = many() if many is not None else None
            source = self._target.open(self._failures) if batches is None else None
        except NoDataError as error:
            if self._target.run is None:
                raise
            self._failures = dict.fromkeys(self._traffic, error)
            return
        if batches is not None:
            self._read(batches)
        elif source is not None:
            self._stream(source, limits, clock)
        self._listened_s = (clock.now_ns() - started_ns) / NS_PER_S

    def _stream(self, source: FrameSource, limits: Limits, clock: Clock) -> None:
        wanted = frame_filter([], self._channel)
        try:
            for frames in stream(source, wanted, limits, clock, quiet=True) if self._can_listen else ():
                for logged in frames:
                    name = logged.frame.channel
                    traffic = self._traffic.setdefault(name, Traffic())
                    traffic.see(logged, reader_for(self._readers, name))
        except NoDataError:
            if not self._target.live:
                raise
        finally:
            source.close()

    def _read(self, batches: Iterator[Batch]) -> None:
        """All that is stored, in columns. NoDataError when there is no frame."""
        from cardan.firmware_bridge.cli.can_columns import Columns

        columns: dict[str, Columns] = {}
        known = self._target.channels
        for offset_ns, frames in batches:
            names = dict.fromkeys([frame.channel for frame in frames])
            for name in names:
                if (known and name not in known) or self._channel not in (None, name):
                    continue
                if name not in columns:
                    traffic = self._traffic.setdefault(name, Traffic())
                    columns[name] = Columns(traffic, reader_for(self._readers, name))
                own = frames if len(names) == 1 else [frame for frame in frames if frame.channel == name]
                columns[name].see(own, offset_ns)
        if not columns:
            raise no_frame()

    @property
    def _can_listen(self) -> bool:
        return len(self._failures) < len(self._target.channels) or not self._target.channels

    def facts(self, clock: Clock) -> list[Facts]:
        """What is known of each channel."""
        links = self._links()
        return [self._facts_of(name, traffic, links, clock) for name, traffic in self._traffic.items()]

    def _facts_of(self, name: str, traffic: Traffic, links: dict[str, CanLink], clock: Clock) -> Facts:
        settings, link = self._target.channels.get(name), links.get(name)
        duration_s = self._listened_s if self._target.live else traffic.span_s
        if name in self._failures:
            duration_s = 0.0
        reader = reader_for(self._readers, name)
        expected = reader.expected if reader is not None else []
        missing, slow = missing_and_slow(traffic, expected, duration_s)
        nodes = _nodes(self._target.run, name, clock) if self._target.run is not None else []
        return Facts(
            channel=name,
            settings=settings,
            link=link,
            live=self._target.live,
            traffic=traffic,
            duration_s=duration_s,
            load=_load(traffic, duration_s, settings, link),
            trouble=self._failures.get(name),
            missing=missing,
            relied_on={item.message for item in expected if item.relied_on},
            slow=slow,
            dropped=sum(dropped_of(node) for node in nodes),
            reports=[report for node in nodes if (report := report_of(node, name))],
            kernel=os.uname().release,
        )

    def _links(self) -> dict[str, CanLink]:
        """Channel -> what the kernel says of its interface now; of the last run, what it said then."""
        run = self._target.run
        if self._target.live:
            links = read_links()
            devices = {name: settings.channel for name, settings in self._target.channels.items()}
            return {name: links[device] for name, device in devices.items() if device in links}
        if run is None:
            return {}
        from cardan.runtime.record.files import recording_paths

        return recorded_links(recording_paths(run.data_dir, run.run_id)) if run.run_id else {}


def _load(
    traffic: Traffic, duration_s: float, settings: CanChannelSettings | None, link: CanLink | None
) -> float | None:
    """The bit rate is the kernel's, else the profile's; a file tells none."""
    bitrate = (link.bitrate if link is not None else None) or (settings.bitrate if settings is not None else None)
    return traffic.load(duration_s, bitrate, link.data_bitrate if link is not None else None) if bitrate else None


def _nodes(run: FoundRun, channel: str, clock: Clock) -> list[NodeShot]:
    """The nodes of a run that open a channel."""
    return [node for node in run.snapshot(clock).nodes if channel in node.plan.channels]


def dropped_of(node: NodeShot) -> int:
    """In whole frames: the sum of a metric is kept in millionths."""
    return sum(round(series.sum / 1_000_000) for series in node.series if series.plan.name == DROPPED)


def report_of(node: NodeShot, channel: str) -> str:
    """The first fault that a node reported, when it speaks of this channel; empty otherwise."""
    if node.fault is None or channel not in node.fault[2] or not node.fault[1].startswith("can-"):
        return ""
    after_s = (node.fault[0] - node.started_ns) / NS_PER_S
    return f"{node.plan.name} reported {units.duration(after_s)} after its start: {node.fault[2]}"
