"""What a recording holds: its run, its topics, how many messages and from when to when. Reads the whole file once."""

from __future__ import annotations

from pathlib import Path

import msgspec

from cardan.runtime.record.mcap_file import read_messages, read_metadata
from cardan.runtime.record.repair import is_finished


class TopicSurvey(msgspec.Struct, kw_only=True):
    """One topic of a recording."""

    topic: str
    type: str
    """`module:Class`."""
    messages: int = 0
    bytes: int = 0
    """Of JSON, before compression."""
    first_ns: int = 0
    last_ns: int = 0
    """Monotonic time of sending."""

    @property
    def rate_hz(self) -> float | None:
        """Mean; None for fewer than two messages."""
        span_ns = self.last_ns - self.first_ns
        return (self.messages - 1) / span_ns * 1e9 if self.messages > 1 and span_ns > 0 else None


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """One file."""

    path: Path
    finished: bool
    """False: its recorder was killed, or still writes. What was saved can be read all the same."""
    size_bytes: int
    run_id: str
    vehicle: str
    cardan_version: str
    started_wall_ns: int
    """Label of the first message; 0 when there is none."""
    duration_s: float
    topics: list[TopicSurvey]

    @property
    def messages(self) -> int:
        """Over all topics."""
        return sum(topic.messages for topic in self.topics)


def survey(path: Path) -> Survey:
    """Look through one recording. OSError when it cannot be read; a file that is no recording has no topics."""
    metadata = read_metadata(path)
    topics: dict[str, TopicSurvey] = {}
    started_wall_ns = first_ns = last_ns = 0
    for message in read_messages(path):
        if not started_wall_ns:
            started_wall_ns, first_ns = message.log_ns, message.sent_ns
        last_ns = max(last_ns, message.sent_ns)
        topic = topics.get(message.topic)
        if topic is None:
            topic = TopicSurvey(topic=message.topic, type=message.type_name, first_ns=message.sent_ns)
            topics[message.topic] = topic
        topic.messages += 1
        topic.bytes += len(message.data)
        topic.first_ns, topic.last_ns = min(topic.first_ns, message.sent_ns), max(topic.last_ns, message.sent_ns)
    return Survey(
        path=path,
        finished=is_finished(path),
        size_bytes=path.stat().st_size,
        run_id=metadata.get("run_id", ""),
        vehicle=metadata.get("vehicle", ""),
        cardan_version=metadata.get("cardan_version", ""),
        started_wall_ns=started_wall_ns,
        duration_s=max(0, last_ns - first_ns) / 1e9,
        topics=sorted(topics.values(), key=lambda topic: topic.topic),
    )
