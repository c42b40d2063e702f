"""Profiles of three computers from their files, and that a profile that was written is read again as it was."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.detect.profile import Detected, detect, profile_name
from cardan.runtime.detect.text import profile_text
from cardan.runtime.detect.tree import Tree, core_numbers
from cardan.runtime.graph import check
from cardan.runtime.profile import Profile
from cardan.runtime.profile_file import read_profile


def _trees() -> ModuleType:
    spec = importlib.util.spec_from_file_location("trees", Path(__file__).with_name("trees.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TREES = _trees()
Computer = Callable[[Path], Path]
COMPUTERS: list[Computer] = [TREES.laptop, TREES.industrial_pc, TREES.jetson]


def detected(computer: Computer, folder: Path) -> Detected:
    return detect(Tree(computer(folder)), architecture="aarch64")


def said(profile: Profile, part: str) -> Any:
    return msgspec.to_builtins(getattr(profile, part))


def test_a_laptop(tmp_path: Path) -> None:
    profile, notes = detected(TREES.laptop, tmp_path)
    assert (profile.name, profile.description) == ("anna_thinkpad", "LENOVO 21A1, 8 processors, 15 GiB")
    assert profile.cores == {"control": [3, 7], "perception": [2, 4, 5, 6], "background": [0, 1]}
    assert (profile.realtime.scheduler, profile.realtime.memory_lock) == ("fifo-if-allowed", False)
    assert said(profile, "disks") == {"nvme0n1": {"kind": "nvme", "size_gb": 512, "mounts": ["/", "/boot/efi"]}}
    wifi = {"kind": "wifi", "metered": "auto", "driver": "iwlwifi", "ptp_clock": ""}
    assert said(profile, "links") == {"wlp2s0": wifi}
    assert said(profile, "thermal") == {"acpitz": {"critical_c": 128.0}, "x86_pkg_temp": {"critical_c": 100.0}}
    assert (profile.accelerator.kind, profile.watchdog.device) == ("cpu", "")
    assert profile.can["vehicle"].interface == "udp_multicast"
    assert list(profile.devices.values()) == ["/dev/v4l/by-path/pci-0000:00:14.0-usb-0:8:1.0-video-index0"]
    assert profile.machine.memory_mib == 15745
    assert [note.split(":")[0] for note in notes] == [
        "this user may have priority 0 at most",
        "no CAN interface was found",
        "no hardware watchdog was found",
    ]


def test_an_industrial_pc_with_a_card(tmp_path: Path) -> None:
    profile, notes = detected(TREES.industrial_pc, tmp_path)
    assert notes == []
    assert profile.cores == {"control": [10, 11], "perception": [2, 3, 4, 5, 6, 7, 8, 9], "background": [0, 1]}
    assert (profile.realtime.scheduler, profile.realtime.memory_lock) == ("fifo", True)
    assert said(profile, "accelerator") == {"kind": "cuda", "name": "NVIDIA RTX A2000"}
    assert [(name, can.channel, can.fd) for name, can in profile.can.items()] == [
        ("vehicle", "can0", True),
        ("can1", "can1", False),
    ]
    assert {name: (link.kind, link.ptp_clock) for name, link in profile.links.items()} == {
        "enp3s0": ("ethernet", "ptp0"),
        "wwan0": ("mobile", ""),
    }
    assert {name: (disk.kind, disk.mounts) for name, disk in profile.disks.items()} == {
        "sda": ("ssd", ["/"]),
        "sdb": ("hdd", ["/data"]),
    }
    assert (profile.watchdog.device, profile.watchdog.timeout_s) == ("/dev/watchdog0", 10)
    assert profile.devices == {"serial_0": "/dev/serial/by-id/usb-u-blox_GNSS_receiver-if00"}
    assert profile.storage.quota_bytes == 200_000_000_000


def test_a_jetson(tmp_path: Path) -> None:
    profile, notes = detected(TREES.jetson, tmp_path)
    assert notes == []
    assert profile.machine.model == profile.accelerator.name == "NVIDIA Jetson AGX Orin Developer Kit"
    assert (profile.accelerator.kind, profile.machine.architecture) == ("cuda", "aarch64")
    assert profile.cores["control"] == [7]
    assert profile.realtime.scheduler == "fifo", "root needs no limit"
    assert {name: disk.kind for name, disk in profile.disks.items()} == {"mmcblk0": "emmc", "nvme0n1": "nvme"}
    assert list(profile.thermal) == ["CPU-therm", "GPU-therm"], "a zone without a critical temperature is none"
    assert profile.can["vehicle"].channel == "can0"


def test_a_card_without_its_driver_is_a_note(tmp_path: Path) -> None:
    TREES.write(
        TREES.laptop(tmp_path),
        {
            "sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n",
            "sys/bus/pci/devices/0000:01:00.0/class": "0x030000\n",
        },
        {},
    )
    profile, notes = detect(Tree(tmp_path))
    assert profile.accelerator.kind == "cpu"
    assert any("its driver is not loaded" in note for note in notes)


@pytest.mark.parametrize("computer", COMPUTERS)
def test_what_was_written_is_read_again_as_it_was(computer: Computer, tmp_path: Path) -> None:
    found = detected(computer, tmp_path / "root")
    path = tmp_path / "found.toml"
    path.write_text(profile_text(found))
    profile, findings = read_profile(path)
    assert findings.sorted() == []
    named = {name: msgspec.structs.replace(can, name=name) for name, can in found.profile.can.items()}
    assert profile == msgspec.structs.replace(found.profile, can=named)


@pytest.mark.parametrize("computer", COMPUTERS)
def test_the_reference_vehicle_passes_its_check_on_it(computer: Computer, tmp_path: Path) -> None:
    path = tmp_path / "found.toml"
    path.write_text(profile_text(detected(computer, tmp_path / "root")))
    assert check(None, str(path)).findings == []


def test_nothing_at_all_is_a_computer_too(tmp_path: Path) -> None:
    profile, notes = detect(Tree(tmp_path))
    assert profile.name == "computer"
    assert profile.cores["control"] == "all"
    assert len(notes) == 3


@given(
    st.dictionaries(st.sampled_from(["sys/block/x/size", "proc/self/limits", "proc/mounts"]), st.binary(max_size=40))
)
def test_whatever_the_files_hold_there_is_a_profile(contents: dict[str, bytes]) -> None:
    class Odd(Tree):
        def text(self, absolute: str) -> str:
            return contents.get(absolute.lstrip("/"), b"").decode(errors="replace").strip()

    assert detect(Odd(Path("/nonexistent"))).profile.name == "computer"


def test_lists_of_processors() -> None:
    assert core_numbers("0-2,7\n") == [0, 1, 2, 7]
    assert core_numbers("") == core_numbers("x,-") == []


def test_names_are_those_of_profiles() -> None:
    assert profile_name("Roof-Box 3.local") == "roof_box_3_local"
    assert profile_name("###") == "computer"
