"""Every command with its options, read from the parsers: what completion and the manual page are made of."""

from __future__ import annotations

import argparse
from typing import NamedTuple

from cardan.runtime.cli.parser import NOUNS, OWN, SHORT, TAIL, parser_of
from cardan.runtime.cli.shapes import Shape


class Word(NamedTuple):
    """One option, or one word of a command that is no option."""

    names: tuple[str, ...]
    """`--for`; empty for a word that has a place of its own."""
    value: str
    """What stands for its value in the help; empty for a switch."""
    help: str
    choices: tuple[str, ...]
    """The only values there are; empty when any will do."""


class Command(NamedTuple):
    """One command: `up`, `topic list`."""

    name: str
    short: str
    description: str
    words: tuple[Word, ...]
    options: tuple[Word, ...]
    shape: Shape | None


def table() -> list[Command]:
    """All commands, in the order of `cardan --help`."""
    return [_command(name) for name in SHORT]


def first_words() -> list[tuple[str, str]]:
    """The first word of every command, and what it is about."""
    return [
        *((name, SHORT[name]) for name in OWN),
        *((name, about.rstrip(".")) for name, (_, about) in NOUNS.items()),
        *((name, SHORT[name]) for name in TAIL),
    ]


def _command(name: str) -> Command:
    parser = parser_of(name)
    actions = parser.actions()
    return Command(
        name=name,
        short=SHORT[name],
        description=str(parser.description),
        words=tuple(_word(action) for action in actions if not action.option_strings),
        options=tuple(_word(action) for action in actions if action.option_strings),
        shape=parser.shape,
    )


def _word(action: argparse.Action) -> Word:
    takes_value = action.nargs != 0
    shown = action.metavar or action.dest.upper()
    value = (shown if isinstance(shown, str) else " ".join(shown)) if takes_value else ""
    choices = tuple(str(choice) for choice in action.choices or ())
    return Word(tuple(action.option_strings), value, action.help or "", choices)
