"""`cardan can` on logs: dump, decode, sniff and health of what was stored."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cardan.drivers.can import candump
from cardan.drivers.can.candump import LoggedFrame, read_candump, write_candump
from cardan.firmware_bridge.cli import can_source
from cardan.firmware_bridge.dbc import load_dbc
from cardan.firmware_bridge.vehicle_map import reference_dbc_path
from cardan.runtime.messages import CanFrame, CanFrames, Message
from cardan.runtime.record.files import recording_path
from cardan.runtime.record.mcap_writer import McapWriter
from cardan.runtime.record.recorder import Recorder
from cardan.runtime.testing import Bench

Ask = Callable[..., Any]
DBC = ("--dbc", reference_dbc_path())


def with_data(logged: LoggedFrame, data: bytes) -> LoggedFrame:
    return msgspec.structs.replace(logged, frame=msgspec.structs.replace(logged.frame, data=data))


# ----------------------------------------------------------------------------------------------------------------- dump


def test_a_dump_is_the_log_again(cardan: Ask, log: Path) -> None:
    said = cardan("dump", log)
    assert said.code == 0
    assert said.out == log.read_text()


def test_a_dump_of_a_compressed_log_is_the_same(cardan: Ask, log: Path) -> None:
    packed = log.with_suffix(".log.gz")
    packed.write_bytes(gzip.compress(log.read_bytes()))
    assert cardan("dump", packed).out == log.read_text()


@pytest.mark.parametrize(
    ("words", "ids"),
    [
        (["--id", "0B3"], {0xB3}),
        (["--id", "0xb3"], {0xB3}),
        (["--id", "0B0,0B2"], {0xB0, 0xB2}),
        (["--id", "0B0", "--id", "0B1"], {0xB0, 0xB1}),
        (["--id", "0B2:7FE"], {0xB2, 0xB3}),
    ],
)
def test_identifiers_are_chosen_in_hex_as_candump_writes_them(
    cardan: Ask, log: Path, words: list[str], ids: set[int]
) -> None:
    records = cardan("dump", log, *words, "--json").records
    assert {record["id"] for record in records} == ids
    assert len(records) == 100 * len(ids)


def test_an_identifier_of_eight_digits_is_one_of_29_bits(cardan: Ask, tmp_path: Path) -> None:
    path = tmp_path / "both.log"
    path.write_text("(1.000000) can0 123#01\n(1.100000) can0 00000123#02\n(1.200000) can0 20000004#0004000000000000\n")
    assert [record["data"] for record in cardan("dump", path, "--id", "123", "--json").records] == ["01"]
    assert [record["data"] for record in cardan("dump", path, "--id", "00000123", "--json").records] == ["02"]
    assert len(cardan("dump", path, "--json").records) == 3


@pytest.mark.parametrize("word", ["zz", "-1", "0x", "123:zz", "20000000", "STERING"])
def test_what_is_no_identifier_is_a_mistake_with_an_example(cardan: Ask, log: Path, word: str) -> None:
    said = cardan("dump", log, f"--id={word}")
    assert (said.code, said.out) == (2, "")
    assert f'--id "{word}" is neither' in said.err


def test_a_stream_ends_by_count_or_by_recorded_time(cardan: Ask, log: Path) -> None:
    assert len(cardan("dump", log, "--count", 3).lines) == 3
    assert len(cardan("dump", log, "--for", "95ms").lines) == 40
    assert len(cardan("dump", log, "--for", "1h").lines) == 400
    assert len(cardan("dump", log, "--id", "0B3", "--count", 2, "--for", "1h").lines) == 2


def test_one_channel_of_a_log_with_several(cardan: Ask, tmp_path: Path) -> None:
    path = tmp_path / "two.log"
    path.write_text("(1.0) can0 123#01\n(1.1) can1 123#02\n")
    assert [record["data"] for record in cardan("dump", path, "--channel", "can1", "--json").records] == ["02"]


def test_nothing_left_is_no_data(cardan: Ask, log: Path) -> None:
    said = cardan("dump", log, "--id", "7FF")
    assert (said.code, said.out) == (3, "")
    assert "no frame came" in said.err


def test_nanoseconds_of_a_stamp_are_not_taken_for_microseconds_by_others(cardan: Ask, tmp_path: Path) -> None:
    path = tmp_path / "fine.log"
    path.write_text("(1.123456789) can0 123#01\n")
    assert cardan("dump", path).out == "(0000000001.123456) can0 123#01\n"


@pytest.mark.parametrize(
    ("name", "text", "code", "said"),
    [
        ("absent.log", None, 2, "there is no file"),
        ("absent/drive", None, 2, "there is no file"),
        ("nothing", None, 2, '"nothing" is no channel, no CAN interface and no file'),
        ("broken.log", "(1.0) can0 123#01\nhello\n", 1, "broken.log:2: not a candump line"),
        ("empty.log", "", 3, "no frame came"),
    ],
)
def test_what_cannot_be_read_is_one_message(
    cardan: Ask, tmp_path: Path, name: str, text: str | None, code: int, said: str
) -> None:
    source = str(tmp_path / name) if text is not None or "." in name or "/" in name else name
    if text is not None:
        (tmp_path / name).write_text(text)
    answer = cardan("dump", source)
    assert answer.code == code
    assert said in answer.err


@pytest.mark.parametrize("verb", ["dump", "decode", "sniff", "health", "list"])
def test_without_any_run_there_is_a_hint(cardan: Ask, verb: str) -> None:
    said = cardan(verb)
    assert said.code == 3
    assert "no run" in said.err
    assert "hint: " in said.err


# --------------------------------------------------------------------------------------------------------------- decode


def test_frames_get_names_units_and_a_verdict(cardan: Ask, log: Path) -> None:
    said = cardan("decode", log, *DBC, "--id", "MOTION", "--count", 2)
    assert said.code == 0
    assert said.lines[1] == (
        "(1700000000.010000) vehicle 0B3 MOTION  ok  VALID 1  SPEED 10.04 m/s  YAW_RATE 0 rad/s  ACCELERATION 0 m/s2"
    )
    assert said.err == "2 decoded, 0 wrong\n"


def test_a_value_with_a_name_shows_both(cardan: Ask, tmp_path: Path) -> None:
    path = tmp_path / "status.log"
    path.write_text("(1.0) can0 122#46B5540ACFC20CA8\n")
    assert "ENGAGEMENT enabled (2)  ARMED 1" in cardan("decode", path, *DBC).out
    (record,) = cardan("decode", path, *DBC, "--json").records
    assert record["signals"]["ENGAGEMENT"] == {"value": 2, "unit": "", "label": "enabled"}


def test_bad_frames_are_named_and_make_a_finding(cardan: Ask, tmp_path: Path, frames: list[LoggedFrame]) -> None:
    motion = [logged for logged in frames if logged.frame.id == 0xB3][:8]
    broken = with_data(motion[2], motion[2].frame.data[:-1] + b"\x7f")
    short = with_data(motion[3], motion[3].frame.data[:4])
    path = tmp_path / "bad.log"
    write_candump(path, [motion[0], motion[1], broken, short, motion[1], motion[7], motion[7]])
    said = cardan("decode", path, *DBC, "--json")
    assert [record["verdict"] for record in said.records] == [
        "ok",
        "ok",
        "checksum wrong",
        "4 bytes, expected 8",
        "counter repeated",
        "counter wrong",
        "counter repeated",
    ]
    assert said.code == 1
    assert said.err == "7 decoded, 5 wrong\n"


def test_what_its_sender_calls_invalid_is_said(cardan: Ask, tmp_path: Path, frames: list[LoggedFrame]) -> None:
    codec = load_dbc(reference_dbc_path()).message("MOTION")
    values = {name: 0.0 for name in codec.signals if name not in ("CRC", "COUNTER")}
    path = tmp_path / "invalid.log"
    write_candump(path, [with_data(frames[3], codec.encode(values, 0))])
    assert "flagged invalid by its sender" in cardan("decode", path, *DBC).out


def test_unknown_and_error_frames_are_counted_and_error_frames_shown(cardan: Ask, tmp_path: Path, log: Path) -> None:
    path = tmp_path / "mixed.log"
    path.write_text(
        "(1.0) can0 7FE#01\n(1.1) can0 7FE#02\n(1.2) can0 7FD#R4\n(1.3) can0 20000240#00000000000000F8\n"
        + log.read_text().splitlines()[0]
        + "\n"
    )
    said = cardan("decode", path, *DBC)
    assert said.err == "1 decoded, 0 wrong, 3 of 2 unknown ids, 1 error frame\n"
    assert said.lines[0] == "(1.300000) can0 20000240 error frame  bus-off (TEC 0, REC 248)"
    assert len(said.lines) == 2


def test_each_channel_has_its_own_dbc(cardan: Ask, tmp_path: Path, log: Path) -> None:
    path = tmp_path / "two.log"
    path.write_text(log.read_text() + log.read_text().replace("vehicle", "radar"))
    said = cardan("decode", path, "--dbc", f"vehicle={reference_dbc_path()}", "--json")
    assert {record["channel"] for record in said.records} == {"vehicle"}
    assert "400 of 4 unknown ids" in said.err


def test_a_known_vehicle_stands_for_its_dbc(cardan: Ask, log: Path) -> None:
    assert cardan("decode", log, "--vehicle", "reference").err == "400 decoded, 0 wrong\n"
    said = cardan("decode", log, "--vehicle", "referense")
    assert (said.code, 'did you mean "reference"' in said.err) == (1, True)


def test_without_a_meaning_there_is_a_hint(cardan: Ask, log: Path) -> None:
    said = cardan("decode", log)
    assert (said.code, "add --dbc FILE" in said.err) == (3, True)


def test_a_dbc_of_another_bus_is_no_data(cardan: Ask, tmp_path: Path) -> None:
    path = tmp_path / "other.log"
    path.write_text("(1.0) can0 7FE#01\n")
    said = cardan("decode", path, *DBC)
    assert (said.code, "is it the DBC of this bus?" in said.err) == (3, True)


@pytest.mark.parametrize("word", ["can0=", ""])
def test_a_dbc_that_is_not_named_is_a_mistake(cardan: Ask, log: Path, word: str) -> None:
    said = cardan("decode", log, f"--dbc={word}")
    assert (said.code, "names nothing" in said.err) == (2, True)


def test_a_broken_dbc_is_one_line_with_its_place(cardan: Ask, log: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.dbc").write_text('VERSION ""\nGARBAGE\n')
    said = cardan("decode", log, "--dbc", tmp_path / "bad.dbc")
    assert (said.code, "bad.dbc:2: expected a DBC statement" in said.err) == (1, True)


# ---------------------------------------------------------------------------------------------------------------- sniff


def test_sniff_of_a_log_is_one_table_with_what_ever_changed(cardan: Ask, log: Path) -> None:
    said = cardan("sniff", log, *DBC, "--id", "MOTION,WHEEL_SPEEDS")
    assert said.code == 0
    head, wheels, wheels_signals, motion, signals = said.lines
    assert head.split() == ["CHANNEL", "ID", "RATE", "AGE", "DATA", "MESSAGE"]
    assert wheels.split()[:4] == ["vehicle", "0B1", "100.0", "Hz"]
    assert motion.endswith("MOTION")
    assert "SPEED 13.96 m/s*" in signals
    assert "YAW_RATE 0 rad/s " in signals
    assert "*" not in wheels_signals


def test_sniff_has_a_document(cardan: Ask, log: Path) -> None:
    document = cardan("sniff", log, *DBC, "--json").document
    assert (document["schema_version"], document["live"]) == (1, False)
    motion = document["ids"][3]
    assert (motion["id"], motion["message"], motion["count"], motion["rate_hz"]) == (0xB3, "MOTION", 100, 100.0)
    assert motion["changed_bytes"] == [0, 1, 2, 3]
    assert motion["signals"]["SPEED"] == pytest.approx(13.96)


def test_sniff_without_a_dbc_shows_bytes_alone(cardan: Ask, log: Path) -> None:
    assert len(cardan("sniff", log).lines) == 1 + 4


# --------------------------------------------------------------------------------------------------------------- health


def test_health_of_a_log_has_the_verdict_first(cardan: Ask, log: Path) -> None:
    said = cardan("health", log)
    assert (said.code, said.lines[0]) == (0, "healthy")
    assert said.lines[4].split() == ["traffic", "404", "frames/s", "of", "4", "ids", "in", "1.0", "s"]
    missing = cardan("health", log, "--vehicle", "vehicle=reference", "--channel", "vehicle")
    assert missing.code == 1
    assert missing.lines[0].endswith("do not come: STEERING_COMMAND, ACCEL_COMMAND, BRIDGE_STATUS")


def test_health_names_what_is_missing_what_is_wrong_and_what_helps(
    cardan: Ask, tmp_path: Path, frames: list[LoggedFrame]
) -> None:
    kept = [logged for logged in frames if logged.frame.id != 0xB1]
    kept[50] = with_data(kept[50], bytes(8))
    path = tmp_path / "bad.log"
    error = CanFrame("vehicle", 0x204, bytes([0, 0x20, 0, 0, 0, 0, 128, 0]), kept[-1].frame.stamp_ns, error=True)
    write_candump(path, [*kept, LoggedFrame(frame=error)])
    document = cardan("health", path, "--vehicle", "reference", "--json").document
    (channel,) = document["channels"]
    codes = {item["code"]: item for item in channel["findings"]}
    assert codes["error-frames"]["severity"] == "bad"
    assert "error-passive (TEC 128, REC 0)" in codes["error-frames"]["text"]
    assert "WHEEL_SPEEDS" in channel["missing"]
    texts = [item["text"] for item in channel["findings"]]
    assert "messages that the vehicle relies on do not come: WHEEL_SPEEDS" in texts
    assert channel["wrong"] >= 1
    assert all(item["fix"] for item in channel["findings"])
    assert document["verdict"].startswith("vehicle: ")


def test_a_dump_can_be_read_back(cardan: Ask, log: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.log"
    again.write_text(cardan("dump", log).out)
    assert list(read_candump(again)) == list(read_candump(log))


# ----------------------------------------------------------------------------------------------------------- recordings


def traffic(frames: list[LoggedFrame]) -> list[CanFrame]:
    """Of two channels: sensors with wrong ones among them, ids that no DBC has, 29 bits, CAN FD, and error frames."""
    found: list[CanFrame] = []
    for number, logged in enumerate(frames):
        frame, stamp_ns = logged.frame, 1_000_000_000 + number * 2_500_000
        data = frame.data
        if number % 17 == 5:
            data = bytes([data[0] ^ 4]) + data[1:]
        if number % 40 == 33:
            data = data[:5]
        found.append(CanFrame("vehicle", frame.id, data, stamp_ns))
        if number % 29 == 3:
            found.append(CanFrame("vehicle", frame.id, data, stamp_ns))
        if number % 7 == 0:
            found.append(CanFrame("vehicle", 0x18DB33F1, data[:3], stamp_ns, extended=True))
        if number % 11 == 0:
            found.append(CanFrame("vehicle", 0x7F0, bytes(48), stamp_ns, fd=True))
        if number % 90 == 50:
            found.append(CanFrame("vehicle", 0x204, bytes([0, 0x20, 0, 0, 0, 0, 128, 0]), stamp_ns, error=True))
        if number % 3 == 0:
            found.append(CanFrame("radar", 0x100 + number % 5, data, stamp_ns))
    return found


@pytest.fixture
def recording(tmp_path: Path, frames: list[LoggedFrame]) -> Path:
    """The same as a recorder keeps it."""
    every = traffic(frames)
    topics: dict[str, type[Message]] = {"can/frames": CanFrames, "bridge/sent": CanFrames}
    with Bench(Recorder, data_dir=tmp_path / "kept", topics=topics) as bench:
        for start in range(0, len(every), 9):
            batch = CanFrames(frames=every[start : start + 9])
            bench.send("everything", batch, topic="can/frames")
            bench.send("everything", batch, topic="bridge/sent")
            bench.step()
    return recording_path(tmp_path / "kept", "bench")


@pytest.mark.parametrize("batch", [1, 50, 100_000])
@pytest.mark.parametrize("words", [(), ("--channel", "vehicle"), ("--vehicle", "vehicle=reference")])
def test_the_health_of_a_recording_is_that_of_its_frames_one_by_one(
    cardan: Ask, recording: Path, monkeypatch: pytest.MonkeyPatch, batch: int, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr(can_source, "BIG_BATCH", batch)
    dbc = () if "--vehicle" in words else ("--vehicle", "reference")
    many = cardan("health", recording, *dbc, *words, "--json")
    one = cardan("health", recording, *dbc, *words, "--json", "--for", "1h")
    assert (many.document, many.code) == (one.document, one.code)
    vehicle = many.document["channels"][0]
    assert vehicle["channel"] == "vehicle"
    assert vehicle["error_frames"] == 4
    assert 0 < vehicle["wrong"] < vehicle["checked"] < vehicle["frames"]


@pytest.mark.parametrize("lines", [10, 100_000])
def test_the_health_of_a_log_is_that_of_its_frames_one_by_one(
    cardan: Ask, tmp_path: Path, frames: list[LoggedFrame], monkeypatch: pytest.MonkeyPatch, lines: int
) -> None:
    monkeypatch.setattr(candump, "BLOCK_CHARACTERS", 45 * lines)
    logged = [LoggedFrame(frame=frame) for frame in traffic(frames)]
    for place in (0, 77, 78, len(logged)):
        remote = CanFrame("vehicle", 0xB3, b"", logged[min(place, len(logged) - 1)].frame.stamp_ns)
        logged.insert(place, LoggedFrame(frame=remote, remote=True, remote_length=4))
    path = tmp_path / "all.log"
    write_candump(path, logged)
    many = cardan("health", path, "--vehicle", "reference", "--json")
    one = cardan("health", path, "--vehicle", "reference", "--json", "--for", "1h")
    assert (many.document, many.code) == (one.document, one.code)


def test_the_health_of_a_recording_without_the_channel_is_no_data(cardan: Ask, recording: Path) -> None:
    for words in ((), ("--for", "1h")):
        said = cardan("health", recording, "--channel", "rear", *words)
        assert (said.code, "no frame came" in said.err) == (3, True)


def test_a_dump_of_a_recording_has_every_received_frame_once(
    cardan: Ask, recording: Path, frames: list[LoggedFrame]
) -> None:
    records = cardan("dump", recording, "--json").records
    assert [(record["channel"], record["id"], record["data"]) for record in records] == [
        (frame.channel, frame.id, frame.data.hex()) for frame in traffic(frames)
    ]


@pytest.mark.parametrize(
    "text",
    [
        b'{"frames": 3}',
        b'{"frames": [{"channel": "a", "id": -1, "data": "", "stamp_ns": 1}]}',
        b'{"frames": [{"channel": "a", "id": 1, "data": "' + 100 * b"AAAA" + b'", "stamp_ns": 1}]}',
    ],
)
@pytest.mark.parametrize("verb", ["dump", "health"])
def test_frames_of_another_shape_are_one_message(cardan: Ask, tmp_path: Path, verb: str, text: bytes) -> None:
    path = tmp_path / "other.mcap"
    writer = McapWriter(path, {}, wall_offset_ns=0)
    number = writer.add_channel("can/frames", "CanFrames", b"{}", {"type": "cardan.runtime.messages:CanFrames"})
    writer.write(number, sent_ns=1, sequence=1, data=text)
    writer.finish()
    said = cardan(verb, path)
    assert (said.code, said.out) == (3, "")
    assert "other.mcap: a message of can/frames cannot be read as CAN frames" in said.err
