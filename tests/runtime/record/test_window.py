"""A span of a recording is read without the rest, and no file is too damaged to be asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.runtime.small_recording import FRAMES, small_recording

from cardan.runtime.clock import ns
from cardan.runtime.record.mcap_file import RecordedMessage, read_messages
from cardan.runtime.record.mcap_layout import CHUNK
from cardan.runtime.record.window import messages_between, parts


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_recording(tmp_path_factory.mktemp("window"))


def expected(path: Path, begin_ns: int, end_ns: int, topics: set[str]) -> list[RecordedMessage]:
    return [m for m in read_messages(path) if m.topic in topics and begin_ns <= m.log_ns <= end_ns]


@pytest.mark.parametrize("topics", [{"can/frames"}, {"late/frames"}, set(FRAMES)])
@pytest.mark.parametrize(("begin_s", "end_s"), [(0, 99), (4, 6), (12, 12.5), (19, 99), (50, 60)])
def test_exactly_the_messages_of_the_span_come(recording: Path, topics: set[str], begin_s: float, end_s: float) -> None:
    first_ns = next(read_messages(recording)).log_ns
    begin_ns, end_ns = first_ns + ns(begin_s), first_ns + ns(end_s)
    found = list(messages_between(recording, begin_ns, end_ns, topics))
    assert found == expected(recording, begin_ns, end_ns, topics)
    assert bool(found) is (begin_s < 20)


def test_chunks_outside_of_the_span_are_not_read(recording: Path) -> None:
    first_ns = next(read_messages(recording)).log_ns
    everything = [part for part in parts(recording, 0, 1 << 62) if part.opcode == CHUNK]
    second = [part for part in parts(recording, first_ns + ns(10.0), first_ns + ns(11.0)) if part.opcode == CHUNK]
    assert len(everything) > 40 and 1 <= len(second) <= 15


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=300), st.floats(0, 1), st.booleans())
def test_a_damaged_file_gives_what_can_be_read(
    recording: Path, tmp_path: Path, noise: bytes, at: float, cut: bool
) -> None:
    whole = recording.read_bytes()
    begin = int(at * len(whole))
    path = tmp_path / "damaged.mcap"
    path.write_bytes(whole[:begin] + noise + (b"" if cut else whole[begin + len(noise) :]))
    intact = {(m.topic, m.sequence, m.data) for m in read_messages(recording)}
    found = list(messages_between(path, 0, 1 << 63, set(FRAMES)))
    assert {(m.topic, m.sequence, m.data) for m in found if m.topic in FRAMES} <= intact


def test_a_file_that_is_no_recording_has_no_messages(tmp_path: Path) -> None:
    (tmp_path / "x.mcap").write_text("nothing of the kind")
    assert list(messages_between(tmp_path / "x.mcap", 0, 1 << 62, {"a"})) == []
