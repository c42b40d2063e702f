"""What a peer supervises: a Python node that loads the libraries of ours and tells its pid at its first input.

python peer_node.py zmq SUBSCRIBE_TO REPORT_TO NAME     (supervisord, circus: a ZeroMQ publisher at 100 Hz)
python peer_node.py dora REPORT_TO NAME                 (dora: its own timer of 10 ms)
"""

from __future__ import annotations

import os
import signal
import socket
import sys


def report(address: str, name: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(f"{name} {os.getpid()}".encode(), address)


def by_zmq(publisher: str, address: str, name: str) -> None:
    import msgspec  # noqa: F401 - our nodes load it too
    import numpy  # noqa: F401
    import zmq

    subscriber: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
    subscriber.subscribe(b"")
    subscriber.connect(publisher)
    subscriber.recv()
    subscriber.close()
    report(address, name)
    while True:
        signal.pause()


def by_dora(address: str, name: str) -> None:
    from importlib import import_module

    node = import_module("dora").Node()
    node.next()
    report(address, name)
    for _ in node:
        continue


if __name__ == "__main__":
    (by_zmq if sys.argv[1] == "zmq" else by_dora)(*sys.argv[2:])
