"""Checks of the machine against its profile, of throttling, clocks, the wear of NVMe disks, ports and plans."""

from __future__ import annotations

import fcntl
import socket
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from cardan.engines import checks as engine_checks
from cardan.engines.accelerator import this_cpu
from cardan.engines.build.cache import PlanCache, Sidecar
from cardan.engines.build.recipe import Recipe
from cardan.runtime.bus import native
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.doctor import clock_check, machine, profile_checks, service, storage
from cardan.runtime.doctor.check import Result, Subject, Verdict
from cardan.runtime.plan import Plan
from cardan.runtime.profile import DiskSettings, LinkSettings, MachineSettings


def put(subject: Subject, path: str, text: str) -> None:
    place = subject.path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def with_profile(subject: Subject, **fields: object) -> Subject:
    return replace(subject, profile=msgspec.structs.replace(subject.profile, **fields))


def assert_failed(result: Result, text: str) -> None:
    assert result.verdict is Verdict.FAIL
    assert text in result.text
    assert result.fix


def test_another_machine_than_that_of_the_profile_fails(subject: Subject) -> None:
    assert profile_checks.same_machine(subject).verdict is Verdict.UNKNOWN
    put(subject, "/sys/devices/system/cpu/online", "0-3\n")
    put(subject, "/proc/meminfo", "MemTotal: 8000000 kB\n")
    put(subject, "/proc/sys/kernel/arch", "aarch64\n")
    was = MachineSettings(architecture="aarch64", processors=4, memory_mib=7800)
    assert profile_checks.same_machine(with_profile(subject, machine=was)).verdict is Verdict.PASS
    was = MachineSettings(model="Orin", architecture="x86_64", processors=8, memory_mib=15_000)
    result = profile_checks.same_machine(with_profile(subject, machine=was))
    assert_failed(result, "processors online: 4, not 8")
    assert "memory 7812 MiB, not 15000" in result.text
    assert "architecture aarch64, not x86_64" in result.text


def test_parts_that_are_not_compiled_fail_where_the_processor_needs_them(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "compiled", object())
    assert machine.compiled_parts(subject).text == "the inner parts of the bus are compiled"
    monkeypatch.setattr(native, "compiled", None)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert machine.compiled_parts(subject).verdict is Verdict.PASS
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert_failed(machine.compiled_parts(subject), "orders stores freely")


def test_links_of_the_profile_have_to_be_there_and_one_of_them_up(subject: Subject) -> None:
    wanted = with_profile(subject, links={"eth0": LinkSettings(kind="ethernet"), "wwan0": LinkSettings(kind="mobile")})
    assert_failed(profile_checks.links(wanted), "there is no eth0 (ethernet), wwan0 (mobile)")
    for name, state in (("eth0", "down"), ("wwan0", "down")):
        put(subject, f"/sys/class/net/{name}/type", "1")
        put(subject, f"/sys/class/net/{name}/device/x", "")
        put(subject, f"/sys/class/net/{name}/operstate", state)
    assert_failed(profile_checks.links(wanted), "eth0 down, wwan0 down")
    put(subject, "/sys/class/net/eth0/operstate", "up")
    assert profile_checks.links(wanted).text == "eth0 up, wwan0 down"


def test_devices_have_to_be_there_as_devices_under_names_that_stay(subject: Subject) -> None:
    result = profile_checks.devices(with_profile(subject, devices={"front": "/dev/front"}))
    assert_failed(result, "front: /dev/front: No such file or directory")
    put(subject, "/dev/front", "")
    assert_failed(profile_checks.devices(with_profile(subject, devices={"front": "/dev/front"})), "is no device")
    here = replace(with_profile(subject, devices={"null": "/dev/null"}), root=Path("/"))
    assert profile_checks.devices(here).verdict is Verdict.PASS
    assert profile_checks.PASSING.fullmatch("/dev/video0")
    assert not profile_checks.PASSING.fullmatch("/dev/v4l/by-path/pci-0-video-index0")


