"""What software a run has is kept beside its log, and can be compared."""

from __future__ import annotations

from pathlib import Path

import msgspec

from cardan.runtime.graph import load_plan
from cardan.runtime.plan import Plan
from cardan.runtime.software import (
    NAME,
    code_sha256,
    packages,
    profile_sha256,
    read_software_or_none,
    software_of,
    write_software,
)


def reference() -> Plan:
    return load_plan(None, None)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    software = software_of(reference(), "20260101-000000-beef")
    write_software(tmp_path, software)
    assert read_software_or_none(tmp_path) == software
    assert software.cardan and software.kernel and len(software.code_sha256) == 64
    assert "numpy" in software.packages and "pytest" not in software.packages


def test_nothing_kept_and_something_damaged_are_none(tmp_path: Path) -> None:
    assert read_software_or_none(tmp_path) is None
    (tmp_path / NAME).write_bytes(b'{"run": 1')
    assert read_software_or_none(tmp_path) is None


def test_the_port_of_a_bench_bus_changes_no_hash_and_a_setting_does() -> None:
    plan = reference()
    can = {name: msgspec.structs.replace(channel, port=channel.port + 1) for name, channel in plan.profile.can.items()}
    moved = msgspec.structs.replace(plan, profile=msgspec.structs.replace(plan.profile, can=can))
    renamed = msgspec.structs.replace(plan, profile=msgspec.structs.replace(plan.profile, name="other"))
    assert can and profile_sha256(moved) == profile_sha256(plan) != profile_sha256(renamed)


def test_the_hash_of_the_code_is_of_what_is_installed() -> None:
    assert code_sha256() == code_sha256()
    assert code_sha256("json") != code_sha256()
    assert packages() == packages()
