"""`cardan record info`: what a recording holds, topic by topic."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.lines import Line, cut, safe_text, table, write_lines
from cardan.runtime.cli.record_files import find_files
from cardan.runtime.cli.runs import stamp
from cardan.runtime.record.survey import Survey, TopicSurvey, survey

HEAD = ("topic", "type", "messages", "rate", "JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print what each file of the recording holds; 1 when one is unfinished."""
    surveys = [survey(path) for path in find_files(arguments.recording, arguments.data_dir)]
    if arguments.json:
        print(msgspec.json.encode({"schema_version": 1, "files": [_document(item) for item in surveys]}).decode())
    else:
        for item in surveys:
            write_lines(_lines(item), sys.stdout)
    return int(Exit.HEALTHY if all(item.finished for item in surveys) else Exit.FINDING)


def _document(item: Survey) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(item, enc_hook=str)
    return document


def _lines(item: Survey) -> list[Line]:
    when = stamp(item.started_wall_ns).strftime("%Y-%m-%d %H:%M:%S UTC") if item.started_wall_ns else "nothing in it"
    state = "" if item.finished else "  unfinished: being written, or `cardan record repair`"
    head, *rows = table(HEAD, [_cells(topic) for topic in item.topics], "<<>>>")
    facts = f"{item.duration_s:.1f} s from {when}, {units.count(item.messages)} messages, {units.size(item.size_bytes)}"
    return [
        Line(f"{item.path}{state}", "warning" if state else "title"),
        Line(
            safe_text(
                f"{item.vehicle or 'unknown vehicle'}, run {item.run_id or 'unknown'}, cardan {item.cardan_version}"
            )
        ),
        Line(facts),
        Line(head, "title"),
        *(Line(row) for row in rows),
    ]


def _cells(topic: TopicSurvey) -> tuple[str, ...]:
    kind = cut(topic.type.partition(":")[2], 24)
    return cut(topic.topic, 40), kind, units.count(topic.messages), units.rate(topic.rate_hz), units.size(topic.bytes)
