"""Take the notes that nodes make of their steps, for the recording."""

from __future__ import annotations

from pathlib import Path

from cardan.runtime.bus.envelope import Sample
from cardan.runtime.bus.ring import RingReader
from cardan.runtime.bus.ring_file import RingMap, open_ring
from cardan.runtime.bus.step_rings import notes_path, step_topic
from cardan.runtime.node.step_notes import StepNotes, read_notes
from cardan.runtime.plan import Plan

MOST_AT_ONCE = 5000


class StepTap:
    """Reads the rings of notes of every node that has one. from_start: what they hold already is taken too."""

    def __init__(self, plan: Plan, bus_dir: Path, *, from_start: bool) -> None:
        self._rings: list[RingMap] = []
        self._readers: list[tuple[str, RingReader]] = []
        self.lost = 0
        """Notes that were overwritten before they were taken."""
        for node in plan.nodes:
            path = notes_path(bus_dir, node.name)
            if node.notes_steps and path.exists():
                ring = open_ring(path)
                self._rings.append(ring)
                self._readers.append((node.name, RingReader(ring, 0 if from_start else None)))

    def take(self) -> list[Sample[StepNotes]]:
        """What was noted since the last time, as messages of the topics `NODE/_step`."""
        samples = []
        for node, reader in self._readers:
            arrivals = list(reader.take(MOST_AT_ONCE))
            self.lost += sum(arrival.lost for arrival in arrivals)
            first = arrivals[0].number if arrivals else 0
            for at, (epoch, notes) in enumerate(read_notes(arrival.message for arrival in arrivals)):
                stamp_ns = notes.start_ns
                samples.append(Sample(notes, step_topic(node), first + at, epoch, stamp_ns, stamp_ns, True))
        return samples

    def close(self) -> None:
        self._readers = []
        for ring in self._rings:
            ring.close()
        self._rings = []
