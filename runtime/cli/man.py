"""`cardan man`: the manual page, made from the parsers."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from cardan.runtime.cli.command_table import Command, Word, first_words, table
from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.parser import EXIT_CODES

ENVIRONMENT = (
    ("CARDAN_DATA_DIR", "folder of recordings, logs and the outbox (default: ~/.local/share/cardan)"),
    ("CARDAN_RUN_DIR", "folder of the runs that are active (default: in shared memory, below /dev/shm)"),
    ("CARDAN_DATA", "folder of recorded data sets, such as that of examples/rav4_minute"),
    ("NO_COLOR", "when set, nothing is painted; output that goes to no terminal never is"),
)


def run(arguments: argparse.Namespace) -> int:
    """Print the page, as groff and mandoc read it."""
    print(page(), end="")
    return int(Exit.HEALTHY)


def page() -> str:
    """The whole page."""
    return "\n".join([*_head(), *(line for command in table() for line in _command(command)), *_tail(), ""])


def _head() -> Iterator[str]:
    yield f'.TH CARDAN 1 "" "cardan {_version()}" "User Commands"'
    yield from (".nh", ".SH NAME", "cardan \\- the runtime that is flashed onto a vehicle computer")
    yield from (".SH SYNOPSIS", ".B cardan", ".I COMMAND", "[\\fIOPTIONS\\fR]", ".SH DESCRIPTION")
    yield _text(
        "One manifest says what runs in this vehicle, one hardware profile says what the computer is. Commands print "
        "the verdict first, data on standard output and remarks on standard error. Commands that look at a run also "
        "work while it hangs and after it has ended."
    )
    for word, about in first_words():
        yield from (".TP", f".B cardan {_text(word)}", _text(about))
    yield ".SH COMMANDS"


def _command(command: Command) -> Iterator[str]:
    yield f".SS cardan {_text(command.name)}"
    yield from (
        f".B cardan {_text(command.name)}",
        " ".join(_usage(word) for word in (*command.options, *command.words)),
    )
    for paragraph in command.description.split("\n\n"):
        verbatim = any(line.startswith("  ") for line in paragraph.splitlines())
        yield from (".PP", *([".nf"] if verbatim else []), *map(_text, paragraph.splitlines()))
        yield from [".fi"] if verbatim else []
    for word in (*command.words, *command.options):
        yield from (".TP", _title(word), _text(word.help or "as it says"))
    if command.shape is not None:
        yield from (".PP", *map(_text, command.shape.text().splitlines()))


def _usage(word: Word) -> str:
    name = f"\\fB{_text(word.names[-1])}\\fR" if word.names else ""
    value = f"\\fI{_text(word.value)}\\fR" if word.value else ""
    inside = " ".join(part for part in (name, value) if part)
    return f"[{inside}]" if word.names else inside


def _title(word: Word) -> str:
    names = ", ".join(f"\\fB{_text(name)}\\fR" for name in word.names)
    return " ".join(part for part in (names, f"\\fI{_text(word.value)}\\fR" if word.value else "") if part)


def _tail() -> Iterator[str]:
    yield from (".SH EXIT STATUS", _text(EXIT_CODES.partition(": ")[2]), ".SH ENVIRONMENT")
    for name, about in ENVIRONMENT:
        yield from (".TP", f".B {_text(name)}", _text(about))
    yield from (".SH SEE ALSO", "systemctl(1), candump(1)")


def _text(text: str) -> str:
    """Nothing in it is a request or an escape of roff, and every hyphen is one that can be copied."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped


def _version() -> str:
    try:
        return version("cardan")
    except PackageNotFoundError:
        return ""
