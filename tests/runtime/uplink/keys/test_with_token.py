"""A key in a token, as the node, the doctor and the command line meet it."""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cardan.runtime.cli.main import main
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.doctor.check import Result, Subject, Verdict
from cardan.runtime.doctor.key_check import key
from cardan.runtime.graph import load_plan
from cardan.runtime.outbox.folder import class_dir, outbox_dir
from cardan.runtime.outbox.queue import Queue, QueueLimits
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.plan import Plan
from cardan.runtime.privacy.settings import PrivacySettings
from cardan.runtime.profile import Profile
from cardan.runtime.testing import Bench
from cardan.runtime.uplink.cipher import Cipher
from cardan.runtime.uplink.keys.choose import review_key
from cardan.runtime.uplink.node import Uplink, UplinkConfig
from cardan.runtime.uplink.status import sync_status_or_none
from cardan.runtime.uplink.why import read_facts, reasons

pytest.importorskip("cryptography", reason="cryptography is not installed: pip install 'cardan[sign]'")

NAME = "v1/files/x.aes"


def keep_one_record(data_dir: Path) -> None:
    folder = class_dir(outbox_dir(data_dir), RecordClass.TREND)
    queue = Queue(folder, vehicle="v", boot="b", stream="trend", limits=QueueLimits())
    queue.open()
    queue.append(b'{"secret":"word"}', kind=RecordClass.TREND, mono_ns=1, wall_ns=10**18)
    queue.commit()
    queue.seal()
    queue.close()


@pytest.mark.slow
def test_the_uplink_waits_for_its_token_says_why_and_then_sends(token: Any, tmp_path: Path) -> None:
    token.make_aes("store")
    token.away()
    keep_one_record(tmp_path)
    config = UplinkConfig(consent=True, encryption_key=token.address("store"), form="jsonl")
    privacy = PrivacySettings(consent=["operation"])
    with Bench(Uplink, config=config, data_dir=tmp_path, privacy=privacy) as bench:
        bench.step()
        assert bench.node.settle(timeout_s=10.0)
        facts = read_facts(tmp_path, 0)
        assert facts is not None
        first = reasons(facts)[0]
        assert first.code == "key" and first.text.startswith("the token is away: pkcs11:token=cardan;object=store")
        assert first.finding and "is it plugged in" in first.hint
        assert not list((tmp_path / "store").rglob("*.*"))
        token.back()
        bench.clock.advance_s(60)
        bench.step()
        assert bench.node.settle(timeout_s=10.0)
    status = sync_status_or_none(tmp_path)
    assert status is not None and status.ledger.delivered == 1 and status.report.problem is None


