"""The key to a store: read from a file, again when it was renewed, and never shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cardan.runtime.errors import ConfigError
from cardan.runtime.uplink.stores.access import NO_ACCESS, AccessFile


def test_a_line_is_a_signature(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("?sv=2024&se=2026-11-25T15%3A00%3A00Z&sig=abc%3D\n")
    access = AccessFile(path).read()
    assert access.settings == {"sas_key": "sv=2024&se=2026-11-25T15%3A00%3A00Z&sig=abc%3D"}
    assert access.ends == "2026-11-25T15:00:00Z"
    assert "abc" not in repr(access)


def test_an_object_is_settings(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text('{"access_key_id": "a", "secret_access_key": "b"}')
    access = AccessFile(path).read()
    assert access.settings == {"access_key_id": "a", "secret_access_key": "b"}
    assert access.ends == ""


def test_a_renewed_file_is_read_again_and_an_old_one_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key"
    path.write_text("sig=one")
    file = AccessFile(path)
    assert file.read().sas == "sig=one"
    new = tmp_path / "new"
    new.write_text("sig=two")
    os.replace(new, path)
    assert file.read().sas == "sig=two"
    monkeypatch.setattr(Path, "read_text", None)
    assert file.read().sas == "sig=two"


def test_without_a_file_the_environment_decides() -> None:
    assert AccessFile(None).read() is NO_ACCESS


@pytest.mark.parametrize("text", ["", "hello", "sig=a\nsig=b", '{"a": 1}', "{"])
def test_what_is_no_key_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    with pytest.raises(ConfigError, match="holds no"):
        AccessFile(path).read()


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read from .*/key"):
        AccessFile(tmp_path / "key").read()
    (tmp_path / "key").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ConfigError, match="it is no text"):
        AccessFile(tmp_path / "key").read()
