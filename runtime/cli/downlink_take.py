"""`cardan downlink take`: a signed command or campaign from a file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cardan.runtime.cli.exits import Exit, RefusedError
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.cli.runs import Place
from cardan.runtime.downlink.documents import read_document, read_envelope
from cardan.runtime.downlink.inbox import Inbox
from cardan.runtime.downlink.judge import kind_and_name
from cardan.runtime.errors import ConfigError


def run(arguments: argparse.Namespace) -> int:
    """Put it into the inbox; 4 when there is no room."""
    try:
        data = Path(arguments.file).read_bytes()
    except OSError as error:
        raise ConfigError(f"{arguments.file} cannot be read: {error.strerror}") from error
    kind, name = kind_and_name(read_document(read_envelope(data).body))
    inbox = Inbox(Place(Path(arguments.data_dir) if arguments.data_dir else None).folder)
    try:
        kept = inbox.put(data)
    except OSError as error:
        raise ConfigError(f"{inbox.folder} cannot be written: {error.strerror}", hint="who owns it?") from error
    if not kept:
        raise RefusedError("too much waits already, or the document is too long", hint="is the node downlink running?")
    text = f"{kind} {name} waits for the node downlink; `cardan downlink list` shows what becomes of it"
    write_lines([Line(safe_text(text), "good")], sys.stdout)
    return int(Exit.HEALTHY)
