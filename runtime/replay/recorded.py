"""What a replay is made from: the plan of a run, and the recorded messages of some nodes, read back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from cardan.runtime.bus.envelope import Sample
from cardan.runtime.bus.step_rings import step_topic
from cardan.runtime.errors import RunError
from cardan.runtime.messages import Message, type_name
from cardan.runtime.node.step_notes import StepNotes
from cardan.runtime.plan import Plan
from cardan.runtime.record.mcap_file import RecordedMessage, read_messages, read_metadata
from cardan.runtime.record.read_back import ReadBack
from cardan.runtime.record.video.decode import VideoPictures
from cardan.runtime.registry import load_message_type


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


class Recorded:
    """The messages that some nodes read or said, and the notes of their steps. Loads them into memory.

    messages: in the order of sending; at the same moment in the order of the plan. RunError when there is nothing that
    the nodes read.
    """

    def __init__(self, paths: Sequence[Path], plan: Plan, names: Sequence[str]) -> None:
        self.plan = plan
        self.names = list(names)
        self.unreadable = 0
        """Messages that could not be read back, and were left out."""
        self.trouble = ""
        """The first of them."""
        chosen = [plan.node(name) for name in names]
        self.read = {topic for node in chosen for item in node.inputs for topic in item.topics}
        self.said = [output.topic for node in chosen for output in node.outputs]
        wanted = {*self.read, *self.said, *(step_topic(name) for name in names)}
        found = [message for path in paths for message in read_messages(path) if message.topic in wanted]
        self._refuse_nothing({message.topic for message in found})
        self.notes = {name: _notes_of(name, found) for name in names}
        """Node -> start count and notes of each step, in order; empty where none were taken."""
        place = {topic: plan.node(node_of(topic)).index for topic in plan.topics()}
        told = [message for message in found if message.type_name != type_name(StepNotes)]
        self.messages = sorted(told, key=lambda message: (message.sent_ns, place[message.topic]))
        self.by_topic: defaultdict[str, list[RecordedMessage]] = defaultdict(list)
        for message in self.messages:
            self.by_topic[message.topic].append(message)
        self._readers = {
            topic: ReadBack(self.type_of(topic), VideoPictures(messages).of)
            for topic, messages in self.by_topic.items()
        }

    def _refuse_nothing(self, topics: set[str]) -> None:
        missing = sorted(self.read - topics)
        if missing and not self.read & topics:
            raise RunError(f"the recording has none of {', '.join(missing)}", hint="were these topics recorded?")
        if not topics & {*self.read, *self.said}:
            raise RunError("the recording has no message of these nodes", hint="did the run last long enough?")

    def samples(self, messages: Sequence[RecordedMessage]) -> list[Sample[Any]]:
        """Read these messages back; those that cannot be are counted and left out."""
        return [sample for message in messages if (sample := self._sample(message)) is not None]

    def _sample(self, message: RecordedMessage) -> Sample[Any] | None:
        try:
            return self._readers[message.topic].read(message)
        except RunError as error:
            self.unreadable += 1
            self.trouble = self.trouble or error.message
            return None

    def type_of(self, topic: str) -> type[Message]:
        """Type of the messages of a topic of the plan."""
        publisher = self.plan.node(node_of(topic))
        return load_message_type(self.plan.topics()[topic].type, publisher.sys_path)


def _notes_of(name: str, found: Sequence[RecordedMessage]) -> list[tuple[int, StepNotes]]:
    """In the order in which they were taken; each once, also when a restarted recorder has recorded some again."""
    reader, topic = ReadBack(StepNotes), step_topic(name)
    samples = [reader.read(message) for message in found if message.topic == topic]
    known = {(sample.epoch, sample.value.number): sample.value for sample in samples}
    return [(epoch, notes) for (epoch, _), notes in sorted(known.items())]


def node_of(topic: str) -> str:
    """Name of the node that publishes a topic."""
    return topic.partition("/")[0]
