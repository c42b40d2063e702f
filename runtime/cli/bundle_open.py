"""`cardan bundle open`: what a bundle is of, and where it lies opened."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from cardan.runtime.bundle.header import read_header_or_none
from cardan.runtime.bundle.unpack import opened
from cardan.runtime.cli.bundle_show import document, header_lines, verdict_of
from cardan.runtime.cli.exits import Exit, NoDataError
from cardan.runtime.cli.lines import Line, safe_text, write_lines


def run(arguments: argparse.Namespace) -> int:
    """Print it; 1 when a collector had failed."""
    file = Path(arguments.file).expanduser()
    folder = opened(file)
    header = read_header_or_none(folder)
    if header is None:
        raise NoDataError(f"{file} is no bundle", hint="`cardan bundle list`")
    if arguments.json:
        print(json.dumps(document(header, file, verdict=verdict_of(header), folder=str(folder))))
    else:
        hint = (
            f"opened in {folder}; look with `cardan status --bundle {file}`, `why`, `log`, `topic`, `can`, `trace` ..."
        )
        write_lines([*header_lines(header, file), Line(""), Line(safe_text(hint), "faint")], sys.stdout)
    return int(Exit.HEALTHY if verdict_of(header) == "ok" else Exit.FINDING)
