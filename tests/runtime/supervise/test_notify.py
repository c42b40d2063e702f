"""sd_notify against a real datagram socket."""

from __future__ import annotations

import os
import socket
import uuid
from pathlib import Path

import pytest

from cardan.runtime.supervise.notify import Notifier, ServiceWishes, take_wishes


def listen(address: str) -> socket.socket:
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(address)
    receiver.setblocking(False)
    return receiver


def test_assignments_travel_as_lines_of_one_message(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with listen(path) as receiver:
        notifier = Notifier(path)
        assert notifier.send("READY=1", "STATUS=running: ok")
        assert receiver.recv(4096) == b"READY=1\nSTATUS=running: ok"
        notifier.close()


def test_an_abstract_name_is_reached() -> None:
    name = f"cardan-{uuid.uuid4()}"
    with listen(f"\0{name}") as receiver:
        notifier = Notifier(f"@{name}")
        assert notifier.send("WATCHDOG=1")
        assert receiver.recv(4096) == b"WATCHDOG=1"
        notifier.close()


def test_a_text_cannot_smuggle_in_an_assignment(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with listen(path) as receiver:
        notifier = Notifier(path)
        notifier.send("STATUS=odd\nREADY=1")
        assert receiver.recv(4096) == b"STATUS=odd READY=1"
        notifier.close()


def test_without_a_service_manager_nothing_happens() -> None:
    notifier = Notifier("")
    assert notifier.send("READY=1")
    notifier.close()


def test_a_manager_that_is_gone_or_does_not_read_is_said_and_does_not_block(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    notifier = Notifier(path)
    assert not notifier.send("READY=1")
    with listen(path):
        sent = 0
        while notifier.send("STATUS=" + "x" * 1000):
            sent += 1
            assert sent < 100_000
        assert sent > 0
    notifier.close()


@pytest.mark.parametrize("pid", [None, str(os.getpid()), str(os.getppid())])
def test_the_wishes_are_taken_out_of_the_environment(pid: str | None) -> None:
    environment = {"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "5000000", "PATH": "/bin"}
    if pid is not None:
        environment["WATCHDOG_PID"] = pid
    assert take_wishes(environment) == ServiceWishes("@x", 5_000_000_000)
    assert environment == {"PATH": "/bin"}


def test_a_watchdog_of_another_process_is_not_ours() -> None:
    assert take_wishes({"WATCHDOG_USEC": "5000000", "WATCHDOG_PID": "1"}) == ServiceWishes()


@pytest.mark.parametrize("text", ["", "soon", "-1", "1.5", "٣"])
def test_a_watchdog_time_that_is_no_number_is_none(text: str) -> None:
    assert take_wishes({"WATCHDOG_USEC": text}) == ServiceWishes()
