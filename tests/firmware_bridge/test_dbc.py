"""DBC files: what is compiled equals cantools on random messages, and a broken file is one line."""

from __future__ import annotations

import hashlib
import os
import random
import re
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import cantools.database
import msgspec
import pytest

from cardan.firmware_bridge.additive import AdditiveChecksum
from cardan.firmware_bridge.codec import MessageCodec
from cardan.firmware_bridge.dbc import Dbc, load_dbc
from cardan.firmware_bridge.dbc_cache import KEPT_FILES, DbcCache, usual_cache
from cardan.firmware_bridge.dbc_parse import in_order, parse_dbc
from cardan.firmware_bridge.e2e import Profile01, Profile02, Profile05
from cardan.firmware_bridge.vehicle_map import reference_dbc_path
from cardan.runtime.errors import ConfigError

HEAD = 'VERSION ""\n\nNS_ :\n\nBS_:\n\nBU_: ECU\n\n'
MIXED = (
    HEAD
    + """BO_ 256 MIXED: 8 ECU
 SG_ LITTLE : 0|12@1+ (0.1,-20) [0|0] "" ECU
 SG_ BIG : 23|12@0- (0.25,3) [0|0] "" ECU
 SG_ WHOLE : 32|10@1- (3,-7) [0|0] "" ECU
 SG_ ACROSS : 55|13@0+ (1,0) [0|0] "" ECU
 SG_ LAST : 42|1@1+ (1,0) [0|0] "" ECU

BO_ 257 WIDE: 8 ECU
 SG_ ALL : 7|64@0- (1,0) [0|0] "" ECU

BO_ 2147484160 FLOATS: 16 ECU
 SG_ SINGLE : 0|32@1- (1,0) [0|0] "" ECU
 SG_ DOUBLE : 39|64@0- (2,1) [0|0] "" ECU

BO_ 258 SELECTED: 8 ECU
 SG_ MODE M : 7|4@0+ (1,0) [0|0] "" ECU
 SG_ COMMON : 8|8@1+ (0.5,0) [0|0] "" ECU
 SG_ A m0 : 16|16@1- (0.01,0) [0|0] "" ECU
 SG_ B m1 : 16|8@1+ (1,0) [0|0] "" ECU
 SG_ C m1 : 24|8@1+ (1,0) [0|0] "" ECU
 SG_ D m9 : 23|32@0+ (1,0) [0|0] "" ECU

BO_ 259 NESTED: 8 ECU
 SG_ TOP M : 0|4@1+ (1,0) [0|0] "" ECU
 SG_ SUB m1M : 8|4@1+ (1,0) [0|0] "" ECU
 SG_ DEEP m3 : 16|8@1+ (1,0) [0|0] "" ECU
 SG_ FLAT m2 : 8|16@1+ (1,0) [0|0] "" ECU

BO_ 260 LONG: 64 ECU
 SG_ FIRST : 7|16@0+ (1,0) [0|0] "" ECU
 SG_ END : 496|16@1- (0.5,0) [0|0] "" ECU

SIG_VALTYPE_ 512 SINGLE : 1;
SIG_VALTYPE_ 512 DOUBLE : 2;
SG_MUL_VAL_ 259 SUB TOP 1-1;
SG_MUL_VAL_ 259 DEEP SUB 3-4;
SG_MUL_VAL_ 259 FLAT TOP 2-2;
"""
).replace("SIG_VALTYPE_ 512", "SIG_VALTYPE_ 2147484160")


def write(folder: Path, text: str) -> Path:
    path = folder / "test.dbc"
    path.write_text(text)
    return path


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def reference() -> Dbc:
    return load_dbc(reference_dbc_path())


def compare(ours: MessageCodec, theirs: cantools.database.can.Message, rounds: int, rng: random.Random) -> None:
    """Decode random bytes, encode what came out: both must equal cantools."""
    for _ in range(rounds):
        data = rng.randbytes(ours.length)
        decoded = ours.decode(data)
        try:
            expected = theirs.decode(data, decode_choices=False)
        except cantools.database.DecodeError:
            assert theirs.is_multiplexed()  # an unknown selector: we give what is always there, cantools gives nothing
            continue
        assert isinstance(expected, dict)
        assert decoded.keys() == expected.keys()
        for name, value in decoded.items():
            assert value == expected[name] or (value != value and expected[name] != expected[name])
        if any(value != value or abs(value) == float("inf") for value in decoded.values()):
            continue  # a random float may be NaN, which we never send
        if ours.protection is None and not ours.modulus:
            assert ours.encode(decoded) == theirs.encode(expected, strict=False)


