"""The folder store: whole objects or none, never overwritten."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cardan.runtime.errors import ConfigError
from cardan.runtime.uplink.store import FolderStore, StoreError, open_store

NAME = "vehicle=v/date=2026-01-01/boot=b/telemetry-1.jsonl.gz"


def test_an_object_is_made_once(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    assert store.create(NAME, b"one") is True
    assert store.create(NAME, b"two") is False
    assert store.read(NAME) == b"one"
    assert [path.name for path in (tmp_path / NAME).parent.iterdir()] == [Path(NAME).name]


def test_what_a_kill_left_half_written_is_no_object_and_does_not_disturb(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.parent.mkdir(parents=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(b"a longer half of something")
    store = FolderStore(tmp_path)
    assert store.create(NAME, b"whole") is True
    assert store.read(NAME) == b"whole"
    assert not partial.exists()


def test_a_file_system_without_links_does_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_link(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_link)
    store = FolderStore(tmp_path)
    assert store.create(NAME, b"one") is True
    assert store.create(NAME, b"two") is False
    assert store.read(NAME) == b"one"


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "mnt")
    with pytest.raises(StoreError, match="is the disk mounted"):
        store.create(NAME, b"one")
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_refuses_says_why(tmp_path: Path) -> None:
    (tmp_path / "vehicle=v").write_text("a file is in the way")
    with pytest.raises(StoreError, match="refuses"):
        FolderStore(tmp_path).create(NAME, b"one")
    with pytest.raises(StoreError, match="cannot be read"):
        FolderStore(tmp_path).read("nothing")


def test_an_empty_url_is_the_default_folder_which_is_made(tmp_path: Path) -> None:
    assert open_store("", tmp_path / "a" / "store").create(NAME, b"one") is True
    assert (tmp_path / "a" / "store" / NAME).exists()


def test_a_file_url_names_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    folder.mkdir()
    store = open_store(folder.as_uri(), tmp_path / "unused")
    store.create(NAME, b"one")
    assert (folder / NAME).read_bytes() == b"one"
    assert store.url == folder.as_uri()
    assert not (tmp_path / "unused").exists()


@pytest.mark.parametrize("url", ["s3://bucket", "/a/path", "file://host/path", "file:relative"])
def test_another_url_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no store that cardan knows"):
        open_store(url, tmp_path)
