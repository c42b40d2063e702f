"""Waiting for descriptors, whatever their numbers."""

from __future__ import annotations

import fcntl
import os
import resource
from collections.abc import Iterator

import pytest

from cardan.runtime.readable import readable

HIGH = 2000


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe whose reading end has a number that `select.select` does not take."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= HIGH:
        pytest.skip(f"this user may not have {HIGH} open files")
    low, writer = os.pipe()
    reader = fcntl.fcntl(low, fcntl.F_DUPFD, HIGH)
    os.close(low)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def test_what_can_be_read_is_named(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    assert readable([reader], 0.0) == []
    os.write(writer, b"x")
    assert readable([reader], 10.0) == [reader]
    assert readable([reader]) == [reader]


def test_the_end_of_a_pipe_can_be_read(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    spare = os.open(os.devnull, os.O_WRONLY)
    os.dup2(spare, writer)
    os.close(spare)
    assert readable([reader], 10.0) == [reader]


def test_time_that_is_over_is_no_reason_to_wait(pipe: tuple[int, int]) -> None:
    assert readable([pipe[0]], -1.0) == []
