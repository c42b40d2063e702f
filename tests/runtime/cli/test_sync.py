"""`cardan sync status|ls|verify|repair|export`: what became of every record, read from the disk."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cardan.runtime.cli.main import main
from cardan.runtime.outbox.claims import Claims
from cardan.runtime.outbox.folder import class_dir, outbox_dir, sealed_path
from cardan.runtime.outbox.queue import Queue, QueueLimits
from cardan.runtime.outbox.segment import Record, RecordClass, SegmentHeader
from cardan.runtime.outbox.spool import tombstone
from cardan.runtime.outbox.state import Eviction
from cardan.runtime.outbox.wall_clock import ClockReading, clock_record
from cardan.runtime.uplink.cipher import Cipher
from cardan.runtime.uplink.forms import forms_with
from cardan.runtime.uplink.store_audit import StoreAudit, audit_store, merged, tombstones_in, without
from cardan.runtime.uplink.stores.folder import FolderStore

DAY_NS = 86_400 * 10**9


def opened(data_dir: Path, kind: RecordClass = RecordClass.TREND, boot: str = "boot-one") -> Queue:
    folder = class_dir(outbox_dir(data_dir), kind)
    queue = Queue(folder, vehicle="van-7", boot=boot, stream=kind.name.lower(), limits=QueueLimits())
    queue.open()
    return queue


def seal(queue: Queue, *payloads: bytes, kind: RecordClass = RecordClass.TREND) -> None:
    for payload in payloads:
        queue.append(payload, kind=kind, mono_ns=5, wall_ns=DAY_NS)
    queue.commit()
    queue.seal()


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """Two boots: three records were delivered, two wait, one is in a segment that is still written."""
    queue = opened(tmp_path)
    seal(queue, b'{"n":1}', b'{"n":2}', b'{"n":3}')
    claims = Claims(outbox_dir(tmp_path))
    claims.open()
    claim = claims.oldest_or_none()
    assert claim is not None
    claim.delivered()
    claims.close()
    queue.collect()
    seal(queue, b'{"n":4}')
    queue.close()
    queue = opened(tmp_path, boot="boot-two")
    seal(queue, b'{"n":5}')
    queue.append(b'{"n":6}', kind=RecordClass.TREND, mono_ns=5, wall_ns=DAY_NS)
    queue.commit()
    yield tmp_path
    with contextlib.suppress(FileNotFoundError):  # a repair has sealed it
        queue.close()


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["sync", *words])
    return code, capsys.readouterr().out


def document(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    code, text = said(capsys, *words, "--json")
    return code, json.loads(text)


def test_status_begins_with_the_verdict_and_has_the_numbers_of_each_boot(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(capsys, "status", "--data-dir", str(data_dir))
    lines = text.splitlines()
    assert code == 0
    assert lines[0] == "the account is exact: produced 6 = delivered 3 + pending 3 + evicted 0"
    assert [line.split() for line in lines[-2:]] == [
        ["boot-one", "trend", "1-4", "1"],
        ["boot-two", "trend", "5-6", "2"],
    ]
    code, found = document(capsys, "status", "--data-dir", str(data_dir))
    assert (code, found["schema_version"], found["exact"]) == (0, 1, True)
    assert found["classes"][0]["boots"][1] == {"boot": "boot-two", "first": 5, "last": 6, "waiting": 2}


def test_ls_names_every_file_where_it_stands_on_its_way(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(capsys, "ls", "--data-dir", str(data_dir), "--json")
    rows = [json.loads(line) for line in text.splitlines()]
    assert code == 0
    assert [(row["place"], row["first"], row["last"], row["boot"]) for row in rows] == [
        ("waiting", 4, 4, "boot-one"),
        ("waiting", 5, 5, "boot-two"),
        ("open", 6, 0, "boot-two"),
    ]
    assert said(capsys, "ls", "event", "--data-dir", str(data_dir)) == (0, "nothing waits\n")
    assert said(capsys, "ls", "urgent", "--data-dir", str(data_dir))[0] == 2


@pytest.mark.parametrize("verb", ["status", "ls", "verify", "repair", "export"])
def test_where_there_never_was_an_outbox_there_is_no_data(verb: str, tmp_path: Path) -> None:
    assert main(["sync", verb, "--data-dir", str(tmp_path)]) == 3


def test_verify_finds_one_flipped_bit_and_repair_sets_it_aside(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, "verify", "--data-dir", str(data_dir))[0] == 0
    path = sealed_path(class_dir(outbox_dir(data_dir), RecordClass.TREND), 4, 4)
    broken = bytearray(path.read_bytes())
    broken[-2] ^= 1
    path.write_bytes(broken)
    code, found = document(capsys, "verify", "--data-dir", str(data_dir))
    assert code == 1
    assert found["flaws"] == [{"path": str(path), "flaw": "1 of 1 records cannot be read"}]
    assert said(capsys, "repair", "--data-dir", str(data_dir))[0] == 4, "an outbox is at work here"
    release(data_dir)
    code, found = document(capsys, "repair", "--data-dir", str(data_dir))
    assert code == 1 and [Path(item).suffix for item in found["set_aside"]] == [".damaged"]
    assert document(capsys, "repair", "--data-dir", str(data_dir)) == (0, {**found, "set_aside": []})
    code, found = document(capsys, "verify", "--data-dir", str(data_dir))
    assert (code, found["classes"][0]["ledger"]["damaged"]) == (0, 1)
    assert document(capsys, "status", "--data-dir", str(data_dir))[0] == 1


def release(data_dir: Path) -> None:
    """What the kernel does when the outbox dies: another lock file is as good as an unlocked one."""
    lock = class_dir(outbox_dir(data_dir), RecordClass.TREND) / "lock"
    lock.unlink()


def test_export_puts_wall_times_right(data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reading = ClockReading(boot="boot-one", mono_ns=0, wall_ns=20_000 * DAY_NS, quality="kept")
    critical = opened(data_dir, RecordClass.CRITICAL)
    seal(critical, clock_record(reading), kind=RecordClass.CRITICAL)
    critical.close()
    out = tmp_path / "out.jsonl"
    code, found = document(capsys, "export", "trend", "--out", str(out), "--data-dir", str(data_dir))
    assert code == 0 and (found["records"], found["unreadable"]) == (3, 0)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["seq"], row["n"]) for row in rows] == [(4, 4), (5, 5), (6, 6)]
    assert rows[0]["corrected_wall_ns"] == 20_000 * DAY_NS + 5
    assert rows[1]["corrected_wall_ns"] == rows[1]["wall_ns"] == DAY_NS, "nobody knows better in that boot"
    assert said(capsys, "export", "--out", str(out), "--data-dir", str(data_dir))[0] == 2


def put(store: Path, stream: str, first: int, last: int, *lines: bytes) -> None:
    folder = store / "v1" / "records" / "date=2026-01-01" / "vehicle=v" / "boot=b"
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{stream}-0a1b2c3d-{first:012d}-{last:012d}-0123456789abcdef.jsonl.gz"
    (folder / name).write_bytes(gzip.compress(b"\n".join(lines)))


def test_the_store_is_held_to_the_same_account(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, "trend", 1, 10)
    put(tmp_path, "trend", 16, 20)
    given_up = tombstone(RecordClass.TREND, 5, Eviction(11, 15, 5, 100))
    put(tmp_path, "critical", 1, 1, given_up)
    code, found = document(capsys, "verify", "--store", str(tmp_path))
    assert code == 0
    trend = next(row for row in found["streams"] if row["stream"] == "trend")
    assert (trend["delivered"], trend["evicted"], trend["missing"]) == (15, 5, [])
    put(tmp_path, "trend", 20, 20)
    put(tmp_path, "trend", 31, 40)
    code, text = said(capsys, "verify", "--store", str(tmp_path))
    assert code == 1
    assert text.splitlines()[0] == "10 records are missing and 1 are there twice"
    assert "trend 0a1b2c3d: 21-30 missing" in text
    assert said(capsys, "verify", "--store", str(tmp_path / "nowhere"))[0] == 3


def test_what_cannot_be_opened_at_the_store_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("cryptography", reason="cryptography is not installed: pip install 'cardan[sign]'")
    key, store = tmp_path / "key", tmp_path / "store"
    key.write_text(base64.b64encode(bytes(32)).decode())
    key.chmod(0o600)
    put(store, "trend", 6, 10)
    put(store, "critical", 1, 1, tombstone(RecordClass.TREND, 5, Eviction(1, 5, 5, 100)))
    path = next(store.rglob("critical-*"))
    sealed = path.with_name(f"{path.name}.aes")
    sealed.write_bytes(Cipher(bytes(32)).seal(sealed.relative_to(store).as_posix(), path.read_bytes()))
    path.unlink()
    code, found = document(capsys, "verify", "--store", str(store))
    assert code == 1 and found["unread"] == [sealed.relative_to(store).as_posix()]
    text = said(capsys, "verify", "--store", str(store))[1]
    assert "5 records are missing" in text and "1 critical objects cannot be opened" in text and "--key KEY" in text
    assert said(capsys, "verify", "--store", str(store), "--key", str(key))[0] == 0
    sealed.write_bytes(sealed.read_bytes()[:-1])
    assert document(capsys, "verify", "--store", str(store), "--key", str(key))[1]["unread"] == found["unread"]


def test_the_store_of_the_run_needs_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sync", "verify", "--store", "--data-dir", str(tmp_path)]) == 3
    assert "name the store: --store FOLDER or ADDRESS" in capsys.readouterr().err


FORMS = [("jsonl", "gzip"), ("jsonl-zstd", "zstandard"), ("parquet", "pyarrow"), ("columns", "zstandard")]


@pytest.mark.parametrize(("form", "library"), FORMS)
def test_what_was_given_up_is_read_from_every_form_of_objects(form: str, library: str) -> None:
    pytest.importorskip(library, reason=f"{library} is not installed")
    header = SegmentHeader(vehicle="v", boot="b", stream="critical", log="0a1b2c3d")
    payloads = [b'{"topic":"log/x","message":{"first":9}}', tombstone(RecordClass.BULK, 5, Eviction(11, 15, 5, 100))]
    records = [Record(number, 0, 0, RecordClass.CRITICAL, payload) for number, payload in enumerate(payloads, 1)]
    written = forms_with({})[form]
    name, data = f"critical-0a1b2c3d-1-2.{written.ending}", written.encode(header, records)
    assert tombstones_in(name, data) == [("bulk", 11, 15)]
    assert tombstones_in(name, data[: len(data) // 2]) is None


def test_foreign_files_in_a_store_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a-b-c-d.txt").write_text("hello")
    assert audit_store(FolderStore(tmp_path)) == StoreAudit(streams=[], unread=[])


def test_ranges_are_joined_and_taken_away() -> None:
    assert merged([(5, 6), (1, 2), (3, 3), (6, 9)]) == [(1, 3), (5, 9)]
    assert without([(1, 10)], [(2, 3), (6, 6), (10, 12)]) == [(1, 1), (4, 5), (7, 9)]
