"""A bundle that is sent waits for the store as it is, and once."""

from __future__ import annotations

from pathlib import Path

import pytest

from cardan.runtime.bundle.send import send
from cardan.runtime.clock import FakeClock
from cardan.runtime.errors import CardanError
from cardan.runtime.uplink.files import files_dir, waiting_notes
from cardan.runtime.uplink.status import uplink_dir


def test_a_bundle_waits_for_the_store_as_it_is_and_once(tmp_path: Path) -> None:
    file, data, clock = tmp_path / "K7M4QP.cardan.zip", tmp_path / "data", FakeClock()
    file.write_bytes(bytes(range(256)) * 2000)
    note = send(file, data, clock)
    clock.advance_s(1.0)
    assert send(file, data, clock) == note and note.purposes == ("diagnostics",)
    folder = files_dir(uplink_dir(data))
    (identity,) = waiting_notes(folder)
    assert (folder / f"{identity}.data").read_bytes() == file.read_bytes()
    assert len(list(folder.iterdir())) == 2


def test_another_content_is_another_bundle(tmp_path: Path) -> None:
    file, data, clock = tmp_path / "K7M4QP.cardan.zip", tmp_path / "data", FakeClock()
    for content in (b"one", b"two"):
        file.write_bytes(content)
        send(file, data, clock)
        clock.advance_s(1.0)
    assert len(waiting_notes(files_dir(uplink_dir(data)))) == 2


def test_what_is_no_file_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(CardanError):
        send(tmp_path / "none", tmp_path, FakeClock())
