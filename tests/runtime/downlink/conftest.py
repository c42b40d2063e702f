"""Keys, and documents signed with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cardan.runtime.downlink.documents import covered
from cardan.runtime.outbox.folder import class_dir, outbox_dir
from cardan.runtime.outbox.limits import SpoolLimits
from cardan.runtime.outbox.peek import Peek
from cardan.runtime.outbox.segment import Record, RecordClass
from cardan.runtime.outbox.spool import Spool
from cardan.runtime.outbox.testing import Served
from cardan.runtime.signing import new_key, sign_bytes

NOW_S = 1_700_001_000
"""What a FakeClock says at first."""


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """The folder of trusted keys has that of `ops`; `mallory` has a key that nobody trusts."""
    missing = "cryptography is not installed: pip install 'cardan[sign]'"
    pytest.importorskip("cryptography", reason=missing, exc_type=ImportError)
    folder = tmp_path / "keys"
    folder.mkdir()
    private, _ = new_key("ops", folder)
    private.rename(tmp_path / "ops.key")
    (tmp_path / "theirs").mkdir()
    new_key("mallory", tmp_path / "theirs")[0].rename(tmp_path / "mallory.key")
    return folder


@pytest.fixture
def signed(keys: Path, tmp_path: Path) -> Callable[..., bytes]:
    """A signed envelope; key: who signs, name: who is said to have signed."""

    def make(body: dict[str, Any], key: str = "ops", name: str = "") -> bytes:
        text = msgspec.json.encode(body).decode()
        signature = sign_bytes(covered(text), tmp_path / f"{key}.key")
        return msgspec.json.encode({"cardan": 1, "key": name or key, "ed25519": signature, "body": text})

    return make


@pytest.fixture
def command() -> Callable[..., dict[str, Any]]:
    """The body of a command."""

    def make(id: str = "c-1", verb: str = "ping", **fields: Any) -> dict[str, Any]:
        times = {"issued_s": NOW_S - 10, "deadline_s": NOW_S + 600}
        return {"kind": "command", "id": id, "vehicles": ["bench"], "verb": verb, **times, **fields}

    return make


@pytest.fixture
def campaign() -> Callable[..., dict[str, Any]]:
    """The body of a campaign that collects everything of one topic."""

    def make(version: int = 1, **fields: Any) -> dict[str, Any]:
        collect = [{"topics": ["bridge/verdict"]}]
        times = {"issued_s": NOW_S - 10, "expires_s": NOW_S + 86_400}
        whole = {"purpose": "improvement", "max_bytes": 1_000_000, "collect": collect, "vehicles": ["*"], **times}
        return {"kind": "campaign", "name": "brakes", "version": version, **whole, **fields}

    return make


class Outbox:
    """A real outbox; `shut` is one whose process is away."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.open()

    def open(self) -> None:
        self._served = Served(Spool(self.folder, vehicle="v", boot="b", limits=SpoolLimits(reserve_bytes=0)))

    def shut(self) -> None:
        self._served.close()

    def records(self, kind: RecordClass = RecordClass.CRITICAL) -> list[dict[str, Any]]:
        """The records of a class so far."""
        peek = Peek(class_dir(self.folder, kind))
        found: list[Record] = []
        while records := peek.after(found[-1].seq if found else 0):
            found += records
        return [msgspec.json.decode(record.payload) for record in found]

    def results(self) -> list[dict[str, Any]]:
        """What was told of what was asked."""
        return [record["message"] for record in self.records() if record["topic"] == "downlink/result"]


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    outbox = Outbox(outbox_dir(tmp_path / "data"))
    yield outbox
    outbox.shut()
