"""Play a recording to some of the nodes that made it: what they read comes from the file, what they say is compared.

A node that is stepped by an input is stepped by each message of it. Any other is stepped when it was stepped then: at
the moments at which its busiest output was sent. What the recording of a rehearsal holds comes out bit for bit. In a
vehicle the clock ran on between the begin of a step and what it sent, and a step may have taken several messages: the
outputs of a live recording differ a little, and the comparison says by how much.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from cardan.runtime.bus.codec import MessageDecoder
from cardan.runtime.bus.ends import Passed
from cardan.runtime.bus.envelope import HEADER_SIZE, Sample, sample_of, unpack
from cardan.runtime.bus.local import LocalPublisher
from cardan.runtime.bus.ring_ends import Subscription
from cardan.runtime.errors import CardanError, RunError, near_names
from cardan.runtime.messages import Message, schema_id
from cardan.runtime.plan import Plan
from cardan.runtime.record.mcap_file import RecordedMessage, read_messages, read_metadata
from cardan.runtime.record.read_back import ReadBack
from cardan.runtime.registry import load_message_type
from cardan.runtime.rehearsal import Rehearsal
from cardan.runtime.replay.compare import Comparison, compare


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a replay."""

    plan: Plan
    outputs: dict[str, list[Sample[Any]]]
    """Topic -> what the nodes sent now."""
    comparisons: list[Comparison]
    fed: int
    """Recorded messages that the nodes were given."""
    unreadable: int
    """Recorded messages that could not be read back, and were left out."""
    trouble: str
    """The first of them, or why a node ended; empty when there was none."""
    from_ns: int
    to_ns: int
    """Monotonic time of the first and the last recorded message."""


Progress = Callable[[float, int], None]
"""Gets the share that is done (0..1) and the recorded moment that is played next (monotonic nanoseconds)."""


def plan_of(paths: Sequence[Path]) -> Plan:
    """The plan of the run that a recording belongs to; RunError when the files hold none."""
    for path in paths:
        try:
            text = read_metadata(path).get("plan", "")
            return msgspec.json.decode(text, type=Plan)
        except msgspec.MsgspecError as error:
            what = f"{path} does not hold the plan of its run: {error}"
            raise RunError(what, hint="was it recorded by another release?") from error
        except (OSError, ValueError) as error:
            raise RunError(f"cannot read {path}: {error}", hint="is it a recording?") from error
    raise RunError("there is no file to replay", hint="name an .mcap file of `cardan up`")


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
    return _Replay(plan, list(names), _load(paths, plan, names)).run(folder, progress)


def _load(paths: Sequence[Path], plan: Plan, names: Sequence[str]) -> list[RecordedMessage]:
    """Everything that the nodes read or said, in the order of sending; at the same moment in the order of the plan."""
    chosen = [plan.node(name) for name in names]
    read = {topic for node in chosen for item in node.inputs for topic in item.topics}
    said = {output.topic for node in chosen for output in node.outputs}
    place = {topic: plan.node(_node_of(topic)).index for topic in plan.topics()}
    found = [message for path in paths for message in read_messages(path) if message.topic in read | said]
    missing = sorted(read - {message.topic for message in found})
    if missing and not any(message.topic in read for message in found):
        raise RunError(f"the recording has none of {', '.join(missing)}", hint="were these topics recorded?")
    return sorted(found, key=lambda message: (message.sent_ns, place[message.topic]))


