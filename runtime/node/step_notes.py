"""What a replay needs to know of each step of a node: when it began, what it had read, and what its clock said.

A node whose plan says so notes this in a ring of its own, which the recorder reads. With these notes a replay of a live
recording is exact, whatever the node does with time.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from pathlib import Path

from cardan.runtime.bus.ring import RingWriter
from cardan.runtime.bus.ring_file import RingMap, open_ring
from cardan.runtime.clock import NotingClock
from cardan.runtime.messages import Message
from cardan.runtime.plan import NodePlan
from cardan.runtime.vitals import NodeVitals, SeriesKind, SeriesVitals

MOST_READS = 1000
"""A step that looks at its clock more often (it waits for a moment) is noted without that."""

OPENED = -1
"""The number of the notes of `open`."""


class StepNotes(Message, frozen=True, kw_only=True):
    """One step of a node, or its `open`."""

    number: int
    """Counts from 0 since the node was started; OPENED for `open`."""
    start_ns: int
    """What the loop took for its begin; of `open` the moment when it returned."""
    taken: list[tuple[int, int]]
    """For each topic that it reads, in the order of `topics_read`: start of the publisher, and number of the newest
    message that had come; start 0 before the first."""
    reads_ns: list[int]
    """What its clock said, each time it looked, after `start_ns`."""
    whole: bool = True
    """False: it looked too often, and that was not noted."""


def topics_read(node: NodePlan) -> list[str]:
    """Every topic that a node reads, each once, in the order of its inputs."""
    return list(dict.fromkeys(topic for item in node.inputs for topic in item.topics))


class StepNoter:
    """Notes the steps of one node, in its process. epoch: start count of the node."""

    def __init__(self, path: Path, node: NodePlan, vitals: NodeVitals, clock: NotingClock, epoch: int) -> None:
        self._ring: RingMap = open_ring(path, writable=True)
        self._writer = RingWriter(self._ring, epoch=epoch)
        self._series = _series_read(node, vitals)
        self._clock = clock
        self._epoch = epoch
        self._number = OPENED

    def begins(self) -> None:
        """A step begins: what the clock said before is not part of it."""
        self._clock.reads_ns.clear()

    def ended(self, start_ns: int) -> None:
        """The step, or `open`, that began at `start_ns` has ended. Takes a few microseconds."""
        reads = self._clock.reads_ns
        whole = len(reads) <= MOST_READS
        numbers = [self._epoch, self._number, start_ns, int(whole), len(self._series)]
        for cells in self._series:
            numbers += (cells[SeriesVitals.LAST_EPOCH], cells[SeriesVitals.LAST_SEQ])
        self._writer.write(array("q", numbers + reads if whole else numbers).tobytes())
        self._number += 1
        reads.clear()

    def close(self) -> None:
        self._series = []
        del self._writer
        self._ring.close()


def _series_read(node: NodePlan, vitals: NodeVitals) -> list[memoryview]:
    """The counters of the first input that reads each topic."""
    found = []
    for topic in topics_read(node):
        port = next(item.port for item in node.inputs if topic in item.topics)
        series = vitals.find(SeriesKind.INPUT, port, topic)
        if series is not None:
            found.append(series.words.cells)
    return found


def read_notes(messages: Iterable[bytes]) -> list[tuple[int, StepNotes]]:
    """Start count of the node, and the notes, from the bytes of its ring."""
    return [_read(array("q", message)) for message in messages]


def _read(numbers: array[int]) -> tuple[int, StepNotes]:
    epoch, number, start_ns, whole, count = numbers[:5]
    reads = 5 + 2 * count
    taken = [(numbers[at], numbers[at + 1]) for at in range(5, reads, 2)]
    offsets = [stamp_ns - start_ns for stamp_ns in numbers[reads:]]
    notes = StepNotes(number=number, start_ns=start_ns, taken=taken, reads_ns=offsets, whole=bool(whole))
    return epoch, notes
