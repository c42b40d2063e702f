"""`cardan engine sign` and `cardan engine new-key`: vouch for models."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from cardan.engines.cli.common import print_json
from cardan.engines.model import Signature, read_model
from cardan.engines.signing import new_key, sign
from cardan.engines.weights import read_weights
from cardan.runtime.cli.exits import Exit, UsageError
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.disk import write_durably

OLD = re.compile(r"\n*^\[signature\]\n(?:(?!\[).*\n?)*", re.MULTILINE)
NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


def run(arguments: argparse.Namespace) -> int:
    """Sign each model in place, or make a key pair."""
    if arguments.command == "engine new-key":
        return _make_key(arguments)
    documents = []
    for name in arguments.models:
        if not name.endswith(".toml"):
            raise UsageError(f'"{name}" is no model file of yours', hint="name a .toml file")
        file = read_model(name, folder=Path())
        read_weights(file)  # nobody vouches for what is not there
        signature = sign(file.model, Path(arguments.key))
        write_durably(file.path, with_signature(file.path.read_text(), signature).encode())
        documents.append({"path": str(file.path), "key": signature.key})
        if not arguments.json:
            write_lines([Line(safe_text(f'{file.path}: signed with "{signature.key}"'), "good")], sys.stdout)
    if arguments.json:
        print_json({"schema_version": 1, "signed": documents})
    return int(Exit.HEALTHY)


def with_signature(text: str, signature: Signature) -> str:
    """A model's file with this signature at its end, in place of any other."""
    table = f'[signature]\nkey = "{signature.key}"\ned25519 = "{signature.ed25519}"\n'
    return f"{OLD.sub(chr(10) * 2, text).rstrip()}\n\n{table}"


def _make_key(arguments: argparse.Namespace) -> int:
    if not NAME.fullmatch(arguments.name):
        raise UsageError(f'"{arguments.name}" cannot be the name of a key', hint="lower-case letters, digits, _ and -")
    private, public = new_key(arguments.name, Path(arguments.output))
    if arguments.json:
        print_json({"schema_version": 1, "private": str(private), "public": str(public)})
        return int(Exit.HEALTHY)
    lines = [
        Line(f"{private}: keep it where models are made, and nowhere else"),
        Line(f"{public}: put it into the folder that `signed_by` of the engine host names"),
    ]
    write_lines(lines, sys.stdout)
    return int(Exit.HEALTHY)
