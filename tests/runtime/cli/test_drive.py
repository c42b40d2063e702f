"""One real run, started on a terminal by `cardan up`, and every other command looking at it."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cardan.runtime.cli.screen import ENTER, HOME, LEAVE

pytestmark = pytest.mark.slow
CARDAN = [sys.executable, "-m", "cardan.runtime.cli.main"]
TINY = Path(__file__).parent / "tiny"
WITHIN_S = 20.0


def _take_terminal() -> None:
    """Make standard input the controlling terminal: closing it is a SIGHUP, also where nohup had that ignored."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Drive:
    """`cardan up` on a terminal of 80 by 24, and what it has written there."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.environment = {
            **os.environ,
            "CARDAN_RUN_DIR": str(folder / "runs"),
            "CARDAN_DATA_DIR": str(folder / "data"),
            "TERM": "xterm-256color",
        }
        self.environment.pop("NO_COLOR", None)
        self.runs = folder / "runs"
        self._master, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        command = [*CARDAN, "up", str(TINY), *options]
        self.process = subprocess.Popen(
            command,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=self.environment,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(terminal)
        self.written = ""

    def read_until(self, text: str) -> None:
        """Read the terminal until `text` is there."""
        deadline_s = time.monotonic() + WITHIN_S
        while text not in self.written:
            assert time.monotonic() < deadline_s, f"no {text!r} in {self.written!r}"
            assert self._read(0.5), f"the command ended without {text!r}: {self.written!r}"

    def end(self) -> int:
        """Read to the end; the exit code."""
        while self._read(WITHIN_S):
            continue
        return self.process.wait(WITHIN_S)

    def _read(self, timeout_s: float) -> bool:
        if not select.select([self._master], [], [], timeout_s)[0]:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:  # EIO: every process has closed the terminal
            return False
        self.written += data.decode()
        return bool(data)

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Another command beside it."""
        return subprocess.run(
            [*CARDAN, *words], capture_output=True, text=True, timeout=WITHIN_S, env=self.environment, check=False
        )

    def hang_up(self) -> None:
        """Close the terminal, as a lost SSH connection does."""
        os.close(self._master)
        self._master = -1

    def __enter__(self) -> Drive:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self._master >= 0:
            os.close(self._master)


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drive]:
    with Drive(tmp_path_factory.mktemp("drive")) as drive:
        drive.read_until("armed after")
        drive.read_until("enabled")
        yield drive


def test_the_live_view_takes_the_other_screen_and_is_redrawn_in_place(drive: Drive) -> None:
    drive.read_until("photon to CAN")
    assert ENTER in drive.written
    assert HOME in drive.written
    assert "\x1b[1;32mok\x1b[0m" in drive.written
    assert "photon to CAN" in drive.written


def test_status_of_an_active_run_begins_with_the_verdict(drive: Drive) -> None:
    answer = drive.ask("status")
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.splitlines()[:1] == ["ok"]
    assert "gate          running" in answer.stdout
    document = json.loads(drive.ask("status", "--json").stdout)
    assert (document["live"], document["verdict"], document["vehicle"]) == (True, "ok", "tiny")


def test_topics_are_listed_with_types_and_readers(drive: Drive) -> None:
    topics = {row["topic"]: row for row in json.loads(drive.ask("topic", "list", "--json").stdout)["topics"]}
    assert list(topics) == ["ticker/tick", "steer/command", "gate/verdict", "gate/sent"]
    assert topics["ticker/tick"]["type"] == "parts:Tick"
    assert topics["ticker/tick"]["readers"] == ["steer"]
    assert topics["gate/sent"]["published"] > 0


def test_hz_measures_rates_from_outside(drive: Drive) -> None:
    answer = json.loads(drive.ask("topic", "hz", "ticker/tick", "--for", "1s", "--json").stdout)
    assert answer["duration_s"] == pytest.approx(1.0, abs=0.3)
    assert answer["topics"][0]["rate_hz"] == pytest.approx(50, rel=0.2)


def test_hz_with_a_count_ends_when_all_chosen_topics_have_reached_it(drive: Drive) -> None:
    answer = drive.ask("topic", "hz", "ticker/tick", "gate/sent", "--count", "5", "--json")
    assert all(row["published"] >= 5 for row in json.loads(answer.stdout)["topics"])


def test_echo_shows_a_type_that_is_not_installed_here(drive: Drive) -> None:
    lines = drive.ask("topic", "echo", "ticker/tick", "--count", "2").stdout.splitlines()
    assert lines[0].startswith("ticker/tick  seq ")
    assert lines[2] == "  ratio: nan"
    assert len(lines) == 6


def test_echo_as_json_lines_is_strict_json_with_bytes_as_hex(drive: Drive) -> None:
    first = json.loads(drive.ask("topic", "echo", "gate/sent", "--count", "1", "--json").stdout)
    assert first["value"]["frames"][0][:3] == ["vehicle", 0x123, "01ab"]
    assert first["valid"]
    second = json.loads(drive.ask("topic", "echo", "ticker/tick", "--count", "1", "--json").stdout)
    assert second["value"]["ratio"] == "NaN"


