from __future__ import annotations

import csv
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cardan.runtime.bus.envelope import Sample
from cardan.runtime.cli.main import main
from cardan.runtime.messages import CameraFrame, CanFrame, CanFrames, Message
from cardan.runtime.record.export import messages_of, to_candump, to_csv, to_mcap, to_parquet
from cardan.runtime.record.files import recording_path
from cardan.runtime.record.mcap_file import counts_by_topic, read_messages
from cardan.runtime.record.recording import Recording
from cardan.runtime.record.survey import survey

OFFSET_NS = 1_700_000_000_000_000_000


class Inner(Message, frozen=True, kw_only=True):
    x: float


class Command(Message, frozen=True, kw_only=True):
    n: int
    inner: Inner
    wheels: list[float]
    word: str


def record(path: Path, samples: Sequence[tuple[str, Any]], *, finish: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"run_id": path.stem, "vehicle": "test", "cardan_version": "0"}
    recording = Recording(path, metadata, wall_offset_ns=OFFSET_NS, jpeg_quality=80)
    for number, (topic, value) in enumerate(samples):
        recording.write(Sample(value, topic, number, 1, 1_000_000 * (number + 1), 500, number % 2 == 0))
    if finish:
        recording.finish()
    else:
        recording.end_chunk()
        recording.abandon()
    return path


def mixed() -> list[tuple[str, Any]]:
    frames = [
        CanFrame("vehicle", 0x123, bytes([0xDE, 0xAD]), 1_000_000),
        CanFrame("vehicle", 0x18DAF110, b"", 2_000_000, extended=True),
        CanFrame("fast", 0x7FF, bytes(12), 3_000_000, fd=True),
        CanFrame("vehicle", 0x4, bytes(8), 4_000_000, error=True),
    ]
    commands = [Command(n=n, inner=Inner(x=n / 2), wheels=[1.0, n + 0.5], word="a,b") for n in range(3)]
    image = np.zeros((4, 6, 3), np.uint8)
    return [
        ("can/frames", CanFrames(frames=frames)),
        *(("control/command", command) for command in commands),
        ("camera/frame", CameraFrame(frame_id=7, image=image)),
    ]


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    return record(recording_path(tmp_path, "20261121-081500-aaaa"), mixed())


def test_can_frames_become_lines_of_candump_with_wall_time(recorded: Path, tmp_path: Path) -> None:
    assert to_candump(messages_of([recorded]), tmp_path / "out.log") == 4
    assert (tmp_path / "out.log").read_text().splitlines() == [
        "(1700000000.001000) vehicle 123#DEAD",
        "(1700000000.002000) vehicle 18DAF110#",
        "(1700000000.003000) fast 7FF##0000000000000000000000000",
        "(1700000000.004000) vehicle 20000004#0000000000000000",
    ]


def test_the_lines_are_read_by_our_own_reader_of_candump(recorded: Path, tmp_path: Path) -> None:
    from cardan.drivers.can.candump import read_candump

    to_candump(messages_of([recorded]), tmp_path / "out.log")
    frames = [logged.frame for logged in read_candump(tmp_path / "out.log")]
    assert [(frame.id, frame.extended, frame.fd, frame.error) for frame in frames] == [
        (0x123, False, False, False),
        (0x18DAF110, True, False, False),
        (0x7FF, False, True, False),
        (0x4, False, False, True),
    ]


def test_a_topic_becomes_a_table_with_a_column_for_each_field(recorded: Path, tmp_path: Path) -> None:
    messages = list(messages_of([recorded], ["control/command"]))
    assert to_csv(messages, tmp_path / "out.csv") == 3
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        *("sent_ns", "wall_ns", "sequence", "valid", "origin_ns", "epoch"),
        *("n", "inner.x", "wheels.0", "wheels.1", "word"),
    ]
    assert rows[2] == {
        "sent_ns": "4000000",
        "wall_ns": str(OFFSET_NS + 4_000_000),
        "sequence": "3",
        "valid": "False",
        "origin_ns": "500",
        "epoch": "1",
        "n": "2",
        "inner.x": "1.0",
        "wheels.0": "1.0",
        "wheels.1": "2.5",
        "word": "a,b",
    }


