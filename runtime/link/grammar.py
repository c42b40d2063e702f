"""What the command line may say about keys."""

from __future__ import annotations

from argparse import ArgumentParser

from cardan.runtime.cli.shapes import Shape

FOLDER = "folder of the keys (default: /etc/cardan/keys where it may be entered, else `keys` in the data folder)"


def _add_folder(parser: ArgumentParser) -> None:
    parser.add_argument("--keys", metavar="DIR", help=FOLDER)


def _add_name(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="of the key")
    _add_folder(parser)


def _add_list(parser: ArgumentParser) -> None:
    _add_folder(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")


def _add_trust(parser: ArgumentParser) -> None:
    _add_name(parser)
    parser.add_argument("key", metavar="KEY|FILE|-", help="its public key, in single quotes; or a file, or stdin")


ADD = {"new": _add_name, "list": _add_list, "show": _add_name, "trust": _add_trust, "revoke": _add_name}
MODULES = dict.fromkeys(ADD, "cardan.runtime.cli.keys")
JSON = {"list": Shape("folder, keys (name, kind, public_key)")}
DESCRIPTIONS = {
    "new": """\
Make a CURVE key pair. The secret half stays here, readable for its owner only; the public half is printed.""",
    "trust": """\
Let the holder of a public key connect to gateways of this computer; running gateways know at once.

examples:
  cardan keys trust laptop 'HOq{2SJ.9(0Z>z!<9VYR@l<j?Iy?.h)ga0uI9pYY'
  ssh car cardan keys show car | cardan keys trust car -""",
    "revoke": """\
Trust a key no longer: running gateways end its connections within a second.""",
}
