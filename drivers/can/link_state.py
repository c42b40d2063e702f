"""State of the CAN interfaces as the kernel tells it over netlink: bus state, bit rate, error counters."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import msgspec

from cardan.drivers.can.netlink import LINK, Attributes, attributes, link_messages
from cardan.runtime.can_health import CanLink
from cardan.runtime.errors import DeviceError

CANFD_MTU = 72
SYSFS_NET = Path("/sys/class/net")

# linux/if_arp.h, linux/if.h, linux/if_link.h
HARDWARE_CAN = 280
INTERFACE_UP = 0x1
IFLA_IFNAME, IFLA_MTU, IFLA_TXQLEN, IFLA_LINKINFO, IFLA_STATS64 = 3, 4, 13, 18, 23
INFO_KIND, INFO_DATA, INFO_XSTATS = 1, 2, 3
# linux/can/netlink.h
CAN_BITTIMING, CAN_STATE, CAN_CTRLMODE, CAN_RESTART_MS, CAN_BERR_COUNTER, CAN_DATA_BITTIMING = 1, 4, 5, 6, 8, 9
LISTEN_ONLY = 0x02
STATES = ("ERROR-ACTIVE", "ERROR-WARNING", "ERROR-PASSIVE", "BUS-OFF", "STOPPED", "SLEEPING")
WORD = struct.Struct("=I")
TIMING = struct.Struct("=II")
"""The start of struct can_bittiming: bit rate, sample point in thousandths."""
COUNTERS = struct.Struct("=HH")
"""struct can_berr_counter: TEC, REC."""
EVENTS = struct.Struct("=6I")
"""struct can_device_stats: bus errors, warnings, passives, bus-offs, arbitrations lost, restarts."""
STATISTICS = struct.Struct("=8Q")
"""The start of struct rtnl_link_stats64: packets, bytes, errors and drops, each received and sent."""


def read_links() -> dict[str, CanLink]:
    """The CAN interfaces of this computer now, by name; none is an empty answer.

    Takes some 0.1 ms and no privilege. DeviceError when the kernel does not answer.
    """
    links = (_with_driver(link) for body in link_messages() if (link := parse_link(body)) is not None)
    return {link.name: link for link in links}


def read_link_or_none(name: str) -> CanLink | None:
    """One CAN interface now; None when there is no such interface. DeviceError as for `read_links`."""
    links = [link for body in link_messages(name) if (link := parse_link(body)) is not None]
    return _with_driver(links[0]) if links else None


def parse_link(body: bytes) -> CanLink | None:
    """The body of an RTM_NEWLINK message; None for an interface that is not CAN. DeviceError when it is damaged."""
    try:
        _, hardware, _, flags, _ = LINK.unpack_from(body)
        if hardware != HARDWARE_CAN:
            return None
        return _link(flags, attributes(body[LINK.size :]))
    except (struct.error, KeyError, UnicodeDecodeError) as error:
        raise DeviceError(
            f"the kernel's answer about a CAN interface is damaged: {error!r}",
            hint="report it with the kernel's version (`uname -r`)",
        ) from error


def _link(flags: int, link: Attributes) -> CanLink:
    information = attributes(link.get(IFLA_LINKINFO, b""))
    controller = attributes(information.get(INFO_DATA, b""))
    bitrate, sample_point = _timing(controller.get(CAN_BITTIMING))
    tec, rec = COUNTERS.unpack(controller[CAN_BERR_COUNTER]) if CAN_BERR_COUNTER in controller else (None, None)
    events = EVENTS.unpack(information[INFO_XSTATS]) if INFO_XSTATS in information else (None,) * 6
    statistics = STATISTICS.unpack_from(link[IFLA_STATS64]) if IFLA_STATS64 in link else (0,) * 8
    mode = controller.get(CAN_CTRLMODE)
    return CanLink(
        name=_text(link[IFLA_IFNAME]),
        kind=_text(information.get(INFO_KIND, b"can")),
        up=bool(flags & INTERFACE_UP),
        carries_fd=_word(link.get(IFLA_MTU)) == CANFD_MTU,
        transmit_queue_frames=_word(link.get(IFLA_TXQLEN)) or 0,
        bus_state=_state(_word(controller.get(CAN_STATE))),
        bitrate=bitrate,
        sample_point=sample_point,
        data_bitrate=_timing(controller.get(CAN_DATA_BITTIMING))[0],
        listen_only=None if mode is None else bool(TIMING.unpack_from(mode)[1] & LISTEN_ONLY),
        restart_ms=_word(controller.get(CAN_RESTART_MS)),
        transmit_errors=tec,
        receive_errors=rec,
        bus_errors=events[0],
        warnings=events[1],
        passives=events[2],
        bus_offs=events[3],
        arbitrations_lost=events[4],
        restarts=events[5],
        frames_received=statistics[0],
        frames_sent=statistics[1],
        receive_drops=statistics[6],
        send_drops=statistics[7],
    )


def _text(value: bytes) -> str:
    return value.rstrip(b"\0").decode()


def _word(value: bytes | None) -> int | None:
    return None if value is None else int(WORD.unpack_from(value)[0])


def _state(number: int | None) -> str | None:
    if number is None:
        return None
    return STATES[number] if number < len(STATES) else f"state {number}"


def _timing(value: bytes | None) -> tuple[int | None, float | None]:
    """Bit rate and sample point; a controller that was never configured has the bit rate 0."""
    bitrate, thousandths = TIMING.unpack_from(value) if value is not None else (0, 0)
    return (bitrate, thousandths / 1000) if bitrate else (None, None)


def _with_driver(link: CanLink) -> CanLink:
    """The adapter's kernel driver is in sysfs; a virtual interface has none."""
    try:
        driver = Path(os.readlink(SYSFS_NET / link.name / "device" / "driver")).name
    except OSError:
        return link
    return msgspec.structs.replace(link, driver=driver)
