"""The reference vehicle drives, and the page looks at it: over HTTP, and in a real browser where there is one."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cardan.runtime.cli.runs import FoundRun, find_run
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.web.serve import Page
from cardan.runtime.web.settings import WebSettings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
WITHIN_S = 60.0
"""Beside other tests a start, a browser or a bundle may each take many times as long as alone."""
SILENT_S = 20.0
"""The page says something every 10 s at least."""
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser")
SIZES = ((390, 844), (1280, 800))


class Drive:
    """`cardan up` without a manifest, and a page over it."""

    def __init__(self, folder: Path) -> None:
        self._data = str(folder / "data")
        self._environment = {**os.environ, "CARDAN_RUN_DIR": str(folder / "runs"), "CARDAN_DATA_DIR": self._data}
        self.process = self._start()
        self._ended = False
        self.page = Page(WebSettings(port=0), self.find, MonotonicClock())

    def _start(self) -> subprocess.Popen[bytes]:
        """Longer than all tests take: whoever is done ends it."""
        command = [sys.executable, "-m", "cardan.runtime.cli.main", "up", "--for", "900s"]
        nowhere = subprocess.DEVNULL
        return subprocess.Popen(command, env=self._environment, stdout=nowhere, stderr=nowhere, start_new_session=True)

    def go_on(self) -> None:
        """Where the run is over (a computer that is too busy ends it with a safe stop), begin another."""
        if self.process.poll() is not None and not self._ended:
            self.process = self._start()

    def find(self) -> FoundRun:
        return find_run(self._data)

    def ask(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        with self._connection() as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read(), dict(answer.getheaders())

    def wait_for(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first document that is as wanted, of those that the page sends by itself; the drive goes on meanwhile."""
        deadline_s, document = time.monotonic() + WITHIN_S, {}
        while time.monotonic() < deadline_s:
            for document in self._said():
                if wanted(document):
                    return document
                self.go_on()
                if time.monotonic() >= deadline_s:
                    break
        pytest.fail(f"not as wanted within {WITHIN_S:g} s: {document}")

    def _said(self) -> Iterator[dict[str, Any]]:
        """What one viewer is told, until the server lets it go."""
        with self._connection() as connection:
            connection.request("GET", "/events")
            answer = connection.getresponse()
            while line := answer.readline():
                if line.startswith(b"data: "):
                    yield json.loads(line.removeprefix(b"data: "))

    def _connection(self) -> closing[http.client.HTTPConnection]:
        return closing(http.client.HTTPConnection("127.0.0.1", self.page.server.server_port, timeout=SILENT_S))

    def kill(self, name: str) -> None:
        """A node of the run, as soon as it has a process."""
        deadline_s = time.monotonic() + WITHIN_S
        while True:
            node = next(node for node in self.find().snapshot(MonotonicClock()).nodes if node.plan.name == name)
            if node.pid > 0:
                os.kill(node.pid, signal.SIGKILL)
                return
            assert time.monotonic() < deadline_s, node.state

    def picture(self, width: str = "", wanted: Callable[[dict[str, Any]], object] = bool) -> tuple[Any, dict[str, Any]]:
        """The first picture whose drawing is as wanted; asked for again where its slot was reused meanwhile."""
        from PIL import Image

        deadline_s = time.monotonic() + WITHIN_S
        while True:
            status, body, headers = self.ask(f"/picture?topic=camera/frame{width}")
            drawing = json.loads(headers.get("Cardan-Drawing", "{}"))
            if status == 200 and wanted(drawing):
                return Image.open(io.BytesIO(body)), drawing
            assert time.monotonic() < deadline_s, (status, body[:200])
            self.go_on()

    def end(self) -> None:
        self._ended = True
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(WITHIN_S)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drive]:
    folder = tmp_path_factory.mktemp("watched")
    before = os.environ.get("CARDAN_RUN_DIR")
    os.environ["CARDAN_RUN_DIR"] = str(folder / "runs")
    drive = Drive(folder)
    yield drive
    drive.end()
    drive.page.close()
    os.environ.pop("CARDAN_RUN_DIR") if before is None else os.environ.update(CARDAN_RUN_DIR=before)


@pytest.fixture
def drive(started: Drive) -> Drive:
    """The drive, which goes on."""
    started.go_on()
    return started


def _drives(document: dict[str, Any]) -> bool:
    return document.get("engagement") == "enabled" and bool(document["can"])


def _runs(document: dict[str, Any]) -> bool:
    """Whoever drives, and however late some node is: on a busy computer one or the other always is."""
    states = {node["name"]: node["state"] for node in document.get("nodes", [])}
    return document["live"] and bool(document["can"]) and states["camera"] in ("running", "late")


def test_it_shows_a_vehicle_that_drives(drive: Drive) -> None:
    document = drive.wait_for(_drives)
    assert json.loads(drive.ask("/status.json")[1])["run"] == document["run"]
    assert document["live"] and document["vehicle"] == "reference"
    layers = {node["name"]: node["layer"] for node in document["nodes"]}
    assert layers["vehicle"] < layers["camera"] < layers["engines"] < layers["control"] < layers["bridge"]
    assert document["cameras"] == ["camera/frame"]
    assert [channel["health"]["channel"] for channel in document["can"]] == ["vehicle"]
    assert {row["topic"] for row in document["topics"]} >= {"control/command", "camera/calibration"}