def test_a_million_bits_of_every_kind_of_signal_equal_cantools(tmp_path: Path) -> None:
    path = write(tmp_path, MIXED)
    ours, theirs = load_dbc(path), cantools.database.load_file(path, strict=False)
    assert isinstance(theirs, cantools.database.can.Database)
    assert ours.names == ["MIXED", "WIDE", "FLOATS", "SELECTED", "NESTED", "LONG"]
    for name in ours.names:
        compare(ours.message(name), theirs.get_message_by_name(name), 600, random.Random(name))


def test_every_message_of_the_reference_vehicle_equals_cantools(reference: Dbc) -> None:
    theirs = cantools.database.load_file(reference.path)
    assert isinstance(theirs, cantools.database.can.Database)
    for name in reference.names:
        compare(reference.message(name), theirs.get_message_by_name(name), 200, random.Random(name))


def test_the_reference_vehicle_declares_its_protection_period_and_identifier(reference: Dbc) -> None:
    steering, wheels = reference.message("STEERING_COMMAND"), reference.message("WHEEL_SPEEDS")
    assert (steering.frame_id, steering.length, steering.period_s, steering.modulus) == (288, 8, 0.01, 256)
    assert steering.protection == Profile05(2817)
    assert wheels.protection == Profile01(2562)


def test_the_crc_and_counter_signals_lie_where_the_protection_writes(reference: Dbc) -> None:
    for name in reference.names:
        codec = reference.message(name)
        values = dict.fromkeys((item for item in codec.signals if item not in ("CRC", "COUNTER")), 0.0)
        for counter in (0, 1, codec.modulus - 1):
            found = codec.decode(codec.encode(values, counter))
            assert found.pop("COUNTER") == counter
            found.pop("CRC")
            assert found == values


def test_an_extended_identifier_is_known_as_one(tmp_path: Path) -> None:
    codec = load_dbc(write(tmp_path, MIXED)).message("FLOATS")
    assert (codec.frame_id, codec.extended) == (512, True)


def test_a_file_without_attributes_can_be_told_of_toyotas_sum(tmp_path: Path) -> None:
    text = HEAD + (
        'BO_ 37 ANGLE: 8 ECU\n SG_ A : 0|8@1+ (1,0) [0|0] "" ECU\n\n'
        'BO_ 38 SUMMED: 8 ECU\n SG_ CHECKSUM : 63|8@0+ (1,0) [0|0] "" ECU\n SG_ COUNTER : 0|4@1+ (1,0) [0|0] "" ECU\n\n'
        'BO_ 39 PLAIN: 8 ECU\n SG_ A : 0|8@1+ (1,0) [0|0] "" ECU\n'
    )
    path = write(tmp_path, text)
    dbc = load_dbc(path, additive=["ANGLE"])
    assert dbc.message("ANGLE").protection == AdditiveChecksum(37)
    assert dbc.message("PLAIN").protection is None
    summed = dbc.message("SUMMED")
    data = summed.encode({}, counter=3)
    assert (summed.protection, summed.modulus, summed.counter(data)) == (AdditiveChecksum(38), 16, 3)
    assert summed.intact(data)
    assert load_dbc(path).message("SUMMED").protection is None


def test_a_message_is_compiled_once(reference: Dbc) -> None:
    assert reference.message("MOTION") is reference.message("MOTION")


def test_an_unknown_message_names_the_near_one(reference: Dbc) -> None:
    with pytest.raises(ConfigError, match='did you mean "MOTION"'):
        reference.message("MOTIONS")


def test_a_sum_for_an_unknown_message_names_the_near_one() -> None:
    with pytest.raises(ConfigError, match='no message "MOTIO"\n  hint: did you mean "MOTION"'):
        load_dbc(reference_dbc_path(), additive=["MOTIO"])


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*absent.dbc: No such file or directory"):
        load_dbc(tmp_path / "absent.dbc")


