"""Other supervisors with ten of `peer_node.py` under them: supervisord, circus and dora, where they are installed.

They need not share our environment: what is on the PATH is measured (`make bench` puts one of its own there).
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NODES = 10
PATIENCE_S = 60.0
CHILD = str(Path(__file__).resolve().parent / "peer_node.py")
PUBLISHER = """
import os, sys, time, zmq
socket = zmq.Context().socket(zmq.PUB)
socket.bind(sys.argv[1])
while os.getppid() == int(sys.argv[2]):
    socket.send(b"tick")
    time.sleep(0.01)
"""
PROGRAMS = {"supervisord": "supervisord", "circus": "circusd", "dora": "dora"}


def installed() -> list[str]:
    """The peers that are on the PATH."""
    return [name for name, program in PROGRAMS.items() if shutil.which(program)]


def python_with(module: str) -> str | None:
    """An interpreter that has this module: ours, or the first one on the PATH."""
    folders = [Path(folder) for folder in os.get_exec_path()]
    for python in [sys.executable, *(str(folder / "python") for folder in folders if (folder / "python").exists())]:
        asked = f"import importlib.util as u, sys; sys.exit(u.find_spec({module!r}) is None)"
        if subprocess.run([python, "-c", asked], cwd=os.sep, capture_output=True, check=False).returncode == 0:
            return python
    return None


class Peer:
    """One supervisor at work, its nodes known by what they report."""

    def __init__(self, process: subprocess.Popen[bytes], publisher_pid: int, reports: socket.socket) -> None:
        self.process = process
        self._publisher_pid = publisher_pid
        self._reports = reports
        self.pids: dict[str, int] = {}

    def wait_for_all(self) -> None:
        while len(self.pids) < NODES:
            self._next()

    def restart_ms(self, name: str) -> float:
        """From SIGKILL of a node until its successor has had its first input."""
        killed, begin = self.pids[name], time.monotonic()
        os.kill(killed, signal.SIGKILL)
        while self.pids[name] == killed:
            self._next()
        return (time.monotonic() - begin) * 1000

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It takes no processor time while others are measured."""
        self._signal_all(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: int) -> None:
        for pid in [self._publisher_pid, self.process.pid, *descendants(self.process.pid)]:
            os.kill(pid, number)

    def own_pids(self) -> list[int]:
        """The processes of the supervisor itself."""
        return [pid for pid in [self.process.pid, *descendants(self.process.pid)] if pid not in self.pids.values()]

    def _next(self) -> None:
        name, pid = self._reports.recv(200).decode().split()
        self.pids[name] = int(pid)


def descendants(pid: int) -> list[int]:
    """Every process below `pid`."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            found += [child, *descendants(child)]
    return found


@contextmanager
def peer(name: str) -> Iterator[Peer]:
    """Ten nodes under this supervisor, ended in the end."""
    with tempfile.TemporaryDirectory(prefix="cp") as text, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reports:
        folder = Path(text)
        address, publisher = str(folder / "r"), f"ipc://{folder}/p"
        reports.bind(address)
        reports.settimeout(PATIENCE_S)
        publishing = subprocess.Popen([sys.executable, "-c", PUBLISHER, publisher, str(os.getpid())])
        command = {"supervisord": _supervisord, "circus": _circus, "dora": _dora}[name](folder, publisher, address)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, start_new_session=True)
        running = Peer(process, publishing.pid, reports)
        try:
            try:
                running.wait_for_all()
            except TimeoutError:
                said = (folder / "log").read_text(errors="replace")[-2000:]
                raise SystemExit(
                    f"{name}: {len(running.pids)} of {NODES} nodes after {PATIENCE_S:g} s\n{said}"
                ) from None
            yield running
        finally:
            _end(running)
            publishing.kill()
            publishing.wait()


def _end(running: Peer) -> None:
    left = descendants(running.process.pid)
    running.process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        running.process.wait(3)
    for pid in [*left, running.process.pid]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    running.process.wait()


def _command(publisher: str, address: str, number: int) -> str:
    return f"{sys.executable} {CHILD} zmq {publisher} {address} n{number}"


def _supervisord(folder: Path, publisher: str, address: str) -> list[str]:
    text = f"[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile={folder}/pid\n"
    for number in range(NODES):
        command = _command(publisher, address, number)
        text += f"[program:n{number}]\ncommand={command}\nautorestart=true\nstartsecs=0\n"
        text += "stdout_logfile=NONE\nstderr_logfile=NONE\n"
    (folder / "conf").write_text(text)
    return ["supervisord", "-c", str(folder / "conf")]


def _circus(folder: Path, publisher: str, address: str) -> list[str]:
    text = f"[circus]\nendpoint=ipc://{folder}/e\npubsub_endpoint=ipc://{folder}/c\n"
    for number in range(NODES):
        text += f"[watcher:n{number}]\ncmd={_command(publisher, address, number)}\nwarmup_delay=0\n"
    (folder / "conf").write_text(text)
    return ["circusd", str(folder / "conf")]


def _dora(folder: Path, _: str, address: str) -> list[str]:
    program = shutil.which("dora") or "dora"
    text = "nodes:\n"
    for number in range(NODES):
        text += f"  - id: n{number}\n    path: {Path(program).parent}/python\n    restart_policy: always\n"
        text += f"    args: {CHILD} dora {address} n{number}\n    inputs:\n      tick: dora/timer/millis/10\n"
    (folder / "flow.yml").write_text(text)
    return [program, "run", "flow.yml"]
