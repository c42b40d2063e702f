"""`cardan sync export`: the records of the outbox as JSON Lines, with the wall times put right."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import msgspec

from cardan.runtime.cli.exits import Exit, UsageError
from cardan.runtime.cli.sync_ls import classes_of
from cardan.runtime.cli.sync_status import data_dir_of, no_outbox
from cardan.runtime.outbox.folder import outbox_dir
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.outbox.survey import read_rows, records_of, segments, survey
from cardan.runtime.outbox.wall_clock import CLOCK_TOPIC, ClockReading, Corrections
from cardan.runtime.uplink.objects import json_lines


class _Clocked(msgspec.Struct):
    topic: str = ""
    message: msgspec.Raw = msgspec.Raw(b"{}")


def run(arguments: argparse.Namespace) -> int:
    """Write a new file and say how much; 1 when something could not be read, 3 where there never was an outbox."""
    data_dir, kinds = data_dir_of(arguments), classes_of(arguments.classes)
    outbox, out = outbox_dir(data_dir), Path(arguments.out or "outbox.jsonl")
    if not survey(outbox):
        raise no_outbox(data_dir)
    count = unreadable = 0
    corrections = Corrections(_readings(outbox))
    try:
        with out.open("xb") as file:
            for row, segment in read_rows(segments(outbox, kinds)):
                records = records_of(row, segment)
                if segment.header is None or not records:
                    unreadable += 1
                    continue
                for record, line in zip(records, json_lines(segment.header, records).splitlines(), strict=True):
                    right = corrections.wall_ns_or_none(segment.header.boot, record.mono_ns)
                    file.write(line[:-1] + b',"boot":"%s",' % segment.header.boot.encode())
                    file.write(b'"corrected_wall_ns":%d}\n' % (record.wall_ns if right is None else right[0]))
                count += len(records)
    except FileExistsError as error:
        raise UsageError(f"{out} exists", hint="name another with --out, or remove it") from error
    if arguments.json:
        document = {"data_dir": str(data_dir), "out": str(out), "records": count, "unreadable": unreadable}
        print(msgspec.json.encode({"schema_version": 1, **document}).decode())
    else:
        print(f"{out}: {count} records" + (f"; {unreadable} files could not be read" if unreadable else ""))
    return int(Exit.FINDING if unreadable else Exit.HEALTHY)


def _readings(outbox: Path) -> Iterator[ClockReading]:
    for _, segment in read_rows(segments(outbox, (RecordClass.CRITICAL,))):
        for record in segment.records:
            try:
                found = msgspec.json.decode(record.payload, type=_Clocked)
                if found.topic == CLOCK_TOPIC:
                    yield msgspec.json.decode(found.message, type=ClockReading)
            except msgspec.MsgspecError:
                continue