MESSAGE = 'BO_ 12 X: 8 ECU\n SG_ S : 0|8@1+ (1,0) [0|1] "" ECU\n'
E2E = 'BA_DEF_ BO_ "E2EProfile" INT 0 99;\nBA_DEF_DEF_ "E2EProfile" 0;\nBA_ "E2EProfile" BO_ 12 '
BROKEN = {
    "a word that is no statement": (MESSAGE + "GARBAGE\n", 11, "expected a DBC statement, got 'GARBAGE'"),
    "a signal without bits": (MESSAGE + ' SG_ T : 8@1+ (1,0) [0|1] "" ECU\n', 11, "expected a DBC statement"),
    "an identifier of 12 bits": (MESSAGE.replace("12", "3000"), 9, "Standard frame id 0xbb8 is more than 11 bits"),
    "values of no signal": (MESSAGE + '\nVAL_ 13 Q 1 "a" ;\n', 12, "unused VAL_ entries in DBC: VAL_ 13 Q"),
    "signals on each other": (
        MESSAGE + ' SG_ T : 4|8@1+ (1,0) [0|1] "" ECU\n',
        9,
        "message X: signals S and T overlap",
    ),
    "a signal past the end": (
        MESSAGE.replace("X: 8", "X: 1") + ' SG_ T : 8|8@1+ (1,0) [0|1] "" ECU\n',
        9,
        "message X: signal T does not fit into 1 bytes",
    ),
    "a factor of zero": (MESSAGE.replace("(1,0)", "(0,0)"), 9, "message X: signal S has the factor 0"),
    "a float of 8 bits": (MESSAGE + "\nSIG_VALTYPE_ 12 S : 1;\n", 9, "message X: signal S is a float of 8 bits"),
    "a selector that selects nothing": (
        MESSAGE.replace("SG_ S :", "SG_ S m :") + ' SG_ T m1 : 8|8@1+ (1,0) [0|1] "" ECU\n',
        9,
        "message X: its signals are multiplexed (`m`), and none selects (`M`)",
    ),
    "an unknown E2E profile": (MESSAGE + E2E + "3;\n", 9, "message X: E2E profile 3 is unknown"),
    "too few bytes for the profile": (MESSAGE + E2E + "7;\n", 9, "message X: 8 bytes are too short for E2E profile 7"),
}


@pytest.mark.parametrize("name", list(BROKEN))
def test_a_broken_file_is_one_line_with_its_place(name: str, tmp_path: Path) -> None:
    text, line, said = BROKEN[name]
    path = write(tmp_path, HEAD + text)
    with pytest.raises(ConfigError) as caught:
        load_dbc(path).message("X")
    assert caught.value.message.startswith(f"{path}:{line}: ")
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_a_selector_that_is_no_signal_is_refused() -> None:
    lost = msgspec.structs.replace(load_dbc(reference_dbc_path()).table("MOTION").signals[3], multiplexer="NOBODY")
    with pytest.raises(ValueError, match="signal SPEED depends on NOBODY, which is no signal"):
        in_order([lost])


def test_without_cantools_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cantools", None)
    with pytest.raises(ConfigError, match="reading DBC files needs cantools"):
        load_dbc(reference_dbc_path())


@pytest.mark.parametrize("text", ["", "hello", 'VERSION "'])
def test_what_is_no_dbc_file_at_all_is_one_line(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=rf"{path}:1: expected a DBC statement"):
        load_dbc(path)


@pytest.mark.parametrize(("encoding", "unit"), [("utf-8", "°C"), ("cp1252", "°C")])
def test_units_are_read_in_both_encodings_that_are_in_use(encoding: str, unit: str, tmp_path: Path) -> None:
    path = tmp_path / "test.dbc"
    path.write_bytes((HEAD + MESSAGE.replace('""', f'"{unit}"')).encode(encoding))
    assert load_dbc(path).message("X").signals["S"].unit == "°C"


def test_a_byte_that_no_encoding_has_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "test.dbc"
    path.write_bytes((HEAD + MESSAGE + 'CM_ "').encode() + b"\x9d" + b'";\n')
    assert load_dbc(path).names == ["X"]


def test_a_broken_message_that_nobody_uses_does_no_harm(tmp_path: Path) -> None:
    overlapping = 'BO_ 13 BAD: 8 ECU\n SG_ S : 0|8@1+ (1,0) [0|1] "" ECU\n SG_ T : 4|8@1+ (1,0) [0|1] "" ECU\n'
    assert load_dbc(write(tmp_path, HEAD + MESSAGE + "\n" + overlapping)).message("X").frame_id == 12


def test_a_message_with_overlapping_signals_can_be_read_but_never_sent(tmp_path: Path) -> None:
    dbc = load_dbc(write(tmp_path, HEAD + BROKEN["signals on each other"][0]))
    assert dbc.reader("X").decode(b"\x12\x03" + bytes(6)) == {"S": 0x12, "T": 0x31}
    with pytest.raises(ConfigError, match="overlap"):
        dbc.message("X")


def test_a_message_that_makes_no_sense_cannot_even_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="factor 0"):
        load_dbc(write(tmp_path, HEAD + BROKEN["a factor of zero"][0])).reader("X")


# -------------------------------------------------------------------------------------------------------- value tables


