"""A power cut: the disk has what was synced, and any part of what was written since; that is repaired."""

from __future__ import annotations

import os
import random
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader

from cardan.runtime.messages import CanFrame, CanFrames, Message
from cardan.runtime.record.files import recording_path
from cardan.runtime.record.mcap_file import read_messages
from cardan.runtime.record.mcap_writer import AppendFile
from cardan.runtime.record.recorder import Recorder
from cardan.runtime.record.repair import repair
from cardan.runtime.testing import Bench

TOPICS: dict[str, type[Message]] = {"can/frames": CanFrames}
BOUND_S = 0.25
PAGE = 4096


class Drive(NamedTuple):
    """Ten seconds of messages."""

    data: bytes
    """The file in the end."""
    sent_ns: list[int]
    syncs: list[tuple[int, int]]
    """When the disk had finished a sync, and how long the file was then."""
    steps: list[tuple[int, int]]
    """Time and length of the file after each step."""


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Drive:
    folder = tmp_path_factory.mktemp("drive")
    syncs: list[tuple[int, int]] = []
    steps: list[tuple[int, int]] = []
    sent_ns: list[int] = []
    path = recording_path(folder, "bench")
    with pytest.MonkeyPatch.context() as patch:
        with Bench(Recorder, data_dir=folder, topics=TOPICS) as bench:
            patch.setattr(AppendFile, "sync", lambda self: syncs.append((bench.clock.now_ns(), self.position)))
            for number in range(100):
                for _ in range(5):
                    bench.clock.advance_s(0.02)
                    frame = CanFrame(channel="main", id=number, data=os.urandom(8), stamp_ns=1)
                    bench.send("everything", CanFrames(frames=[frame] * 20), topic="can/frames")
                    sent_ns.append(bench.clock.now_ns())
                bench.clock.advance_s(-0.1)
                bench.step()
                assert bench.node.settle()
                steps.append((bench.clock.now_ns(), path.stat().st_size))
    return Drive(path.read_bytes(), sent_ns, syncs, steps)


def after_cut(data: bytes, synced: int, written: int, luck: random.Random) -> bytes:
    """What is on the disk: all that was synced, and of later pages some as they were, some as zeros, up to a length."""
    length = luck.choice([synced, written, luck.randint(synced, written)])
    disk = bytearray(data[:length])
    for page in range(synced // PAGE, length // PAGE + 1):
        begin, end = max(synced, page * PAGE), min(length, (page + 1) * PAGE)
        if begin < end and luck.random() < 0.5:
            disk[begin:end] = bytes(end - begin)
    return bytes(disk)


@settings(max_examples=60, deadline=None)
@given(at=st.integers(1, 99), seed=st.integers(0, 2**32))
def test_a_power_cut_costs_at_most_a_quarter_of_a_second(
    at: int, seed: int, drive: Drive, tmp_path_factory: pytest.TempPathFactory
) -> None:
    now_ns, written = drive.steps[at]
    synced = max((size for sync_ns, size in drive.syncs if sync_ns <= now_ns), default=0)
    path = tmp_path_factory.mktemp("cut") / "cut.mcap"
    path.write_bytes(after_cut(drive.data, synced, written, random.Random(seed)))
    repair(path)
    kept = [message.sent_ns for message in read_messages(path)]
    with path.open("rb") as file:
        assert len(list(make_reader(file, validate_crcs=True).iter_messages())) == len(kept)
    assert {sent_ns for sent_ns in drive.sent_ns if sent_ns <= now_ns - BOUND_S * 1e9} <= set(kept)
