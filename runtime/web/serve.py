"""The whole page as one thing with a lifetime: the hub, the pictures and the server."""

from __future__ import annotations

import threading

from cardan.runtime.clock import Clock
from cardan.runtime.web.hub import Hub
from cardan.runtime.web.pictures import Pictures
from cardan.runtime.web.server import PageServer, open_server
from cardan.runtime.web.settings import WebSettings
from cardan.runtime.web.watcher import Find

POLL_S = 0.1
"""How soon `close` is heard, and how often connections are looked at that ask nothing."""


class Page:
    """Serves in threads of its own from the moment it is made; `close()` it. ConfigError when it cannot."""

    def __init__(self, settings: WebSettings, find: Find, clock: Clock) -> None:
        self.hub = Hub(find, clock)
        self._pictures = Pictures(lambda: self.hub.found, clock, settings.picture_px)
        self.server: PageServer = open_server(settings, self.hub, self._pictures, clock)
        self._thread = threading.Thread(target=self.server.serve_forever, args=(POLL_S,), name="page", daemon=True)
        self.hub.start()
        self._thread.start()

    @property
    def address(self) -> str:
        return self.server.address

    def close(self) -> None:
        """Stop answering, let every page go."""
        self.server.shutdown()
        self.server.server_close()
        self.hub.close()
        self._pictures.close()