def test_the_picture_is_of_the_frame_that_the_network_saw(drive: Drive) -> None:
    picture, drawing = drive.picture(wanted=lambda drawing: drawing["lines"])
    assert picture.size == (drawing["width"], drawing["height"]) == (640, 360)
    assert drive.picture("&width=300")[0].size == (320, 180), "a small screen gets a small picture"
    assert drive.picture("&width=-5")[0].size == (640, 360)
    (left, right), height = drawing["lines"], drawing["height"]
    assert all(0 < row < height for _, row in (*left, *right))
    assert left[0][0] < 320 < right[0][0], "the car stands between its lines"
    assert drive.ask("/picture?topic=other/frame")[0] == 404


GREEN = (
    "(() => { const c = document.getElementById('camera'); const d = c.getContext('2d').getImageData(0, 0, c.width,"
    " c.height).data; let n = 0; for (let i = 0; i < d.length; i += 4)"
    " n += d[i] < 90 && d[i + 1] > 190 && d[i + 2] < 120; return n; })()"
)
"""Pixels of the camera picture in the colour of the lanes."""


def _is_error(line: Any) -> bool:
    """Said on the console; a picture that was overwritten while it was read is asked for again."""
    return line.type == "error" and "/picture" not in line.location.get("url", "")


def _load(browser: Any, drive: Drive, size: tuple[int, int]) -> dict[str, Any]:
    """What a person with a screen of this size gets."""
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    errors: list[str] = []
    asked: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if _is_error(line) else None)
    page.on("request", lambda request: asked.append(request.url))
    page.goto(drive.page.address)
    deadline_s = time.monotonic() + WITHIN_S
    while page.evaluate(GREEN) <= 100:  # a frame that no network has seen yet comes without lanes
        assert time.monotonic() < deadline_s, (errors, page.text_content("#camera-note"))
        page.wait_for_timeout(100)
    seen: dict[str, Any] = page.evaluate(
        "({verdict: document.getElementById('verdict').textContent, width: document.documentElement.scrollWidth,"
        " nodes: document.querySelectorAll('#graph .node').length,"
        " topics: document.querySelectorAll('#topics tr').length,"
        " can: document.getElementById('can').textContent})"
    )
    page.close()
    return {**seen, "errors": errors, "asked": asked}


def test_a_browser_shows_it_on_a_phone_and_on_a_desktop(drive: Drive) -> None:
    program = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if program is None:
        pytest.skip("needs a browser: apt install chromium-headless-shell")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    said = drive.wait_for(_runs)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            for size in SIZES:
                seen = _load(browser, drive, size)
                assert seen["errors"] == []
                assert {url for url in seen["asked"] if not url.startswith(drive.page.address)} == set()
                assert seen["width"] == size[0], "nothing is wider than the screen"
                assert seen["nodes"] == sum(not node["listens"] for node in said["nodes"]) >= 7
                assert seen["topics"] == len(said["topics"]) >= 10 and "vehicle" in seen["can"]
                assert not seen["verdict"].startswith("connecting")
        finally:
            browser.close()


def test_a_bundle_is_downloaded_with_a_click(drive: Drive, tmp_path: Path) -> None:
    program = next((path for path in map(shutil.which, BROWSERS) if path), None)
    if program is None:
        pytest.skip("needs a browser: apt install chromium-headless-shell")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
    drive.wait_for(_runs)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": 390, "height": 844})
            page.goto(drive.page.address)
            with page.expect_download(timeout=WITHIN_S * 1000) as waiting:
                page.click("#bundle")
            waiting.value.save_as(tmp_path / "bundle.zip")
            assert waiting.value.suggested_filename.endswith(".zip")
            assert re.match(r"[2-9A-Z]{6} · \d+\.\d MB", page.text_content("#bundle-about") or "")
        finally:
            browser.close()
    with zipfile.ZipFile(tmp_path / "bundle.zip") as bundle:
        assert json.loads(bundle.read("bundle.json"))["vehicle"] == "reference"


def _says(kind: str, begin: str) -> Callable[[dict[str, Any]], bool]:
    """True for a document with such an event on its timeline."""
    return lambda now: any(
        event["kind"] == kind and event["title"].startswith(begin) for event in now.get("events", [])
    )


def test_a_node_that_was_killed_stands_on_the_timeline(drive: Drive) -> None:
    drive.wait_for(_runs)
    drive.kill("camera")
    drive.wait_for(_says("restart", "camera was started again"))


def test_a_run_that_has_ended_is_shown_as_it_ended(drive: Drive) -> None:
    drive.wait_for(lambda now: len(now.get("drove", [])) > 1)
    drive.end()
    document = drive.wait_for(lambda now: now["live"] is False and bool(now["run"]))
    assert document["vehicle"] == "reference" and document["drove"]
    assert any(event["kind"] == "engagement" for event in document["events"])
    status, body, _ = drive.ask("/picture?topic=camera/frame")
    assert status == 404 and b"no run is active" in body
