"""Whole files: kept until the store has them, sent in blocks, never changed on the way."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from cardan.runtime.clock import FakeClock
from cardan.runtime.errors import ConfigError, DeviceError
from cardan.runtime.outbox.claims import Claims
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.uplink.files import FileNote, FileQueue, files_dir, hand_over, waiting_notes
from cardan.runtime.uplink.stores.choose import open_store
from cardan.runtime.uplink.stores.folder import FolderStore
from cardan.runtime.uplink.stores.store import Store
from cardan.runtime.uplink.sync import LET_OUT, Sync, open_sync

CONTENT = os.urandom(700_000)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "run 7.crash.mcap"
    path.write_bytes(CONTENT)
    return path


def given(tmp_path: Path, path: Path, **changes: Any) -> FileNote:
    values: dict[str, Any] = {"kind": RecordClass.EVENT, "purposes": ("diagnostics",), "clock": FakeClock()}
    return hand_over(tmp_path / "uplink", path, **{**values, **changes})


def sync_to(tmp_path: Path, store: Store, **changes: Any) -> Sync:
    claims = Claims(tmp_path / "outbox")
    claims.open()
    files = FileQueue(tmp_path / "uplink", vehicle="van-7", boot="b1", block_from_bytes=1 << 18)
    values: dict[str, Any] = {"conditions": LET_OUT, "files": files, "clock": FakeClock(), "random": Random(1)}
    return open_sync(claims, store, tmp_path / "uplink", **{**values, **changes})


def folder_store(tmp_path: Path) -> FolderStore:
    (tmp_path / "store").mkdir(exist_ok=True)
    return FolderStore(tmp_path / "store")


def stored(tmp_path: Path) -> list[Path]:
    return [path for path in sorted((tmp_path / "store").rglob("*")) if path.is_file()]


def test_a_file_becomes_an_object_and_is_forgotten_here(tmp_path: Path, clip: Path) -> None:
    note = given(tmp_path, clip)
    clip.unlink()  # the recorder makes room
    sync = sync_to(tmp_path, folder_store(tmp_path))
    assert [sync.step(), sync.step()] == [1, 0]
    [found] = stored(tmp_path)
    assert found.read_bytes() == CONTENT
    assert found.relative_to(tmp_path / "store").as_posix() == (
        f"v1/clips/date=2023-11-14/vehicle=van-7/boot=b1/run_7.crash-{note.wall_ns}-{note.sha256[:16]}.mcap"
    )
    assert list(files_dir(tmp_path / "uplink").iterdir()) == []


def test_nothing_is_copied_where_a_link_will_do(tmp_path: Path, clip: Path) -> None:
    given(tmp_path, clip)
    [kept] = files_dir(tmp_path / "uplink").glob("*.data")
    assert kept.stat().st_ino == clip.stat().st_ino


def test_a_copy_will_do_where_a_link_will_not(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    given(tmp_path, clip)
    [kept] = files_dir(tmp_path / "uplink").glob("*.data")
    assert kept.read_bytes() == CONTENT


def test_the_class_decides_whose_turn_it_is(tmp_path: Path, clip: Path) -> None:
    clock = FakeClock()
    for kind in (RecordClass.BULK, RecordClass.CRITICAL, RecordClass.EVENT):
        path = tmp_path / f"{kind.name.lower()}.bin"
        path.write_bytes(kind.name.encode())
        clock.advance_s(1)
        given(tmp_path, path, kind=kind, clock=clock)
    sync = sync_to(tmp_path, folder_store(tmp_path))
    order = []
    for _ in range(3):
        before = set(stored(tmp_path))
        assert sync.step() == 1
        order += [path.read_bytes() for path in set(stored(tmp_path)) - before]
    assert order == [b"CRITICAL", b"EVENT", b"BULK"]
    assert {path.parts[-5] for path in stored(tmp_path)} == {"files"}


def test_a_file_whose_consent_is_withdrawn_stays(tmp_path: Path, clip: Path) -> None:
    given(tmp_path, clip)
    conditions = msgspec.structs.replace(LET_OUT, purposes=frozenset({"operation"}))
    sync = sync_to(tmp_path, folder_store(tmp_path), conditions=conditions)
    assert [sync.step(), sync.step()] == [0, 0]
    assert list(sync.progress().withdrawn.values()) == [("diagnostics",)]
    sync.conditions = LET_OUT
    assert sync.step() == 1


def test_a_file_that_was_changed_is_refused_and_the_rest_goes_on(tmp_path: Path, clip: Path) -> None:
    clock = FakeClock()
    given(tmp_path, clip, clock=clock)
    clip.write_bytes(b"something else")
    other = tmp_path / "other.bin"
    other.write_bytes(b"whole")
    clock.advance_s(1)
    given(tmp_path, other, clock=clock)
    sync = sync_to(tmp_path, folder_store(tmp_path))
    assert [sync.step() for _ in range(3)] == [0, 1, 0]
    assert [path.read_bytes() for path in stored(tmp_path)] == [b"whole"]
    assert "was changed after it was handed over" in sync.progress().refused[0].refused


def test_what_a_kill_left_half_is_no_file(tmp_path: Path, clip: Path) -> None:
    given(tmp_path, clip)
    folder = files_dir(tmp_path / "uplink")
    (folder / "00000000000000000001-1-x.data").write_bytes(b"no note")
    (folder / "00000000000000000002-1-y.json").write_bytes(b'{"na')
    assert len(waiting_notes(folder)) == 1
    sync = sync_to(tmp_path, folder_store(tmp_path))
    assert [sync.step(), sync.step()] == [1, 0]


def test_an_empty_file_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.touch()
    given(tmp_path, path)
    sync = sync_to(tmp_path, folder_store(tmp_path))
    assert sync.step() == 1
    assert [found.read_bytes() for found in stored(tmp_path)] == [b""]


def test_more_than_there_is_room_for_is_refused(tmp_path: Path, clip: Path) -> None:
    given(tmp_path, clip, most_bytes=1_000_000)
    with pytest.raises(DeviceError, match="700000 bytes of files wait"):
        given(tmp_path, clip, most_bytes=1_000_000)
    with pytest.raises(ConfigError, match="is no file"):
        given(tmp_path, tmp_path)


def test_a_large_file_survives_cuts_and_kills_block_by_block(
    tmp_path: Path, clip: Path, azurite: Any, proxy_to: Callable[[int], Any]
) -> None:
    proxy = proxy_to(azurite.port)
    note = given(tmp_path, clip)
    (tmp_path / "key").write_text(azurite.sas("cw"))
    for _ in range(3):
        proxy.plan("pass", "pass", "cut 1000")  # what is there, one block, half of the next
        store = open_store(
            azurite.url(proxy.port), default=tmp_path, notes=tmp_path / "blocks", access_file=str(tmp_path / "key")
        )
        sync = sync_to(tmp_path, store)
        sync.step()
        sync.close()
        sync._claims.close()
    if waiting_notes(files_dir(tmp_path / "uplink")):
        assert sync_to(tmp_path, store).step() == 1
    found = [data for name, data in azurite.objects().items() if note.sha256[:16] in name]
    assert found == [CONTENT]
    assert proxy.stats()["bytes"] < len(CONTENT) + 6 * 2000
