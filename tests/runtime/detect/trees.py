"""The files of three computers as their kernels show them, cut down to what is read: a laptop, an IPC, a Jetson."""

from __future__ import annotations

from pathlib import Path

CPU = "sys/devices/system/cpu"
MIB = 1 << 20


def write(root: Path, files: dict[str, str], links: dict[str, str]) -> Path:
    """Make the files and the symbolic links below `root`; targets are not needed."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    for name, target in links.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    return root


def net(name: str, kind: int, driver: str, mtu: int = 1500) -> tuple[dict[str, str], dict[str, str]]:
    folder = f"sys/class/net/{name}"
    files = {f"{folder}/type": f"{kind}\n", f"{folder}/mtu": f"{mtu}\n", f"{folder}/device/vendor": "0x1\n"}
    return files, {f"{folder}/device/driver": f"../../bus/drivers/{driver}"}


def zone(number: int, name: str, temp: int, critical: int) -> dict[str, str]:
    folder = f"sys/class/thermal/thermal_zone{number}"
    return {
        f"{folder}/type": f"{name}\n",
        f"{folder}/temp": f"{temp}\n",
        f"{folder}/trip_point_0_type": "passive\n",
        f"{folder}/trip_point_0_temp": f"{critical - 10_000}\n",
        f"{folder}/trip_point_1_type": "critical\n",
        f"{folder}/trip_point_1_temp": f"{critical}\n",
    }


def limits(priority: str, memory: str) -> str:
    head = "Limit                     Soft Limit           Hard Limit           Units     \n"
    rows = f"Max locked memory         8388608              {memory:<20} bytes     \n"
    return f"{head}{rows}Max realtime priority     0                    {priority:<20}           \n"


def laptop(root: Path) -> Path:
    """Four cores with two threads each, an encrypted NVMe disk, Wi-Fi, no CAN, no watchdog but the kernel's own."""
    wifi, wifi_links = net("wlp2s0", 1, "iwlwifi")
    files = {
        f"{CPU}/online": "0-7\n",
        f"{CPU}/isolated": "\n",
        **{f"{CPU}/cpu{n}/topology/thread_siblings_list": f"{n % 4},{n % 4 + 4}\n" for n in range(8)},
        **{f"{CPU}/cpu{n}/cpufreq/cpuinfo_max_freq": "4200000\n" for n in range(8)},
        "proc/meminfo": "MemTotal:       16123456 kB\nMemAvailable:   9000000 kB\n",
        "proc/sys/kernel/hostname": "Anna-ThinkPad\n",
        "proc/sys/kernel/arch": "x86_64\n",
        "proc/self/limits": limits("0", "8388608"),
        "proc/self/status": "Name:\tcardan\nCapEff:\t0000000000000000\n",
        "proc/mounts": "/dev/mapper/vg-root / ext4 rw 0 0\n/dev/nvme0n1p1 /boot/efi vfat rw 0 0\n"
        "/dev/loop0 /snap/x squashfs ro 0 0\ntmpfs /run tmpfs rw 0 0\n",
        "sys/class/dmi/id/sys_vendor": "LENOVO\n",
        "sys/class/dmi/id/product_name": "21A1\n",
        "sys/block/nvme0n1/size": "1000215216\n",
        "sys/block/nvme0n1/removable": "0\n",
        "sys/block/nvme0n1/queue/rotational": "0\n",
        "sys/block/nvme0n1/nvme0n1p1/size": "1\n",
        "sys/block/nvme0n1/nvme0n1p2/size": "1\n",
        "sys/block/dm-0/dm/name": "luks-root\n",
        "sys/block/dm-0/slaves/nvme0n1p2/size": "1\n",
        "sys/block/dm-1/dm/name": "vg-root\n",
        "sys/block/dm-1/slaves/dm-0/size": "1\n",
        "sys/block/loop0/size": "8192\n",
        "sys/block/sda/size": "60000000\n",
        "sys/block/sda/removable": "1\n",
        "sys/class/net/lo/type": "772\n",
        "sys/class/net/docker0/type": "1\n",
        **wifi,
        "sys/class/net/wlp2s0/wireless/status": "0\n",
        **zone(0, "acpitz", 48_000, 128_000),
        **zone(1, "x86_pkg_temp", 51_000, 100_000),
        "sys/class/watchdog/watchdog0/identity": "Software Watchdog\n",
        "dev/v4l/by-path/pci-0000:00:14.0-usb-0:8:1.0-video-index0": "",
        "dev/v4l/by-path/pci-0000:00:14.0-usb-0:8:1.0-video-index1": "",
    }
    return write(root, files, wifi_links)


