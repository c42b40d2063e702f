"""`cardan record export`: a recording in the form of another tool."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cardan.runtime.cli.exits import NoDataError, UsageError
from cardan.runtime.cli.record_files import find_files
from cardan.runtime.errors import near_names
from cardan.runtime.record.export import CAN_TYPE, messages_of, to_candump, to_csv, to_mcap, to_parquet
from cardan.runtime.record.mcap_file import RecordedMessage, schemas_of

FORMS = {"candump": ".log", "csv": ".csv", "parquet": ".parquet", "mcap": ".mcap", "h264": ".h264", "mp4": ".mp4"}
"""Form -> usual ending of its files."""
WHAT = {"candump": "frames", "h264": "pictures", "mp4": "pictures"}
"""What is counted, where it is no message."""


def run(arguments: argparse.Namespace) -> int:
    """Write one file, for csv, parquet and video one for each topic; says what was written."""
    paths = find_files(arguments.recording, arguments.data_dir)
    if arguments.to not in FORMS:
        raise UsageError(f'--to "{arguments.to}": no such form', hint=near_names(arguments.to, list(FORMS)))
    topics = _topics(paths, arguments.topic or [])
    try:
        written = _write(arguments.to, paths, topics, arguments.out)
    except FileExistsError as error:
        raise UsageError(f"{error.filename} exists", hint="name another with --out, or remove it") from error
    if not any(count for _, count in written):
        raise NoDataError(
            "the recording has nothing to export in this form", hint="`cardan record info` shows its topics"
        )
    for path, count in written:
        print(f"{path}: {count} {WHAT.get(arguments.to, 'messages')}")
    return 0


def _topics(paths: list[Path], wanted: list[str]) -> dict[str, str]:
    """Topic -> type of what is to be exported; UsageError for a topic that is not in the recording."""
    print("reading ...", file=sys.stderr)
    known: dict[str, str] = {}
    for message in messages_of(paths):
        known.setdefault(message.topic, message.type_name)
    for topic in wanted:
        if topic not in known:
            raise UsageError(f'no topic "{topic}" in the recording', hint=near_names(topic, list(known)))
    return {topic: kind for topic, kind in known.items() if not wanted or topic in wanted}


def _write(form: str, paths: list[Path], topics: dict[str, str], out: str | None) -> list[tuple[Path, int]]:
    stem = Path(paths[0].stem)
    if form == "mcap":
        target = Path(out) if out else stem.with_suffix(".export.mcap")
        return [(target, to_mcap(paths, topics, target))]
    if form == "candump":
        target = Path(out) if out else stem.with_suffix(".log")
        kinds = [topic for topic, kind in topics.items() if kind == CAN_TYPE]
        return [(target, to_candump(messages_of(paths, kinds) if kinds else [], target))]
    if form in ("h264", "mp4"):
        return _write_videos(form, paths, topics, out)
    if out and len(topics) > 1:
        raise UsageError(f"--out names one file, and there are {len(topics)} topics", hint="choose one with --topic")
    write = to_csv if form == "csv" else to_parquet
    return [(target, write(_messages(paths, topic), target)) for topic, target in _targets(form, stem, topics, out)]


def _write_videos(form: str, paths: list[Path], topics: dict[str, str], out: str | None) -> list[tuple[Path, int]]:
    from cardan.runtime.record.video.export import to_h264, to_mp4
    from cardan.runtime.record.video.message import SCHEMA_NAME

    videos = {topic: "" for path in paths for topic, schema in schemas_of(path) if schema == SCHEMA_NAME}
    chosen = {topic: "" for topic in topics if topic in videos}
    if out and len(chosen) > 1:
        raise UsageError(f"--out names one file, and there are {len(chosen)} videos", hint="choose one with --topic")
    write = to_h264 if form == "h264" else to_mp4
    targets = _targets(form, Path(paths[0].stem), chosen, out)
    return [(target, write(messages_of(paths, [topic]), target).pictures) for topic, target in targets]


def _targets(form: str, stem: Path, topics: dict[str, str], out: str | None) -> list[tuple[str, Path]]:
    named = Path(out) if out else None
    return [(topic, named or Path(f"{stem}.{topic.replace('/', '.')}{FORMS[form]}")) for topic in topics]


def _messages(paths: list[Path], topic: str) -> list[RecordedMessage]:
    return list(messages_of(paths, [topic]))
