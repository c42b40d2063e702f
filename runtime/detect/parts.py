"""Disks, links, temperatures, accelerator, CAN interfaces, watchdog and devices of a computer, from /sys and /proc."""

from __future__ import annotations

from typing import Literal

from cardan.runtime.detect.tree import Tree
from cardan.runtime.profile import (
    AcceleratorSettings,
    CanChannelSettings,
    DiskSettings,
    LinkSettings,
    ThermalSettings,
    WatchdogSettings,
)

SECTOR = 512
"""Bytes; the unit of /sys/block/*/size whatever the disk says (Documentation/ABI/stable/sysfs-block)."""
NO_DISKS = ("loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd")
PASSING = ("/run/", "/snap/", "/var/lib/docker/", "/var/lib/containers/")
"""Mounts that come and go."""
HARDWARE_ETHERNET, HARDWARE_CAN, HARDWARE_RAW_IP = 1, 280, 519
"""linux/if_arp.h."""
MOBILE_DRIVERS = ("qmi_wwan", "cdc_mbim", "cdc_ncm", "mhi_net", "iosm", "mtk_t7xx")
NVIDIA = "0x10de"
DISPLAY = ("0x0300", "0x0302")
"""PCI classes of a VGA and of a 3D controller."""
TEGRA = "nvidia,tegra"
STABLE_FOLDERS = ("/dev/v4l/by-path", "/dev/serial/by-id")
MIN_WATCHDOG_S = 10
Kind = Literal["nvme", "ssd", "hdd", "emmc", "sd", "virtual"]


def disks(tree: Tree) -> dict[str, DiskSettings]:
    """Disks that stay: nothing that can be taken out, nothing that is memory."""
    mounts = _mounts(tree)
    found = {}
    for name in tree.names("/sys/block"):
        size_gb = (tree.number(f"/sys/block/{name}/size") or 0) * SECTOR // 10**9
        if name.startswith(NO_DISKS) or tree.number(f"/sys/block/{name}/removable") or not size_gb or "boot" in name:
            continue
        places = sorted({place for device, place in mounts if device in _devices_on(tree, name)})
        found[name] = DiskSettings(kind=_disk_kind(tree, name), size_gb=size_gb, mounts=places)
    return found


def _devices_on(tree: Tree, disk: str) -> set[str]:
    """The disk, its partitions, and the volumes (LUKS, LVM) that lie on them, as /proc/mounts names them."""
    parts = {disk, *(part for part in tree.names(f"/sys/block/{disk}") if part.startswith(disk))}
    found = {f"/dev/{part}" for part in parts}
    below = set(parts)
    for volume in (name for name in tree.names("/sys/block") if name.startswith("dm-")):
        if below & set(tree.names(f"/sys/block/{volume}/slaves")):
            below.add(volume)
            found |= {f"/dev/{volume}", f"/dev/mapper/{tree.text(f'/sys/block/{volume}/dm/name')}"}
    return found


def _disk_kind(tree: Tree, name: str) -> Kind:
    if name.startswith("nvme"):
        return "nvme"
    if name.startswith("mmcblk"):
        return "sd" if tree.text(f"/sys/block/{name}/device/type") == "SD" else "emmc"
    if name.startswith(("vd", "xvd")):
        return "virtual"
    return "hdd" if tree.number(f"/sys/block/{name}/queue/rotational") else "ssd"


def _mounts(tree: Tree) -> list[tuple[str, str]]:
    """Device and place of everything that is mounted."""
    rows = [line.split() for line in tree.text("/proc/mounts").splitlines()]
    mounts = [(row[0], row[1].replace("\\040", " ")) for row in rows if len(row) > 1 and row[0].startswith("/dev/")]
    return [(device, place) for device, place in mounts if not place.startswith(PASSING)]


def links(tree: Tree) -> dict[str, LinkSettings]:
    """Network interfaces that are hardware."""
    found = {}
    for name in tree.names("/sys/class/net"):
        folder = f"/sys/class/net/{name}"
        kind = _link_kind(tree, name)
        if kind is not None and tree.has(f"{folder}/device"):
            clock = next(iter(tree.names(f"{folder}/device/ptp")), "")
            found[name] = LinkSettings(kind=kind, driver=tree.link(f"{folder}/device/driver"), ptp_clock=clock)
    return found