def industrial_pc(root: Path) -> Path:
    """Twelve processors of which two are isolated, an NVIDIA card, two CAN cards, PTP, SSD and HDD, a real watchdog."""
    can, can_links = net("can0", 280, "peak_pciefd", mtu=72)
    second, second_links = net("can1", 280, "peak_pciefd", mtu=16)
    ethernet, ethernet_links = net("enp3s0", 1, "igb")
    modem, modem_links = net("wwan0", 519, "qmi_wwan")
    files = {
        f"{CPU}/online": "0-11\n",
        f"{CPU}/isolated": "10-11\n",
        "proc/meminfo": "MemTotal:       65800000 kB\n",
        "proc/sys/kernel/hostname": "ipc-7\n",
        "proc/sys/kernel/arch": "x86_64\n",
        "proc/self/limits": limits("99", "unlimited"),
        "proc/mounts": "/dev/sda2 / ext4 rw 0 0\n/dev/sdb1 /data ext4 rw 0 0\n/dev/sdb1 /run/x ext4 rw 0 0\n",
        "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA RTX A2000\nIRQ:   \t\t 151\n",
        "sys/class/dmi/id/sys_vendor": "Neousys Technology Inc.\n",
        "sys/class/dmi/id/product_name": "Nuvo-8108GC\n",
        "sys/block/sda/size": "468862128\n",
        "sys/block/sda/queue/rotational": "0\n",
        "sys/block/sda/sda2/size": "1\n",
        "sys/block/sdb/size": "3907029168\n",
        "sys/block/sdb/queue/rotational": "1\n",
        "sys/block/sdb/sdb1/size": "1\n",
        **can,
        **second,
        **ethernet,
        "sys/class/net/enp3s0/device/ptp/ptp0/clock_name": "igb\n",
        **modem,
        "sys/class/net/vcan0/type": "280\n",
        **zone(0, "x86_pkg_temp", 60_000, 100_000),
        "sys/class/watchdog/watchdog0/identity": "iTCO_wdt\n",
        "sys/class/watchdog/watchdog0/max_timeout": "614\n",
        "dev/serial/by-id/usb-u-blox_GNSS_receiver-if00": "",
    }
    return write(root, files, {**can_links, **second_links, **ethernet_links, **modem_links})


def jetson(root: Path) -> Path:
    """An Orin as its kernel 5.15 shows it: no arch file, one cluster, eMMC with boot parts, CAN in the chip."""
    can, can_links = net("can0", 280, "mttcan", mtu=16)
    ethernet, ethernet_links = net("eth0", 1, "nvethernet")
    files = {
        f"{CPU}/online": "0-7\n",
        **{f"{CPU}/cpu{n}/cpu_capacity": "1024\n" for n in range(8)},
        **{f"{CPU}/cpu{n}/topology/thread_siblings_list": f"{n}\n" for n in range(8)},
        "proc/meminfo": "MemTotal:       31270000 kB\n",
        "proc/sys/kernel/hostname": "tegra-ubuntu\n",
        "proc/self/limits": limits("0", "65536"),
        "proc/self/status": "CapEff:\t000001ffffffffff\n",
        "proc/mounts": "/dev/mmcblk0p1 / ext4 rw 0 0\n/dev/nvme0n1 /data ext4 rw 0 0\n",
        "proc/device-tree/compatible": "nvidia,p3737-0000+p3701-0000\0nvidia,tegra234\0",
        "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
        "sys/block/mmcblk0/size": "120832000\n",
        "sys/block/mmcblk0/device/type": "MMC\n",
        "sys/block/mmcblk0/mmcblk0p1/size": "1\n",
        "sys/block/mmcblk0boot0/size": "63488\n",
        "sys/block/nvme0n1/size": "1953525168\n",
        "sys/block/zram0/size": "3000000\n",
        **can,
        **ethernet,
        **zone(0, "CPU-therm", 45_000, 104_500),
        **zone(1, "GPU-therm", 44_000, 104_500),
        **zone(2, "tj-thermal", 46_000, -1_000),
        "sys/class/watchdog/watchdog0/identity": "Tegra WDT\n",
    }
    return write(root, files, {**can_links, **ethernet_links})
