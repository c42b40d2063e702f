"""`cardan bundle redact`: take more out of a bundle."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from cardan.runtime.bundle.again import redact
from cardan.runtime.bundle.header import SUFFIX
from cardan.runtime.bundle.redact import Redaction
from cardan.runtime.bundle.unpack import opened
from cardan.runtime.cli.bundle_show import document, header_lines
from cardan.runtime.cli.exits import UsageError
from cardan.runtime.cli.lines import write_lines
from cardan.runtime.clock import MonotonicClock


def run(arguments: argparse.Namespace) -> int:
    """Write the other bundle beside the first one, or where --out says."""
    file = Path(arguments.file).expanduser()
    target = Path(arguments.out).expanduser() if arguments.out else _beside(file)
    if target.resolve() == file.resolve():
        raise UsageError("the new bundle would replace the old one", hint="name another file with --out")
    redaction = Redaction(positions=arguments.no_positions)
    header = redact(opened(file), target, redaction, MonotonicClock())
    if arguments.json:
        print(json.dumps(document(header, target)))
    else:
        write_lines(header_lines(header, target), sys.stdout)
    return 0


def _beside(file: Path) -> Path:
    name = file.name.removesuffix(SUFFIX)
    return file.with_name(f"{name}-redacted{SUFFIX}")
