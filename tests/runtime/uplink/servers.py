"""Real stores on this computer: Azurite and moto's S3, each on a port that it picks, and what breaks the way to them.

Import nothing else of the tests, so that benches can use it too.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
PROXY = Path(__file__).with_name("fault_proxy.py")
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Azurite's own account and key, the same everywhere."""
CONTAINER = "fleet"
START_LIMIT_S = 30.0


class Missing(Exception):
    """A server that is not installed here; says how to install it."""


class Process:
    """A server, until `stop`."""

    def __init__(self, command: list[str], **settings: Any) -> None:
        self.popen = subprocess.Popen(command, **settings)

    def stop(self) -> None:
        self.popen.terminate()
        try:
            self.popen.wait(5)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
        for stream in (self.popen.stdin, self.popen.stdout):
            if stream is not None:
                stream.close()


class Azurite(Process):
    """Azure's emulator with one container; in memory, since it loses blobs that it acknowledged when it is killed."""

    def __init__(self) -> None:
        program = azurite_or_none()
        if program is None:
            raise Missing("azurite-blob is not installed: npm install --prefix .servers azurite@3.35.0")
        self.port = free_port()
        super().__init__(
            [
                program,
                *("--blobHost", "127.0.0.1", "--blobPort", str(self.port)),
                *("--silent", "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck"),
            ],
            stdout=subprocess.DEVNULL,
        )
        wait_for(self.port, self.popen)
        self.client(self.port).create_container()

    def url(self, port: int | None = None) -> str:
        """Address of the container, also by way of a proxy."""
        return f"http://127.0.0.1:{port or self.port}/{ACCOUNT}/{CONTAINER}"

    def sas(self, rights: str, hours: float = 1.0) -> str:
        """A shared access signature for the container, without a beginning."""
        from azure.storage.blob import ContainerSasPermissions, generate_container_sas

        ends = datetime.now(timezone.utc) + timedelta(hours=hours)
        allowed = ContainerSasPermissions.from_string(rights)
        sas: str = generate_container_sas(ACCOUNT, CONTAINER, account_key=KEY, permission=allowed, expiry=ends)
        return sas

    def client(self, port: int | None = None) -> Any:
        """The container, with every right."""
        from azure.storage.blob import ContainerClient

        return ContainerClient.from_container_url(self.url(port), credential=KEY)

    def objects(self) -> dict[str, bytes]:
        """Every object by its name."""
        client = self.client()
        return {blob.name: client.download_blob(blob.name).readall() for blob in client.list_blobs()}


class S3(Process):
    """moto's S3 with one bucket."""

    def __init__(self) -> None:
        self.port = free_port()
        super().__init__(
            [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
            stderr=subprocess.DEVNULL,
        )
        wait_for(self.port, self.popen)
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            head = f"PUT /{CONTAINER} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode())
            if b" 200 " not in connection.recv(1000):
                raise RuntimeError("moto made no bucket")

    def url(self, port: int | None = None) -> str:
        """Address of a folder in the bucket, also by way of a proxy."""
        return f"s3://{CONTAINER}/cars?region=us-east-1&endpoint=http://127.0.0.1:{port or self.port}"


class Proxy(Process):
    """The fault proxy in front of a port of this computer."""

    def __init__(self, port: int, share: float = 0.0, seed: int = 1) -> None:
        super().__init__(
            [sys.executable, str(PROXY), "127.0.0.1", str(port), "--share", str(share), "--seed", str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self._line())

    def plan(self, *fates: str) -> None:
        """Fates of the next exchanges."""
        self._order({"plan": fates})

    def share(self, share: float) -> None:
        """How many of the other exchanges are cut."""
        self._order({"share": share})

    def stats(self) -> dict[str, int]:
        """How many exchanges had which fate, and the bytes that reached the server."""
        return self._order({"stats": True})

    def _order(self, order: dict[str, Any]) -> dict[str, int]:
        if self.popen.stdin is None:
            raise RuntimeError("the proxy has no stdin")
        self.popen.stdin.write(json.dumps(order) + "\n")
        self.popen.stdin.flush()
        answer: dict[str, int] = json.loads(self._line())
        return answer

    def _line(self) -> str:
        if self.popen.stdout is None:
            raise RuntimeError("the proxy has no stdout")
        line: str = self.popen.stdout.readline()
        return line


def azurite_or_none() -> str | None:
    """Path of azurite-blob: in .servers of this repository, or installed for all."""
    own = ROOT / ".servers" / "node_modules" / ".bin" / "azurite-blob"
    if shutil.which("node") is None:
        return None
    return str(own) if own.exists() else shutil.which("azurite-blob")


def free_port() -> int:
    """A port that nobody has at this moment; these servers cannot be told to pick one and say so."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int, process: subprocess.Popen[Any]) -> None:
    """Until somebody listens. RuntimeError when the process ends before, or takes too long."""
    limit_s = time.monotonic() + START_LIMIT_S
    while process.poll() is None and time.monotonic() < limit_s:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            os.sched_yield()
            time.sleep(0.02)
    process.kill()
    raise RuntimeError(f"{process.args!r} does not listen")
