"""The server of the page: few connections, each with a time limit, TLS where it is configured."""

from __future__ import annotations

import errno
import socket
import ssl
import threading
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any

from cardan.runtime.clock import Clock, ns
from cardan.runtime.errors import ConfigError
from cardan.runtime.web.bundles import Bundles
from cardan.runtime.web.handler import Handler
from cardan.runtime.web.hub import Hub
from cardan.runtime.web.pictures import Pictures
from cardan.runtime.web.settings import WebSettings, check_settings, read_token

CONNECTIONS_EACH = 4
"""A browser may have so many connections for each page that is open."""
ASKED_WITHIN_NS = ns(5.0)
"""Whoever connects must have asked by then."""


@dataclass
class Counters:
    """What was not served."""

    refused: int = 0
    """Connections beyond the bound."""
    denied: int = 0
    """Requests with the wrong host or token."""
    late: int = 0
    """Connections that never came to ask."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, name: str) -> None:
        with self.lock:
            setattr(self, name, getattr(self, name) + 1)


class PageServer(ThreadingHTTPServer):
    """`open_server` makes one; `serve_forever` blocks; `server_close` releases everything."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 16

    def __init__(self, settings: WebSettings, hub: Hub, pictures: Pictures, clock: Clock) -> None:
        self.settings = settings
        self.hub = hub
        self.pictures = pictures
        self.bundles = Bundles()
        self.counters = Counters()
        self.token = read_token(settings.token_file)
        self.tls = _tls(settings)
        self.viewers = threading.BoundedSemaphore(settings.viewers)
        self._clock = clock
        self._places = threading.BoundedSemaphore(settings.viewers * CONNECTIONS_EACH)
        self._asking: dict[socket.socket, int] = {}
        self._asking_lock = threading.Lock()
        self.address_family = socket.AF_INET6 if ":" in settings.bind else socket.AF_INET
        super().__init__((settings.bind, settings.port), Handler)

    @property
    def address(self) -> str:
        """Where a browser on this computer finds the page."""
        host = f"[{self.settings.bind}]" if ":" in self.settings.bind else self.settings.bind
        return f"{'https' if self.tls else 'http'}://{host}:{self.server_address[1]}/"

    def server_bind(self) -> None:
        """As the parent, without its look-up of our name, which may take seconds on a vehicle."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """A thread for each connection, as long as there is a place."""
        if not self._places.acquire(blocking=False):
            self.counters.add("refused")
            self.shutdown_request(request)
            return
        with self._asking_lock:
            self._asking[request] = self._clock.now_ns() + ASKED_WITHIN_NS
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.has_asked(request)
            self._places.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """In the thread of the connection, so that a slow handshake holds up nobody else."""
        request.settimeout(ASKED_WITHIN_NS / 1e9)
        if self.tls is None:
            Handler(request, client_address, self)
            return
        with self.tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False) as secured:
            self._now_secured(request, secured)
            try:
                secured.do_handshake()
                Handler(secured, client_address, self)
            finally:
                self.has_asked(secured)

    def _now_secured(self, request: socket.socket, secured: socket.socket) -> None:
        """The wrapped socket has taken the descriptor over, and the deadline with it."""
        with self._asking_lock:
            if request in self._asking:
                self._asking[secured] = self._asking.pop(request)

    def expect(self, request: socket.socket) -> None:
        """The next request on this connection has to be complete in time."""
        with self._asking_lock:
            self._asking[request] = self._clock.now_ns() + ASKED_WITHIN_NS

    def has_asked(self, request: socket.socket) -> None:
        """The head of the request is complete."""
        with self._asking_lock:
            self._asking.pop(request, None)

    def service_actions(self) -> None:
        """Every POLL_S: end connections that were opened to ask nothing, however slowly."""
        now_ns = self._clock.now_ns()
        with self._asking_lock:
            late = [request for request, deadline_ns in self._asking.items() if now_ns > deadline_ns]
            for request in late:
                del self._asking[request]
                _end(request)
        for _ in late:
            self.counters.add("late")

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke off is nothing to report; the parent prints a traceback."""


def _end(request: socket.socket) -> None:
    try:
        request.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _tls(settings: WebSettings) -> ssl.SSLContext | None:
    if not settings.certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.certificate, settings.key)
    except (OSError, ValueError) as error:
        files = f"{settings.certificate} and {settings.key}"
        raise ConfigError(
            f"TLS cannot use {files}: {error}", hint="PEM; the key must belong to the certificate"
        ) from error
    return context


def open_server(settings: WebSettings, hub: Hub, pictures: Pictures, clock: Clock) -> PageServer:
    """Listen. ConfigError when the settings are unsafe, or the address cannot be had."""
    check_settings(settings)
    try:
        return PageServer(settings, hub, pictures, clock)
    except OSError as error:
        hint = "another port with --port" if error.errno == errno.EADDRINUSE else "is this an address of this computer?"
        where = f"{settings.bind} port {settings.port}"
        raise ConfigError(f"cannot serve a page on {where}: {error.strerror}", hint=hint) from error
