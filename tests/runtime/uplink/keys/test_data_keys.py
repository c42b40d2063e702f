"""Data keys of a token: made once for each start, kept wrapped, and what was sealed is sealed the same again."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cardan.runtime.clock import FakeClock
from cardan.runtime.outbox.claims import Claims
from cardan.runtime.outbox.folder import class_dir
from cardan.runtime.outbox.queue import Queue, QueueLimits
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.uplink.keys.choose import open_sealer
from cardan.runtime.uplink.keys.data_keys import DataKeys
from cardan.runtime.uplink.keys.opening import open_opener
from cardan.runtime.uplink.keys.sealer import Sealer
from cardan.runtime.uplink.keys.software import RsaPublicKey, read_recipient
from cardan.runtime.uplink.keys.token import Token
from cardan.runtime.uplink.keys.uri import parse_address
from cardan.runtime.uplink.keys.wraps import KeyAwayError, decode_wraps
from cardan.runtime.uplink.parcels import SyncSettings
from cardan.runtime.uplink.stores.folder import FolderStore
from cardan.runtime.uplink.stores.store import StoreError
from cardan.runtime.uplink.sync import LET_OUT, Sync, open_sync

pytest.importorskip("cryptography", reason="cryptography is not installed: pip install 'cardan[sign]'")

NAME = "v1/records/x.jsonl.gz.aes"


@pytest.fixture(scope="module")
def reader_key() -> Any:
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def reader(tmp_path: Path, reader_key: Any) -> Path:
    """The private key of somebody who may read; its public half lies beside it."""
    from cryptography.hazmat.primitives import serialization as form

    key = reader_key
    path = tmp_path / "reader.pem"
    path.write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()))
    path.chmod(0o600)
    public = key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    path.with_suffix(".public").write_bytes(public)
    return path


def keys_of(token: Any, folder: Path, boot: str = "one", recipients: list[RsaPublicKey] | None = None) -> DataKeys:
    return DataKeys(folder / "keys", boot, Token(parse_address(token.address("store")), folder), recipients or [])


def test_a_start_has_one_data_key_and_the_next_has_another(token: Any, tmp_path: Path) -> None:
    token.make_aes("store")
    first = keys_of(token, tmp_path).cipher()
    assert keys_of(token, tmp_path).cipher().key_name == first.key_name
    assert keys_of(token, tmp_path).cipher().seal(NAME, b"x") == first.seal(NAME, b"x")
    second = keys_of(token, tmp_path, "two").cipher()
    assert second.key_name != first.key_name
    kept = [path.read_bytes() for path in (tmp_path / "keys").iterdir()]
    assert len(kept) == 2


def test_an_object_that_has_a_name_is_sealed_the_same_after_the_next_start(token: Any, tmp_path: Path) -> None:
    token.make_aes("store")
    first = keys_of(token, tmp_path).cipher()
    later = keys_of(token, tmp_path, "two")
    later.forget_all_but({first.key_name.hex()})
    assert later.cipher(first.key_name.hex()).seal(NAME, b"x") == first.seal(NAME, b"x")
    assert later.cipher().key_name != first.key_name
    later.forget_all_but(set())
    assert keys_of(token, tmp_path, "two").cipher(first.key_name.hex()).key_name == later.cipher().key_name


def test_a_wrapped_key_that_a_bad_disk_changed_is_replaced_and_left_alone(token: Any, tmp_path: Path) -> None:
    token.make_aes("store")
    first = keys_of(token, tmp_path).cipher()
    (path,) = (tmp_path / "keys").iterdir()
    path.write_bytes(path.read_bytes().replace(b'"boot":"one","wraps":"', b'"boot":"one","wraps":"AAAA'))
    assert keys_of(token, tmp_path).cipher().key_name != first.key_name
    assert path.exists()


def test_another_key_in_the_token_makes_another_data_key(token: Any, tmp_path: Path) -> None:
    token.make_aes("store")
    token.make_aes("new")
    first = keys_of(token, tmp_path).cipher()
    other = DataKeys(tmp_path / "keys", "one", Token(parse_address(token.address("new")), tmp_path))
    assert other.cipher().key_name != first.key_name
    assert other.cipher(first.key_name.hex()).key_name == other.cipher().key_name


def test_a_disk_that_takes_nothing_keeps_no_object_from_leaving(token: Any, tmp_path: Path) -> None:
    token.make_aes("store")
    (tmp_path / "keys").write_text("a file is in the way")
    faults: list[str] = []
    keys = DataKeys(
        tmp_path / "keys",
        "one",
        Token(parse_address(token.address("store")), tmp_path),
        [],
        lambda *f: faults.append(f[0]),
    )
    assert keys.cipher().open(NAME, keys.cipher().seal(NAME, b"x")) == b"x"
    assert faults == ["uplink-disk"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["aes", "rsa"])
def test_the_vehicle_and_each_recipient_open_an_object_and_nobody_else(
    token: Any, tmp_path: Path, reader: Path, kind: str
) -> None:
    token.make_aes("store") if kind == "aes" else token.make_rsa("store")
    sealer = open_sealer(
        token.address("store"),
        ["reader.public"],
        base=tmp_path,
        folder=tmp_path / "keys",
        boot="one",
        report_fault=lambda code, text: None,
    )
    sealed = sealer.cipher().seal(NAME, b"content")
    assert b"content" not in sealed and sealed.startswith(b"CDNAES02")
    assert open_opener(token.address("store"), tmp_path).open(NAME, sealed) == b"content"
    assert open_opener(str(reader), tmp_path).open(NAME, sealed) == b"content"
    token.make_aes("other")
    with pytest.raises(Exception, match="did not wrap"):
        open_opener(token.address("other"), tmp_path).open(NAME, sealed)


@pytest.mark.slow
def test_a_recipient_who_is_added_has_all_objects_from_then_on(token: Any, tmp_path: Path, reader: Path) -> None:
    token.make_aes("store")
    alone = keys_of(token, tmp_path).cipher()
    shared = keys_of(token, tmp_path, recipients=[read_recipient(reader.with_suffix(".public"))]).cipher()
    assert len(decode_wraps(alone.wraps)) == 1 and len(decode_wraps(shared.wraps)) == 2
    assert shared.key_name != alone.key_name


class Outbox:
    """A queue with one sealed segment a call, and a delivery into a folder."""

    def __init__(self, folder: Path, sealer: Sealer) -> None:
        self.store = folder / "store"
        self.store.mkdir(exist_ok=True)
        self._folder = folder
        self._queue = Queue(
            class_dir(folder / "outbox", RecordClass.TREND), vehicle="v", boot="b", stream="trend", limits=QueueLimits()
        )
        self._queue.open()
        self.clock = FakeClock()
        self.claims = Claims(folder / "outbox")
        self.claims.open()
        self.sync = self.delivery(sealer)

    def delivery(self, sealer: Sealer, store: Any = None) -> Sync:
        return open_sync(
            self.claims,
            store or FolderStore(self.store),
            self._folder / "uplink",
            clock=self.clock,
            random=Random(1),
            settings=SyncSettings(sealer=sealer),
            conditions=LET_OUT,
        )

    def put(self, text: str) -> None:
        payload = json.dumps({"secret": text}).encode()
        self._queue.append(payload, kind=RecordClass.TREND, mono_ns=1, wall_ns=10**18)
        self._queue.commit()
        self._queue.seal()

    def objects(self) -> list[Path]:
        return sorted(path for path in self.store.rglob("*") if path.is_file())


def test_while_the_token_is_away_everything_waits_and_nothing_leaves_in_the_clear(token: Any, tmp_path: Path) -> None:
    token.make_aes("store")
    token.away()
    outbox = Outbox(tmp_path, keys_of(token, tmp_path))
    outbox.put("word")
    for _ in range(5):
        assert outbox.sync.step() == 0
        outbox.clock.advance_s(400)
    progress = outbox.sync.progress()
    assert outbox.objects() == [] and progress.problem_kind == "key" and progress.failures == 5
    assert progress.problem is not None and "the token is away" in progress.problem
    assert not progress.refused
    token.back()
    assert outbox.sync.step() == 1
    (path,) = outbox.objects()
    assert b"word" not in path.read_bytes()
    name = path.relative_to(outbox.store).as_posix()
    opened = open_opener(token.address("store"), tmp_path).open(name, path.read_bytes())
    assert json.loads(gzip.decompress(opened))["secret"] == "word"
    assert outbox.sync.progress().problem is None


class Unanswering:
    """A store that takes an object and does not say so."""

    def __init__(self, folder: Path) -> None:
        self._inner = FolderStore(folder)
        self.url = self._inner.url

    def put(self, item: Any, gate: Any) -> Any:
        self._inner.put(item, gate)
        raise StoreError("no answer")


def test_an_answer_that_was_lost_before_the_next_start_is_found_by_the_same_bytes(token: Any, tmp_path: Path) -> None:
    token.make_aes("store")
    outbox = Outbox(tmp_path, keys_of(token, tmp_path))
    outbox.put("word")
    lost = outbox.delivery(keys_of(token, tmp_path), Unanswering(outbox.store))
    assert lost.step() == 0
    lost.close()
    outbox.sync.close()
    outbox.claims.close()
    (before,) = [path.read_bytes() for path in outbox.objects()]
    outbox.claims = Claims(tmp_path / "outbox")
    outbox.claims.open()
    later = outbox.delivery(keys_of(token, tmp_path, "two"))
    assert later.step() == 1 and not later.progress().refused
    assert [path.read_bytes() for path in outbox.objects()] == [before]


def test_a_data_key_of_before_that_the_token_does_not_give_now_is_waited_for(token: Any, tmp_path: Path) -> None:
    token.make_aes("store")
    first = keys_of(token, tmp_path).cipher()
    later = keys_of(token, tmp_path, "two")
    later.cipher()
    token.away()
    with pytest.raises(KeyAwayError):
        later.cipher(first.key_name.hex())
    token.back()
    assert later.cipher(first.key_name.hex()).key_name == first.key_name