def _link_kind(tree: Tree, name: str) -> Literal["ethernet", "wifi", "mobile"] | None:
    folder = f"/sys/class/net/{name}"
    hardware = tree.number(f"{folder}/type")
    if name.startswith("wwan") or hardware == HARDWARE_RAW_IP or tree.link(f"{folder}/device/driver") in MOBILE_DRIVERS:
        return "mobile"
    if tree.has(f"{folder}/wireless") or tree.has(f"{folder}/phy80211"):
        return "wifi"
    return "ethernet" if hardware == HARDWARE_ETHERNET else None


def can_channels(tree: Tree) -> dict[str, CanChannelSettings]:
    """CAN interfaces that are hardware, the first of them as `vehicle`; their bit rates are not in these files."""
    names = [
        name
        for name in tree.names("/sys/class/net")
        if tree.number(f"/sys/class/net/{name}/type") == HARDWARE_CAN and tree.has(f"/sys/class/net/{name}/device")
    ]
    return {
        "vehicle" if index == 0 else name: CanChannelSettings(
            interface="socketcan", channel=name, fd=tree.number(f"/sys/class/net/{name}/mtu") == 72
        )
        for index, name in enumerate(names)
    }


def thermal(tree: Tree) -> dict[str, ThermalSettings]:
    """Zones that have a temperature and a critical one; the second of a name is called `NAME-2`."""
    found: dict[str, ThermalSettings] = {}
    for zone in tree.names("/sys/class/thermal"):
        folder = f"/sys/class/thermal/{zone}"
        critical_mc = _critical_mc(tree, folder)
        if not zone.startswith("thermal_zone") or critical_mc is None or tree.number(f"{folder}/temp") is None:
            continue
        name = tree.text(f"{folder}/type") or zone
        number = 1 + sum(known == name or known.startswith(f"{name}-") for known in found)
        found[name if number == 1 else f"{name}-{number}"] = ThermalSettings(critical_c=critical_mc / 1000)
    return found


def _critical_mc(tree: Tree, folder: str) -> int | None:
    """Millidegrees; None for a zone without one, or with a number that no chip survives."""
    for name in tree.names(folder):
        if name.endswith("_type") and name.startswith("trip_point_") and tree.text(f"{folder}/{name}") == "critical":
            value = tree.number(f"{folder}/{name.replace('_type', '_temp')}")
            return value if value is not None and 0 < value <= 200_000 else None
    return None


def accelerator(tree: Tree) -> tuple[AcceleratorSettings, str]:
    """What can run engines, and a remark where it cannot do so yet."""
    for card in tree.names("/proc/driver/nvidia/gpus"):
        fields = dict(
            line.split(":", 1)
            for line in tree.text(f"/proc/driver/nvidia/gpus/{card}/information").splitlines()
            if ":" in line
        )
        return AcceleratorSettings(kind="cuda", name=fields.get("Model", "NVIDIA GPU").strip()), ""
    if TEGRA in tree.text("/proc/device-tree/compatible"):
        return AcceleratorSettings(kind="cuda", name=tree.text("/proc/device-tree/model") or "NVIDIA Tegra"), ""
    if _nvidia_card(tree):
        return (
            AcceleratorSettings(),
            "an NVIDIA GPU is in this computer, and its driver is not loaded: engines run on the CPU",
        )
    return AcceleratorSettings(), ""


def _nvidia_card(tree: Tree) -> bool:
    devices = [f"/sys/bus/pci/devices/{name}" for name in tree.names("/sys/bus/pci/devices")]
    return any(
        tree.text(f"{device}/vendor") == NVIDIA and tree.text(f"{device}/class").startswith(DISPLAY)
        for device in devices
    )


def watchdog(tree: Tree) -> WatchdogSettings:
    """The first hardware watchdog that is no software."""
    for name in tree.names("/sys/class/watchdog"):
        folder = f"/sys/class/watchdog/{name}"
        if "software" in tree.text(f"{folder}/identity").lower():
            continue
        longest_s = tree.number(f"{folder}/max_timeout") or 3600
        return WatchdogSettings(device=f"/dev/{name}", timeout_s=max(2, min(MIN_WATCHDOG_S, longest_s)))
    return WatchdogSettings()


def devices(tree: Tree) -> dict[str, str]:
    """Cameras and serial devices by paths that stay: `/dev/video0` is another one when the order of plugging in was."""
    found: dict[str, str] = {}
    for folder in STABLE_FOLDERS:
        kind = "camera" if "v4l" in folder else "serial"
        names = [name for name in tree.names(folder) if kind == "serial" or name.endswith("-video-index0")]
        found |= {f"{kind}_{index}": f"{folder}/{name}" for index, name in enumerate(names)}
    return found
