"""The page: what it takes with and without viewers, when a browser has its first figures, when it shows an event."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cli_usage import used_by
from rows import Row, at_most

from cardan.runtime.cli.runs import find_run
from cardan.runtime.vitals import NodeState, NodeVitals

WATCH = [sys.executable, "-m", "cardan.runtime.cli.main", "watch", "--port", "0"]
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser")
PICTURE_S = 0.6
"""As page.js asks for pictures."""
MANY = 4
KILLED = "recorder"
WITHIN_S = 20.0
EMPTY = (
    b"<!doctype html><title>empty</title><h1 id=verdict></h1>"
    b"<script>document.getElementById('verdict').textContent='x'</script>"
)
FILLED = "(document.getElementById('verdict') || {textContent: ''}).textContent.replace('connecting …', '')"
"""True once the page shows what the run says."""
WATCH_TEXTS = """() => { window.seen = []; new MutationObserver(() => {
  const state = (document.getElementById('listeners').textContent.match(/recorder: ([\\w-]+)/) || [])[1];
  const rows = [...document.querySelectorAll('#facts div')].map((row) => row.textContent);
  const said = `${state}, ${rows.find((text) => text.startsWith('restarts'))}`;
  if (said === window.said) return;
  window.said = said;
  window.seen.push([performance.timeOrigin + performance.now(), said]);
}).observe(document.body, {subtree: true, childList: true, characterData: true}); }"""


@contextmanager
def watching() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`cardan watch` and its address."""
    with subprocess.Popen(WATCH, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as page:
        assert page.stdout is not None
        try:
            yield page, page.stdout.readline().strip()
        finally:
            page.terminate()
            page.wait(WITHIN_S)


class Viewer:
    """Asks as a browser does: events, and a picture every PICTURE_S over one connection."""

    def __init__(self, address: str) -> None:
        self._place = address.removeprefix("http://").rstrip("/")
        self._ends = threading.Event()
        self.events = self.pictures = 0
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._listen, self._look)]
        for thread in self._threads:
            thread.start()

    def _listen(self) -> None:
        connection = http.client.HTTPConnection(self._place, timeout=WITHIN_S)
        connection.request("GET", "/events")
        answer = connection.getresponse()
        while not self._ends.is_set() and (line := answer.readline()):
            self.events += line.startswith(b"data:")
        connection.close()

    def _look(self) -> None:
        connection = http.client.HTTPConnection(self._place, timeout=WITHIN_S)
        while not self._ends.wait(PICTURE_S):
            connection.request("GET", "/picture?topic=camera/frame&width=390")
            answer = connection.getresponse()
            self.pictures += bool(answer.read()) and answer.status == 200
        connection.close()

    def leave(self) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join(WITHIN_S)


def viewer_rows(seconds: float) -> list[Row]:
    """Processor time of the page while nobody looks, one looks, and several do."""
    shares: dict[int, float] = {}
    with watching() as (page, address):
        time.sleep(1.0)
        for number in (0, 1, MANY):
            viewers = [Viewer(address) for _ in range(number)]
            time.sleep(1.5)
            shares[number] = used_by(page.pid, seconds).percent
            for viewer in viewers:
                viewer.leave()
            if any(viewer.pictures < seconds or viewer.events < seconds / 2 for viewer in viewers):
                raise SystemExit("a viewer was not shown what it asked for")
    each = (shares[MANY] - shares[0]) / MANY
    return [
        Row("page, nobody looks", shares[0], "% of a core", "shown", True),
        at_most("page, one viewer, above nobody", shares[1] - shares[0], 1.0, "% of a core"),
        at_most(f"page, each of {MANY} viewers", each, 1.0, "% of a core"),
    ]


class _Empty(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(EMPTY)))
        self.end_headers()
        self.wfile.write(EMPTY)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def browser_rows(rounds: int) -> list[Row]:
    """In Chromium, on a phone's screen; without it or playwright the rows say so and are not ok."""
    program = next((path for path in map(shutil.which, BROWSERS) if path), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        program = None
    if program is None:
        return [Row(name, None, "no Chromium here", bar, False) for name, bar in FIGURES]
    with watching() as (_, address), sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            return [_first_data(browser, address, rounds), _event(browser, address, rounds)]
        finally:
            browser.close()


FIGURES = (("page, first figures in a browser", "<= 300"), ("page, from an event to the screen", "<= 100"))


def _first_data(browser: Any, address: str, rounds: int) -> Row:
    """From the wish to see the page to the verdict on it, in an open tab; beside an empty page that fills in a word."""
    empty = ThreadingHTTPServer(("127.0.0.1", 0), _Empty)
    threading.Thread(target=empty.serve_forever, daemon=True).start()
    places = {"empty": f"http://127.0.0.1:{empty.server_port}/", "ours": address}
    taken: dict[str, list[float]] = {name: [] for name in places}
    for _ in range(rounds):
        for name, place in places.items():
            tab = browser.new_page(viewport={"width": 390, "height": 844})
            tab.goto("about:blank")
            tab.evaluate("1")
            began_s = time.perf_counter()
            tab.goto(place, wait_until="commit")
            while not tab.evaluate(FILLED):
                continue
            taken[name].append((time.perf_counter() - began_s) * 1e3)
            tab.close()
    empty.shutdown()
    ours, theirs = (statistics.median(taken[name]) for name in ("ours", "empty"))
    return Row(FIGURES[0][0], ours, "ms", FIGURES[0][1], ours <= 300.0, "an empty page", theirs, ours / theirs)


def _event(browser: Any, address: str, rounds: int) -> Row:
    """From the moment a node's state changes in the vitals to the change on the page; worst of all rounds.

    The node is the recorder: it is killed and comes back, and the vehicle drives on.
    """
    tab = browser.new_page(viewport={"width": 390, "height": 844})
    tab.goto(address)
    tab.evaluate(WATCH_TEXTS)
    found = find_run(None)
    taken = [_one_event(tab, found) for _ in range(rounds)]
    tab.close()
    return at_most(f"{FIGURES[1][0]}, worst of {rounds}", max(taken), 100.0, "ms")


def _one_event(tab: Any, found: Any) -> float:
    time.sleep(1.2)
    words = found.vitals.nodes[KILLED].words
    state, ends_s = words[NodeVitals.STATE], time.monotonic() + WITHIN_S
    os.kill(words[NodeVitals.PID], signal.SIGKILL)
    while words[NodeVitals.STATE] == state and time.monotonic() < ends_s:
        continue
    happened_ms = time.time() * 1e3
    while time.monotonic() < ends_s:
        seen = [stamp for stamp, _ in tab.evaluate("window.seen") if stamp >= happened_ms]
        if seen:
            _wait_until_back(words, ends_s)
            return float(min(seen)) - happened_ms
    raise SystemExit("the page did not show the event")


def _wait_until_back(words: Any, ends_s: float) -> None:
    while words[NodeVitals.STATE] != NodeState.RUNNING and time.monotonic() < ends_s:
        time.sleep(0.01)
