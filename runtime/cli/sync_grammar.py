"""The grammar of `cardan sync`."""

from __future__ import annotations

from collections.abc import Callable

from cardan.runtime.cli.parser import Parser, add_data_dir, add_json
from cardan.runtime.cli.shapes import Shape


def _add_consent(parser: Parser) -> None:
    parser.add_argument(
        "action", nargs="?", default="show", choices=("show", "give", "withdraw"), help="show (default), give, withdraw"
    )
    parser.add_argument("purposes", nargs="*", metavar="PURPOSE", help="operation, diagnostics, improvement, or all")
    add_data_dir(parser)
    add_json(parser, "one JSON document")


def _add_why(parser: Parser) -> None:
    add_data_dir(parser)
    add_json(parser, "one JSON document")


def _add_pause(parser: Parser) -> None:
    parser.add_argument("classes", nargs="*", metavar="CLASS", help="critical, event, trend, bulk (default: all)")
    parser.add_argument("--off", action="store_true", help="let them go again")
    _add_why(parser)


def _add_metered(parser: Parser) -> None:
    parser.add_argument("metered", choices=("auto", "yes", "no"), help="auto: as link and profile say")
    _add_why(parser)


def _add_send(parser: Parser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="a finished file, such as a clip of the recorder")
    purposes = ("operation", "diagnostics", "improvement")
    parser.add_argument("--purpose", required=True, choices=purposes, help="what it was kept for")
    classes = ("critical", "event", "trend", "bulk")
    parser.add_argument("--class", dest="kind", choices=classes, default="bulk", help="its class (default: bulk)")
    _add_why(parser)


def _add_open(parser: Parser) -> None:
    parser.add_argument("objects", nargs="+", metavar="OBJECT", help="files of encrypted objects (NAME.aes)")
    key = "file of the vehicle's key, PEM file of a recipient's private key, or a pkcs11: address"
    parser.add_argument("--key", required=True, metavar="KEY", help=key)
    parser.add_argument(
        "--name", metavar="NAME", help="how the object is called at the store (default: its path from v1)"
    )
    parser.add_argument("--out", metavar="FILE", help="a new file (default: beside the object, without .aes)")
    add_json(parser, "one JSON document")


def _add_ls(parser: Parser) -> None:
    parser.add_argument("classes", nargs="*", metavar="CLASS", help="critical, event, trend, bulk (default: all)")
    add_data_dir(parser)
    add_json(parser, "JSON Lines, one object a file")


def _add_verify(parser: Parser) -> None:
    parser.add_argument(
        "--store", nargs="?", const="", metavar="STORE", help="check at a store: a folder, an address, or the run's own"
    )
    parser.add_argument("--access-file", default="", metavar="FILE", help="with a key that may list and read")
    parser.add_argument(
        "--key", default="", metavar="KEY", help="that opens encrypted objects, as `cardan sync open` has it"
    )
    _add_why(parser)


def _add_export(parser: Parser) -> None:
    parser.add_argument("classes", nargs="*", metavar="CLASS", help="critical, event, trend, bulk (default: all)")
    parser.add_argument("--out", metavar="FILE", help="a new file (default: outbox.jsonl)")
    _add_why(parser)


ADD: dict[str, Callable[[Parser], None]] = {
    "status": _add_why,
    "live": _add_why,
    "ls": _add_ls,
    "verify": _add_verify,
    "repair": _add_why,
    "export": _add_export,
    "consent": _add_consent,
    "why": _add_why,
    "pause": _add_pause,
    "metered": _add_metered,
    "retry": _add_why,
    "send": _add_send,
    "open": _add_open,
}

