"""`cardan topic serve` and what foreign programs make of it: the programs of examples/listen, on both transports."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[2] / "examples" / "listen"
CARDAN = [sys.executable, "-m", "cardan.runtime.cli.main"]
BOX = """schema = 1
name = "lidar-box"
bus = "{bus}"

[nodes.lidar]
use = "parts:Lidar"
"""
pytestmark = [pytest.mark.slow]


class Run:
    """A vehicle of one publisher in a folder of its own."""

    def __init__(self, folder: Path, bus: str) -> None:
        self.folder = folder
        (folder / "vehicle.toml").write_text(BOX.format(bus=bus))
        (folder / "parts.py").symlink_to(HERE / "two" / "parts.py")
        self.environment = {**os.environ, "CARDAN_RUN_DIR": str(folder / "r"), "CARDAN_DATA_DIR": str(folder / "d")}
        self.up = self._start(CARDAN, "up", str(folder), "--json", out=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while self.cardan("topic", "hz", "lidar/frame", "--count", "1", "--for", "5s").returncode != 0:
            assert time.monotonic() < deadline, "the run did not begin"

    def _start(self, command: list[str], *words: str, out: int = subprocess.PIPE) -> subprocess.Popen[str]:
        return subprocess.Popen([*command, *words], env=self.environment, stdout=out, stderr=subprocess.PIPE, text=True)

    def cardan(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*CARDAN, *words], env=self.environment, capture_output=True, text=True, timeout=30)

    @contextmanager
    def program(self, command: list[str], *words: str) -> Iterator[subprocess.Popen[str]]:
        """A program that runs until the block ends."""
        process = self._start(command, *words)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def listened(self, count: int, example: str, *words: str) -> list[str]:
        """The first lines that a program of examples/listen prints."""
        with self.program([sys.executable, str(EXAMPLES / example)], *words) as process:
            return [line_of(process) for _ in range(count)]

    def close(self) -> None:
        self.up.send_signal(signal.SIGINT)
        self.up.communicate(timeout=20)


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        assert process.stderr is not None
        pytest.fail(f"it ended: {process.stderr.read()}")
    return line.strip()


@pytest.fixture(params=["ring", "zmq"])
def run(request: pytest.FixtureRequest) -> Iterator[Run]:
    with tempfile.TemporaryDirectory(prefix="cv", dir="/dev/shm") as folder:
        run = Run(Path(folder), str(request.param))
        try:
            yield run
        finally:
            run.close()


def test_anybody_can_listen_with_twenty_lines_and_see_pictures_without_copying_them(run: Run) -> None:
    with run.program(CARDAN, "topic", "serve") as server:
        address = line_of(server)
        assert address.startswith("ipc://")
        lines = run.listened(50, "subscribe.py", address, "lidar/pose")
        numbers = [int(line.split()[1]) for line in lines]
        assert numbers == list(range(numbers[0], numbers[0] + 50)), "nothing is lost on the way"
        assert re.fullmatch(r"lidar/pose \d+ valid {'number': \d+, 'stamp_ns': \d+}", lines[0])
        current = (run.folder / "r" / "current").resolve()
        pictures = run.listened(3, "pictures.py", address, str(current / "frames"), "lidar/frame")
        assert all(re.fullmatch(r"image \(240, 320, 3\) uint8 \d+\.0", line) for line in pictures), pictures
        second = run.cardan("topic", "serve")
        assert second.returncode == 1 and "already have a publisher (process" in second.stderr
        run.close()
        assert server.wait(5) == 0, "it ends with the run"


def test_another_computer_listens_with_keys_and_nobody_without(run: Run) -> None:
    refused = run.cardan("topic", "serve", "--bind", "tcp://127.0.0.1:*")
    assert refused.returncode == 4
    assert "cardan keys new" in refused.stderr
    unknown = run.cardan("topic", "serve", "--bind", "tcp://127.0.0.1:*", "--key", "box")
    assert unknown.returncode == 1 and 'no key pair "box"' in unknown.stderr
    assert "public key:" in run.cardan("keys", "new", "box").stdout
    theirs = ["--keys", str(run.folder / "laptop")]
    run.cardan("keys", "new", "laptop", *theirs)
    ours, laptop = run.cardan("keys", "show", "box").stdout, run.cardan("keys", "show", "laptop", *theirs).stdout
    assert run.cardan("keys", "trust", "box", ours.strip(), *theirs).returncode == 0
    words = [str(run.folder / "laptop"), "laptop", "box"]
    with run.program(CARDAN, "topic", "serve", "lidar/frame", "--bind", "tcp://127.0.0.1:*", "--key", "box") as server:
        address = line_of(server)
        assert re.fullmatch(r"tcp://127\.0\.0\.1:\d+", address)
        with run.program([sys.executable, str(EXAMPLES / "encrypted.py")], address, *words):
            assert server.stderr is not None
            assert "refused: 127.0.0.1 has the unknown key" in server.stderr.readline()
        with run.program([sys.executable, str(EXAMPLES / "subscribe.py")], address):
            assert "refused: a client without a key" in server.stderr.readline()
        assert run.cardan("keys", "trust", "laptop", laptop.strip()).returncode == 0
        (line,) = run.listened(1, "encrypted.py", address, *words)
        assert re.match(r"lidar/frame \d+ valid {'frame_id': \d+, 'image': ExtType\(code=2", line)
        assert run.cardan("keys", "revoke", "laptop").returncode == 0
    listed = json.loads(run.cardan("keys", "list", "--json").stdout)
    assert [(key["name"], key["kind"]) for key in listed["keys"]] == [("box", "own")]


def test_what_cannot_be_served_is_refused_with_the_reason(run: Run) -> None:
    for words, code, said in (
        (["radar/*"], 1, 'no topic matches "radar/*"'),
        (["--bind", "udp://x:1"], 2, "is no address"),
        (["--bind", "tcp://192.0.2.1:7447", "--key", "box"], 1, "cannot listen on tcp://192.0.2.1:7447"),
    ):
        run.cardan("keys", "new", "box")
        done = run.cardan("topic", "serve", *words)
        assert (done.returncode, done.stdout) == (code, "")
        assert said in done.stderr and "Traceback" not in done.stderr


def test_the_subscriber_of_the_docs_is_the_one_that_is_tested_and_short() -> None:
    program = (EXAMPLES / "subscribe.py").read_text()
    assert len(program.splitlines()) <= 20
    shown = (HERE.parents[2] / "docs" / "bus.md").read_text().split("```python\n")[1].split("```")[0]
    assert shown in program
