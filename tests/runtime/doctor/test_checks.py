"""Each check on a computer that is made of files: what it passes, what it fails, and that a failure has a remedy."""

from __future__ import annotations

import os
import resource
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from cardan.runtime.clock import FakeClock, ns
from cardan.runtime.doctor import clock_check, machine, service, storage, vehicle
from cardan.runtime.doctor.check import Result, Subject, Verdict
from cardan.runtime.findings import Finding
from cardan.runtime.outbox.folder import outbox_dir
from cardan.runtime.plan import write_plan
from cardan.runtime.profile import RealtimeSettings, StorageSettings, WatchdogSettings
from cardan.runtime.run import RunPaths
from cardan.runtime.vitals import create_vitals

HERE = Path(__file__)


def put(subject: Subject, path: str, text: str) -> None:
    place = subject.path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def assert_failed(result: Result, text: str) -> None:
    assert result.verdict is Verdict.FAIL
    assert text in result.text
    assert result.fix


def with_profile(subject: Subject, **fields: object) -> Subject:
    return replace(subject, profile=msgspec.structs.replace(subject.profile, **fields))


def test_processors_of_the_profile_that_are_not_online_are_named(subject: Subject) -> None:
    put(subject, "/sys/devices/system/cpu/online", "0-1,3\n")
    assert machine.cores(with_profile(subject, cores={"control": [1, 3]})).verdict is Verdict.PASS
    assert_failed(machine.cores(with_profile(subject, cores={"control": [1, 2, 7]})), "processors 2, 7")


def test_where_the_kernel_says_nothing_the_answer_is_unknown(subject: Subject) -> None:
    assert machine.cores(subject).verdict is Verdict.UNKNOWN
    assert machine.memory(subject).verdict is Verdict.UNKNOWN
    assert machine.thermal(subject).verdict is Verdict.UNKNOWN
    assert storage.wear(subject).verdict is Verdict.UNKNOWN
    assert clock_check.ptp(subject).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("scheduler", "limit", "verdict"),
    [
        ("fifo", 0, Verdict.FAIL),
        ("fifo", 60, Verdict.PASS),
        ("fifo-if-allowed", 0, Verdict.PASS),
        ("other", 0, Verdict.PASS),
    ],
)
def test_real_time_is_judged_by_what_the_profile_wants(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, scheduler: str, limit: int, verdict: Verdict
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (limit, limit))
    wanted = RealtimeSettings(scheduler=scheduler)  # type: ignore[arg-type]
    assert machine.scheduler(with_profile(subject, realtime=wanted)).verdict is verdict


def test_memory_that_may_not_be_locked_fails_where_the_profile_wants_it(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (64 << 10, 64 << 10))
    assert machine.memory_lock(subject).verdict is Verdict.PASS
    assert_failed(
        machine.memory_lock(with_profile(subject, realtime=RealtimeSettings(memory_lock=True))), "only 64 KiB"
    )


def test_missing_shared_memory_fails(subject: Subject) -> None:
    assert_failed(machine.shared_memory(subject), "/dev/shm")
    subject.path("/dev/shm").mkdir(parents=True)
    assert machine.shared_memory(subject).verdict is Verdict.PASS


@pytest.mark.parametrize(("release", "verdict"), [("4.19.0-6", Verdict.FAIL), ("6.1.0-18-rt", Verdict.PASS)])
def test_an_old_kernel_fails(subject: Subject, release: str, verdict: Verdict) -> None:
    put(subject, "/proc/sys/kernel/osrelease", release)
    assert machine.kernel(subject).verdict is verdict


@pytest.mark.parametrize(("available_kib", "verdict"), [(100_000, Verdict.FAIL), (2_000_000, Verdict.PASS)])
def test_memory_that_is_short_fails(subject: Subject, available_kib: int, verdict: Verdict) -> None:
    put(subject, "/proc/meminfo", f"MemTotal: 8000000 kB\nMemAvailable: {available_kib} kB\n")
    assert machine.memory(subject).verdict is verdict


