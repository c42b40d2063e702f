"""From facts to findings: what is wrong with a CAN channel, or may go wrong, each with what helps. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from cardan.drivers.can.bus import OWN
from cardan.drivers.can.error_frames import describe
from cardan.drivers.can.socketcan_open import up_command
from cardan.firmware_bridge.cli.can_traffic import Traffic
from cardan.runtime.can_health import CanLink
from cardan.runtime.cli import units
from cardan.runtime.errors import CardanError
from cardan.runtime.profile import CanChannelSettings

GOOD_QUEUE_FRAMES = 128
LONG_QUEUE_FRAMES = 1024
HIGH_LOAD = 0.8
"""Above it, messages of low priority come late."""
ORDERED_GS_USB = (6, 6)
"""The first kernel whose gs_usb driver keeps frames in order."""
WIRING = "check wiring, termination (60 ohm between CAN-H and CAN-L), and that all nodes have the same bit rate"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, or may go wrong."""

    severity: Literal["bad", "warning", "note"]
    """A note leaves the verdict healthy."""
    code: str
    text: str
    fix: str


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of one channel."""

    channel: str
    settings: CanChannelSettings | None
    """None for a channel that only a file knows."""
    link: CanLink | None
    """What the kernel says now, or said when the last run ended; None where it has no say."""
    live: bool
    traffic: Traffic
    duration_s: float
    load: float | None
    trouble: CardanError | None = None
    """Why the channel could not be listened to."""
    missing: list[str] = field(default_factory=list)
    """Messages that did not come; those that are relied on stand first."""
    relied_on: set[str] = field(default_factory=set)
    slow: list[str] = field(default_factory=list)
    dropped: int = 0
    """Frames that the readers of the vehicle lost, since it started."""
    reports: list[str] = field(default_factory=list)
    """What nodes reported about the channel."""
    kernel: str = ""
    """Release of the kernel."""

    @property
    def device(self) -> str:
        return self.settings.channel if self.settings is not None else self.channel


def findings(facts: Facts) -> list[Finding]:
    """Everything that there is to say, the worst first."""
    every = [*_state(facts), *_traffic(facts), *_vehicle(facts), *_traps(facts)]
    if any(item.code in ("absent", "down") for item in every):  # that is why, and the one to act on
        every = [item for item in every if item.code not in ("cannot-listen", "silent")]
    return sorted(every, key=lambda item: ("bad", "warning", "note").index(item.severity))


def _state(facts: Facts) -> Iterator[Finding]:
    settings, link, device = facts.settings, facts.link, facts.device
    if settings is None:
        return
    if settings.interface not in OWN:
        text = f"{settings.interface} does not tell the state of its controller"
        yield Finding(severity="note", code="no-state", text=text, fix="error frames and silence show in the traffic")
    if settings.interface != "socketcan":
        return
    if link is None:
        if facts.live:
            text, fix = f"there is no CAN interface {device}", "is the adapter plugged in? `cardan can list`"
            yield Finding(severity="bad", code="absent", text=text, fix=fix)
        return
    if not link.up:
        yield Finding(severity="bad", code="down", text=f"{device} is down", fix=f"`{up_command(settings)}`")
    elif link.bus_state in ("BUS-OFF", "ERROR-PASSIVE", "ERROR-WARNING"):
        yield _trouble(link, device)
    yield from _settings(settings, link)


def _trouble(link: CanLink, device: str) -> Finding:
    tec, rec = link.transmit_errors or 0, link.receive_errors or 0
    text = f"{device} is {link.bus_state} (TEC {tec}, REC {rec})"
    if link.bus_state == "BUS-OFF":
        fix = f"{WIRING}; then `ip link set {device} type can restart`"
        return Finding(severity="bad", code="bus-off", text=text, fix=fix)
    fix = f"nobody acknowledges what it sends: {WIRING}" if tec > rec else f"it hears broken frames: {WIRING}"
    severity: Literal["bad", "warning"] = "bad" if link.bus_state == "ERROR-PASSIVE" else "warning"
    return Finding(severity=severity, code=str(link.bus_state).lower(), text=text, fix=fix)


def _settings(settings: CanChannelSettings, link: CanLink) -> Iterator[Finding]:
    """Where the interface is not as the profile wants it."""
    if link.bitrate is not None and settings.name and link.bitrate != settings.bitrate:
        text = f"{link.name} runs at {link.bitrate} bit/s, the profile says {settings.bitrate}"
        fix = f"`ip link set {link.name} down`, then `{up_command(settings)}`, or correct the profile"
        yield Finding(severity="bad", code="bit-rate", text=text, fix=fix)
    if settings.fd and not link.carries_fd:
        text = f"{link.name} carries no CAN FD, the profile asks for it"
        yield Finding(severity="bad", code="no-fd", text=text, fix=f"`{up_command(settings)}`")
    if link.listen_only:
        text = f"{link.name} only listens: it sends nothing, and acknowledges nothing"
        fix = f"`ip link set {link.name} type can listen-only off` (the interface being down) where it shall send"
        yield Finding(severity="note", code="listen-only", text=text, fix=fix)


def _traffic(facts: Facts) -> Iterator[Finding]:
    traffic = facts.traffic
    if facts.trouble is not None:
        fix = facts.trouble.hint or "`cardan can list` shows what there is"
        yield Finding(severity="bad", code="cannot-listen", text=facts.trouble.message, fix=fix)
    elif not traffic.frames:
        text = f"no frame for {units.duration(facts.duration_s)}"
        fix = "is the vehicle awake? are CAN-H and CAN-L connected, and is the bit rate that of the bus?"
        yield Finding(severity="bad", code="silent", text=text, fix=fix)
    if traffic.error_frames and traffic.newest_error is not None:
        report = traffic.newest_error
        text = f"{units.plural(traffic.error_frames, 'error frame')}, the newest: {describe(report)}"
        severity: Literal["bad", "warning"] = "bad" if report.is_fault else "warning"
        yield Finding(severity=severity, code="error-frames", text=text, fix=WIRING)
    if facts.load is not None and facts.load > HIGH_LOAD:
        text = f"the bus is taken for up to {facts.load:.0%} of the time"
        fix = "send less often, move messages to another bus, or raise the bit rate of all nodes"
        yield Finding(severity="warning", code="load", text=text, fix=fix)
    if traffic.frames:
        yield from _messages(facts)


def _messages(facts: Facts) -> Iterator[Finding]:
    relied_on = [name for name in facts.missing if name in facts.relied_on]
    others = [name for name in facts.missing if name not in facts.relied_on]
    if relied_on:
        text = f"messages that the vehicle relies on do not come: {_some(relied_on)}"
        fix = "is their control unit powered and awake? `cardan can sniff` shows what there is"
        yield Finding(severity="bad", code="missing", text=text, fix=fix)
    if others:
        text = f"messages with a period in the DBC do not come: {_some(others)}"
        fix = "is their control unit fitted in this vehicle, powered, awake? is it the DBC of this bus?"
        yield Finding(severity="warning", code="missing", text=text, fix=fix)
    if facts.slow:
        text = f"messages come at less than half of their rate: {_some(facts.slow)}"
        fix = "is the bus overloaded, or their control unit in trouble? `cardan can sniff` shows the rates"
        yield Finding(severity="warning", code="slow", text=text, fix=fix)
    wrong = facts.traffic.wrong
    if wrong:
        text = f"{sum(wrong.values())} of {units.plural(facts.traffic.checked, 'checked frame')} wrong: "
        worst = [f"{name} ({times}x)" for name, times in sorted(wrong.items(), key=lambda item: (-item[1], item[0]))]
        fix = "does somebody else send this identifier? is it the DBC of this bus? adapter traps: docs/can.md"
        yield Finding(severity="warning", code="wrong", text=text + _some(worst, 3), fix=fix)


def _some(names: list[str], limit: int = 6) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _vehicle(facts: Facts) -> Iterator[Finding]:
    if facts.dropped:
        text = f"{units.plural(facts.dropped, 'frame')} dropped by the kernel, because the reader was too slow"
        fix = "is this computer overloaded? `cardan status`; `sysctl net.core.rmem_max` limits the buffer"
        yield Finding(severity="warning", code="dropped", text=text, fix=fix)
    for report in facts.reports:
        severity: Literal["warning", "note"] = "note" if facts.live else "warning"
        yield Finding(severity=severity, code="reported", text=report, fix="`cardan status` shows the nodes")


def _traps(facts: Facts) -> Iterator[Finding]:
    """What is known to go wrong with adapters and their settings (docs/can.md)."""
    link = facts.link
    if link is None or link.kind != "can":
        return
    if link.transmit_queue_frames < GOOD_QUEUE_FRAMES:
        text = f"the transmit queue of {link.name} holds {link.transmit_queue_frames} frames: a burst is dropped"
        fix = f"`ip link set {link.name} txqueuelen {GOOD_QUEUE_FRAMES}`"
        yield Finding(severity="warning", code="short-queue", text=text, fix=fix)
    if link.transmit_queue_frames > LONG_QUEUE_FRAMES:
        text = f"the transmit queue of {link.name} holds {link.transmit_queue_frames} frames: commands may wait in it"
        fix = f"`ip link set {link.name} txqueuelen {GOOD_QUEUE_FRAMES}`"
        yield Finding(severity="note", code="long-queue", text=text, fix=fix)
    if link.driver == "gs_usb" and _release(facts.kernel) < ORDERED_GS_USB:
        text = f"{link.name} is a gs_usb adapter on kernel {facts.kernel}: it may hand over frames in the wrong order"
        fix = "use kernel 6.6 and candleLight firmware 2.0, or later; before, counters only look wrong"
        yield Finding(severity="warning", code="gs-usb-order", text=text, fix=fix)
    if link.restart_ms == 0:
        text = f"{link.name} stays off after bus-off until somebody restarts it (restart-ms 0)"
        fix = f"`ip link set {link.name} type can restart-ms 100` (the interface being down), if it shall come back"
        yield Finding(severity="note", code="no-restart", text=text, fix=fix)
    if link.bus_offs:
        text = f"{link.name} went bus-off {link.bus_offs} times since it was brought up"
        yield Finding(severity="note", code="bus-offs", text=text, fix=WIRING)


def _release(kernel: str) -> tuple[int, ...]:
    """`6.1.0-56-amd64` -> (6, 1)."""
    return tuple(int(part) for part in re.findall(r"\d+", kernel)[:2])