def test_a_value_table_names_raw_values_both_ways(reference: Dbc) -> None:
    table = reference.table("BRIDGE_STATUS").signal("ENGAGEMENT")
    assert table is not None
    assert table.labels[2] == "enabled"
    assert len(table.labels) == 7
    assert reference.value("BRIDGE_STATUS", "ENGAGEMENT", "safe-stop") == 5


def test_the_value_of_a_label_is_a_physical_one(tmp_path: Path) -> None:
    text = MESSAGE.replace("(1,0)", "(0.5,-3)") + '\nVAL_TABLE_ T 0 "off" 4 "on" ;\nVAL_ 12 S 0 "off" 4 "on" ;\n'
    dbc = load_dbc(write(tmp_path, HEAD + text))
    data = dbc.message("X").encode({"S": dbc.value("X", "S", "on")})
    assert data[0] == 4
    assert dbc.value("X", "S", "on") == -1.0


@pytest.mark.parametrize(("signal", "hint"), [("ENGAGEMENT", 'did you mean "enabled"'), ("NOTHING", "none is known")])
def test_an_unknown_label_names_the_near_one(reference: Dbc, signal: str, hint: str) -> None:
    with pytest.raises(ConfigError, match=f'BRIDGE_STATUS.{signal} has no value "enable"\n  hint: {hint}'):
        reference.value("BRIDGE_STATUS", signal, "enable")


def test_every_label_equals_cantools(reference: Dbc) -> None:
    theirs = cantools.database.load_file(reference.path)
    assert isinstance(theirs, cantools.database.can.Database)
    for message in theirs.messages:
        for signal in message.signals:
            row = reference.table(message.name).signal(signal.name)
            assert row is not None
            assert row.labels == {raw: str(label) for raw, label in (signal.choices or {}).items()}


# ------------------------------------------------------------------------------------------------ protection, in detail

DETAILS = """BA_DEF_ BO_ "E2EProfile" INT 0 99;
BA_DEF_ BO_ "E2EDataID" INT 0 65535;
BA_DEF_ BO_ "E2EDataIDMode" STRING ;
BA_DEF_ BO_ "E2EOffset" INT 0 60;
BA_DEF_ BO_ "E2EDataIDList" STRING ;
BA_DEF_DEF_ "E2EProfile" 0;
BA_DEF_DEF_ "E2EDataID" 0;
BA_DEF_DEF_ "E2EDataIDMode" "";
BA_DEF_DEF_ "E2EOffset" 0;
BA_DEF_DEF_ "E2EDataIDList" "";
BA_ "E2EDataID" BO_ 12 291;
"""


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ('BA_ "E2EProfile" BO_ 12 1;', Profile01(291)),
        ('BA_ "E2EProfile" BO_ 12 1;\nBA_ "E2EDataIDMode" BO_ 12 "low";', Profile01(291, "low")),
        ('BA_ "E2EProfile" BO_ 12 11;\nBA_ "E2EOffset" BO_ 12 3;', Profile01(291, "nibble", 3)),
        (
            f'BA_ "E2EProfile" BO_ 12 2;\nBA_ "E2EDataIDList" BO_ 12 "{bytes(range(16)).hex()}";',
            Profile02(bytes(range(16))),
        ),
    ],
)
def test_the_attributes_of_a_message_say_how_it_is_protected(attributes: str, expected: object, tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + MESSAGE + "\n" + DETAILS + attributes + "\n")
    assert load_dbc(path).message("X").protection == expected


# --------------------------------------------------------------------------------------------------------------- damage