@pytest.mark.slow
def test_an_object_of_the_store_is_opened_by_the_command_line(
    token: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token.make_aes("store")
    keep_one_record(tmp_path)
    config = UplinkConfig(consent=True, encryption_key=token.address("store"), form="jsonl")
    privacy = PrivacySettings(consent=["operation"])
    with Bench(Uplink, config=config, data_dir=tmp_path, privacy=privacy) as bench:
        bench.step()
        assert bench.node.settle(timeout_s=10.0)
    (path,) = (tmp_path / "store").rglob("*.aes")
    assert main(["sync", "open", str(path), "--key", token.address("store")]) == 0
    assert "1 objects are opened" in capsys.readouterr().out
    assert json.loads(gzip.decompress(path.with_suffix("").read_bytes()))["secret"] == "word"
    assert main(["sync", "verify", "--store", str(tmp_path / "store")]) == 0, (
        "it is there once, though it lies there twice"
    )
    assert main(["sync", "open", str(path), "--key", token.address("store")]) == 2
    assert "exists" in capsys.readouterr().err
    moved = tmp_path / "moved.aes"
    path.rename(moved)
    assert main(["sync", "open", str(moved), "--key", token.address("store")]) == 2
    assert "does not say how its object is called" in capsys.readouterr().err
    assert main(["sync", "open", str(moved), "--key", token.address("store"), "--name", NAME]) == 1
    assert "was changed, or has another name" in capsys.readouterr().err


def test_objects_of_a_key_in_a_file_are_opened_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, secret = tmp_path / "x.aes", tmp_path / "key"
    path.write_bytes(Cipher(bytes(32)).seal(NAME, b"content"))
    secret.write_bytes(base64.b64encode(bytes(32)))
    secret.chmod(0o600)
    assert main(["sync", "open", str(path), "--key", str(secret), "--name", NAME, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["files"] == [{"object": NAME, "out": str(tmp_path / "x"), "size_bytes": 7}]
    assert (tmp_path / "x").read_bytes() == b"content"
    secret.write_bytes(base64.b64encode(bytes([1] * 32)))
    assert main(["sync", "open", str(path), "--key", str(secret), "--name", NAME, "--out", str(tmp_path / "y")]) == 1
    assert "another key" in capsys.readouterr().err
    assert main(["sync", "open", str(path), "--key", str(tmp_path / "none"), "--name", NAME]) == 1
    assert "cannot be read" in capsys.readouterr().err


def subject_with(tmp_path: Path, **config: Any) -> Subject:
    plan = load_plan()
    assert isinstance(plan, Plan)
    uplink = next(node for node in plan.nodes if node.use.endswith(":Uplink"))
    changed = msgspec.structs.replace(uplink, config={**uplink.config, **config})
    nodes = [changed if node is uplink else node for node in plan.nodes]
    plan = msgspec.structs.replace(plan, nodes=nodes, manifest=str(tmp_path / "car.toml"))
    return Subject(
        profile=Profile(name="test"), plan=plan, findings=[], data_dir=tmp_path, clock=MonotonicClock(), root=tmp_path
    )


def failed_with(result: Result, text: str) -> bool:
    return result.verdict is Verdict.FAIL and text in result.text and bool(result.fix)


@pytest.mark.slow
def test_the_doctor_says_before_a_drive_whether_the_key_is_there(token: Any, tmp_path: Path) -> None:
    token.make_aes("store")
    subject = subject_with(tmp_path, encryption_key=token.address("store"))
    assert key(subject) == Result(Verdict.PASS, "pkcs11:token=cardan;object=store wraps and unwraps (AES_CBC)")
    missing = subject_with(tmp_path, encryption_key=token.address("none"))
    assert failed_with(key(missing), "nothing leaves: the token has no such key")
    token.pin_file.write_text("9999")
    assert failed_with(key(subject), "the PIN is wrong")
    token.away()
    assert failed_with(key(subject), "the token is away")
    reader = subject_with(tmp_path, encryption_key=token.address("store"), encryption_recipients=["none.pem"])
    assert failed_with(key(reader), "none.pem cannot be read")


@pytest.mark.slow
def test_the_doctor_reads_a_key_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "store.key"
    subject = subject_with(tmp_path, encryption_key="store.key")
    assert failed_with(key(subject), "cannot be read")
    path.write_bytes(base64.b64encode(bytes(32)))
    path.chmod(0o600)
    assert key(subject) == Result(Verdict.PASS, f"the key in {path}")
    assert key(subject_with(tmp_path)).text == "objects leave as they are: no encryption_key"
    assert key(replace(subject, plan=None)).verdict is Verdict.UNKNOWN


def test_settings_that_cannot_be_meant_are_objected_to() -> None:
    path = ("nodes", "uplink", "config")
    good = "pkcs11:object=k?module-path=/m.so"
    assert review_key(path, good, ["reader.pem"]) == review_key(path, "store.key", []) == []
    (pin,) = review_key(path, f"{good}&pin-value=1234", [])
    assert pin.path == (*path, "encryption_key") and "a PIN never stands in a manifest" in pin.what
    (recipients,) = review_key(path, "store.key", ["reader.pem"])
    assert recipients.path == (*path, "encryption_recipients")
