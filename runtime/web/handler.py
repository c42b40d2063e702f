"""One request: a table of what can be asked for, and nothing else; no part of a path ever names a file."""

from __future__ import annotations

import os
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from cardan.runtime.cli.exits import NoDataError
from cardan.runtime.errors import CardanError
from cardan.runtime.web.access import SECURITY, host_allowed, token_cookie, token_fits, token_given

if TYPE_CHECKING:
    from cardan.runtime.web.bundles import Made
    from cardan.runtime.web.server import PageServer

PARTS = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
FIRST_WITHIN_S = 3.0
ALIVE_S = 10.0
"""A comment is sent when there was nothing else for so long: it shows whether the browser is still there."""
SEND_WITHIN_S = 5.0
"""A browser that takes nothing for so long is dropped."""
KEPT_S = 4.0
"""So long a connection may wait for the next request; less than the server gives it to ask (ASKED_WITHIN_NS)."""
OWN_HEADER = "Cardan-Page"
PLAIN = "text/plain; charset=utf-8"
PIECE_BYTES = 1 << 16
LONGEST_PATH = 2000


class Handler(BaseHTTPRequestHandler):
    """Answers GET; the connection is kept for a moment, for a page asks for pictures again and again."""

    server: PageServer
    protocol_version = "HTTP/1.1"
    timeout = KEPT_S
    server_version = "cardan"
    sys_version = ""

    def handle_one_request(self) -> None:
        self.server.expect(self.connection)
        super().handle_one_request()

    def do_GET(self) -> None:
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # nobody reads what would follow
        self._within_time(self._get)

    def do_POST(self) -> None:
        """Only for a bundle. A foreign page cannot send our header without asking first, which nobody answers."""
        self.close_connection = True
        self._within_time(self._post)

    def _within_time(self, answer: Callable[[], None]) -> None:
        self.server.has_asked(self.connection)
        self.connection.settimeout(SEND_WITHIN_S)
        answer()
        self.connection.settimeout(KEPT_S)

    def _get(self) -> None:
        url = urlsplit(self.path[:LONGEST_PATH])
        query = parse_qs(url.query, max_num_fields=8) if url.query else {}
        if url.path == "/" and "token" in query and self._is_for_us():
            self._log_in(query["token"][0])
        elif self._may_look():
            self._route(url.path, query)

    def _post(self) -> None:
        if not self._may_look():
            return
        if urlsplit(self.path[:LONGEST_PATH]).path != "/bundle" or OWN_HEADER not in self.headers:
            self._answer(HTTPStatus.NOT_FOUND, PLAIN, b"there is nothing here\n")
            return
        found = self.server.hub.found
        try:
            if found is None:
                raise NoDataError("there is no run", hint="start one with `cardan up`")
            self._send_file(self.server.bundles.make(found))
        except CardanError as error:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, PLAIN, f"{error}\n".encode())

    def _send_file(self, made: Made) -> None:
        """In pieces, each of which has its time: a slow link may take long, a dead one may not."""
        with made.path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            name = f'attachment; filename="{made.path.name}"'
            headers = {"Content-Length": str(size), "Content-Disposition": name, "Connection": "close"}
            self._head(HTTPStatus.OK, "application/zip", {**headers, "Cardan-Bundle": made.id})
            while piece := file.read(PIECE_BYTES):
                self.wfile.write(piece)

    def _is_for_us(self) -> bool:
        if host_allowed(self.headers.get("Host"), self.server.settings.names):
            return True
        self._deny(HTTPStatus.MISDIRECTED_REQUEST, "ask for this page by address, or as localhost")
        return False

    def _may_look(self) -> bool:
        """True when the request is for us and its token is right; else it has been answered."""
        if not self._is_for_us():
            return False
        given = token_given(self.headers.get("Authorization"), self.headers.get("Cookie"))
        if token_fits(given, self.server.token):
            return True
        self._deny(HTTPStatus.UNAUTHORIZED, "add ?token=... to the address of the page")
        return False

    def _route(self, path: str, query: dict[str, list[str]]) -> None:
        if path in PARTS:
            name, kind = PARTS[path]
            self._answer(HTTPStatus.OK, kind, (resources.files("cardan.runtime.web") / "page" / name).read_bytes())
        elif path == "/events":
            self._stream()
        elif path == "/status.json":
            self._status()
        elif path == "/picture":
            self._picture(query.get("topic", [""])[0], query.get("width", [""])[0])
        else:
            self._answer(HTTPStatus.NOT_FOUND, PLAIN, b"there is nothing here\n")

    def _log_in(self, token: str) -> None:
        """Keep a right token in a cookie, so that it leaves the address bar."""
        if not token_fits(token, self.server.token):
            self._deny(HTTPStatus.UNAUTHORIZED, "this is not the token")
            return
        cookie = token_cookie(self.server.token, secure=self.server.tls is not None)
        headers = {"Location": "/", "Set-Cookie": cookie} if self.server.token else {"Location": "/"}
        self._answer(HTTPStatus.SEE_OTHER, PLAIN, b"", headers)

    def _deny(self, status: HTTPStatus, text: str) -> None:
        self.server.counters.add("denied")
        self.close_connection = True
        self._answer(status, PLAIN, f"{text}\n".encode())

    def _status(self) -> None:
        viewer = self.server.hub.join()
        try:
            text = viewer.take(FIRST_WITHIN_S)
        finally:
            self.server.hub.leave(viewer)
        if text is None:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, PLAIN, b"no answer yet\n")
            return
        self._answer(HTTPStatus.OK, "application/json", text)

    def _picture(self, topic: str, width: str) -> None:
        widest_px = int(width) if width.isascii() and width.isdecimal() and len(width) < 5 else None
        try:
            picture = self.server.pictures.newest(topic, widest_px)
        except CardanError as error:
            self._answer(HTTPStatus.NOT_FOUND, PLAIN, f"{error}\n".encode())
            return
        self._answer(HTTPStatus.OK, "image/jpeg", picture.jpeg, {"Cardan-Drawing": picture.drawing})

    def _stream(self) -> None:
        """Server-sent events until the browser goes, or is too slow."""
        if not self.server.viewers.acquire(blocking=False):
            self.server.counters.add("refused")
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, PLAIN, b"too many pages are open\n")
            return
        viewer = self.server.hub.join()
        self.close_connection = True
        try:
            self._head(HTTPStatus.OK, "text/event-stream", {"X-Accel-Buffering": "no", "Connection": "close"})
            self.wfile.write(b"retry: 2000\n\n")
            while not viewer.gone:
                text = viewer.take(ALIVE_S)
                self.wfile.write(b": still here\n\n" if text is None else b"data: %s\n\n" % text)
        except TimeoutError:
            self.server.hub.drop(viewer)
        except OSError:
            return
        finally:
            self.server.hub.leave(viewer)
            self.server.viewers.release()

    def _answer(self, status: HTTPStatus, kind: str, body: bytes, headers: dict[str, str] | None = None) -> None:
        closing = {"Connection": "close"} if self.close_connection else {}
        self._head(status, kind, {"Content-Length": str(len(body)), **closing, **(headers or {})})
        self.wfile.write(body)

    def _head(self, status: HTTPStatus, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, **SECURITY, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Who looks at a page is no event of a vehicle; the parent prints a line for each request."""
