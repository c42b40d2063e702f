"""`cardan downlink sign`: a command or a campaign in the form that vehicles take."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.clock import NS_PER_S, MonotonicClock
from cardan.runtime.downlink.judge import kind_and_name
from cardan.runtime.downlink.written import read_written, signed_document
from cardan.runtime.errors import ConfigError


def run(arguments: argparse.Namespace) -> int:
    """Sign, and print or write."""
    document = read_written(Path(arguments.file), MonotonicClock().wall_ns() // NS_PER_S)
    signed = signed_document(document, Path(arguments.key))
    if arguments.out is None:
        print(signed.decode())
        return int(Exit.HEALTHY)
    try:
        Path(arguments.out).write_bytes(signed + b"\n")
    except OSError as error:
        raise ConfigError(f"{arguments.out} cannot be written: {error.strerror}") from error
    kind, name = kind_and_name(document)
    text = f"{kind} {name}, signed by {Path(arguments.key).stem}, is in {arguments.out}"
    write_lines([Line(safe_text(text), "good")], sys.stdout)
    return int(Exit.HEALTHY)