def damaged(text: str, rng: random.Random) -> str:
    """`text` as a careless editor leaves it: lines lost, doubled, swapped, cut short, and characters changed."""
    lines = text.splitlines(keepends=True)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(lines))
        kind = rng.randrange(5)
        if kind == 0:
            del lines[at]
        elif kind == 1:
            lines.insert(at, lines[rng.randrange(len(lines))])
        elif kind == 2:
            lines[at] = lines[at][: rng.randrange(len(lines[at]))] + "\n"
        elif kind == 3:
            place = rng.randrange(len(lines[at]))
            lines[at] = lines[at][:place] + rng.choice('0123456789 |@+-()[]:;"_aM\t\xe9') + lines[at][place + 1 :]
        else:
            lines[at] = lines[at].replace(rng.choice("0123456789"), rng.choice(["99", "-1", "1e400", ""]))
    return "".join(lines)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_file_loads_or_is_one_line_with_its_place(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    original = MIXED + "\n" + reference_dbc_path().read_text().split("BU_: BRIDGE VEHICLE")[1]
    refused = 0
    for _ in range(60):
        path = write(tmp_path, damaged(original, rng))
        try:
            dbc = load_dbc(path)
            for name in dbc.names:
                dbc.message(name)
        except ConfigError as error:
            refused += 1
            assert re.match(rf"{re.escape(str(path))}:\d+: \S", error.message), error.message
            assert "\n" not in error.message
    assert refused > 10


# ---------------------------------------------------------------------------------------------------------------- cache


def test_a_file_is_parsed_once_and_its_tables_come_back_equal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = write(tmp_path, MIXED)
    first = load_dbc(path)
    monkeypatch.setattr("cardan.firmware_bridge.dbc.parse_dbc", None)
    again = load_dbc(path)
    assert [again.table(name) for name in again.names] == [first.table(name) for name in first.names]
    assert again.table("WIDE").signals[0].scale.__class__ is int  # 64-bit integers stay exact
    rng = random.Random(1)
    for name in first.names:
        data = rng.randbytes(first.message(name).length)
        assert repr(again.message(name).decode(data)) == repr(first.message(name).decode(data))


def test_a_changed_file_is_parsed_again(tmp_path: Path) -> None:
    load_dbc(write(tmp_path, HEAD + MESSAGE))
    assert load_dbc(write(tmp_path, HEAD + MESSAGE.replace("(1,0)", "(7,0)"))).table("X").signals[0].scale == 7


def test_the_sum_that_a_caller_tells_of_is_not_part_of_the_cache(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + MESSAGE)
    assert load_dbc(path, additive=["X"]).message("X").protection == AdditiveChecksum(12)
    assert load_dbc(path).message("X").protection is None


def only_entry(folder: Path) -> Path:
    (entry,) = (folder / "cache" / "cardan" / "dbc").iterdir()
    return entry


@pytest.mark.parametrize("at", [0, 40, -1])
def test_a_damaged_entry_is_not_believed(at: int, tmp_path: Path) -> None:
    path = write(tmp_path, MIXED)
    expected = load_dbc(path).table("MIXED")
    entry = only_entry(tmp_path)
    damaged_bytes = bytearray(entry.read_bytes())
    damaged_bytes[at] ^= 1
    entry.write_bytes(damaged_bytes)
    assert load_dbc(path).table("MIXED") == expected
    assert entry.read_bytes() != damaged_bytes  # and it was written anew


def test_a_whole_entry_of_another_shape_is_not_believed(tmp_path: Path) -> None:
    path = write(tmp_path, MIXED)
    expected = load_dbc(path).table("MIXED")
    body = msgspec.msgpack.encode(["other"])
    only_entry(tmp_path).write_bytes(hashlib.sha256(body).digest() + body)
    assert load_dbc(path).table("MIXED") == expected


def test_an_entry_of_somebody_else_is_not_believed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = write(tmp_path, MIXED)
    load_dbc(path)
    monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)
    assert usual_cache().load_or_none(path.read_bytes()) is None


def test_another_version_of_the_parser_parses_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = write(tmp_path, MIXED)
    load_dbc(path)
    monkeypatch.setattr("cardan.firmware_bridge.dbc_cache._parser_version", lambda: "99")
    assert usual_cache().load_or_none(path.read_bytes()) is None


def test_without_a_parser_or_its_version_nothing_of_another_one_is_believed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = write(tmp_path, MIXED)
    load_dbc(path)
    for spec in (None, ModuleSpec("cantools", None, origin=str(tmp_path / "cantools" / "__init__.py"))):
        monkeypatch.setattr("cardan.firmware_bridge.dbc_cache.find_spec", lambda name, spec=spec: spec)
        assert usual_cache().load_or_none(path.read_bytes()) is None


def test_a_folder_that_cannot_be_written_means_parsing_each_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert load_dbc(write(tmp_path, MIXED)).names[0] == "MIXED"


def test_no_folder_keeps_nothing(tmp_path: Path) -> None:
    assert load_dbc(write(tmp_path, MIXED), cache=DbcCache(None)).names[0] == "MIXED"
    assert not (tmp_path / "cache").exists()


def test_the_oldest_entries_give_way(tmp_path: Path) -> None:
    cache, tables = DbcCache(tmp_path), parse_dbc(HEAD + MESSAGE)
    for number in range(KEPT_FILES + 5):
        cache.keep(str(number).encode(), tables)
        for path in tmp_path.glob("*.tables"):
            os.utime(path, ns=(path.stat().st_mtime_ns - 10**9,) * 2)
    assert len(list(tmp_path.iterdir())) == KEPT_FILES
    assert cache.load_or_none(b"0") is None
    assert cache.load_or_none(str(KEPT_FILES + 4).encode()) == tables
