"""The peer of the durable queue: nats-server with JetStream that syncs every message, spoken to without a library."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WINDOW = 64
"""Messages that are sent before acknowledgements are waited for."""


def program() -> str | None:
    """Where nats-server is: `make bench` puts it on the PATH."""
    return shutil.which("nats-server")


@contextmanager
def server(folder: Path) -> Iterator[int]:
    """A server on a free port; the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    config = folder / "nats.conf"
    config.write_text(
        f'host: "127.0.0.1"\nport: {port}\njetstream {{ store_dir: "{folder}/js", sync_interval: always }}\n'
    )
    process = subprocess.Popen(
        [str(program()), "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


class Client:
    """One connection, one stream."""

    def __init__(self, port: int) -> None:
        deadline = time.monotonic() + 10
        while True:
            try:
                self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        self._file = self._socket.makefile("rb")
        self._file.readline()  # INFO
        self._socket.sendall(b'CONNECT {"verbose":false}\r\nSUB inbox 1\r\n')
        stream = {"name": "T", "subjects": ["t"], "storage": "file", "num_replicas": 1}
        answer = self._ask("$JS.API.STREAM.CREATE.T", json.dumps(stream).encode())
        if b'"error"' in answer:
            raise RuntimeError(answer.decode())

    def _ask(self, subject: str, payload: bytes) -> bytes:
        self._socket.sendall(b"PUB %s inbox %d\r\n%s\r\n" % (subject.encode(), len(payload), payload))
        return self._answer()

    def _answer(self) -> bytes:
        while True:
            line = self._file.readline()
            if line.startswith(b"PING"):
                self._socket.sendall(b"PONG\r\n")
            elif line.startswith(b"MSG"):
                return self._file.read(int(line.split()[-1]) + 2)
            elif not line:
                raise RuntimeError("the server is gone")

    def publish_for(self, seconds: float, size: int) -> float:
        """Acknowledged messages a second."""
        packet = b"PUB t inbox %d\r\n%s\r\n" % (size, os.urandom(size // 2).hex().encode())
        begin, count, waiting = time.monotonic(), 0, 0
        while time.monotonic() - begin < seconds:
            while waiting < WINDOW:
                self._socket.sendall(packet)
                waiting += 1
            self._answer()
            waiting, count = waiting - 1, count + 1
        return count / (time.monotonic() - begin)

    def close(self) -> None:
        self._file.close()
        self._socket.close()
