"""Decides what is said to the broker next: events by rate and window, and what becomes of those it did not take."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from cardan.runtime.clock import NS_PER_S
from cardan.runtime.live.budget import Budget
from cardan.runtime.live.feed import Feed
from cardan.runtime.live.happenings import Outgoing, Refused, Told
from cardan.runtime.live.texts import Identity, event_text, purpose_of, record_id, topic_of
from cardan.runtime.live.topics import LiveTopics

FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 300.0
MOST_A_STEP = 64


class EventToken(NamedTuple):
    """Which record a message was."""

    stream: str
    seq: int


class Pause(NamedTuple):
    """A topic that the broker does not take at present."""

    reason: str
    until_ns: int
    failures: int


class Teller:
    """Tells the records of several classes. One thread, no I/O but what the feeds do.

    offer: gives a message to the session; False when it must wait. consented: whether records of a purpose may leave.
    """

    def __init__(
        self,
        identity: Identity,
        topics: LiveTopics,
        feeds: dict[str, Feed],
        budget: Budget,
        *,
        offer: Callable[[Outgoing], bool],
        consented: Callable[[str], bool],
        expiry_s: int,
        most_bytes: int,
        random: Random,
    ) -> None:
        self._identity = identity
        self._topics = topics
        self._feeds = feeds
        self._budget = budget
        self._offer = offer
        self._consented = consented
        self._expiry_s = expiry_s
        self._random = random
        self._sent_to: dict[EventToken, str] = {}
        self.most_bytes = most_bytes
        """Longest message; the broker may have lowered it."""
        self.pauses: dict[str, Pause] = {}
        """By topic at the broker."""

    def step(self, now_ns: int) -> None:
        """Tell what may be told now, the more important class first."""
        for stream, feed in self._feeds.items():
            for _ in range(MOST_A_STEP):
                if not self._tell_next(stream, feed, now_ns):
                    break

    def _tell_next(self, stream: str, feed: Feed, now_ns: int) -> bool:
        """True when the next record of a class is on its way, or must not leave."""
        record = feed.next_or_none()
        if record is None:
            return False
        if not self._consented(purpose_of(record)):
            feed.withhold()
            return True
        topic = self._topics.of_record(stream, topic_of(record))
        if topic in self.pauses and now_ns < self.pauses[topic].until_ns:
            return False
        text = event_text(self._identity, feed.log, stream, record, self.most_bytes)
        if not self._budget.takes(len(text), now_ns):
            return False
        token = EventToken(stream, record.seq)
        properties = (("id", record_id(feed.log, stream, record.seq)),)
        if not self._offer(Outgoing(token, topic, text, self._expiry_s, properties)):
            self._budget.give_back(len(text))
            return False
        self._sent_to[token] = topic
        feed.sent(record)
        return True

    def told(self, told: Told) -> bool:
        """The broker has it; False when it was none of ours."""
        if not isinstance(told.token, EventToken):
            return False
        self.pauses.pop(self._sent_to.pop(told.token, ""), None)
        self._feeds[told.token.stream].told(told.token.seq)
        return True

    def refused(self, refused: Refused, now_ns: int) -> None:
        """The broker does not take it: the topic pauses, unless the fault lies in the message."""
        if not isinstance(refused.token, EventToken):
            return
        topic = self._sent_to.pop(refused.token, "")
        self._feeds[refused.token.stream].refused(refused.token.seq, for_good=refused.for_good)
        if not refused.for_good:
            self._pause(topic, refused.reason, now_ns)

    def _pause(self, topic: str, reason: str, now_ns: int) -> None:
        known = self.pauses.get(topic)
        if known is not None and now_ns < known.until_ns:
            return  # messages that were on their way together are refused together
        failures = 1 if known is None else known.failures + 1
        longest_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 30))
        pause_ns = round((0.5 + 0.5 * self._random.random()) * longest_s * NS_PER_S)
        self.pauses[topic] = Pause(reason, now_ns + pause_ns, failures)

    def connection_lost(self) -> None:
        """What is on its way goes out again, on the next connection; that may have other permissions."""
        self._sent_to.clear()
        self.pauses.clear()
        for feed in self._feeds.values():
            feed.connection_lost()