def test_what_holds_a_processor_back_is_named(subject: Subject) -> None:
    assert machine.throttle(subject).verdict is Verdict.UNKNOWN
    put(subject, "/sys/devices/system/cpu/online", "0\n")
    put(subject, "/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "2000000")
    put(subject, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq", "2000000")
    put(subject, "/sys/class/thermal/cooling_device0/type", "pwm-fan")
    put(subject, "/sys/class/thermal/cooling_device0/cur_state", "3")
    assert machine.throttle(subject).verdict is Verdict.PASS, "a fan costs no speed"
    put(subject, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq", "1200000")
    put(subject, "/sys/class/thermal/cooling_device1/type", "Processor")
    put(subject, "/sys/class/thermal/cooling_device1/cur_state", "2")
    put(subject, "/sys/class/hwmon/hwmon1/oc1_event_cnt", "5")
    result = machine.throttle(subject)
    assert_failed(result, "cpu0 is capped at 60% of its clock")
    assert "Processor cools by step 2, oc1 counted 5 over-current events" in result.text


@pytest.mark.parametrize(
    ("line", "verdict", "text"),
    [
        (
            "C0A80001,192.168.0.1,3,1700000000.1,-0.000012345,0,0,0,0,0,0,0,64,Normal",
            Verdict.PASS,
            "-0.012 ms from 192",
        ),
        ("C0A80001,192.168.0.1,3,1700000000.1,1.5,0,0,0,0,0,0,0,64,Normal", Verdict.FAIL, "+1500.000 ms"),
        ("7F7F0101,,10,0,0.0,0,0,0,0,0,0,0,0,Not synchronised", Verdict.FAIL, "no server"),
        ("506 Cannot talk to daemon", Verdict.UNKNOWN, "506"),
    ],
)
def test_the_offset_is_what_chrony_says(line: str, verdict: Verdict, text: str) -> None:
    result = clock_check.judge_tracking(line + "\n")
    assert result.verdict is verdict
    assert text in result.text


@pytest.mark.parametrize(
    ("ahead_ns", "verdict"),
    [(200_000, Verdict.PASS), (37_000_300_000, Verdict.PASS), (5_000_000, Verdict.FAIL), (-(10**18), Verdict.FAIL)],
)
def test_a_hardware_clock_runs_with_utc_or_with_tai(ahead_ns: int, verdict: Verdict) -> None:
    assert clock_check.judge_ptp({"eth0": ahead_ns}, 37).verdict is verdict
    assert clock_check.judge_ptp({"eth0": ahead_ns}, 0).verdict is verdict


def test_a_hardware_clock_that_is_away_is_not_judged(subject: Subject) -> None:
    assert clock_check.ptp_offset(subject).verdict is Verdict.UNKNOWN
    wanted = with_profile(subject, links={"eth0": LinkSettings(kind="ethernet", ptp_clock="ptp0")})
    assert clock_check.ptp_offset(wanted).verdict is Verdict.UNKNOWN
    assert clock_check.offset(subject).text


def test_an_nvme_disk_is_asked_for_its_wear(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is written where the command says; no NVMe disk was at hand."""
    import ctypes

    asked: list[bytes] = []

    def answer(descriptor: int, number: int, command: bytearray) -> int:
        opcode, namespace, address, length, words, _ = storage.NVME_COMMAND.unpack(command)
        asked.append(bytes(command))
        assert (number, opcode, namespace, length, words) == (0xC0484E41, 2, 0xFFFFFFFF, 512, 127 << 16 | 2)
        ctypes.memset(address + 5, percent, 1)
        return 0

    monkeypatch.setattr(fcntl, "ioctl", answer)
    put(subject, "/dev/nvme0", "")
    put(subject, "/sys/class/nvme/nvme0/model", "x")
    percent = 12
    assert storage.wear(subject).text == "nvme0 has used 12 % of its life"
    percent = 97
    assert_failed(storage.wear(subject), "nvme0 has used 97 %")
    assert storage.NVME_COMMAND.size == len(asked[0]) == 72


def test_disks_of_the_profile_have_to_be_there_and_mounted(subject: Subject) -> None:
    wanted = with_profile(subject, disks={"sda": DiskSettings(kind="ssd", size_gb=240, mounts=["/data"])})
    assert storage.disks(subject).verdict is Verdict.UNKNOWN
    assert_failed(storage.disks(wanted), "there is no sda")
    put(subject, "/sys/block/sda/size", str(240 * 10**9 // 512))
    assert_failed(storage.disks(wanted), "sda is not mounted at /data")
    put(subject, "/proc/mounts", "/dev/sda /data ext4 rw 0 0\n")
    assert storage.disks(wanted).text == "sda 240 GB"
    put(subject, "/sys/block/sda/size", str(120 * 10**9 // 512))
    assert_failed(storage.disks(wanted), "sda has 120 GB, not 240")


def listens(plan: Plan, port: int) -> Plan:
    node = msgspec.structs.replace(plan.nodes[0], name="page", config={"page": {"port": port}})
    gateway = msgspec.structs.replace(plan.nodes[1], name="door", config={"bind": f"tcp://127.0.0.1:{port}"})
    return msgspec.structs.replace(plan, nodes=[node, gateway])


def test_ports_that_others_hold_fail(subject: Subject, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CARDAN_RUN_DIR", str(tmp_path / "runs"))
    assert service.ports(subject).text == "the manifest opens no port"
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        assert subject.plan is not None
        plan = listens(subject.plan, port)
        assert service.listening(plan) == {"page": ("127.0.0.1", port), "door": ("127.0.0.1", port)}
        assert_failed(service.ports(replace(subject, plan=plan)), f"page: 127.0.0.1:{port} is address already in use")
    assert service.ports(replace(subject, plan=plan)).verdict is Verdict.PASS


def test_plans_of_another_release_fail(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine_checks.plans(subject).text == "none were built"
    cache = PlanCache(subject.data_dir / "plans", MonotonicClock())
    recipe = Recipe(
        model_sha256="0" * 64, backend="onnxruntime", version="1.0", accelerator=this_cpu(), inputs={}, options={}
    )
    sidecar = Sidecar(recipe=recipe, model="net", plan_sha256="", plan_bytes=0, accuracy={}, accepted=True)
    monkeypatch.setattr(PlanCache, "verify", lambda self: {})
    monkeypatch.setattr(PlanCache, "sidecars", lambda self: [sidecar])
    assert cache.sidecars() == [sidecar]
    assert_failed(engine_checks.plans(subject), "net for onnxruntime was built by 1.0, and ")
    monkeypatch.setattr(engine_checks, "_version", lambda package: "1.0")
    assert engine_checks.plans(subject).text == "1 built"
