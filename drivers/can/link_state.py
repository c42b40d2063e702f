"""State of the CAN interfaces as the kernel tells it: bus state, bit rate, error counters (`ip -details link show`)."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

import msgspec

from cardan.runtime.errors import DeviceError

ANSWER_LIMIT_S = 2.0


class LinkState(msgspec.Struct, frozen=True, kw_only=True):
    """One CAN interface. None where the kernel or the driver does not say; `vcan` says little."""

    name: str
    kind: str
    """`can` (hardware), `vcan`, `vxcan`."""
    up: bool
    carries_fd: bool
    transmit_queue_frames: int
    """txqueuelen. The usual 10 drops bursts; 128 is good (Klipper's field experience), much more only adds delay."""
    bus_state: str | None
    """ERROR-ACTIVE, ERROR-WARNING, ERROR-PASSIVE, BUS-OFF, STOPPED or SLEEPING."""
    bitrate: int | None
    sample_point: float | None
    data_bitrate: int | None
    restart_ms: int | None
    """After so long the kernel restarts the controller from bus-off; 0 = never by itself."""
    transmit_errors: int | None
    """TEC, the controller's transmit error counter."""
    receive_errors: int | None
    """REC, the controller's receive error counter."""
    restarts: int | None
    bus_errors: int | None
    arbitrations_lost: int | None
    warnings: int | None
    """How often the controller reached ERROR-WARNING."""
    passives: int | None
    bus_offs: int | None
    frames_received: int
    frames_sent: int
    receive_drops: int
    send_drops: int


class _Timing(msgspec.Struct):
    bitrate: int | None = None
    sample_point: float | str | None = None


class _ErrorCounters(msgspec.Struct):
    tx: int | None = None
    rx: int | None = None


class _Controller(msgspec.Struct):
    state: str | None = None
    restart_ms: int | None = None
    berr_counter: _ErrorCounters = msgspec.field(default_factory=_ErrorCounters)
    bittiming: _Timing = msgspec.field(default_factory=_Timing)
    data_bittiming: _Timing = msgspec.field(default_factory=_Timing)


class _Events(msgspec.Struct):
    restarts: int | None = None
    bus_error: int | None = None
    arbitration_lost: int | None = None
    error_warning: int | None = None
    error_passive: int | None = None
    bus_off: int | None = None


class _Information(msgspec.Struct):
    info_kind: str = "can"
    info_data: _Controller = msgspec.field(default_factory=_Controller)
    info_xstats: _Events = msgspec.field(default_factory=_Events)


class _Direction(msgspec.Struct):
    packets: int = 0
    dropped: int = 0


class _Statistics(msgspec.Struct):
    rx: _Direction = msgspec.field(default_factory=_Direction)
    tx: _Direction = msgspec.field(default_factory=_Direction)


class _Link(msgspec.Struct):
    """What we read of one element; iproute2 writes many more fields, and `{}` for an interface it leaves out."""

    ifname: str = ""
    link_type: str = ""
    flags: Sequence[str] = ()
    mtu: int = 0
    txqlen: int = 0
    linkinfo: _Information = msgspec.field(default_factory=_Information)
    stats64: _Statistics = msgspec.field(default_factory=_Statistics)


CANFD_MTU = 72


def parse_link_states(text: str | bytes) -> dict[str, LinkState]:
    """The CAN interfaces in the output of `ip -details -statistics -json link show`, by name.

    DeviceError when the text is not that. Other interfaces are passed over.
    """
    try:
        links = msgspec.json.decode(text, type=list[_Link]) if text.strip() else []
        return {link.ifname: _state(link) for link in links if link.link_type == "can"}
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise DeviceError(
            f"cannot understand what `ip` says about the CAN interfaces: {error}",
            hint="expected the JSON of iproute2 5.0 or later: `ip -V`",
        ) from error


def _state(link: _Link) -> LinkState:
    controller, events = link.linkinfo.info_data, link.linkinfo.info_xstats
    sample_point = controller.bittiming.sample_point
    return LinkState(
        name=link.ifname,
        kind=link.linkinfo.info_kind,
        up="UP" in link.flags,
        carries_fd=link.mtu == CANFD_MTU,
        transmit_queue_frames=link.txqlen,
        bus_state=controller.state,
        bitrate=controller.bittiming.bitrate,
        sample_point=None if sample_point is None else float(sample_point),
        data_bitrate=controller.data_bittiming.bitrate,
        restart_ms=controller.restart_ms,
        transmit_errors=controller.berr_counter.tx,
        receive_errors=controller.berr_counter.rx,
        restarts=events.restarts,
        bus_errors=events.bus_error,
        arbitrations_lost=events.arbitration_lost,
        warnings=events.error_warning,
        passives=events.error_passive,
        bus_offs=events.bus_off,
        frames_received=link.stats64.rx.packets,
        frames_sent=link.stats64.tx.packets,
        receive_drops=link.stats64.rx.dropped,
        send_drops=link.stats64.tx.dropped,
    )


def read_link_states(limit_s: float = ANSWER_LIMIT_S) -> dict[str, LinkState]:
    """The CAN interfaces of this computer now, by name; none is an empty answer. Blocks for `limit_s` at most.

    Starts a process: not for a real-time step. DeviceError when iproute2 is absent or does not answer.
    """
    program = shutil.which("ip", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if program is None:
        raise DeviceError("the state of the CAN interfaces needs `ip`", hint="apt-get install iproute2")
    command = [program, "-details", "-statistics", "-json", "link", "show"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=limit_s, check=True, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"`{' '.join(command)}` gave no answer within {limit_s:g} s") from error
    except (subprocess.CalledProcessError, OSError) as error:
        text = error.stderr.decode(errors="replace").strip() if isinstance(error, subprocess.CalledProcessError) else ""
        raise DeviceError(f"`{' '.join(command)}` failed: {text or error}") from error
    return parse_link_states(done.stdout)