def test_a_zone_near_its_limit_and_a_throttled_processor_fail(subject: Subject) -> None:
    zone = "/sys/class/thermal/thermal_zone0"
    put(subject, f"{zone}/type", "soc")
    put(subject, f"{zone}/temp", "61000")
    put(subject, f"{zone}/trip_point_0_type", "critical")
    put(subject, f"{zone}/trip_point_0_temp", "95000")
    assert machine.thermal(subject).text == "warmest: soc 61 C"
    put(subject, f"{zone}/temp", "93000")
    assert_failed(machine.thermal(subject), "soc 93 C of 95")
    put(subject, f"{zone}/temp", "50000")
    put(subject, "/sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "7")
    assert_failed(machine.thermal(subject), "throttled 7 times")


def test_the_disk_is_probed_for_real_and_nothing_is_left_behind(subject: Subject) -> None:
    subject.data_dir.mkdir()
    assert storage.folder(subject).verdict is Verdict.PASS
    assert "MB/s" in storage.speed(subject).text
    assert storage.space(subject).text.endswith("recordings may take 4.0 GB")
    assert list(subject.data_dir.iterdir()) == []


def test_recordings_that_may_take_more_than_the_disk_has_fail(subject: Subject) -> None:
    greedy = with_profile(subject, storage=StorageSettings(quota_bytes=10**18))
    assert_failed(storage.space(greedy), "recordings may take 1000000000.0 GB, and the disk has")


def test_a_worn_flash_fails(subject: Subject) -> None:
    put(subject, "/sys/block/mmcblk0/device/life_time", "0x02 0x03\n")
    assert storage.wear(subject).text == "mmcblk0 has used at most 30 % of its life"
    put(subject, "/sys/block/mmcblk0/device/life_time", "0x02 0x0a\n")
    assert_failed(storage.wear(subject), "mmcblk0 has used about 100 %")


def test_a_clock_that_was_never_set_fails(subject: Subject) -> None:
    clock = FakeClock()
    assert clock_check.wall(replace(subject, clock=clock)).verdict is Verdict.PASS
    clock.jump_wall_s(-1_600_000_000)
    assert_failed(clock_check.wall(replace(subject, clock=clock)), "1973")


def test_the_kernel_is_asked_whether_the_clock_is_kept_right(subject: Subject) -> None:
    result = clock_check.synchronised(subject)
    assert result.verdict in (Verdict.PASS, Verdict.FAIL)
    assert result.text


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ({}, Verdict.FAIL),
        ({"LoadState": "not-found"}, Verdict.FAIL),
        ({"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "disabled"}, Verdict.FAIL),
        ({"LoadState": "loaded", "ActiveState": "failed", "UnitFileState": "enabled"}, Verdict.FAIL),
        (
            {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled", "NRestarts": "3"},
            Verdict.FAIL,
        ),
        (
            {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled", "NRestarts": "0"},
            Verdict.PASS,
        ),
    ],
)
def test_the_service_is_judged_by_what_systemd_says(said: dict[str, str], verdict: Verdict) -> None:
    result = service.judge_unit(said)
    assert result.verdict is verdict
    assert verdict is Verdict.PASS or result.fix


def test_without_systemd_the_service_is_unknown(subject: Subject) -> None:
    assert service.unit(subject).verdict is Verdict.UNKNOWN


def test_a_watchdog_that_is_absent_or_no_device_fails(subject: Subject) -> None:
    assert service.watchdog(subject).verdict is Verdict.PASS
    put(subject, "/dev/watchdog0", "")
    assert service.watchdog(subject).fix == '[watchdog] device = "/dev/watchdog0"'
    named = with_profile(subject, watchdog=WatchdogSettings(device="/dev/watchdog0"))
    assert_failed(service.watchdog(named), "is no device")
    assert_failed(
        service.watchdog(with_profile(subject, watchdog=WatchdogSettings(device="/dev/watchdog7"))), "No such file"
    )


def test_findings_of_the_manifest_are_counted(subject: Subject) -> None:
    assert vehicle.manifest(subject).verdict is Verdict.PASS
    finding = Finding(file="vehicle.toml", line=3, path="nodes", what="there is no node", remedy="add one")
    assert_failed(vehicle.manifest(replace(subject, plan=None, findings=[finding, finding])), "and 1 more")


def test_the_cause_of_the_last_run_is_told_with_its_cure(subject: Subject) -> None:
    assert vehicle.last_run(subject).verdict is Verdict.UNKNOWN
    last = RunPaths(subject.data_dir, subject.data_dir).last
    last.mkdir(parents=True)
    assert subject.plan is not None
    write_plan(subject.plan, last / "plan.json")
    page = create_vitals(last / "vitals", subject.plan, now_ns=1, wall_ns=1)
    assert vehicle.last_run(subject).text == "it ended in order"
    page.report_cause(ns(1), "the camera is gone", "node-gave-up")
    page.close()
    assert_failed(vehicle.last_run(subject), "the camera is gone")
    (last / "vitals").write_bytes(b"x")
    assert vehicle.last_run(subject).verdict is Verdict.UNKNOWN


def test_crash_reports_are_counted(subject: Subject) -> None:
    assert vehicle.crashes(subject).verdict is Verdict.PASS
    (subject.data_dir / "crashes").mkdir(parents=True)
    (subject.data_dir / "crashes" / "cardan-crash-1-2.txt").write_text("x")
    assert_failed(vehicle.crashes(subject), "1 reports")


def test_without_an_outbox_there_is_nothing_to_say(subject: Subject) -> None:
    assert not outbox_dir(subject.data_dir).exists()
    assert vehicle.outbox(subject).verdict is Verdict.UNKNOWN
