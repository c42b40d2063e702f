"""Requests to a running engine host: one datagram of JSON there, one back, by a socket in the folder of the run."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from cardan.runtime.errors import RunError

LARGEST = 65_536
ANSWER_WITHIN_S = 5.0


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person or a tool asks of a host."""

    action: str
    """swap, rollback or show."""
    engine: str = ""
    model: str = ""
    """Of a swap: path of the model's .toml, or the name of a shipped one."""
    frames: int | None = None
    """Of a swap: how many the new network has to pass unseen; None: as the host likes."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What it says to that."""

    ok: bool
    text: str
    engines: list[dict[str, Any]] = []


def socket_path(run_dir: Path, host: str) -> Path:
    """Where a host listens. The folder of the run belongs to the service user alone."""
    return run_dir / f"{host}.ask"


class CommandSocket:
    """The host's end. Never blocks."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._socket.bind(str(path))
        os.chmod(path, 0o600)

    def answer(self, decide: Callable[[Request], Answer]) -> None:
        """Answer what is waiting, one request at most."""
        try:
            content, sender = self._socket.recvfrom(LARGEST)
        except BlockingIOError:
            return
        try:
            said = decide(msgspec.json.decode(content, type=Request))
        except msgspec.MsgspecError as error:
            said = Answer(ok=False, text=f"no request: {error}")
        if sender:
            with suppress(OSError):  # whoever asked has gone
                self._socket.sendto(msgspec.json.encode(said), sender)

    def close(self) -> None:
        self._socket.close()
        self._path.unlink(missing_ok=True)


def ask(run_dir: Path, host: str, request: Request) -> Answer:
    """Ask a host and wait for its answer; RunError when it does not answer."""
    path = socket_path(run_dir, host)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as own:
        own.bind("")  # the kernel finds a name
        own.settimeout(ANSWER_WITHIN_S)
        try:
            own.sendto(msgspec.json.encode(request), str(path))
            return msgspec.json.decode(own.recv(LARGEST), type=Answer)
        except (OSError, msgspec.MsgspecError) as error:
            raise RunError(f'the engine host "{host}" does not answer: {error}', hint="`cardan status`") from error
