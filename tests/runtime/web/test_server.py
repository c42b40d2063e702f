"""The server, by real requests over real sockets."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from cardan.runtime.cli.exits import NoDataError
from cardan.runtime.cli.runs import FoundRun
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.errors import ConfigError, RunError
from cardan.runtime.web import server as server_module
from cardan.runtime.web.bundles import Bundles
from cardan.runtime.web.hub import WAITING, Hub
from cardan.runtime.web.serve import Page
from cardan.runtime.web.settings import WebSettings

TOKEN = "0123456789abcdef"


def _nothing() -> FoundRun:
    raise NoDataError("no run is active", hint="start one with `cardan up`")


@pytest.fixture
def page() -> Iterator[Page]:
    page = Page(WebSettings(port=0, viewers=1), _nothing, MonotonicClock())
    yield page
    page.close()


def _ask(
    page: Page, path: str, headers: dict[str, str] | None = None, method: str = "GET"
) -> tuple[int, bytes, dict[str, str]]:
    with closing(http.client.HTTPConnection("127.0.0.1", page.server.server_port, timeout=5)) as connection:
        connection.request(method, path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())


def test_the_page_and_its_parts_are_there_and_name_nothing_elsewhere(page: Page) -> None:
    for path, kind in (("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")):
        status, body, headers = _ask(page, path)
        assert status == 200 and headers["Content-Type"].startswith(kind)
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert b"https://" not in body and b"//cdn" not in body and b"innerHTML" not in body


def test_without_a_run_it_says_so_and_what_to_do(page: Page) -> None:
    status, body, _ = _ask(page, "/status.json")
    document = json.loads(body)
    assert (
        status == 200
        and document["verdict"] == "no run is active"
        and document["help"] == ["start one with `cardan up`"]
    )


@pytest.mark.parametrize(
    "path", ["/../pyproject.toml", "/page.js/../server.py", "/%2e%2e/settings.py", "//etc/passwd", "/page/page.js"]
)
def test_no_path_leads_to_a_file(page: Page, path: str) -> None:
    assert _ask(page, path)[0] == 404


def test_one_connection_is_kept_for_many_requests_but_not_for_one_with_a_body(page: Page) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", page.server.server_port, timeout=5)) as connection:
        for _ in range(3):
            connection.request("GET", "/page.css")
            assert connection.getresponse().read().startswith(b":root")
            socket = connection.sock
            assert socket is not None
        connection.request("GET", "/page.css", body=b"GET /status.json HTTP/1.1\r\n\r\n")
        answer = connection.getresponse()
        assert answer.read() and answer.getheader("Connection") == "close"


def test_a_kept_connection_that_asks_nothing_more_is_let_go(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cardan.runtime.web.handler.KEPT_S", 0.05)
    with closing(http.client.HTTPConnection("127.0.0.1", page.server.server_port, timeout=5)) as connection:
        connection.request("GET", "/page.css")
        connection.getresponse().read()
        assert connection.sock.recv(1) == b"", "the server has closed it"
    assert page.server.counters.late == 0


def test_a_foreign_name_is_refused_and_counted(page: Page) -> None:
    assert _ask(page, "/", {"Host": "evil.example"})[0] == 421
    assert page.server.counters.denied == 1


def test_nothing_can_be_done_but_reading(page: Page) -> None:
    for method in ("PUT", "DELETE", "OPTIONS"):
        assert _ask(page, "/status.json", method=method)[0] == 501
    assert _ask(page, "/status.json", {"Cardan-Page": "1"}, "POST")[0] == 404


def test_a_bundle_is_made_only_for_this_page_and_of_a_run(page: Page) -> None:
    assert _ask(page, "/bundle")[0] == 404
    assert _ask(page, "/bundle", method="POST")[0] == 404, "a foreign page cannot add our header"
    assert _ask(page, "/bundle", {"Cardan-Page": "1", "Host": "evil.example"}, "POST")[0] == 421
    status, body, _ = _ask(page, "/bundle", {"Cardan-Page": "1"}, "POST")
    assert (status, body.splitlines()[0]) == (503, b"there is no run")


def test_one_bundle_is_made_at_a_time_and_what_fails_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = SimpleNamespace(data_dir=tmp_path)
    bundles = Bundles()
    with bundles._busy, pytest.raises(RunError, match="is being made already"):
        bundles.make(found)  # type: ignore[arg-type]  # only its folder is asked for
    monkeypatch.setenv("CARDAN_RUN_DIR", str(tmp_path / "runs"))
    with pytest.raises(RunError, match="no bundle was made"):
        bundles.make(found)  # type: ignore[arg-type]  # as above


def test_there_is_no_picture_without_a_run(page: Page) -> None:
    status, body, _ = _ask(page, "/picture?topic=camera/frame")
    assert status == 404 and b"no run is active" in body


def test_events_come_and_one_page_too_many_is_refused(page: Page) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", page.server.server_port, timeout=5)) as first:
        first.request("GET", "/events")
        answer = first.getresponse()
        assert answer.getheader("Content-Type") == "text/event-stream"
        lines = [answer.readline() for _ in range(3)]
        assert lines[0] == b"retry: 2000\n" and json.loads(lines[2].removeprefix(b"data: "))["schema_version"] == 1
        assert _ask(page, "/events")[0] == 503
        assert page.server.counters.refused == 1


def test_who_connects_and_never_asks_is_let_go(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "ASKED_WITHIN_NS", 1_000_000)
    with socket.create_connection(("127.0.0.1", page.server.server_port), timeout=5) as silent:
        silent.sendall(b"GET / HT")
        while silent.recv(4096):
            continue


def test_more_connections_than_there_are_places_are_refused_at_once(page: Page) -> None:
    held = [socket.create_connection(("127.0.0.1", page.server.server_port), timeout=5) for _ in range(4)]
    try:
        with socket.create_connection(("127.0.0.1", page.server.server_port), timeout=4) as fifth:
            assert fifth.recv(1) == b""
        assert page.server.counters.refused == 1
    finally:
        for connection in held:
            connection.close()


def test_a_page_that_takes_nothing_is_dropped_and_counted() -> None:
    hub = Hub(_nothing, MonotonicClock())
    viewer, other = hub.join(), hub.join()
    for _ in range(WAITING + 1):
        hub._due_ns = 0
        hub.look()
        assert other.take(1.0) is not None
    assert viewer.gone and not other.gone and hub.dropped == 1


def test_a_run_that_is_swept_away_while_it_is_read_does_not_end_the_hub() -> None:
    def swept() -> FoundRun:
        raise FileNotFoundError("vitals")

    hub = Hub(swept, MonotonicClock())
    viewer = hub.join()
    hub.look()
    assert b"the run cannot be read" in (viewer.take(1.0) or b"")


def test_a_port_that_is_taken_is_one_clear_error(page: Page) -> None:
    with pytest.raises(ConfigError, match=f"port {page.server.server_port}"):
        Page(WebSettings(port=page.server.server_port), _nothing, MonotonicClock())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("tls")
    key, certificate = str(folder / "key.pem"), str(folder / "certificate.pem")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
    ]
    names = ["-subj", "/CN=car", "-addext", "subjectAltName=IP:127.0.0.1"]
    try:
        subprocess.run(
            [*command, "-keyout", key, "-out", certificate, *names], check=True, capture_output=True, timeout=20
        )
    except FileNotFoundError:
        pytest.skip("needs openssl")
    return certificate, key


@pytest.fixture
def guarded(certificate: tuple[str, str], tmp_path: Path) -> Iterator[Page]:
    (tmp_path / "token").write_text(TOKEN)
    settings = WebSettings(
        bind="0.0.0.0", port=0, token_file=str(tmp_path / "token"), certificate=certificate[0], key=certificate[1]
    )
    page = Page(settings, _nothing, MonotonicClock())
    yield page
    page.close()


def _ask_secured(page: Page, authority: str, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str]]:
    context = ssl.create_default_context(cafile=authority)
    with closing(
        http.client.HTTPSConnection("127.0.0.1", page.server.server_port, timeout=5, context=context)
    ) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, dict(answer.getheaders())


def test_others_need_the_token_over_tls(guarded: Page, certificate: tuple[str, str]) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Cookie": "cardan_token=wrong"}):
        assert _ask_secured(guarded, certificate[0], "/status.json", headers)[0] == 401
    assert _ask_secured(guarded, certificate[0], "/?token=wrong", {})[0] == 401
    assert guarded.server.counters.denied == 4
    status, headers = _ask_secured(guarded, certificate[0], f"/?token={TOKEN}", {})
    assert (status, headers["Location"]) == (303, "/")
    cookie = headers["Set-Cookie"].split(";")[0]
    assert _ask_secured(guarded, certificate[0], "/status.json", {"Cookie": cookie})[0] == 200
    assert _ask_secured(guarded, certificate[0], "/", {"Authorization": f"Bearer {TOKEN}"})[0] == 200


def test_a_slow_handshake_holds_up_nobody(guarded: Page, certificate: tuple[str, str]) -> None:
    with socket.create_connection(("127.0.0.1", guarded.server.server_port), timeout=5):
        assert _ask_secured(guarded, certificate[0], "/", {"Authorization": f"Bearer {TOKEN}"})[0] == 200


def test_a_key_that_does_not_fit_is_one_clear_error(certificate: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN)
    with pytest.raises(ConfigError, match="TLS cannot use"):
        Page(WebSettings(port=0, certificate=certificate[0], key=certificate[0]), _nothing, MonotonicClock())
