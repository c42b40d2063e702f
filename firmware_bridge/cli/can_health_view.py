"""How `cardan can health` says what it found: the verdict first, then each channel with its findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from cardan.drivers.can.error_frames import describe
from cardan.firmware_bridge.cli.can_decode import reader_for
from cardan.firmware_bridge.cli.can_findings import Facts, Finding
from cardan.firmware_bridge.cli.can_list import device_of, rate_text
from cardan.firmware_bridge.frame_reader import FrameReader
from cardan.runtime.can_health import CanLink
from cardan.runtime.cli import units
from cardan.runtime.cli.lines import Line, safe_text

HEALTHY = "healthy"
LABEL_WIDTH = 10


class ChannelDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One channel, as `--json` prints it."""

    channel: str
    interface: str
    """Empty for a channel that only a file knows."""
    device: str
    bitrate: int | None
    link: CanLink | None
    """What the kernel says of the device: state, TEC, REC, queue; null where it has no say."""
    duration_s: float
    """Of the traffic that was judged."""
    frames: int
    rate_hz: float | None
    ids: int
    load: float | None
    """Share of the time that the bus is taken, at most."""
    error_frames: int
    newest_error: str
    checked: int
    """Frames with a checksum or counter."""
    wrong: int
    expected: int
    """Messages that should come, by the periods of vehicle and DBC."""
    missing: list[str]
    slow: list[str]
    findings: list[Finding]


def document_of(facts: Facts, found: list[Finding], readers: Mapping[str, FrameReader]) -> ChannelDocument:
    """Facts and findings of one channel, rounded."""
    settings, traffic = facts.settings, facts.traffic
    reader = reader_for(readers, facts.channel)
    bitrate = facts.link.bitrate if facts.link is not None else None
    return ChannelDocument(
        channel=facts.channel,
        interface=settings.interface if settings is not None else "",
        device=device_of(settings) if settings is not None else facts.channel,
        bitrate=bitrate or (settings.bitrate if settings is not None else None),
        link=facts.link,
        duration_s=round(facts.duration_s, 3),
        frames=traffic.frames,
        rate_hz=round(traffic.frames / facts.duration_s, 1) if facts.duration_s > 0 else None,
        ids=len(traffic.counts),
        load=round(facts.load, 4) if facts.load is not None else None,
        error_frames=traffic.error_frames,
        newest_error=describe(traffic.newest_error) if traffic.newest_error is not None else "",
        checked=traffic.checked,
        wrong=sum(traffic.wrong.values()),
        expected=sum(bool(item.period_s) for item in reader.expected) if reader is not None else 0,
        missing=facts.missing,
        slow=facts.slow,
        findings=found,
    )


def verdict_of(documents: Sequence[ChannelDocument]) -> str:
    """`healthy`, or the first of the worst findings with its channel."""
    rows = [(item, document) for document in documents for item in document.findings if item.severity != "note"]
    if not rows:
        return HEALTHY
    worst, where = next((row for row in rows if row[0].severity == "bad"), rows[0])
    more = f" (and {units.plural(len(rows) - 1, 'more finding')})" if len(rows) > 1 else ""
    return f"{where.channel}: {worst.text}{more}"


def health_lines(verdict: str, title: str, documents: Sequence[ChannelDocument]) -> list[Line]:
    """The verdict, and a block for each channel."""
    head = [Line(safe_text(verdict), "good" if verdict == HEALTHY else "bad"), Line(safe_text(title), "title")]
    return [*head, *(line for document in documents for line in [Line(""), *_channel_lines(document)])]


def _channel_lines(document: ChannelDocument) -> list[Line]:
    carried = f"  {document.interface} {document.device}, {rate_text(document.bitrate)}" if document.interface else ""
    rows = [("state", _state(document))]
    if document.frames or document.error_frames or document.duration_s:
        rows += [("traffic", _traffic(document)), ("errors", _errors(document))]
    if document.frames and document.expected:
        rows.append(("expected", _expected(document)))
    lines = [Line(safe_text(f"{document.channel}{carried}"), "title")]
    lines += [Line(f"  {label:<{LABEL_WIDTH}}{safe_text(text)}") for label, text in rows if text]
    for item in document.findings:
        role = {"bad": "bad", "warning": "warning", "note": "plain"}[item.severity]
        lines.append(Line(safe_text(f"  {item.severity:<{LABEL_WIDTH}}{item.text}"), role))
        lines.append(Line(safe_text(f"  {'':<{LABEL_WIDTH}}fix: {item.fix}"), "faint"))
    return lines


def _state(document: ChannelDocument) -> str:
    link = document.link
    if link is None:
        return "a bench bus has no controller" if document.interface == "udp_multicast" else ""
    parts = [link.bus_state or ("up" if link.up else "down")]
    if link.transmit_errors is not None:
        parts.append(f"TEC {link.transmit_errors}, REC {link.receive_errors}")
    parts += [
        f"{number} {what}"
        for number, what in ((link.bus_offs, "bus-offs"), (link.restarts, "restarts"), (link.bus_errors, "bus errors"))
        if number is not None
    ]
    return ", ".join([*parts, f"queue {link.transmit_queue_frames}"])


def _traffic(document: ChannelDocument) -> str:
    load = f", load at most {document.load:.0%}" if document.load is not None else ""
    rate = f"{document.rate_hz:.0f} frames/s" if document.rate_hz is not None else "-"
    return f"{rate} of {units.plural(document.ids, 'id')} in {units.duration(document.duration_s)}{load}"


def _errors(document: ChannelDocument) -> str:
    checked = f", {document.wrong} wrong of {units.count(document.checked)} checked" if document.checked else ""
    return f"{units.plural(document.error_frames, 'error frame')}{checked}"


def _expected(document: ChannelDocument) -> str:
    there = document.expected - len(document.missing)
    return f"{there} of {units.plural(document.expected, 'message')} with a known period"
