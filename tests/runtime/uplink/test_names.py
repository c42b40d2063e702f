"""Names of objects: kept before anything leaves, and whole lines survive whatever happens to the others."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.uplink import names
from cardan.runtime.uplink.names import FILE_NAME, Name, Names, line_of, read_names

ONE = Name(key="log/trend/1-2.sealed", name="v1/records/one", form="jsonl", hashes=("ab",))
TWO = Name(key="log/trend/3-4.sealed", name="v1/records/two", form="parquet", hashes=("cd",), in_blocks=True)


def opened(folder: Path) -> Names:
    found = Names(folder)
    found.open()
    return found


def test_a_name_is_there_after_a_kill(tmp_path: Path) -> None:
    before = opened(tmp_path / "uplink")
    assert before.keep(ONE) is ONE
    before.keep(TWO)  # and nothing is closed
    after = opened(tmp_path / "uplink")
    assert [after.get_or_none(name.key) for name in (ONE, TWO)] == [ONE, TWO]
    assert after.damaged == 0


def test_what_has_left_is_forgotten(tmp_path: Path) -> None:
    before = opened(tmp_path)
    before.keep(ONE)
    before.forget(ONE.key)
    before.forget("never heard of")
    assert before.get_or_none(ONE.key) is None
    assert opened(tmp_path).get_or_none(ONE.key) is None
    assert (tmp_path / FILE_NAME).stat().st_size == 0  # written anew at the start


def test_the_newest_word_counts(tmp_path: Path) -> None:
    book = opened(tmp_path)
    book.keep(ONE)
    refused = msgspec.structs.replace(ONE, refused="something else has that name")
    book.keep(refused)
    assert book.refused() == [refused]
    book = opened(tmp_path)
    assert book.refused() == [refused]
    book.retry()
    assert opened(tmp_path).get_or_none(ONE.key) is None


def test_the_same_word_is_written_once(tmp_path: Path) -> None:
    book = opened(tmp_path)
    for _ in range(3):
        book.keep(ONE)
    assert (tmp_path / FILE_NAME).read_bytes() == line_of(ONE)


def test_the_file_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names, "MOST_BYTES", 2000)
    book = opened(tmp_path)
    book.keep(TWO)
    for number in range(200):
        name = msgspec.structs.replace(ONE, key=f"log/trend/{number}")
        book.keep(name)
        book.forget(name.key)
        assert (tmp_path / FILE_NAME).stat().st_size <= 2000
    assert opened(tmp_path).get_or_none(TWO.key) == TWO


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_a_flipped_bit_costs_one_line_at_most(tmp_path_factory: pytest.TempPathFactory, place: int, bit: int) -> None:
    path = tmp_path_factory.mktemp("names") / FILE_NAME
    data = bytearray(line_of(ONE) + line_of(TWO))
    data[place % len(data)] ^= 1 << bit
    path.write_bytes(data)
    known, damaged = read_names(path)
    assert set(known.values()) <= {ONE, TWO}
    assert known or place % len(data) == len(line_of(ONE)) - 1  # the end of the line between them
    assert damaged >= 1 or len(known) == 2


def test_a_torn_line_is_left_out(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(line_of(ONE) + line_of(TWO)[:-20])
    book = opened(tmp_path)
    assert (book.get_or_none(ONE.key), book.get_or_none(TWO.key), book.damaged) == (ONE, None, 1)
    book.keep(TWO)
    assert opened(tmp_path).get_or_none(TWO.key) == TWO
