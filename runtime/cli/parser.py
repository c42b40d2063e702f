"""The grammar of the command line, and nothing that takes time to import."""

from __future__ import annotations

import argparse
from importlib import import_module
from types import ModuleType
from typing import NoReturn

from cardan.runtime.cli.exits import UsageError
from cardan.runtime.cli.shapes import Shape
from cardan.runtime.cli.siblings import SIBLINGS, grammar_of
from cardan.runtime.errors import near_names

OWN = ("new", "up", "check", "status", "top", "watch", "foxglove", "doctor", "log", "trace", "replay")
OWN_GRAMMAR = "cardan.runtime.cli.own_grammar"
TAIL = ("install-service", "completion", "man", "version")
COMMANDS = (*OWN, *SIBLINGS, *TAIL)
NOUNS = {name: (tuple(noun.verbs), noun.about) for name, noun in SIBLINGS.items()}
"""Commands of two words: the first word, the second words, and what they are about."""
EXIT_CODES = "exit codes: 0 healthy, 1 finding, 2 usage, 3 cannot reach or no data, 4 refused, 5 interrupted"
DATA_DIR_HELP = "folder of recordings and logs (default: $CARDAN_DATA_DIR, the profile's, ~/.local/share/cardan)"


class Parser(argparse.ArgumentParser):
    """A parser whose errors are ours: one line and a hint."""

    def __init__(self, prog: str, **settings: object) -> None:
        super().__init__(prog=prog, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter)
        self.description = str(settings.get("description", ""))
        self.epilog = str(settings.get("epilog", ""))
        self.shape: Shape | None = None
        """What `--json` prints; None for a command that has none."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}", hint=f"`{self.prog} --help`")

    def actions(self) -> list[argparse.Action]:
        """Every option and every other word that this command knows."""
        return list(self._actions)

    def options(self) -> list[str]:
        """The names of the options."""
        return [option for action in self._actions for option in action.option_strings]


def parse(words: list[str]) -> argparse.Namespace:
    """The command in `words`; UsageError names what is unknown and what is near it.

    `command` is the command with its noun: `up`, `topic list`. SystemExit(0) after --help and --version.
    """
    if not words or words[0] in ("-h", "--help"):
        overview().print_help()
        raise SystemExit(0)
    if words[0] == "--version":
        return argparse.Namespace(command="version", json=False)
    command, rest = _command(words)
    parser = parser_of(command)
    arguments, unknown = parser.parse_known_args(rest)
    if unknown:
        raise _unknown_word(parser, unknown[0])
    arguments.command = command
    return arguments


def _command(words: list[str]) -> tuple[str, list[str]]:
    _known(words[0], COMMANDS, "cardan")
    noun = words[0]
    if noun not in NOUNS:
        return noun, words[1:]
    if len(words) == 1 or words[1] in ("-h", "--help"):
        noun_overview(noun).print_help()
        raise SystemExit(0)
    _known(words[1], NOUNS[noun][0], f"cardan {noun}")
    return f"{noun} {words[1]}", words[2:]


def _known(word: str, known: tuple[str, ...], prog: str) -> None:
    if word not in known:
        what = "option" if word.startswith("-") else "command"
        raise UsageError(f'{prog}: no {what} "{word}"', hint=near_names(word, list(known)))


def _unknown_word(parser: Parser, word: str) -> UsageError:
    if word.startswith("-"):
        name = word.split("=", maxsplit=1)[0]
        return UsageError(f'{parser.prog}: no option "{name}"', hint=near_names(name, parser.options()))
    return UsageError(f'{parser.prog}: "{word}" is one word too many', hint=f"`{parser.prog} --help`")


def overview() -> Parser:
    """`cardan --help`."""
    rows = "\n".join(
        [
            *(f"  {name:<16} {SHORT[name]}" for name in OWN),
            *(f"  {name:<16} {about}\n  {'':<16} {' '.join(verbs)}" for name, (verbs, about) in NOUNS.items()),
            *(f"  {name:<16} {SHORT[name]}" for name in TAIL),
        ]
    )
    parser = Parser(
        "cardan",
        description=f"The runtime that is flashed onto a vehicle computer.\n\ncommands:\n{rows}",
        epilog=f"`cardan COMMAND --help` says more, `cardan man` everything.\n{EXIT_CODES}",
    )
    parser.usage = "cardan COMMAND [OPTIONS]"
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    return parser


def noun_overview(noun: str) -> Parser:
    """`cardan topic --help`."""
    names, text = NOUNS[noun]
    rows = "\n".join(f"  {name:<8} {SHORT[f'{noun} {name}']}" for name in names)
    parser = Parser(f"cardan {noun}", description=f"{text}\n\ncommands:\n{rows}")
    parser.usage = f"cardan {noun} COMMAND [OPTIONS]"
    return parser


SHORT = {
    "new": "write the first files of a vehicle of your own",
    "up": "run a vehicle: the reference vehicle in simulation, or a manifest",
    "check": "check a manifest against a profile, without starting anything",
    "status": "what runs now, or how the last run ended",
    "top": "nodes, topics, buses, engines and links of the run, live in the terminal",
    "watch": "serve a page that shows the run to a browser: camera, graph, what happened",
    "foxglove": "serve the run to Foxglove, live: camera, scene, plots, log",
    "doctor": "what is wrong with this computer, and what helps",
    "log": "what happened: every event of a run, in order",
    **{f"{name} {verb}": text for name, noun in SIBLINGS.items() for verb, text in noun.verbs.items()},
    "trace": "how long each frame takes from capture to CAN, hop by hop, and as a picture",
    "replay": "give nodes what a recording holds, and compare what they say",
    "install-service": "let systemd run a vehicle from boot on",
    "completion": "print what makes a shell complete commands and options",
    "man": "print the manual page",
    "version": "show the versions that a bug report needs",
}


def parser_of(command: str) -> Parser:
    """The parser of one command."""
    grammar, word = grammar_for(command)
    description = grammar.DESCRIPTIONS.get(word, SHORT[command])
    parser = Parser(f"cardan {command}", description=description, epilog=EXIT_CODES)
    grammar.ADD[word](parser)
    parser.shape = getattr(grammar, "JSON", {}).get(word)
    if parser.shape is not None:
        parser.epilog = f"{parser.shape.text()}\n\n{EXIT_CODES}"
    return parser


def grammar_for(command: str) -> tuple[ModuleType, str]:
    """The module that has the grammar of a command, and the word that the command is called there."""
    noun, _, verb = command.partition(" ")
    return (grammar_of(noun), verb) if noun in SIBLINGS else (import_module(OWN_GRAMMAR), noun)


def add_json(parser: Parser, form: str) -> None:
    """`--json`. form: what it prints."""
    parser.add_argument("--json", action="store_true", help=f"print {form} on stdout")


def add_data_dir(parser: Parser) -> None:
    """`--data-dir`."""
    parser.add_argument("--data-dir", metavar="DIR", help=DATA_DIR_HELP)


def add_bundle(parser: Parser) -> None:
    """`--bundle`."""
    parser.add_argument("--bundle", metavar="FILE", help="look into a bundle (`cardan bundle make`) instead")


def add_place(parser: Parser) -> None:
    """`--data-dir`, `--bundle` and `--at`: where a command looks, and at which run."""
    add_data_dir(parser)
    add_bundle(parser)
    parser.add_argument("--at", metavar="TIME", help="the run at that time: 14:32 (UTC), 2026-11-21T14:32, 5m (ago)")
