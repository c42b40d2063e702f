"""A cable between two network namespaces, with delay, loss and a switch: carries packets between two TUN devices.

`python lossy_wire.py NAMESPACE_A NAMESPACE_B` says `ready`, then obeys lines on stdin: `delay 0.02`, `loss 0.05`,
`cut`, `join`. Ends with its stdin. (The kernel's own netem is not everywhere.)
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import os
import random
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN, IFF_NO_PI = 1, 0x1000
CLONE_NEWNET = 0x40000000
NAME = b"wire"


def open_tun(namespace: str) -> int:
    """A TUN device called `wire` in a namespace."""
    place = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    if ctypes.CDLL(None, use_errno=True).setns(place, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"cannot enter the namespace {namespace}")
    os.close(place)
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", NAME, IFF_TUN | IFF_NO_PI))
    return device


class Wire:
    """Carries packets both ways."""

    def __init__(self, devices: tuple[int, int]) -> None:
        self._other = {devices[0]: devices[1], devices[1]: devices[0]}
        self._random = random.Random(1)
        self._due: list[tuple[float, int, int, bytes]] = []
        self._count = 0
        self.delay_s = 0.0
        self.loss = 0.0
        self.cut = False

    def run(self) -> None:
        poll = select.poll()
        for source in (*self._other, 0):
            poll.register(source, select.POLLIN)
        while True:
            for source, _ in poll.poll(self._wait_ms()):
                if source != 0:
                    self._take(source)
                elif not self._obey():
                    return
            self._deliver()

    def _wait_ms(self) -> int:
        return max(0, round((self._due[0][0] - time.monotonic()) * 1000)) if self._due else 1000

    def _take(self, source: int) -> None:
        for _ in range(100):
            try:
                packet = os.read(source, 65536)
            except BlockingIOError:
                return
            if not self.cut and self._random.random() >= self.loss:
                self._count += 1
                heapq.heappush(self._due, (time.monotonic() + self.delay_s, self._count, self._other[source], packet))

    def _deliver(self) -> None:
        while self._due and self._due[0][0] <= time.monotonic():
            _, _, target, packet = heapq.heappop(self._due)
            try:
                os.write(target, packet)
            except OSError:  # the device is down, or its queue is full: a packet is lost, as on any cable
                continue

    def _obey(self) -> bool:
        for line in os.read(0, 4096).decode().splitlines():
            word, _, value = line.partition(" ")
            if word in ("delay", "loss"):
                setattr(self, "delay_s" if word == "delay" else "loss", float(value))
            self.cut = word == "cut" or (self.cut and word != "join")
            print(f"done {word}", flush=True)
            return True
        return False


if __name__ == "__main__":
    wire = Wire((open_tun(sys.argv[1]), open_tun(sys.argv[2])))
    print("ready", flush=True)
    wire.run()
