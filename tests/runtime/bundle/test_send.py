"""A bundle that is sent comes out of the outbox as it was, whatever was killed on the way."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.bundle import send as sending
from cardan.runtime.bundle.send import PART_BYTES, joined, parts_of, send
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.errors import CardanError
from cardan.runtime.outbox.door import Door
from cardan.runtime.outbox.door_messages import MOST_RECORD_BYTES
from cardan.runtime.outbox.folder import outbox_dir
from cardan.runtime.outbox.limits import SpoolLimits
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.outbox.spool import Spool, Stamp

CLOCK = MonotonicClock()


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A data folder with an outbox at work."""
    spool = Spool(outbox_dir(tmp_path), vehicle="v", boot="b", limits=SpoolLimits(reserve_bytes=0))
    spool.open()
    door = Door(spool)
    door.open()
    ends = threading.Event()

    def work() -> None:
        while not ends.wait(0.0005):
            now = Stamp(CLOCK.now_ns(), CLOCK.wall_ns())
            door.serve(now)
            spool.step(now)
            door.answer()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield tmp_path
    ends.set()
    thread.join()
    door.close()
    spool.queue(RecordClass.BULK).seal()
    spool.close(Stamp(CLOCK.now_ns(), CLOCK.wall_ns()))


@given(st.binary(max_size=3000), st.randoms())
def test_the_parts_in_any_order_and_twice_are_the_file(data: bytes, random: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sending, "PART_BYTES", 100)
        messages = [json.loads(part)["message"] for part in parts_of(data, "K7M4QP")]
    random.shuffle(messages)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    assert joined([*messages, messages[0]]) == data


def test_a_missing_part_is_named_and_a_foreign_one_is_noticed() -> None:
    messages = [json.loads(part)["message"] for part in parts_of(bytes(3 * PART_BYTES), "K7M4QP")]
    with pytest.raises(ValueError, match=r"parts \[1\] of 3 are missing"):
        joined([messages[0], messages[2]])
    with pytest.raises(ValueError, match="not of one bundle"):
        joined([*messages[:2], {**messages[2], "data": "AAAA"}])


def test_a_part_fits_into_a_record() -> None:
    assert max(map(len, parts_of(bytes(range(256)) * 1000, "K7M4QP"))) < MOST_RECORD_BYTES


def test_a_bundle_goes_into_the_outbox_once_however_often_it_is_sent(data_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "b.cardan.zip"
    file.write_bytes(bytes(range(256)) * 2000)
    assert send(file, "K7M4QP", data_dir, CLOCK) == (9, 9)
    assert send(file, "K7M4QP", data_dir, CLOCK) == (0, 9)


def test_what_was_cut_off_goes_on_where_it_was(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "b.cardan.zip"
    file.write_bytes(bytes(range(256)) * 2000)
    whole = list(parts_of(file.read_bytes(), "K7M4QP"))
    with monkeypatch.context() as patch:
        patch.setattr(sending, "parts_of", lambda data, name: iter(whole[:4]))
        assert send(file, "K7M4QP", data_dir, CLOCK) == (4, 4)
    assert send(file, "K7M4QP", data_dir, CLOCK) == (5, 9)


def test_a_bundle_without_an_outbox_is_an_error_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "TIMEOUT_S", 0.05)
    (tmp_path / "b").write_bytes(b"x")
    with pytest.raises(CardanError):
        send(tmp_path / "b", "K7M4QP", tmp_path, CLOCK)
    with pytest.raises(CardanError):
        send(tmp_path / "none", "K7M4QP", tmp_path, CLOCK)
