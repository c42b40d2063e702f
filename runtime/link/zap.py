"""Who may connect: answers ZeroMQ's question (ZAP, RFC 27) for each client that shows a CURVE key.

The key must be in the folder of trusted keys, which is read again for each question, so that `cardan keys trust`
needs no restart. No thread: whoever owns the socket calls `answer_all`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import zmq
from zmq.utils import z85

from cardan.runtime.errors import CardanError

ENDPOINT = "inproc://zeromq.zap.01"
VERSION = b"1.0"
DOMAIN = b"cardan"
OK, DENIED = b"200", b"400"


class Question(NamedTuple):
    """What ZeroMQ asks about one client."""

    envelope: list[bytes]
    """Routing frames, up to and with the empty one."""
    request: bytes
    address: str
    mechanism: bytes
    key: bytes
    """Z85 public key of the client; empty when it showed none."""


@dataclass(frozen=True)
class Answer:
    """Our decision."""

    status: bytes
    text: str
    user: str = ""
    """The name under which the key is trusted."""

    @property
    def accepted(self) -> bool:
        return self.status == OK


def parse(frames: list[bytes]) -> Question | None:
    """A question of ZAP 1.0, or None for anything else."""
    if b"" not in frames:
        return None
    cut = frames.index(b"") + 1
    rest = frames[cut:]
    if len(rest) < 6 or rest[0] != VERSION:
        return None
    key = z85.encode(rest[6]) if len(rest) > 6 and len(rest[6]) == 32 else b""
    return Question(frames[:cut], rest[1], rest[3].decode(errors="replace"), rest[5], key)


def decide(question: Question, trusted: dict[str, bytes]) -> Answer:
    """Let in whoever proves to have a trusted key; nobody else."""
    if question.mechanism != b"CURVE":
        return Answer(DENIED, f"{question.address} came without a key")
    name = next((name for name, key in trusted.items() if key == question.key), None)
    if name is None:
        return Answer(DENIED, f"{question.address} has the unknown key {question.key.decode()}")
    return Answer(OK, f"{name} from {question.address}", name)


def reply(question: Question, answer: Answer) -> list[bytes]:
    """The answer as ZeroMQ reads it."""
    text = b"OK" if answer.accepted else b"no access"
    return [*question.envelope, VERSION, question.request, answer.status, text, answer.user.encode(), b""]


class ZapDoor:
    """The handler of one ZeroMQ context. Make it before the first CURVE socket of the context is bound.

    trusted: names and public keys at this moment; when it raises, nobody is let in.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], trusted: Callable[[], dict[str, bytes]]) -> None:
        self.socket = context.socket(zmq.ROUTER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.bind(ENDPOINT)
        self._trusted = trusted

    def fileno(self) -> int:
        """Readable when somebody knocks."""
        return int(self.socket.getsockopt(zmq.FD))

    def answer_all(self) -> list[Answer]:
        """Answer every waiting question; what was decided."""
        answers = []
        while self.socket.poll(0):
            question = parse(self.socket.recv_multipart(zmq.DONTWAIT))
            if question is None:
                continue
            answer = self._decide(question)
            self.socket.send_multipart(reply(question, answer), zmq.DONTWAIT)
            answers.append(answer)
        return answers

    def _decide(self, question: Question) -> Answer:
        try:
            return decide(question, self._trusted())
        except CardanError as error:
            return Answer(DENIED, f"{question.address} was refused: {error.message}")

    def close(self) -> None:
        self.socket.close()
