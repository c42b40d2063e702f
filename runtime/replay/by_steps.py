"""Replay step by step: each step of a node gets what it had then, and its clock says what it said then.

Needs the notes that nodes take of their steps (cardan.runtime.node.step_notes). Then a live recording comes out bit for
bit: nothing is left of the machine on which it was made.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import get_ident
from typing import Any

from cardan.runtime.bus.codec import MessageDecoder, MessageEncoder
from cardan.runtime.bus.ends import Passed
from cardan.runtime.bus.envelope import Sample, pack, sample_of, unpack
from cardan.runtime.errors import CardanError, NodeError
from cardan.runtime.node.node import Node
from cardan.runtime.node.step_notes import OPENED, StepNotes, topics_read
from cardan.runtime.node.wiring import Wire, make_context
from cardan.runtime.plan import NodePlan
from cardan.runtime.registry import load_node_class
from cardan.runtime.replay.compare import compare
from cardan.runtime.replay.outcome import Outcome, Progress
from cardan.runtime.replay.recorded import Recorded
from cardan.runtime.run import RunPaths
from cardan.runtime.vitals import Vitals, create_vitals


def can_play_by_steps(recorded: Recorded) -> bool:
    """True when the recording has notes of every step of every chosen node, from its `open` on."""
    return all(_is_whole(notes) for notes in recorded.notes.values())


def _is_whole(notes: Sequence[tuple[int, StepNotes]]) -> bool:
    """True for rows that begin with `open` and have no gap; a node that was started again begins anew."""
    expected = {OPENED}
    for _, note in notes:
        if note.number not in expected or not note.whole:
            return False
        expected = {OPENED, note.number + 1}
    return bool(notes)


class ReplayClock:
    """Says what a node's clock said, one look after the other, to the thread that made it."""

    def __init__(self, wall_offset_ns: int) -> None:
        self._wall_offset_ns = wall_offset_ns
        self._reads: deque[int] = deque()
        self._now_ns = 0
        self._thread = get_ident()

    def play(self, start_ns: int, reads_ns: Sequence[int] = ()) -> None:
        """From now on say these moments (after `start_ns`), and then the last of them again and again."""
        self._now_ns = start_ns
        self._reads = deque(start_ns + read_ns for read_ns in reads_ns)

    def now_ns(self) -> int:
        if self._reads and get_ident() == self._thread:
            self._now_ns = self._reads.popleft()
        return self._now_ns

    def wall_ns(self) -> int:
        return self.now_ns() + self._wall_offset_ns

    def sleep_until_ns(self, deadline_ns: int, *, spin: bool = False) -> None:
        """A node that waited has noted when it went on."""


class StepsReplay:
    """One replay by notes."""

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded
        self._known = {topic: recorded.samples(recorded.by_topic[topic]) for topic in recorded.by_topic}
        self._sent: dict[str, list[Sample[Any]]] = {topic: [] for topic in recorded.said}

    def run(self, folder: Path, progress: Progress | None) -> Outcome:
        """Play every step in the order of their begin; an error of a node ends the replay, and is in the outcome."""
        recorded = self._recorded
        plan, trouble = recorded.plan, ""
        steps = sorted(
            (note.start_ns, plan.node(name).index, name, epoch, note)
            for name, notes in recorded.notes.items()
            for epoch, note in notes
        )
        vitals = create_vitals(folder / "vitals", plan, now_ns=steps[0][0], wall_ns=0)
        with ExitStack() as closing:
            closing.callback(vitals.close)
            players = {name: self._player(plan.node(name), folder, vitals) for name in recorded.names}
            for player in players.values():
                closing.callback(player.close)
            try:
                for at, (start_ns, _, name, epoch, note) in enumerate(steps):
                    if progress is not None:
                        progress(at / len(steps), start_ns)
                    players[name].play(epoch, note)
            except CardanError as error:
                trouble = str(error).replace("\n  ", " - ")
        fed = sum(player.fed for player in players.values())
        missing = sum(player.missing for player in players.values())
        if missing and not trouble:
            trouble = f"{missing} messages that the nodes had read are not in the recording"
        messages = recorded.messages
        return Outcome(
            plan=plan,
            by_steps=True,
            outputs=self._sent,
            comparisons=[compare(topic, self._known.get(topic, []), self._sent[topic]) for topic in self._sent],
            fed=fed,
            unreadable=recorded.unreadable,
            trouble=recorded.trouble or trouble,
            from_ns=messages[0].sent_ns,
            to_ns=messages[-1].sent_ns,
        )

    def _player(self, node: NodePlan, folder: Path, vitals: Vitals) -> _Player:
        """Inputs come from the recording, or from what another replayed node says now."""
        sources = {
            topic: self._sent[topic] if topic in self._sent else self._known.get(topic, [])
            for topic in topics_read(node)
        }
        return _Player(self._recorded, node, RunPaths(folder, folder), vitals, sources, self._sent)


