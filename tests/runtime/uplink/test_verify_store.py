"""`cardan sync verify --store`: the account of a vehicle, checked at Azure and S3 with a key that may look."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cardan.runtime.cli.main import main
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.outbox.claims import Claims
from cardan.runtime.outbox.folder import outbox_dir
from cardan.runtime.outbox.limits import ClassLimits, SpoolLimits
from cardan.runtime.outbox.segment import RecordClass
from cardan.runtime.outbox.spool import Spool, Stamp
from cardan.runtime.plan import NodePlan, Plan, write_plan
from cardan.runtime.profile import Profile
from cardan.runtime.uplink.node import Uplink, UplinkConfig
from cardan.runtime.uplink.planned import UPLINK, PlannedStore, planned_store_or_none
from cardan.runtime.uplink.stores.choose import open_store
from cardan.runtime.uplink.stores.store import ReadableStore, SealedObject, StoreError
from cardan.runtime.uplink.sync import LET_OUT, open_sync
from cardan.runtime.vitals import create_vitals

pytest.importorskip("obstore", reason="obstore is not installed: pip install 'cardan[cloud]'")

TREND, BULK = RecordClass.TREND, RecordClass.BULK
SMALL = ClassLimits(max_bytes=64 << 10, segment_bytes=4096, commit_s=0.0, seal_s=1.0)
LIMITS = SpoolLimits(critical=SMALL, event=SMALL, trend=SMALL, bulk=SMALL, max_bytes=1 << 20, reserve_bytes=0)
S3_KEY = '{"access_key_id": "a", "secret_access_key": "b"}'


def opened(url: str, folder: Path, key: str) -> ReadableStore:
    folder.mkdir(exist_ok=True)
    (folder / "key").write_text(key)
    return open_store(url, default=folder, notes=folder / "blocks", access_file=str(folder / "key"))


def deliver(folder: Path, store: ReadableStore) -> None:
    """A vehicle gives up its oldest bulk, says so, and brings the rest to the store."""
    spool = Spool(outbox_dir(folder), vehicle="van-9", boot="b1", limits=LIMITS)
    spool.open()
    for number in range(40):
        payload = b'{"topic":"a/b","n":%d,"fill":"%s"}' % (number, b"x" * 3900)
        spool.put(BULK, payload, Stamp(number, 10**18), now_ns=number)
        spool.step(Stamp(number, 10**18))
    assert spool.ledgers()[BULK].evicted > 0
    spool.close(Stamp(100, 10**18))
    claims = Claims(outbox_dir(folder))
    claims.open()
    clock = MonotonicClock()
    sync = open_sync(claims, store, folder / "up", clock=clock, random=random.Random(1), conditions=LET_OUT)
    while sync.step():
        pass
    assert sync.progress().problem is None
    sync.close()
    claims.close()


def verified(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    code = main(["sync", "verify", *words, "--json"])
    said = capsys.readouterr()
    return code, json.loads(said.out) if said.out else said.err


def check_account(found: Any) -> None:
    assert found["ok"] and found["unread"] == []
    bulk = next(row for row in found["streams"] if (row["vehicle"], row["stream"]) == ("van-9", "bulk"))
    assert bulk["delivered"] + bulk["evicted"] == bulk["highest"] == 40 and bulk["evicted"] > 0


def test_the_account_is_checked_at_azure(azurite: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"{azurite.url()}/verified"
    deliver(tmp_path, opened(url, tmp_path / "vehicle", azurite.sas("cw")))
    reader = tmp_path / "reader"
    reader.write_text(azurite.sas("rl"))
    code, found = verified(capsys, "--store", url, "--access-file", str(reader))
    check_account(found)
    assert code == 0
    gone = next(blob.name for blob in azurite.client().list_blobs("verified/") if "/bulk-" in blob.name)
    azurite.client().delete_blob(gone)
    code, found = verified(capsys, "--store", url, "--access-file", str(reader))
    assert code == 1 and [row["stream"] for row in found["streams"] if row["missing"]] == ["bulk"]


def test_a_key_that_may_only_write_is_refused_with_what_helps(
    azurite: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = tmp_path / "vehicle.sas"
    key.write_text(azurite.sas("cw"))
    code, said = verified(capsys, "--store", azurite.url(), "--access-file", str(key))
    assert code == 4
    assert "does not let us list and read with this key (403" in said
    assert "a SAS: --permissions rl" in said and "sig=" not in said


def test_a_store_that_is_not_reached_is_no_verdict(
    azurite: Any, tmp_path: Path, proxy_to: Callable[[int], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    proxy = proxy_to(azurite.port)
    proxy.plan("refuse")
    key = tmp_path / "reader"
    key.write_text(azurite.sas("rl"))
    code, said = verified(capsys, "--store", azurite.url(proxy.port), "--access-file", str(key))
    assert code == 3 and "does not say what it holds: it cannot be reached" in said


@pytest.mark.slow
def test_the_account_is_checked_at_s3(s3: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    deliver(tmp_path, opened(s3.url(), tmp_path / "vehicle", S3_KEY))
    code, found = verified(capsys, "--store", s3.url(), "--access-file", str(tmp_path / "vehicle" / "key"))
    check_account(found)
    assert code == 0


@pytest.mark.parametrize("place", ["azure", "s3"])
def test_objects_are_listed_and_read_behind_the_prefix(
    place: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    server = request.getfixturevalue("azurite" if place == "azure" else "s3")
    url = f"{server.url()}/listed" if place == "azure" else server.url().replace("/cars", "/listed")
    store = opened(url, tmp_path, server.sas("rlcw") if place == "azure" else S3_KEY)
    names = [f"v1/a={number}/b-{number}.x" for number in range(3)]
    for name in names:
        data = name.encode()
        store.put(SealedObject(name=name, data=data, sha256=sha256(data).hexdigest(), content_type="a/b"))
    assert sorted(store.names()) == names
    assert [store.read(name) for name in names] == [name.encode() for name in names]
    with pytest.raises(StoreError, match="does not say what it holds"):
        store.read("v1/nothing")


def kept_run(data_dir: Path, **config: Any) -> Plan:
    """The last run, with an uplink that was told this."""
    uplink = NodePlan(name="uplink", index=0, use=UPLINK, config=config)
    plan = Plan(
        name="car",
        manifest=str(data_dir / "vehicle.toml"),
        manifest_sha256="",
        profile=Profile(name="pc"),
        envelope={},
        envelope_hash="",
        nodes=[uplink],
    )
    (data_dir / "last").mkdir(parents=True)
    write_plan(plan, data_dir / "last" / "plan.json")
    create_vitals(data_dir / "last" / "vitals", plan, now_ns=1, wall_ns=10**18)
    return plan


def test_the_store_of_a_run_comes_with_its_keys(
    azurite: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, data_dir = f"{azurite.url()}/planned", tmp_path / "data"
    deliver(tmp_path, opened(url, tmp_path / "vehicle", azurite.sas("cw")))
    kept_run(data_dir, store=url, access_file="run.sas", consent=True)
    (data_dir / "run.sas").write_text(azurite.sas("rl"))
    for words in (["--store"], ["--store", url]):
        code, found = verified(capsys, *words, "--data-dir", str(data_dir))
        assert (code, found["store"]) == (0, url)
        check_account(found)


def test_what_a_plan_says_of_the_store_is_what_the_uplink_reads(tmp_path: Path) -> None:
    assert f"{Uplink.__module__}:{Uplink.__qualname__}" == UPLINK
    own, theirs = msgspec.structs.asdict(PlannedStore()), msgspec.structs.asdict(UplinkConfig())
    assert own.pop("base") == "" and {name: theirs[name] for name in own} == own
    plan = kept_run(tmp_path, encryption_key="store.key", access_file="/run/store.sas")
    found = planned_store_or_none(plan)
    assert found == PlannedStore(access_file="/run/store.sas", encryption_key="store.key", base=str(tmp_path))
    assert planned_store_or_none(msgspec.structs.replace(plan, nodes=[])) is None