class _Replay:
    """One replay, from its first message to the comparison."""

    def __init__(self, plan: Plan, names: list[str], messages: list[RecordedMessage]) -> None:
        self._plan = plan
        self._names = names
        self._messages = messages
        self._by_topic: defaultdict[str, list[RecordedMessage]] = defaultdict(list)
        for message in messages:
            self._by_topic[message.topic].append(message)
        self._types = {topic: self._type_of(topic) for topic in self._by_topic}
        self._readers = {topic: ReadBack(kind) for topic, kind in self._types.items()}
        self._recorded: dict[str, list[Sample[Any]]] = {topic: [] for topic in self._said()}
        self._sent: dict[str, list[Sample[Any]]] = {topic: [] for topic in self._said()}
        self._fed = self._unreadable = 0
        self._trouble = ""

    def run(self, folder: Path, progress: Progress | None) -> Outcome:
        """Play every message; an error of a node ends the replay and is part of the outcome."""
        messages = self._messages
        if not messages:
            raise RunError("the recording has no message of these nodes", hint="did the run last long enough?")
        start_ns = messages[0].sent_ns
        for topic in self._recorded:
            self._recorded[topic] = self._read_all(self._by_topic[topic])
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
            outputs=self._sent,
            comparisons=[compare(topic, self._recorded[topic], self._sent[topic]) for topic in self._recorded],
            fed=self._fed,
            unreadable=self._unreadable,
            trouble=self._trouble,
            from_ns=start_ns,
            to_ns=messages[-1].sent_ns,
        )

    def _play(self, rehearsal: Rehearsal, players: dict[str, LocalPublisher], progress: Progress | None) -> None:
        done = 0
        for (sent_ns, node), messages in groupby(self._messages, key=lambda m: (m.sent_ns, _node_of(m.topic))):
            if progress is not None:
                progress(done / len(self._messages), sent_ns)
            batch = list(messages)
            done += len(batch)
            if node in players:
                samples = self._read_all(batch)
                rehearsal.run_until(sent_ns, self._plan.node(node).index)
                rehearsal.feed(players[node], samples)
                self._fed += len(samples)

    def _read_all(self, messages: Sequence[RecordedMessage]) -> list[Sample[Any]]:
        return [sample for message in messages if (sample := self._read(message)) is not None]

    def _read(self, message: RecordedMessage) -> Sample[Any] | None:
        try:
            return self._readers[message.topic].read(message)
        except RunError as error:
            self._unreadable += 1
            self._trouble = self._trouble or error.message
            return None

    def _players(self, rehearsal: Rehearsal) -> dict[str, LocalPublisher]:
        """A publishing end for every node whose recorded messages are read."""
        outputs: dict[str, dict[str, int]] = {}
        for topic, kind in self._types.items():
            node = _node_of(topic)
            if node not in self._names:
                outputs.setdefault(node, {})[topic] = schema_id(kind)
        return {node: rehearsal.bus.publisher(node, topics) for node, topics in outputs.items()}

    def _listen(self, rehearsal: Rehearsal) -> Callable[[], int]:
        """Collect what the nodes say; returns what takes it in at the end."""
        how = Subscription(every=True, schema=None, next_index=0)
        end = rehearsal.bus.subscriber({topic: how for topic in self._said()})
        decoders = {topic: MessageDecoder(self._type_of(topic)) for topic in self._said()}

        def deliver(topic: str, message: bytes, passed: Passed | None = None) -> None:
            value = decoders[topic].decode(message[HEADER_SIZE:])
            self._sent[topic].append(sample_of(unpack(message), value, topic))

        return lambda: end.drain(deliver)

    def _said(self) -> list[str]:
        return [output.topic for name in self._names for output in self._plan.node(name).outputs]

    def _moments(self) -> dict[str, list[int]]:
        """When each node was stepped that is stepped by time."""
        moments = {}
        for name in self._names:
            node = self._plan.node(name)
            busiest = max((self._by_topic[output.topic] for output in node.outputs), key=len, default=[])
            if busiest and node.stepped_by is None:
                moments[name] = sorted({message.sent_ns for message in busiest})
        return moments

    def _type_of(self, topic: str) -> type[Message]:
        publisher = self._plan.node(_node_of(topic))
        return load_message_type(self._plan.topics()[topic].type, publisher.sys_path)


def _node_of(topic: str) -> str:
    return topic.partition("/")[0]
