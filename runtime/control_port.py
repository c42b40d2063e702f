"""Where a person asks the bridge something: one datagram socket in the run's folder, open to the run's user only.

It is apart from the topics, so that a person reaches the bridge also when nothing else works. The bridge looks once in
each period and never waits; whoever asks waits for a while and then gives up.
"""

from __future__ import annotations

import os
import secrets
import select
import socket
from contextlib import suppress
from pathlib import Path
from typing import Literal

import msgspec

from cardan.runtime.errors import DeviceError, RunError

LONGEST_BYTES = 16_384
LONGEST_WHO = 32


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asks."""

    verb: Literal["check", "arm", "disarm", "reset"]
    who: str


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """One arming check."""

    name: str
    passed: bool
    text: str
    hint: str
    """What to do when it has not passed."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """How the bridge stands after the period in which it was asked."""

    engagement: str
    cause: str
    """Of the newest change of engagement."""
    checks: list[CheckResult]
    """Every arming check, as of this period."""


def port_path(run_dir: Path, node: str) -> Path:
    """The socket of the bridge called `node`."""
    return run_dir / f"{node}.control"


def name_of(text: str) -> str:
    """A person's name as it may stand in a cause: letters, digits, `.`, `_` and `-`, not too long."""
    kept = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in text)
    return kept[:LONGEST_WHO] or "unknown"


class ControlPort:
    """The bridge's end. One thread; nothing here blocks."""

    def __init__(self, path: Path) -> None:
        """Opens the socket, in place of one that a killed predecessor left; DeviceError when that is not possible."""
        self._socket = _datagram_socket()
        try:
            path.unlink(missing_ok=True)
            self._socket.bind(str(path))
            path.chmod(0o600)
        except OSError as error:
            self._socket.close()
            hint = "a socket's path has at most 107 characters: choose a shorter CARDAN_RUN_DIR"
            raise DeviceError(f"cannot open the control port {path}: {error}", hint=hint) from error
        self._path = path
        self._waiting = select.poll()  # asking it costs a sixth of a receive that finds nothing
        self._waiting.register(self._socket, select.POLLIN)
        self._asked_by = ""
        self.refused = 0
        """Datagrams that were no question."""

    def take(self) -> Ask | None:
        """The next question, to be answered before the next one is taken; None while nobody asks."""
        if not self._waiting.poll(0):
            return None
        try:
            data, self._asked_by = self._socket.recvfrom(LONGEST_BYTES, socket.MSG_DONTWAIT)
        except OSError:
            return None
        try:
            return msgspec.json.decode(data, type=Ask)
        except msgspec.DecodeError:
            self.refused += 1
            return None

    def answer(self, answer: Answer) -> None:
        """Answer the question that was taken last. Somebody who no longer waits is none of our business."""
        with suppress(OSError):
            self._socket.sendto(msgspec.json.encode(answer), socket.MSG_DONTWAIT, self._asked_by)

    def close(self) -> None:
        self._socket.close()
        self._path.unlink(missing_ok=True)


def ask(path: Path, question: Ask, timeout_s: float) -> Answer:
    """Ask the bridge behind `path` and wait for its answer; RunError when none comes in time."""
    own = path.with_name(f"ask-{os.getpid()}-{secrets.token_hex(4)}")
    asking = _datagram_socket()
    try:
        asking.bind(str(own))
        asking.settimeout(timeout_s)
        asking.sendto(msgspec.json.encode(question), str(path))
        return msgspec.json.decode(asking.recv(LONGEST_BYTES), type=Answer)
    except OSError as error:
        raise RunError("the bridge does not answer", hint="is it running? `cardan status`") from error
    finally:
        asking.close()
        own.unlink(missing_ok=True)


def _datagram_socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
