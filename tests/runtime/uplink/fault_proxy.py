"""A TCP proxy that breaks what passes through it, exchange by exchange: a bad link between a vehicle and its store.

`python fault_proxy.py HOST PORT [--share 0.5] [--seed 1]` prints its own port, then obeys lines of JSON on stdin:

    {"plan": ["pass", "cut 1000", "lose", "delay 0.2", "refuse"]}   fates of the next exchanges, in order
    {"share": 0.5}                                                  of the exchanges after the plan, how many are cut
    {"stats": true}                                                 prints what happened so far, as JSON

An exchange begins with what a client sends after an answer, or at first. Its fate: `pass`; `cut N`, both sides are
reset after N bytes of the request; `lose`, the server gets all of it, and its answer is thrown away with the
connection; `delay S`, the request waits; `refuse`, the connection is reset before anything is sent.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
import struct
import sys
from collections import Counter, deque
from contextlib import suppress

READ_BYTES = 1 << 16
NO_LINGER = struct.pack("ii", 1, 0)


class Fates:
    """Which fate the next exchange has."""

    def __init__(self, share: float, seed: int) -> None:
        self.plan: deque[str] = deque()
        self.share = share
        self.counts: Counter[str] = Counter()
        self._random = random.Random(seed)

    def next(self) -> tuple[str, float]:
        fate = self.plan.popleft() if self.plan else self._drawn()
        word, _, number = fate.partition(" ")
        self.counts[word] += 1
        return word, float(number or 0)

    def _drawn(self) -> str:
        if self._random.random() >= self.share:
            return "pass"
        return self._random.choice(["refuse", "lose", f"cut {int(10 ** self._random.uniform(1, 5.5))}"])


class Connection:
    """One client and the server behind it."""

    def __init__(self, fates: Fates, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._fates = fates
        self._client = (reader, writer)
        self._word, self._number = "pass", 0.0
        self._answered = True
        self._sent = 0

    async def run(self, host: str, port: int) -> None:
        """Until one side ends, or fate does."""
        try:
            self._server = await asyncio.open_connection(host, port)
        except OSError:
            _reset(self._client[1])
            return
        ways = [asyncio.ensure_future(self._up()), asyncio.ensure_future(self._down())]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        _reset(self._client[1])
        _reset(self._server[1])

    async def _up(self) -> None:
        while data := await self._client[0].read(READ_BYTES):
            if self._answered:
                self._answered, self._sent = False, 0
                self._word, self._number = self._fates.next()
                if self._word == "refuse":
                    return
                if self._word == "delay":
                    await asyncio.sleep(self._number)
            if self._word == "cut":
                data = data[: int(self._number) - self._sent]
            self._server[1].write(data)
            await self._server[1].drain()
            self._sent += len(data)
            self._fates.counts["bytes"] += len(data)
            if self._word == "cut" and self._sent >= int(self._number):
                return

    async def _down(self) -> None:
        while data := await self._server[0].read(READ_BYTES):
            if self._word in ("lose", "cut"):
                return
            self._answered = True
            self._client[1].write(data)
            await self._client[1].drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    """End a connection as a dead link does: without a farewell."""
    with suppress(OSError):
        end: socket.socket = writer.get_extra_info("socket")
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    writer.transport.abort()


async def obey(fates: Fates) -> None:
    """Lines on stdin, until it ends."""
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        order = json.loads(line)
        fates.plan.extend(order.get("plan", []))
        fates.share = order.get("share", fates.share)
        if "stats" in order:
            print(json.dumps(fates.counts), flush=True)
        else:
            print("{}", flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--share", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    fates = Fates(arguments.share, arguments.seed)

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await Connection(fates, reader, writer).run(arguments.host, arguments.port)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await obey(fates)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
