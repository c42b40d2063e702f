"""Encrypted objects: the same bytes for the same object, and nothing for anybody without the key."""

from __future__ import annotations

import base64
import gzip
import json
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.clock import FakeClock
from cardan.runtime.errors import CardanError, ConfigError
from cardan.runtime.outbox.claims import Claims
from cardan.runtime.outbox.folder import class_dir
from cardan.runtime.outbox.queue import Queue, QueueLimits
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.uplink import cipher as cipher_module
from cardan.runtime.uplink.cipher import HEAD_BYTES, Cipher, open_cipher
from cardan.runtime.uplink.files import FileQueue, hand_over
from cardan.runtime.uplink.keys.sealer import OneKey
from cardan.runtime.uplink.parcels import SyncSettings
from cardan.runtime.uplink.stores.folder import FolderStore
from cardan.runtime.uplink.sync import LET_OUT, open_sync

pytest.importorskip("cryptography", reason="cryptography is not installed: pip install 'cardan[sign]'")

KEY, OTHER = bytes(range(32)), bytes(32)
NAME = "v1/records/x.jsonl.gz.aes"


@given(st.binary(max_size=200), st.text(max_size=20))
def test_what_is_sealed_opens_again_and_is_the_same_every_time(data: bytes, name: str) -> None:
    sealed = Cipher(KEY).seal(name, data)
    assert Cipher(KEY).open(name, sealed) == data
    assert Cipher(KEY).seal(name, memoryview(data)) == sealed


def test_two_objects_never_share_a_nonce() -> None:
    cipher = Cipher(KEY)
    sealed = [cipher.seal(name, data) for name in ("a", "b", "ab") for data in (b"", b"b", b"bb")]
    assert len({item[:HEAD_BYTES] for item in sealed}) == len(sealed)


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_a_flipped_bit_is_found_wherever_it_is(place: int, bit: int) -> None:
    sealed = bytearray(Cipher(KEY).seal(NAME, b"the content"))
    sealed[place % len(sealed)] ^= 1 << bit
    with pytest.raises(CardanError, match=r"no encrypted object|another key|was changed"):
        Cipher(KEY).open(NAME, bytes(sealed))


def test_an_object_does_not_pass_for_another_one() -> None:
    sealed = Cipher(KEY).seal(NAME, b"content")
    assert b"content" not in sealed
    with pytest.raises(CardanError, match="another name"):
        Cipher(KEY).open("v1/records/y", sealed)
    with pytest.raises(CardanError, match="another key"):
        Cipher(OTHER).open(NAME, sealed)
    with pytest.raises(CardanError, match="no encrypted object"):
        Cipher(KEY).open(NAME, b"CDNAES01")


def test_the_bytes_are_aes_256_gcm_as_anybody_reads_them() -> None:
    """Written out with the library alone, as the documentation does."""
    import hmac

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    sealed = Cipher(KEY).seal(NAME, b"content")
    key = hmac.digest(KEY, b"seal", "sha256")
    assert AESGCM(key).decrypt(sealed[16:28], sealed[28:], sealed[:28] + NAME.encode()) == b"content"


def test_what_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cipher_module, "MOST_BYTES", 10)
    with pytest.raises(CardanError, match="too large to be encrypted"):
        Cipher(KEY).seal(NAME, b"x" * 11)


def test_a_key_is_a_file_of_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(base64.b64encode(KEY).decode())
    with pytest.raises(ConfigError, match=r"others may read .*the key of objects"):
        open_cipher(path)
    path.chmod(0o600)
    assert open_cipher(path).key_name == Cipher(KEY).key_name
    path.write_text("short")
    with pytest.raises(ConfigError, match="the key of objects"):
        open_cipher(path)


def test_a_missing_library_is_named_with_the_line_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(ConfigError, match=r"pip install 'cardan\[sign\]'"):
        Cipher(KEY)


def test_records_and_files_leave_encrypted_and_once(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    queue = Queue(
        class_dir(tmp_path / "outbox", RecordClass.TREND), vehicle="v", boot="b", stream="trend", limits=QueueLimits()
    )
    queue.open()
    queue.append(b'{"secret":"word"}', kind=RecordClass.TREND, mono_ns=1, wall_ns=10**18)
    queue.commit()
    queue.seal()
    clip = tmp_path / "clip.mcap"
    clip.write_bytes(b"secret pictures")
    hand_over(tmp_path / "uplink", clip, kind=RecordClass.BULK, purposes=(), clock=FakeClock())
    claims = Claims(tmp_path / "outbox")
    claims.open()
    files = FileQueue(tmp_path / "uplink", vehicle="v", boot="b", block_from_bytes=1 << 20)
    cipher = Cipher(KEY)
    sync = open_sync(
        claims,
        FolderStore(tmp_path / "store"),
        tmp_path / "uplink",
        clock=FakeClock(),
        random=Random(1),
        settings=SyncSettings(sealer=OneKey(cipher)),
        conditions=LET_OUT,
        files=files,
    )
    assert [sync.step() for _ in range(3)] == [1, 1, 0]
    opened = {}
    for path in (tmp_path / "store").rglob("*.aes"):
        name = path.relative_to(tmp_path / "store").as_posix()
        assert b"secret" not in path.read_bytes()
        opened[path.suffixes[-2]] = cipher.open(name, path.read_bytes())
    assert opened[".mcap"] == b"secret pictures"
    assert json.loads(gzip.decompress(opened[".gz"]))["secret"] == "word"
    queue.close()
