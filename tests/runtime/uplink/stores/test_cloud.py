"""Azure Blob Storage and S3, on real servers, over good links and bad ones."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from cardan.runtime.errors import ConfigError
from cardan.runtime.uplink.stores.access import AccessFile
from cardan.runtime.uplink.stores.blocks import BLOCK_BYTES, BlockLog
from cardan.runtime.uplink.stores.choose import open_store
from cardan.runtime.uplink.stores.cloud import CloudStore
from cardan.runtime.uplink.stores.location import location_of
from cardan.runtime.uplink.stores.store import HeldBackError, Outcome, SealedObject, StoreError

pytest.importorskip("obstore", reason="obstore is not installed: pip install 'cardan[cloud]'")

NUMBERS = count()
BIG = os.urandom(3 * BLOCK_BYTES + 1000)


def item(data: bytes, name: str = "", *, in_blocks: bool = False) -> SealedObject:
    name = name or f"vehicle=v/date=2026-01-01/{next(NUMBERS)}.jsonl.gz"
    return SealedObject(
        name=name, data=data, sha256=sha256(data).hexdigest(), content_type="application/x", in_blocks=in_blocks
    )


def azure_store(url: str, key: Path, notes: Path) -> CloudStore:
    return CloudStore(location_of(url), AccessFile(key), {}, BlockLog(notes))


@pytest.fixture
def azure(azurite: Any, tmp_path: Path) -> Callable[..., CloudStore]:
    """Makes a store with a key of these rights, by way of a port."""

    def make(rights: str = "cw", port: int | None = None) -> CloudStore:
        (tmp_path / "key").write_text(azurite.sas(rights))
        return azure_store(azurite.url(port), tmp_path / "key", tmp_path / "notes")

    return make


def test_azure_makes_an_object_once(azure: Callable[..., CloudStore], azurite: Any) -> None:
    one = item(b"one")
    assert azure("rcw").put(one) is Outcome.MADE
    assert azure("rcw").put(one) is Outcome.SAME
    assert azure("rcw").put(item(b"two", one.name)) is Outcome.OTHER
    assert azure("cw").put(one) is Outcome.UNSEEN
    assert azurite.objects()[one.name] == b"one"


def test_a_prefix_goes_before_every_name(azure: Callable[..., CloudStore], azurite: Any, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(azurite.sas("rcw"))
    store = azure_store(azurite.url() + "/cars/eu", tmp_path / "key", tmp_path / "notes")
    small, large = item(b"one"), item(BIG, in_blocks=True)
    assert [store.put(small), store.put(large)] == [Outcome.MADE, Outcome.MADE]
    assert {f"cars/eu/{small.name}", f"cars/eu/{large.name}"} <= set(azurite.objects())


@pytest.mark.parametrize("rights", ["cw", "rcw"])
def test_a_large_object_goes_in_blocks_and_only_once(
    azure: Callable[..., CloudStore], azurite: Any, rights: str
) -> None:
    big = item(BIG, in_blocks=True)
    assert azure(rights).put(big) is Outcome.MADE
    assert azurite.objects()[big.name] == BIG
    assert azure(rights).put(big) is (Outcome.SAME if "r" in rights else Outcome.UNSEEN)
    other = item(BIG[:-1], big.name, in_blocks=True)
    assert azure("rcw").put(other) is Outcome.OTHER
    assert azurite.objects()[big.name] == BIG


@pytest.mark.parametrize("rights", ["cw", "rcw"])
def test_blocks_that_were_sent_are_not_sent_again(
    azure: Callable[..., CloudStore], azurite: Any, proxy_to: Callable[[int], Any], rights: str
) -> None:
    proxy = proxy_to(azurite.port)
    big = item(os.urandom(9 * BLOCK_BYTES), in_blocks=True)
    store = azure(rights, proxy.port)
    for _ in range(4):
        proxy.plan("pass", "pass", "pass", "cut 100000")
        with pytest.raises(StoreError) as caught:
            store.put(big)
        assert caught.value.kind == "unreachable"
        store = azure(rights, proxy.port)  # as after a kill
    assert store.put(big) is Outcome.MADE
    assert azurite.objects()[big.name] == big.data
    sent = proxy.stats()["bytes"]
    assert sent < 1.05 * len(big.data) + 4 * BLOCK_BYTES, sent


def test_blocks_that_the_store_forgot_are_sent_again(azure: Callable[..., CloudStore], tmp_path: Path) -> None:
    big = item(os.urandom(2 * BLOCK_BYTES), in_blocks=True)
    store = azure("cw")
    BlockLog(tmp_path / "notes").add(big.sha256, 0)  # noted, but not there: the service forgets after a week
    with pytest.raises(StoreError, match="has forgotten blocks") as caught:
        store.put(big)
    assert caught.value.kind == "busy"
    assert store.put(big) is Outcome.MADE
    assert list((tmp_path / "notes").iterdir()) == []


def test_a_lost_answer_leads_to_one_object(
    azure: Callable[..., CloudStore], azurite: Any, proxy_to: Callable[[int], Any]
) -> None:
    proxy = proxy_to(azurite.port)
    proxy.plan("lose")
    one = item(b"one")
    with pytest.raises(StoreError) as caught:
        azure("cw", proxy.port).put(one)
    assert caught.value.kind == "unreachable"
    assert azurite.objects()[one.name] == b"one"
    assert azure("cw", proxy.port).put(one) is Outcome.UNSEEN


def test_a_lost_answer_to_the_last_block_leads_to_one_object(
    azure: Callable[..., CloudStore], azurite: Any, proxy_to: Callable[[int], Any]
) -> None:
    proxy = proxy_to(azurite.port)
    proxy.plan("pass", "pass", "pass", "lose")  # what is there, two blocks, and the list of them
    big = item(os.urandom(2 * BLOCK_BYTES), in_blocks=True)
    with pytest.raises(StoreError):
        azure("cw", proxy.port).put(big)
    assert azurite.objects()[big.name] == big.data
    assert azure("cw", proxy.port).put(big) is Outcome.UNSEEN


def test_a_key_that_has_ended_is_no_success_and_a_renewed_one_is_taken(azurite: Any, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(azurite.sas("cw", hours=-1))
    store = azure_store(azurite.url(), key, tmp_path)
    one, big = item(b"one"), item(BIG, in_blocks=True)
    for object_ in (one, big):
        with pytest.raises(StoreError, match="this SAS says that it ends at") as caught:
            store.put(object_)
        assert (caught.value.kind, caught.value.status) == ("access", 403)
        assert "sig=" not in str(caught.value)
    key.write_text(azurite.sas("cw"))
    assert [store.put(one), store.put(big)] == [Outcome.MADE, Outcome.MADE]


def test_a_key_that_ends_between_two_blocks_is_renewed_on_the_way(azurite: Any, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(azurite.sas("cw"))
    store = azure_store(azurite.url(), key, tmp_path)
    big = item(os.urandom(3 * BLOCK_BYTES), in_blocks=True)
    gone = iter([1])

    def renewing_gate(_: int) -> None:
        if next(gone, None) is not None:
            ended = azurite.sas("cw", hours=-1)
            store._blocks._container = type(store._blocks._container).from_container_url(f"{azurite.url()}?{ended}")  # type: ignore[union-attr]
            key.write_text(azurite.sas("cw", hours=2))

    with_old_client = store.put(big, renewing_gate)
    assert with_old_client is Outcome.MADE
    assert azurite.objects()[big.name] == big.data


def test_a_key_without_the_right_to_write_is_no_success(azure: Callable[..., CloudStore], azurite: Any) -> None:
    one = item(b"one")
    with pytest.raises(StoreError, match="needs the right to create and write") as caught:
        azure("r").put(one)
    assert caught.value.kind == "access"
    assert one.name not in azurite.objects()


def test_a_missing_key_is_named(azurite: Any, tmp_path: Path) -> None:
    store = azure_store(azurite.url(), tmp_path / "key", tmp_path)
    with pytest.raises(StoreError, match="cannot be read from") as caught:
        store.put(item(b"one"))
    assert caught.value.kind == "access"


def test_a_container_that_is_not_there_is_named(azurite: Any, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(azurite.sas("cw"))
    store = azure_store(azurite.url().replace("/fleet", "/other"), tmp_path / "key", tmp_path)
    with pytest.raises(StoreError) as caught:
        store.put(item(b"one"))
    assert caught.value.kind in ("access", "refused")  # a signature is for one container


def test_what_holds_an_object_back_between_blocks_is_heeded(azure: Callable[..., CloudStore], azurite: Any) -> None:
    big, passed = item(BIG, in_blocks=True), iter([1, 1])

    def gate(_: int) -> None:
        if next(passed, None) is None:
            raise HeldBackError("the budget of today is used up")

    with pytest.raises(HeldBackError):
        azure("rcw").put(big, gate)
    assert big.name not in azurite.objects()
    sent: list[int] = []
    assert azure("rcw").put(big, sent.append) is Outcome.MADE
    assert len(sent) == 2


def s3_store(s3: Any, tmp_path: Path, port: int | None = None) -> CloudStore:
    (tmp_path / "key").write_text('{"access_key_id": "a", "secret_access_key": "b"}')
    return CloudStore(location_of(s3.url(port)), AccessFile(tmp_path / "key"), {}, BlockLog(tmp_path))


@pytest.mark.slow
def test_s3_makes_an_object_once(s3: Any, tmp_path: Path) -> None:
    store, one = s3_store(s3, tmp_path), item(b"one")
    assert store.put(one) is Outcome.MADE
    assert store.put(one) is Outcome.SAME
    assert store.put(item(b"two", one.name)) is Outcome.OTHER
    assert store.put(item(BIG, in_blocks=True)) is Outcome.MADE  # whole: S3's parts cannot be taken up again


@pytest.mark.slow
def test_s3_recognises_an_object_whose_answer_was_lost(s3: Any, tmp_path: Path, proxy_to: Callable[[int], Any]) -> None:
    proxy = proxy_to(s3.port)
    proxy.plan("lose", "cut 200", "refuse")
    store, one = s3_store(s3, tmp_path, proxy.port), item(b"one")
    for _ in range(3):
        with pytest.raises(StoreError) as caught:
            store.put(one)
        assert caught.value.kind == "unreachable"
    assert store.put(one) is Outcome.SAME


class Answering:
    """A server that gives every request the same answer."""

    def __init__(self) -> None:
        self.status, self.code, self.tag = 200, "", ""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                body = f"<Error><Code>{outer.code}</Code></Error>".encode() if outer.code else b""
                self.send_response(outer.status)
                if outer.tag:
                    self.send_header("ETag", outer.tag)
                if outer.code:
                    self.send_header("x-ms-error-code", outer.code)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_PUT = do_GET = do_HEAD = answer

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def answering() -> Iterator[Answering]:
    server = Answering()
    yield server
    server.stop()


STATUSES: list[tuple[int, str, str]] = [
    (200, "", "busy"),  # a portal that lets nobody through until he has paid: no ETag
    (307, "", "refused"),
    (400, "MissingRequiredHeader", "refused"),
    (401, "NoAuthenticationInformation", "access"),
    (403, "AuthorizationFailure", "access"),
    (404, "ContainerNotFound", "refused"),
    (409, "ContainerBeingDeleted", "busy"),
    (409, "", "busy"),
    (412, "", "busy"),
    (413, "RequestBodyTooLarge", "refused"),
    (429, "TooManyRequests", "busy"),
    (500, "InternalError", "busy"),
    (503, "ServerBusy", "busy"),
    (507, "", "busy"),
]


@pytest.mark.parametrize("kind", ["azure", "azure blocks", "s3"])
@pytest.mark.parametrize(("status", "code", "expected"), STATUSES)
def test_only_a_confirmed_put_is_a_success(
    answering: Answering, tmp_path: Path, kind: str, status: int, code: str, expected: str
) -> None:
    answering.status, answering.code = status, code
    url = f"http://127.0.0.1:{answering.port}/acc/fleet"
    if kind == "s3":
        url = f"s3://fleet?region=x&endpoint=http://127.0.0.1:{answering.port}"
    key = tmp_path / "key"
    key.write_text('{"access_key_id": "a", "secret_access_key": "b"}' if kind == "s3" else "sv=1&sig=secret")
    store = azure_store(url, key, tmp_path / "notes")
    with pytest.raises(StoreError) as caught:
        store.put(item(b"one", in_blocks=kind == "azure blocks"))
    assert caught.value.kind == expected, str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.status in (status, 300)


def test_an_s3_that_holds_other_bytes_is_found_out(answering: Answering, tmp_path: Path) -> None:
    answering.tag = '"00000000000000000000000000000000"'
    (tmp_path / "key").write_text('{"access_key_id": "a", "secret_access_key": "b"}')
    url = f"s3://fleet?region=x&endpoint=http://127.0.0.1:{answering.port}"
    with pytest.raises(StoreError, match="holds other bytes"):
        azure_store(url, tmp_path / "key", tmp_path).put(item(b"one"))


def test_a_server_that_is_not_there_is_unreachable(tmp_path: Path, azurite: Any) -> None:
    (tmp_path / "key").write_text("sv=1&sig=secret")
    store = azure_store("http://127.0.0.1:9/acc/fleet", tmp_path / "key", tmp_path)
    for in_blocks in (False, True):
        with pytest.raises(StoreError, match="is there a network") as caught:
            store.put(item(b"one", in_blocks=in_blocks))
        assert caught.value.kind == "unreachable"


def test_an_option_that_nobody_knows_is_named(tmp_path: Path) -> None:
    store = CloudStore(location_of("azure://a/b"), AccessFile(None), {"tenant": "x"}, BlockLog(tmp_path))
    with pytest.raises(StoreError, match="tenant"):
        store.put(item(b"one"))


def test_workload_identity_is_handed_on(tmp_path: Path) -> None:
    options = {"client_id": "c", "tenant_id": "t", "federated_token_file": str(tmp_path / "token")}
    store = CloudStore(location_of("azure://a/b"), AccessFile(None), options, BlockLog(tmp_path))
    with pytest.raises(StoreError):  # there is no token, and no one to ask for one
        store.put(item(b"one"))
    assert store._store.config["client_id"] == "c"
    assert store._blocks is None


def test_a_missing_library_is_named_with_the_line_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(ConfigError, match=r"pip install 'cardan\[cloud\]'"):
        open_store("azure://acc/fleet", default=tmp_path, notes=tmp_path)