def test_a_table_in_parquet_is_read_by_duckdb(recorded: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'cardan[parquet]'")
    duckdb = pytest.importorskip("duckdb")
    out = tmp_path / "out.parquet"
    assert to_parquet(list(messages_of([recorded], ["control/command"])), out) == 3
    query = f"select sum(n), max(\"inner.x\"), bool_and(valid) from read_parquet('{out}')"
    assert duckdb.sql(query).fetchall() == [(3, 1.0, False)]


def test_a_picture_is_left_out_of_a_table_and_its_other_fields_are_not(recorded: Path, tmp_path: Path) -> None:
    to_csv(list(messages_of([recorded], ["camera/frame"])), tmp_path / "out.csv")
    header, row = (tmp_path / "out.csv").read_text().splitlines()
    assert header.endswith(",frame_id")
    assert row.endswith(",7")
    assert len(row) < 100


def test_some_topics_become_a_recording_of_their_own(recorded: Path, tmp_path: Path) -> None:
    out = tmp_path / "small.mcap"
    assert to_mcap([recorded], ["control/command"], out) == 3
    assert counts_by_topic(out) == {"control/command": 3}
    kept = [message for message in read_messages(recorded) if message.topic == "control/command"]
    assert list(read_messages(out)) == kept


def test_a_survey_counts_and_measures(recorded: Path) -> None:
    found = survey(recorded)
    assert (found.vehicle, found.run_id, found.finished, found.messages) == ("test", recorded.stem, True, 5)
    assert found.duration_s == pytest.approx(0.004)
    command = next(topic for topic in found.topics if topic.topic == "control/command")
    assert command.messages == 3
    assert command.rate_hz == pytest.approx(1000.0)
    assert command.type.endswith(":Command")


def test_the_commands_find_a_run_by_its_id_and_write_what_was_asked_for(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CARDAN_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["record", "list"]) == 0
    assert "20261121-081500-aaaa.mcap  test" in capsys.readouterr().out
    assert main(["record", "info", "last"]) == 0
    assert "control/command  Command" in capsys.readouterr().out
    assert main(["record", "export", "20261121-081500-aaaa", "--to", "candump"]) == 0
    assert capsys.readouterr().out == "20261121-081500-aaaa.log: 4 frames\n"
    assert main(["record", "export", str(recorded), "--to", "csv", "--topic", "control/command"]) == 0
    assert capsys.readouterr().out == "20261121-081500-aaaa.control.command.csv: 3 messages\n"
    assert main(["record", "export", str(recorded), "--to", "csv", "--topic", "control/command"]) == 2
    assert "exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["info", "20261121-081500-aaab"], 2, "20261121-081500-aaaa"),
        (["info", "absent.mcap"], 3, "cardan record list"),
        (["export", "last", "--to", "xls"], 2, "candump"),
        (["export", "last", "--to", "csv", "--topic", "control/comand"], 2, "control/command"),
        (["export", "last", "--to", "csv", "--out", "one.csv"], 2, "3 topics"),
        (["export", "last", "--to", "candump", "--topic", "control/command"], 3, "cardan record info"),
    ],
)
def test_what_cannot_be_done_says_what_can(
    recorded: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    code: int,
    says: str,
) -> None:
    monkeypatch.setenv("CARDAN_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["record", *words]) == code
    assert says in capsys.readouterr().err


def test_an_unfinished_recording_is_a_finding_until_it_is_repaired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CARDAN_DATA_DIR", str(tmp_path))
    path = record(recording_path(tmp_path, "20261121-081500-bbbb"), mixed(), finish=False)
    assert main(["record", "info", "last"]) == 1
    assert "unfinished" in capsys.readouterr().out
    assert main(["record", "repair"]) == 0
    assert f"{path}: 5 messages in" in capsys.readouterr().out
    assert main(["record", "info", "last"]) == 0
    assert main(["record", "repair", "last"]) == 0


@pytest.mark.skipif(shutil.which("log2asc") is None, reason="can-utils is not installed")
def test_can_utils_read_the_lines(recorded: Path, tmp_path: Path) -> None:
    to_candump(messages_of([recorded]), tmp_path / "out.log")
    answer = subprocess.run(
        ["log2asc", "-I", str(tmp_path / "out.log"), "vehicle", "fast"], capture_output=True, text=True, check=True
    )
    assert "123" in answer.stdout