class _Player:
    """One node that is replayed."""

    def __init__(
        self,
        recorded: Recorded,
        plan: NodePlan,
        paths: RunPaths,
        vitals: Vitals,
        sources: dict[str, list[Sample[Any]]],
        sent: dict[str, list[Sample[Any]]],
    ) -> None:
        self._recorded = recorded
        self._plan = plan
        self._paths = paths
        self._vitals = vitals
        self._sources = sources
        self._sent = sent
        self._next = dict.fromkeys(sources, 0)
        self._encoders = {topic: MessageEncoder(recorded.type_of(topic)) for topic in sources}
        self._decoders = {output.topic: MessageDecoder(recorded.type_of(output.topic)) for output in plan.outputs}
        self._clock = ReplayClock(0)
        self._node: Node | None = None
        self._wire: Wire | None = None
        self._every: set[str] = set()
        self.fed = self.missing = 0

    def play(self, epoch: int, note: StepNotes) -> None:
        """One step, or `open`."""
        if note.number == OPENED:
            self._open(epoch, note)
            return
        if self._node is None or self._wire is None:
            raise NodeError(f'the recording has steps of "{self._plan.name}" from before it was opened')
        self._clock.play(note.start_ns)
        for topic, (publisher_epoch, seq) in zip(self._sources, note.taken, strict=True):
            self._feed(self._wire, topic, publisher_epoch, seq)
        for reader in self._node._readers:
            reader.step_begins(note.start_ns)
        self._clock.play(note.start_ns, note.reads_ns)
        self._node.step()
        self._clock.play(note.start_ns)
        for reader in self._node._readers:
            reader.step_done()

    def _open(self, epoch: int, note: StepNotes) -> None:
        self.close()
        plan, recorded = self._plan, self._recorded
        kind = load_node_class(plan.use, plan.sys_path)
        self._clock.play(note.start_ns, note.reads_ns)
        self._node, self._wire = kind(), Wire(recorded.plan, plan, self._vitals, self._clock, None)
        context = make_context(recorded.plan, plan.name, self._paths, self._vitals)
        self._wire.connect(self._node, context, self._receive, epoch)
        self._every = {topic for topic, how in self._wire.subscriptions().items() if how.every}
        self._clock.play(note.start_ns, note.reads_ns)
        self._node.open()
        if self._node._wake_descriptors:
            raise NodeError(
                f'node "{plan.name}" waits for a device, which no replay has',
                hint="replay the nodes that read what it says",
            )

    def _feed(self, wire: Wire, topic: str, epoch: int, seq: int) -> None:
        """Hand over what had come of a topic by now: every message, or the newest alone where that is all it had."""
        source, begin = self._sources[topic], self._next[topic]
        end = begin
        while end < len(source) and (source[end].epoch, source[end].seq) <= (epoch, seq):
            end += 1
        self._next[topic] = end
        if epoch and (end == 0 or (source[end - 1].epoch, source[end - 1].seq) != (epoch, seq)):
            self.missing += 1
        first = begin if topic in self._every else max(begin, end - 1)
        for at in range(first, end):
            sample = source[at]
            header = pack(
                sample.seq,
                sample.sent_ns,
                sample.origin_ns,
                self._encoders[topic].schema,
                sample.epoch,
                valid=sample.valid,
            )
            message = header + self._encoders[topic].encode(sample.value)
            wire.deliver(topic, message, Passed(at, at - begin if at == first and at > begin else 0, 0))
            self.fed += 1

    def _receive(self, topic: bytes, header: bytes, payload: bytes) -> None:
        name = topic.decode()
        self._sent[name].append(sample_of(unpack(header), self._decoders[name].decode(payload), name))

    def close(self) -> None:
        """Close the node if there is one."""
        if self._node is not None:
            self._node.close()
        if self._wire is not None:
            self._wire.close()
        self._node = self._wire = None
