"""Play a recording to some of the nodes that made it: what they read comes from the file, what they say is compared.

Where the recording has notes of every step of the nodes, each step gets what it had then, and all comes out bit for bit
(by_steps). Else a node that is stepped by an input is stepped by each message of it, and any other when it was stepped
then: at the moments at which its busiest output was sent. What the recording of a rehearsal holds is the same all the
same; that of a live run differs a little, since the clock ran on within each step, and the comparison says by how much.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from cardan.runtime.bus.codec import MessageDecoder
from cardan.runtime.bus.ends import Passed
from cardan.runtime.bus.envelope import HEADER_SIZE, Sample, sample_of, unpack
from cardan.runtime.bus.local import LocalPublisher
from cardan.runtime.bus.ring_ends import Subscription
from cardan.runtime.errors import CardanError, RunError, near_names
from cardan.runtime.messages import schema_id
from cardan.runtime.rehearsal import Rehearsal
from cardan.runtime.replay.by_steps import StepsReplay, can_play_by_steps
from cardan.runtime.replay.compare import compare
from cardan.runtime.replay.outcome import Outcome, Progress
from cardan.runtime.replay.recorded import Recorded, node_of, plan_of


def replay(paths: Sequence[Path], names: Sequence[str], folder: Path, progress: Progress | None = None) -> Outcome:
    """Play the files of one run, in order, to the nodes called `names`.

    folder: for what the nodes keep while they run. Loads what the nodes read and said into memory. NodeError when a
    node cannot be played to, RunError when the recording does not fit.
    """
    plan = plan_of(paths)
    for name in names:
        if name not in {node.name for node in plan.nodes}:
            known = near_names(name, [node.name for node in plan.nodes])
            raise RunError(f'no node "{name}" in the recording of {plan.name}', hint=known)
    recorded = Recorded(paths, plan, names)
    if can_play_by_steps(recorded):
        return StepsReplay(recorded).run(folder, progress)
    return _Replay(recorded).run(folder, progress)


class _Replay:
    """One replay by the moments of sending, from its first message to the comparison."""

    def __init__(self, recorded: Recorded) -> None:
        self._data = recorded
        self._plan = recorded.plan
        self._names = recorded.names
        self._recorded: dict[str, list[Sample[Any]]] = {topic: [] for topic in recorded.said}
        self._sent: dict[str, list[Sample[Any]]] = {topic: [] for topic in recorded.said}
        self._fed = 0
        self._trouble = ""

    def run(self, folder: Path, progress: Progress | None) -> Outcome:
        """Play every message; an error of a node ends the replay and is part of the outcome."""
        messages = self._data.messages
        start_ns = messages[0].sent_ns
        for topic in self._recorded:
            self._recorded[topic] = self._data.samples(self._data.by_topic[topic])
        with Rehearsal(self._plan, folder, only=self._names, start_ns=start_ns, moments=self._moments()) as rehearsal:
            listener = self._listen(rehearsal)
            players = self._players(rehearsal)
            try:
                self._play(rehearsal, players, progress)
                rehearsal.run_until(messages[-1].sent_ns, len(self._plan.nodes))
            except CardanError as error:
                self._trouble = self._trouble or str(error).replace("\n  ", " - ")
            listener()
        return Outcome(
            plan=self._plan,
            by_steps=False,
            outputs=self._sent,
            comparisons=[compare(topic, self._recorded[topic], self._sent[topic]) for topic in self._recorded],
            fed=self._fed,
            unreadable=self._data.unreadable,
            trouble=self._data.trouble or self._trouble,
            from_ns=start_ns,
            to_ns=messages[-1].sent_ns,
        )

    def _play(self, rehearsal: Rehearsal, players: dict[str, LocalPublisher], progress: Progress | None) -> None:
        done = 0
        for (sent_ns, node), messages in groupby(self._data.messages, key=lambda m: (m.sent_ns, node_of(m.topic))):
            if progress is not None:
                progress(done / len(self._data.messages), sent_ns)
            batch = list(messages)
            done += len(batch)
            if node in players:
                samples = self._data.samples(batch)
                rehearsal.run_until(sent_ns, self._plan.node(node).index)
                rehearsal.feed(players[node], samples)
                self._fed += len(samples)

    def _players(self, rehearsal: Rehearsal) -> dict[str, LocalPublisher]:
        """A publishing end for every node whose recorded messages are read."""
        outputs: dict[str, dict[str, int]] = {}
        for topic in self._data.by_topic:
            node = node_of(topic)
            if node not in self._names:
                outputs.setdefault(node, {})[topic] = schema_id(self._data.type_of(topic))
        return {node: rehearsal.bus.publisher(node, topics) for node, topics in outputs.items()}

    def _listen(self, rehearsal: Rehearsal) -> Callable[[], int]:
        """Collect what the nodes say; returns what takes it in at the end."""
        how = Subscription(every=True, schema=None, next_index=0)
        end = rehearsal.bus.subscriber({topic: how for topic in self._data.said})
        decoders = {topic: MessageDecoder(self._data.type_of(topic)) for topic in self._data.said}

        def deliver(topic: str, message: bytes, passed: Passed | None = None) -> None:
            value = decoders[topic].decode(message[HEADER_SIZE:])
            self._sent[topic].append(sample_of(unpack(message), value, topic))

        return lambda: end.drain(deliver)

    def _moments(self) -> dict[str, list[int]]:
        """When each node was stepped that is stepped by time."""
        moments = {}
        for name in self._names:
            node = self._plan.node(name)
            busiest = max((self._data.by_topic[output.topic] for output in node.outputs), key=len, default=[])
            if busiest and node.stepped_by is None:
                moments[name] = sorted({message.sent_ns for message in busiest})
        return moments
