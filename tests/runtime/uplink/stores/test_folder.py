"""The folder as a store: whole objects, made once."""

from __future__ import annotations

import errno
import os
from hashlib import sha256
from pathlib import Path

import pytest

from cardan.runtime.uplink.stores.choose import open_store
from cardan.runtime.uplink.stores.folder import FolderStore
from cardan.runtime.uplink.stores.store import HeldBackError, Outcome, SealedObject, Store, StoreError

NAME = "vehicle=v/date=2026-01-01/a-1-2.jsonl.gz"


def item(data: bytes, name: str = NAME, earlier: tuple[str, ...] = ()) -> SealedObject:
    return SealedObject(name=name, data=data, sha256=sha256(data).hexdigest(), content_type="x/y", earlier=earlier)


def opened(url: str, tmp_path: Path) -> Store:
    return open_store(url, default=tmp_path / "a" / "store", notes=tmp_path / "notes")


def test_an_object_is_made_once_and_recognised_the_second_time(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    assert store.put(item(b"one")) is Outcome.MADE
    assert store.put(item(b"one")) is Outcome.SAME
    assert store.put(item(b"two")) is Outcome.OTHER
    assert store.read(NAME) == b"one"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a-1-2.jsonl.gz"]


def test_what_an_earlier_release_sealed_is_recognised(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    store.put(item(b"one"))
    assert store.put(item(b"1", earlier=(sha256(b"one").hexdigest(),))) is Outcome.SAME


def test_what_a_killed_process_left_half_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.parent.mkdir(parents=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(b"a longer half of something")
    store = FolderStore(tmp_path)
    assert store.put(item(b"whole")) is Outcome.MADE
    assert store.read(NAME) == b"whole"
    assert not partial.exists()


def test_a_file_system_without_links_does_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_link(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_link)
    store = FolderStore(tmp_path)
    assert store.put(item(b"one")) is Outcome.MADE
    assert store.put(item(b"two")) is Outcome.OTHER
    assert store.read(NAME) == b"one"


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "mnt")
    with pytest.raises(StoreError, match="is the disk mounted") as caught:
        store.put(item(b"one"))
    assert caught.value.kind == "unreachable"
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_refuses_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vehicle=v").write_text("a file is in the way")
    with pytest.raises(StoreError, match="refuses") as caught:
        FolderStore(tmp_path).put(item(b"one"))
    assert caught.value.kind == "refused"
    with pytest.raises(StoreError, match="cannot be read"):
        FolderStore(tmp_path).read("nothing")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreError, match="No space left") as caught:
        FolderStore(tmp_path).put(item(b"one", "b"))
    assert caught.value.kind == "busy"


def test_a_gate_that_is_shut_lets_nothing_out(tmp_path: Path) -> None:
    def shut(count: int) -> None:
        raise HeldBackError(f"{count} bytes")

    with pytest.raises(HeldBackError, match="3 bytes"):
        FolderStore(tmp_path).put(item(b"one"), shut)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_empty_url_is_the_default_folder_which_is_made(tmp_path: Path) -> None:
    assert opened("", tmp_path).put(item(b"one")) is Outcome.MADE
    assert (tmp_path / "a" / "store" / NAME).exists()


def test_a_file_url_names_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    folder.mkdir()
    store = opened(folder.as_uri(), tmp_path)
    store.put(item(b"one"))
    assert (folder / NAME).read_bytes() == b"one"
    assert store.url == folder.as_uri()
    assert not (tmp_path / "a").exists()
