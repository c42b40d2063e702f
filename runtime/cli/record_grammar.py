"""The grammar of `cardan record`."""

from __future__ import annotations

from collections.abc import Callable

from cardan.runtime.cli.parser import Parser, add_data_dir, add_json, add_place
from cardan.runtime.cli.shapes import Shape

RECORDING = "an .mcap file, the id of a run, or `last`"


def _add_list(parser: Parser) -> None:
    add_place(parser)
    add_json(parser, "one JSON document")


def _add_info(parser: Parser) -> None:
    parser.add_argument("recording", metavar="RECORDING", help=RECORDING)
    add_place(parser)
    add_json(parser, "one JSON document")


def _add_export(parser: Parser) -> None:
    parser.add_argument("recording", metavar="RECORDING", help=RECORDING)
    parser.add_argument("--to", required=True, metavar="FORM", help="candump, csv, parquet, mcap, h264 or mp4")
    parser.add_argument("--topic", action="append", metavar="TOPIC", help="only this topic; may be given several times")
    parser.add_argument("--out", metavar="FILE", help="default: named after the recording and the topic, here")
    add_place(parser)


def _add_repair(parser: Parser) -> None:
    parser.add_argument("recording", nargs="?", metavar="RECORDING", help=f"{RECORDING} (default: all)")
    add_data_dir(parser)


ADD: dict[str, Callable[[Parser], None]] = {
    "list": _add_list,
    "info": _add_info,
    "export": _add_export,
    "repair": _add_repair,
}

DESCRIPTIONS = {
    "info": """\
What a recording holds: its run, and of each topic type, messages, mean rate and size.""",
    "export": """\
Write a recording in the form of another tool.

candump: every CAN frame of every topic that carries some, as `candump -l` writes them (canplayer, SavvyCAN).
csv, parquet: one file for each topic, one row for each message: time, envelope, and every field.
mcap: the chosen topics as a recording of their own.
h264: the video of each topic that was kept so, as players open it; mp4: the same in MP4, by the computer's ffmpeg.

examples:
  cardan record export last --to candump
  cardan record export last --to mp4 --topic camera/frame
  cardan record export last --to csv --topic control/command --out command.csv
  cardan record export 20261121-081500-4eb9 --to parquet --topic state/vehicle""",
    "repair": """\
Give recordings whose recorder was killed, or lost its power, their index and their end. Whole chunks are kept byte for
byte, damaged ones left out. The recorder does the same by itself when it starts.""",
}

JSON = {
    "list": Shape("folder, recordings (path, run, vehicle, ended_wall_ns, size_bytes, finished)"),
    "info": Shape(
        "files (path, finished, size_bytes, run_id, vehicle, cardan_version, started_wall_ns, duration_s, topics)"
    ),
}

MODULES = {verb: f"cardan.runtime.cli.record_{verb}" for verb in ADD}
