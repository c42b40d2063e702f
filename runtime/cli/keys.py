"""`cardan keys`: make key pairs, show their public halves, and say whose keys are trusted."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from cardan.runtime.cli.exits import Exit, NoDataError
from cardan.runtime.cli.lines import Line, table, write_lines
from cardan.runtime.errors import ConfigError, near_names
from cardan.runtime.link.keys import KeyFolder, keys_folder, parse_key, read_public
from cardan.runtime.run import data_folder


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """One key that this computer has or trusts."""

    name: str
    kind: str
    """own or trusted."""
    public_key: str


def run(arguments: argparse.Namespace) -> int:
    """One of new, list, show, trust, revoke."""
    folder = KeyFolder(keys_folder(data_folder(), arguments.keys or ""))
    command = {"keys new": _new, "keys list": _list, "keys show": _show, "keys trust": _trust, "keys revoke": _revoke}
    write_lines(command[arguments.command](folder, arguments), sys.stdout)
    return int(Exit.HEALTHY)


def _new(folder: KeyFolder, arguments: argparse.Namespace) -> list[Line]:
    import zmq

    pair = folder.create(arguments.name, zmq.curve_keypair)
    return [
        Line(f"made the key pair {pair.name} in {folder.folder}", "good"),
        Line(f"public key: {pair.public.decode()}"),
        Line("next, on each computer that is to trust it:", "title"),
        Line(f"  cardan keys trust {pair.name} '{pair.public.decode()}'"),
    ]


def _list(folder: KeyFolder, arguments: argparse.Namespace) -> list[Line]:
    rows = [
        KeyRow(name=name, kind=kind, public_key=key.decode())
        for kind, keys in (("own", folder.own()), ("trusted", folder.trusted()))
        for name, key in keys.items()
    ]
    if arguments.json:
        text = msgspec.json.encode({"schema_version": 1, "folder": str(folder.folder), "keys": rows}).decode()
        return [Line(text)]
    if not rows:
        return [Line(f"no keys in {folder.folder}; make a pair with `cardan keys new NAME`", "faint")]
    head, *texts = table(("name", "kind", "public key"), [(r.name, r.kind, r.public_key) for r in rows], "<<<")
    return [Line(head, "title"), *map(Line, texts), Line(str(folder.folder), "faint")]


def _show(folder: KeyFolder, arguments: argparse.Namespace) -> list[Line]:
    known = folder.trusted() | folder.own()
    if arguments.name not in known:
        what = f'no key is called "{arguments.name}" in {folder.folder}'
        raise NoDataError(what, hint=near_names(arguments.name, list(known)))
    return [Line(known[arguments.name].decode())]


def _trust(folder: KeyFolder, arguments: argparse.Namespace) -> list[Line]:
    new = folder.trust(arguments.name, _given_key(arguments.key))
    done = f"{arguments.name} may connect from now on" if new else f"{arguments.name} was trusted already"
    return [Line(done, "good"), Line(str(folder.trusted_folder), "faint")]


def _given_key(given: str) -> bytes:
    """A key itself, a file with one, or `-` for stdin."""
    if given == "-":
        return parse_key(sys.stdin.readline())
    path = Path(given).expanduser()
    if len(given) == 40 and not path.exists():
        return parse_key(given)
    if not path.exists():
        raise ConfigError(
            f'"{given}" is neither a public key (40 characters) nor a file',
            hint="put the key in single quotes: the shell reads some of its characters",
        )
    return read_public(path)


def _revoke(folder: KeyFolder, arguments: argparse.Namespace) -> list[Line]:
    folder.revoke(arguments.name)
    return [
        Line(f"{arguments.name} is trusted no longer; running gateways end its connections within a second", "good")
    ]
