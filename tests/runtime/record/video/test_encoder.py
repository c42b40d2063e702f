"""An encoder program as a child: whatever it does, frames are given back in order, or counted."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from cardan.runtime.errors import DeviceError
from cardan.runtime.profile import VideoSettings
from cardan.runtime.record.video.child import MOST_INSIDE, Frame
from cardan.runtime.record.video.choose import Choice, choose
from cardan.runtime.record.video.commands import Shape, Wish
from cardan.runtime.record.video.encoder import Encoder, Limits

SHAPE, WISH = Shape(8, 4, 3), Wish(20.0, 1000, 1.0)
Fake = Callable[[str], VideoSettings]
Until = Callable[[Callable[[], object]], None]
IMPATIENT = Limits(hang_s=0.5, first_pause_s=0.05, longest_pause_s=0.2)


def frame(number: int) -> Frame:
    head = number.to_bytes(4, "big")
    return Frame(number, number * 50_000_000, number, b"{}", memoryview(head + bytes(SHAPE.frame_bytes - 4)))


class Troubles(list[str]):
    """What was said."""


@contextmanager
def running(settings: VideoSettings, limits: Limits = IMPATIENT, most: int = 100) -> Iterator[tuple[Encoder, Troubles]]:
    troubles = Troubles()
    encoder = Encoder(
        SHAPE,
        WISH,
        lambda: choose(settings),
        limit_bytes=most * SHAPE.frame_bytes,
        trouble=troubles.append,
        limits=limits,
    )
    try:
        yield encoder, troubles
    finally:
        encoder.close(10.0)


def test_every_frame_comes_back_in_order_with_what_belongs_to_it(fake: Fake) -> None:
    with running(fake("")) as (encoder, troubles):
        assert all(encoder.offer(frame(number)) for number in range(50))
        assert encoder.close(20.0)
        coded = encoder.take()
    assert [item.frame.sequence for item in coded] == list(range(50))
    for number, item in enumerate(coded):
        assert item.frame.origin_ns == number and item.unit.keyframe
        assert item.unit.data.endswith(b"".join(bytes([byte, 0xFF]) for byte in number.to_bytes(4, "big")))
    assert encoder.counts() == (50, 0, 1) and troubles == []


def test_a_frame_comes_back_when_the_next_one_does_and_not_at_the_end(fake: Fake, until: Until) -> None:
    with running(fake("")) as (encoder, _):
        encoder.offer(frame(0))
        encoder.offer(frame(1))
        found: list[int] = []

        def came() -> bool:
            found.extend(item.frame.sequence for item in encoder.take())
            return bool(found)

        until(came)
        assert found == [0]


def test_a_program_that_closes_its_input_before_it_ends_is_started_again(until: Until) -> None:
    deaf = Choice("deaf", lambda shape, wish: ["sh", "-c", "exec 0<&-; sleep 0.1; exit 7"])
    troubles = Troubles()
    encoder = Encoder(SHAPE, WISH, lambda: deaf, limit_bytes=10_000, trouble=troubles.append, limits=IMPATIENT)

    def push() -> bool:
        encoder.offer(frame(0))
        return encoder.counts().starts >= 3

    until(push)
    encoder.close(5.0)
    assert encoder.counts().lost == encoder.counts().taken > 0
    assert len(troubles) == 1 and troubles[0].startswith("deaf ended with code 7")


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("dies", "ended with code 7, 1 pictures short: out of luck"),
        ("hangs", "took nothing and gave nothing for 0.5 s"),
        ("stops", "took nothing and gave nothing for 0.5 s"),
        ("babbles", "gave something else than H.264"),
        ("doubles", "gave more pictures than it was given"),
    ],
)
def test_a_program_in_trouble_is_named_once_counted_and_started_again(
    fake: Fake, until: Until, trouble: str, said: str
) -> None:
    with running(fake(trouble), most=MOST_INSIDE * 2) as (encoder, troubles):
        sent = 0

        def push() -> bool:
            nonlocal sent
            sent += encoder.offer(frame(sent))
            return encoder.counts().starts >= 3

        until(push)
        assert encoder.close(5.0) or trouble != "dies"
        given, counts = len(encoder.take()), encoder.counts()
    assert counts.taken == sent == given + counts.lost
    assert said in troubles[0] or (trouble == "dies" and "ended with code 7" in troubles[0])
    assert "it is tried again in 0.05 s" in troubles[0]
    if trouble in ("stops", "babbles"):
        assert given == 0 and len(troubles) == 1  # nothing has come back in between


def test_nothing_is_taken_while_there_is_no_program(until: Until) -> None:
    settings = VideoSettings(command=["/nowhere/encoder"])
    with running(settings, Limits(first_pause_s=100.0)) as (encoder, troubles):
        until(lambda: troubles)
        assert not encoder.offer(frame(0))
    assert 'no program "/nowhere/encoder"' in troubles[0]


def test_what_waits_is_bounded(fake: Fake) -> None:
    """While it is still being found out which encoder there is."""
    known = Event()

    def slowly() -> Choice:
        assert known.wait(20.0)
        return choose(fake(""))

    encoder = Encoder(SHAPE, WISH, slowly, limit_bytes=5 * SHAPE.frame_bytes, trouble=print)
    assert [encoder.offer(frame(number)) for number in range(7)] == [True] * 5 + [False] * 2
    known.set()
    assert encoder.close(20.0)
    assert len(encoder.take()) == 5


def test_the_end_does_not_wait_for_a_program_that_hangs(fake: Fake, until: Until) -> None:
    with running(fake("hangs"), Limits(hang_s=60.0)) as (encoder, _):
        for number in range(5):
            encoder.offer(frame(number))
        until(lambda: encoder.counts().starts)
        assert not encoder.close(0.05)
        counts = encoder.counts()
        assert counts.taken == 5 and counts.lost == 5 - len(encoder.take())
        assert not encoder.offer(frame(6))


def test_a_program_ends_with_the_process_that_started_it(fake: Fake) -> None:
    """Its input ends when ours does, however we end."""
    script = (
        "import os, sys, threading\n"
        "from cardan.runtime.profile import VideoSettings\n"
        "from cardan.runtime.record.video.choose import Choice, choose\n"
        "from cardan.runtime.record.video.commands import Shape, Wish\n"
        "from cardan.runtime.record.video.encoder import Encoder\n"
        f"choice = lambda: choose(VideoSettings(command={fake('').command!r}))\n"
        "e = Encoder(Shape(8, 4, 3), Wish(20.0, 1000, 1.0), choice, limit_bytes=1000, trouble=print)\n"
        "while not e.counts().starts: pass\n"
        "kids = open(f'/proc/{os.getpid()}/task/{e._thread.native_id}/children').read().split()\n"
        "assert os.getpgid(int(kids[0])) != os.getpgrp(), 'a Ctrl-C would end it before its last picture'\n"
        "print(*kids, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    (pid,) = done.stdout.split()
    for _ in range(1000):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        os.sched_yield()
    descriptor = os.pidfd_open(int(pid))
    assert select.select([descriptor], [], [], 20.0)[0], "it lives on"
    os.close(descriptor)


def test_an_encoder_that_nobody_has_is_an_error_with_a_remedy() -> None:
    with pytest.raises(DeviceError, match="there is no program") as found:
        choose(VideoSettings(command=["no-such-encoder"]))
    assert found.value.hint
