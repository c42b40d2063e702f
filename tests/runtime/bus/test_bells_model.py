"""Every order in which a publisher and the node that it wakes up may go on, each with stores that others see late.

The steps are those of bells.py and ring_ends.py as bell.c takes them. A processor keeps its stores back in their order
(x86 does, aarch64 may), and a fence waits until they are out; whatever comes between two steps of one side is tried.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

import pytest

MESSAGES = 3
SLEEPS = 12
"""Sleeps of the node that are followed; more than it takes for all messages."""
AWAKE = 1


class At(IntEnum):
    """Where a side stands; of the publisher the first four, of the node the others."""

    ANNOUNCE = 0
    STORE = 1
    FENCE = 2
    RING = 3
    FALL_ASLEEP = 4
    NODE_FENCE = 5
    LOOK_BEFORE = 6
    SLEEP = 7
    POLL = 8
    WAKE_UP = 9
    READ = 10


class World(NamedTuple):
    """All there is. Kept back: what the side has stored, and the other one does not see yet."""

    publisher: At = At.ANNOUNCE
    node: At = At.FALL_ASLEEP
    word: int = 0
    stored: int = 0
    is_rung: bool = False
    """There is an edge of the eventfd that no sleep of the node has ended for."""
    was_rung: bool = False
    """The eventfd was written at least once: it has an edge for whoever comes to watch it."""
    sent: int = 0
    stored_kept_back: tuple[int, ...] = ()
    word_kept_back: tuple[int, ...] = ()
    own_word: int = 0
    """What the node has stored last."""
    announced: int = 0
    read: int = 0
    was_killed: bool = False

    @property
    def sleeps_over_a_message(self) -> bool:
        is_sent = self.sent == MESSAGES and not self.stored_kept_back
        return is_sent and self.node is At.SLEEP and not self.is_rung and self.read < self.stored


class Rules(NamedTuple):
    """The protocol, or one with a fault."""

    fence: bool = True
    publisher_fence: bool = True
    sleeps_have_numbers: bool = True


def publisher_goes_on(world: World, rules: Rules) -> Iterator[World]:
    if world.publisher is At.ANNOUNCE and world.sent < MESSAGES:
        yield world._replace(publisher=At.STORE, announced=0)  # it sleeps on the same processor
        if world.word and not world.word & AWAKE:
            yield world._replace(publisher=At.STORE, announced=world.word, is_rung=True, was_rung=True)
    elif world.publisher is At.STORE:
        yield world._replace(publisher=At.FENCE, stored_kept_back=(*world.stored_kept_back, world.sent + 1))
    elif world.publisher is At.FENCE:
        if not world.stored_kept_back or not rules.publisher_fence:
            yield world._replace(publisher=At.RING)
    elif world.publisher is At.RING:
        same = world.word == world.announced or not rules.sleeps_have_numbers
        will_look = world.word & AWAKE or (world.word and world.announced and same)
        behind = world._replace(publisher=At.ANNOUNCE, sent=world.sent + 1)
        yield behind if will_look else behind._replace(is_rung=True, was_rung=True)


def node_goes_on(world: World, rules: Rules) -> Iterator[World]:
    if world.node is At.FALL_ASLEEP and world.own_word < 2 * SLEEPS:
        word = (world.own_word | AWAKE) + 1
        yield world._replace(node=At.NODE_FENCE, own_word=word, word_kept_back=(*world.word_kept_back, word))
    elif world.node is At.NODE_FENCE:
        if not world.word_kept_back or not rules.fence:
            yield world._replace(node=At.LOOK_BEFORE)
    elif world.node is At.LOOK_BEFORE:
        yield world._replace(node=At.POLL if world.stored > world.read else At.SLEEP)
    elif world.node in (At.POLL, At.SLEEP):  # a device or the time may end a sleep, too
        yield world._replace(node=At.WAKE_UP, is_rung=False)
    elif world.node is At.WAKE_UP:
        word = world.own_word | AWAKE
        yield world._replace(node=At.READ, own_word=word, word_kept_back=(*world.word_kept_back, word))
    elif world.node is At.READ:
        yield world._replace(node=At.FALL_ASLEEP, read=world.stored)
    if not world.was_killed:  # its successor reads on where it was
        later = world._replace(node=At.FALL_ASLEEP, was_killed=True, is_rung=world.was_rung)
        yield later._replace(word=(world.word, *world.word_kept_back)[-1], word_kept_back=())


def others_see(world: World) -> Iterator[World]:
    if world.stored_kept_back:
        yield world._replace(stored=world.stored_kept_back[0], stored_kept_back=world.stored_kept_back[1:])
    if world.word_kept_back:
        yield world._replace(word=world.word_kept_back[0], word_kept_back=world.word_kept_back[1:])


def all_worlds(rules: Rules) -> Iterator[World]:
    """Everything that may come to be, once."""
    known = {World()}
    left = [World()]
    while left:
        world = left.pop()
        yield world
        for next_world in (*publisher_goes_on(world, rules), *node_goes_on(world, rules), *others_see(world)):
            if next_world not in known:
                known.add(next_world)
                left.append(next_world)


def test_no_message_is_slept_over_whatever_comes_first() -> None:
    worlds = 0
    for world in all_worlds(Rules()):
        assert not world.sleeps_over_a_message, world
        worlds += 1
    assert worlds > 10_000


@pytest.mark.parametrize(
    "rules",
    [Rules(fence=False), Rules(publisher_fence=False), Rules(sleeps_have_numbers=False)],
    ids=["node without a fence", "publisher without a fence", "a node that was rung is not rung again"],
)
def test_each_rule_is_needed(rules: Rules) -> None:
    assert any(world.sleeps_over_a_message for world in all_worlds(rules))
