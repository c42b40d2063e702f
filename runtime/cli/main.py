"""`cardan`: finds the command, runs it, and turns every error into a line, a hint and an exit code."""

from __future__ import annotations

import errno
import os
import sys

from cardan.runtime.cli.exits import Exit, exit_of
from cardan.runtime.errors import CardanError

GONE = (errno.EPIPE, errno.EIO)
"""What writing says when the reader (`| head`) or the terminal is gone."""


class OutputGone(Exception):
    """Nobody reads our output any more."""


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit code. Never raises, never shows a traceback."""
    words = sys.argv[1:] if argv is None else argv
    try:
        return _run(words)
    except CardanError as error:
        _say(str(error))
        return int(exit_of(error))
    except KeyboardInterrupt:
        return int(Exit.INTERRUPTED)
    except OutputGone:
        _close_output()
        return int(Exit.HEALTHY)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(Exit.HEALTHY)
    except Exception as error:
        from cardan.runtime.cli.crash import describe_crash

        _say(describe_crash(error, words))
        return int(Exit.FINDING)


def _run(words: list[str]) -> int:
    from importlib import import_module

    from cardan.runtime.cli.parser import parse

    try:
        arguments = parse(words)
        if getattr(arguments, "bundle", None) or getattr(arguments, "at", None):
            from cardan.runtime.cli.place import settle

            settle(arguments)
        code = int(import_module(_module_of(arguments.command)).run(arguments))
        sys.stdout.flush()
        return code
    except OSError as error:
        if error.errno in GONE:
            raise OutputGone from error
        raise


def _module_of(command: str) -> str:
    from cardan.runtime.cli.parser import grammar_for

    grammar, word = grammar_for(command)
    return str(grammar.MODULES[word])


def _say(text: str) -> None:
    from cardan.runtime.cli.lines import Line, paint, wants_colour

    first, *rest = text.splitlines() or [""]
    colour = wants_colour(sys.stderr)
    print(paint(Line(first, "bad"), colour=colour), *rest, sep="\n", file=sys.stderr)


def _close_output() -> None:
    """Nothing more to say, also not when Python flushes its streams at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())


if __name__ == "__main__":
    sys.exit(main())