DESCRIPTIONS = {
    "live": """\
Is the vehicle at its broker, how many records of each class were told, and why the rest was not: gone (at the store or
given up before their turn), withheld (consent was withdrawn), refused (the broker takes no such message). Read from the
disk: also when nothing runs.

Exit code 1 when something wants somebody.""",
    "status": """\
The account of the outbox: every record that was ever acknowledged is delivered, waits, was given up with a reason, or
is damaged; by class, with the numbers of each boot. Read from the disk: also when nothing runs.

Exit code 1 when the account does not add up, or records were damaged or lost.""",
    "ls": """\
Every file with records: class, where it stands on its way (open, waiting, leaving, left; suspect, damaged), numbers,
size, boot.""",
    "verify": """\
Read every record of the outbox and check it, and the account with it; or, with --store, check at a store that every
number of every stream is in one object or was reported as given up, and in no two. Changes nothing.

A store is a folder or an address as the manifest has it; without a value it is that of the run, with its keys. The
vehicle's own key may not read, so a cloud store wants another one in --access-file, or in the environment.

Exit code 1 when something is wrong, 3 when the store cannot be reached, 4 when the key does not let us look.

examples:
  cardan sync verify
  cardan sync verify --store /mnt/store
  cardan sync verify --store azure://ACCOUNT/CONTAINER --access-file reader.sas""",
    "repair": """\
Do what the outbox does when it starts, and look into every file besides: finish what was begun, set damaged files
aside, offer what is whole in them. Nothing is deleted. Only when no outbox runs here.

Exit code 1 when something was damaged, 4 while an outbox runs.""",
    "export": """\
Write every record that can be read into a file of JSON Lines, also the whole ones of damaged files, with wall times as
the best reading of the clock in the same boot says. The outbox keeps them.

example:
  cardan sync export critical --out faults.jsonl""",
    "consent": """\
What data of this vehicle may be kept and may leave, by purpose. What a person says here counts at once and beats the
manifest; without a word the manifest's [privacy] table decides. Nothing is kept for a purpose without consent.

Exit code 1 when there is consent to nothing.

examples:
  cardan sync consent
  cardan sync consent give improvement
  cardan sync consent withdraw all""",
    "why": """\
Why something is not at the store, the first cause first, each with what helps: consent, a pause, no link, a link that
costs money, a budget, the store's answer and when it is tried again, objects that it refuses, a segment that is not
full yet. Read from the disk: also when nothing runs.

Exit code 1 when a cause wants somebody.""",
    "send": """\
Hand finished files to the uplink: each becomes one object of the store, in blocks when it is large. Until then a link
to it is kept, so the file itself may be deleted. Nobody looks into it: redaction is for records, so say what it was
kept for. It leaves only while there is consent to that.

examples:
  cardan sync send ~/.local/share/cardan/recordings/RUN.crash*.mcap --purpose diagnostics --class event""",
    "open": """\
Open encrypted objects that were fetched from a store. The key is the one of the vehicle, in a file or in a token that
holds the same, or the private half of one of its `encryption_recipients`. What was changed, or passes for another
object, is refused: the name is part of what was encrypted.

examples:
  cardan sync open v1/records/date=2026-11-25/vehicle=van-7/boot=*/trend-*.jsonl.gz.aes --key van-7.key
  cardan sync open clip.aes --name v1/clips/.../clip.mcap.aes --key reader.pem --out clip.mcap""",
    "pause": """\
Hold classes of records back, all when none is named, until `--off`; also over restarts. What waits stays in the
outbox, whose oldest go when it is full.

examples:
  cardan sync pause
  cardan sync pause bulk trend
  cardan sync pause --off""",
    "metered": """\
Say whether the link in use costs money, whatever the profile or NetworkManager say of it. `auto` takes the word back.
Classes that are not in `over_metered` of the uplink wait for a link that costs nothing.""",
    "retry": """\
Try now what waits for its next try, and once more what the store refused.""",
}

JSON = {
    "live": Shape("data_dir, broker, vehicle, connected, code, text, told, wall_ns"),
    "status": Shape("data_dir, exact, classes (stream, ledger, exact, bytes, boots, damaged_files)"),
    "ls": Shape("stream, place, first, last, bytes, vehicle, boot, log, path", lines=True),
    "verify": Shape("data_dir, store, ok, flaws, classes, streams, unread"),
    "repair": Shape("data_dir, classes, set_aside"),
    "export": Shape("data_dir, out, records, unreadable"),
    "consent": Shape("data_dir, consented, purposes (purpose, given, by, wall_ns), problem"),
    "why": Shape("data_dir, waiting, reasons (code, text, hint, classes, finding), files, running, report"),
    "send": Shape("data_dir, files (name, size_bytes, sha256)"),
    "open": Shape("files (object, out, size_bytes)"),
    **dict.fromkeys(("pause", "metered", "retry"), Shape("data_dir, paused, metered, retries")),
}

MODULES = {verb: f"cardan.runtime.cli.sync_{verb}" for verb in ADD}