def test_the_last_messages_are_there_at_once(drive: Drive) -> None:
    lines = drive.ask("topic", "echo", "ticker/tick", "--last", "3", "--json").stdout.splitlines()
    first, *_, last = (json.loads(line) for line in lines)
    assert last["seq"] - first["seq"] == 2
    assert last["age_s"] < 1


def test_info_knows_the_type_of_a_users_own_node(drive: Drive) -> None:
    answer = drive.ask("topic", "info", "ticker/tick")
    assert answer.stdout.splitlines()[0] == "ok"
    assert "number  int" in answer.stdout
    assert "steer.tick: newest only, at most 0.5 s old" in answer.stdout
    assert answer.returncode == 0


def test_latencies_and_bytes_are_measured_from_outside(drive: Drive) -> None:
    edges = json.loads(drive.ask("topic", "lat", "--for", "300ms", "--json").stdout)["topics"][0]["edges"]
    assert edges[0]["delivered"] > 0
    assert 0 < edges[0]["one_way_ms"]["p50"] < 1000
    rows = json.loads(drive.ask("topic", "bw", "--for", "300ms", "--json").stdout)["topics"]
    assert next(row for row in rows if row["topic"] == "ticker/tick")["mean_bytes"] > 32


def test_a_trace_is_taken_from_outside(drive: Drive, tmp_path: Path) -> None:
    out = tmp_path / "trace.json"
    answer = drive.ask("trace", "--for", "700ms", "--out", str(out), "--json")
    (way,) = json.loads(answer.stdout)["ways"]
    assert way["topics"] == ["ticker/tick", "steer/command", "gate/sent"]
    assert way["frames"] > 5
    rows = json.loads(out.read_bytes())["traceEvents"]
    assert {row["ph"] for row in rows} == set("MXisfbe")


@pytest.mark.parametrize("command", ["hz", "echo"])
def test_an_unknown_topic_lists_the_near_ones(drive: Drive, command: str) -> None:
    answer = drive.ask("topic", command, "ticker/tik")
    assert answer.returncode == 2
    assert answer.stderr == 'no topic "ticker/tik" in this run\n  hint: did you mean "ticker/tick"?\n'


def test_ctrl_c_ends_in_order_restores_the_terminal_and_prints_the_summary(tmp_path: Path) -> None:
    with Drive(tmp_path) as drive:
        drive.read_until("enabled")
        drive.process.send_signal(signal.SIGINT)
        assert drive.end() == 0
        _, _, after = drive.written.rpartition(LEAVE)
        assert drive.written.count(ENTER) == drive.written.count(LEAVE) == 1
        assert "ok  tiny on bench: " in after
        assert "lane error      p95 0.1" in after
        assert "Traceback" not in drive.written
        assert list(drive.runs.iterdir()) == []
        answer = drive.ask("status")
        assert answer.returncode == 0
        assert answer.stdout.startswith("ok  tiny on bench: ")


def test_a_run_of_a_given_time_ends_with_one_json_document(tmp_path: Path) -> None:
    environment = {**os.environ, "CARDAN_RUN_DIR": str(tmp_path / "runs")}
    command = [*CARDAN, "up", str(TINY), "--for", "2s", "--json", "--data-dir", str(tmp_path / "data")]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, env=environment, check=False)
    assert answer.returncode == 0, answer.stderr
    summary = json.loads(answer.stdout)
    assert (summary["schema_version"], summary["verdict"], summary["lost"], summary["safe_stops"]) == (1, "ok", 0, 0)
    assert 0 < summary["armed_after_s"] < 10
    assert summary["photon_to_can_ms"]["max"] > 0
    assert summary["nodes"]["gate"]["starts"] == 1
    assert summary["recording"] is None
    assert (tmp_path / "data" / "last" / "vitals").exists()


def test_a_lost_terminal_ends_the_run_in_order(tmp_path: Path) -> None:
    with Drive(tmp_path) as drive:
        drive.read_until("enabled")
        drive.hang_up()
        assert drive.process.wait(WITHIN_S) == 0
        assert list(drive.runs.iterdir()) == []
        assert not (tmp_path / "data" / "crashes").exists()
        assert json.loads(drive.ask("status", "--json").stdout)["state"] == "stopped"


def test_two_ctrl_c_end_the_run_at_once(tmp_path: Path) -> None:
    with Drive(tmp_path) as drive:
        drive.read_until("enabled")
        drive.process.send_signal(signal.SIGINT)
        drive.process.send_signal(signal.SIGTERM)
        assert drive.end() in (0, 5)
        assert list(drive.runs.iterdir()) == []


def test_a_killed_supervisor_is_the_verdict_and_nothing_is_left(tmp_path: Path) -> None:
    with Drive(tmp_path, "--json") as drive:
        drive.read_until("enabled")
        guardian = _children(drive.process.pid)[0]
        os.kill(_children(guardian)[0], signal.SIGKILL)
        assert drive.end() == 1
        summary = json.loads(drive.written.rpartition(LEAVE)[2])
        assert "killed by SIGKILL" in summary["verdict"]
        assert list(drive.runs.iterdir()) == []
        assert len(drive.ask("topic", "echo", "ticker/tick", "--last", "3", "--json").stdout.splitlines()) == 3
        assert json.loads(drive.ask("trace", "--json").stdout)["ways"][0]["frames"] > 0


def _children(pid: int) -> list[int]:
    return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
