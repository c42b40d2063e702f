"""A latched fault on disk: kept, read back, cleared, and never in the way."""

from __future__ import annotations

from pathlib import Path

from cardan.firmware_bridge.latch import LONGEST_BYTES, Latch


def test_a_fault_is_kept_until_it_is_cleared(tmp_path: Path) -> None:
    latch = Latch(tmp_path / "bridge.latched")
    assert latch.cause() == ""
    assert latch.set("second-sender:0x120") == ""
    assert Latch(tmp_path / "bridge.latched").cause() == "second-sender:0x120"
    assert latch.clear() == ""
    assert latch.clear() == ""
    assert latch.cause() == ""


def test_an_empty_or_endless_file_is_a_fault_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "bridge.latched"
    path.write_bytes(b"")
    assert Latch(path).cause() == "unknown"
    path.write_bytes(b"x" * 10_000)
    assert Latch(path).cause() == "x" * LONGEST_BYTES


def test_a_file_that_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "bridge.latched").mkdir()
    assert Latch(tmp_path / "bridge.latched").cause() == "latch-unreadable:Is a directory"


def test_what_the_disk_refuses_is_told(tmp_path: Path) -> None:
    (tmp_path / "bridge.latched").mkdir()
    latch = Latch(tmp_path / "bridge.latched")
    assert "Is a directory" in latch.set("x")
    assert latch.clear() != ""
