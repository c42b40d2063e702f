"""Where control groups may be made, told from what the kernel and the service manager show."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cardan.runtime.supervise.delegation import find_delegation, own_group


class Computer:
    """The files that are looked at, in a folder: /proc/self, a hierarchy of control groups, and systemd's own."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.mount, self.systemd = folder / "proc", folder / "cgroup", folder / "systemd"
        self.proc.mkdir()

    def is_in(self, group: str, *, mounted: str = "/") -> Path:
        """Put this process into a group; mounted: what of the hierarchy the mount shows."""
        (self.proc / "cgroup").write_text(f"4:memory:/elsewhere\n0::{group}\n")
        lines = ["22 1 0:20 / /proc rw - proc proc rw", f"41 31 0:38 {mounted} {self.mount} rw - cgroup2 cgroup2 rw"]
        (self.proc / "mountinfo").write_text("\n".join(lines) + "\n")
        folder = self.mount / os.path.relpath(group, mounted)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup.procs").touch()
        return folder

    def find(self) -> tuple[Path | None, str]:
        found = find_delegation(self.proc, self.systemd)
        return found.folder, found.why_not


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    return Computer(tmp_path)


def test_without_a_service_manager_a_group_that_may_be_written_is_ours(computer: Computer) -> None:
    folder = computer.is_in("/box")
    assert computer.find() == (folder, "")


def test_a_mount_that_shows_a_part_of_the_hierarchy_is_understood(computer: Computer) -> None:
    folder = computer.is_in("/box/inner", mounted="/box")
    assert computer.find() == (folder, "")


def test_a_computer_with_the_first_version_only_has_none(computer: Computer) -> None:
    computer.is_in("/")
    (computer.proc / "cgroup").write_text("4:memory:/\n1:name=systemd:/\n")
    assert own_group(computer.proc) is None
    assert computer.find() == (None, "no cgroup v2 is mounted")


def test_a_group_outside_of_what_is_mounted_is_out_of_reach(computer: Computer) -> None:
    computer.is_in("/box", mounted="/")
    (computer.proc / "cgroup").write_text("0::/../other\n")
    assert computer.find() == (None, "no cgroup v2 is mounted")


def test_a_group_of_somebody_else_is_left_alone(computer: Computer, monkeypatch: pytest.MonkeyPatch) -> None:
    computer.is_in("/box")
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("cgroup.procs"))
    assert computer.find() == (None, "this user may not write to the group /box")


def test_where_systemd_is_in_charge_it_has_to_hand_a_group_over(
    computer: Computer, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = computer.is_in("/system.slice/cardan.service")
    computer.systemd.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    refusal = "the group /system.slice/cardan.service was not handed over (Delegate= of its unit)"
    assert computer.find() == (None, refusal)
    monkeypatch.setattr(os, "getxattr", lambda path, name: b"1" if name == "user.delegate" else b"0")
    assert computer.find() == (folder, "")


@pytest.mark.parametrize(("group", "ours"), [("/system.slice/x.service", True), ("/user.slice/u.scope", False)])
def test_before_systemd_251_a_unit_that_belongs_to_its_user_was_handed_over(
    computer: Computer, monkeypatch: pytest.MonkeyPatch, group: str, ours: bool
) -> None:
    folder = computer.is_in(group)
    computer.systemd.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 998)
    assert computer.find()[0] == (folder if ours else None)
