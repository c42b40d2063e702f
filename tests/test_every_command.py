"""One table over all commands, tried on a real drive: `--json`, exit codes, verdict first, colours, who may act."""

from __future__ import annotations

import base64
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cardan.runtime.cli.main import main
from cardan.runtime.cli.parser import SHORT, parser_of
from cardan.runtime.cli.why_grammar import VERBS
from cardan.runtime.live.report import LiveReport, write_report
from cardan.runtime.uplink.cipher import Cipher

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]  # the first test waits for a drive and a hundred commands
MODEL = Path(__file__).parents[1] / "engines" / "models" / "road_net.onnx"
WITHIN_S = 40.0
ESCAPE = "\x1b"
VERDICT_COLOURS = ("\x1b[1;32m", "\x1b[1;31m", "\x1b[33m")
SELF_ENDING_S = 15.0


class Case(NamedTuple):
    """How one command is tried."""

    words: str = ""
    when: str = "after"
    """`alone`: without any run; `live`: while the reference vehicle drives; `after`: when it has ended."""
    codes: tuple[int, ...] = (0,)
    process: bool = False
    """In a process of its own: it changes its own priority, or follows until it is ended."""


CASES = {
    "up": Case("--for 100ms", "alone", (0, 1), process=True),
    "new": Case("{folder}/shuttle", "alone"),
    "check": Case(when="alone"),
    "status": Case(when="live", codes=(0, 1)),
    "top": Case("--for 300ms", "live", process=True),
    "foxglove": Case("--port 0 --for 300ms", "live", process=True),
    "watch": Case("--port 0 --for 300ms", "live", process=True),
    "doctor": Case("machine vehicle", codes=(0, 1)),
    "log": Case(),
    "trace": Case(),
    "replay": Case("{recording} --node control", codes=(0, 1)),
    "node list": Case(when="live", codes=(0, 1)),
    "node info": Case("control", "live", (0, 1)),
    "node restart": Case("machine --yes", "live", (4,)),
    "node types": Case(when="alone"),
    "node type": Case("recorder", "alone"),
    "topic list": Case(when="live", codes=(0, 1)),
    "topic hz": Case("--for 200ms", "live"),
    "topic bw": Case("--for 200ms", "live"),
    "topic lat": Case("--for 200ms", "live", (0, 1)),
    "topic echo": Case("control/command --count 3", "live"),
    "topic info": Case("control/command", "live", (0, 1)),
    "topic serve": Case("--for 300ms", "live", process=True),
    "control state": Case(when="live"),
    "control why": Case(),
    "control history": Case(),
    "control limits": Case(when="live"),
    "control arm": Case(when="live"),
    "control reset": Case(when="live"),
    "control disarm": Case(when="live"),
    **{f"why {verb}": Case(codes=(0, 1)) for verb in VERBS},
    "bundle make": Case("--hurry --out {folder}/one.cardan.zip", codes=(0, 1), process=True),
    "bundle open": Case("{folder}/one.cardan.zip", codes=(0, 1)),
    "bundle send": Case("{folder}/one.cardan.zip", codes=(4,)),
    "bundle list": Case(),
    "bundle redact": Case("{folder}/one.cardan.zip --no-positions --out {folder}/two.cardan.zip"),
    "record list": Case(),
    "record info": Case("last"),
    "record export": Case("last --to candump --out {folder}/out.log"),
    "record repair": Case(),
    "sync status": Case(),
    "sync ls": Case(),
    "sync verify": Case(),
    "sync repair": Case(),
    "sync export": Case("trend --out {folder}/outbox.jsonl", codes=(0, 2)),
    "sync consent": Case("give improvement"),
    "sync live": Case(),
    "downlink sign": Case("{folder}/ping.toml --key {folder}/signer.key --out {folder}/ping.json"),
    "downlink take": Case("{folder}/ping.json"),
    "downlink check": Case("{folder}/campaign.toml {recording}"),
    "downlink list": Case(),
    "sync why": Case(codes=(0, 1)),
    "sync pause": Case("bulk"),
    "sync metered": Case("no"),
    "sync retry": Case(),
    "sync send": Case("{recording} --purpose operation"),
    "sync open": Case(
        "{folder}/object.aes --name v1/files/object.aes --key {folder}/object.key --out {folder}/object", codes=(0, 2)
    ),
    "profile list": Case(when="alone"),
    "profile show": Case("bench", "alone"),
    "profile detect": Case(when="alone"),
    "keys new": Case("one --keys {folder}/keys", "alone"),
    "keys list": Case("--keys {folder}/keys", "alone"),
    "keys show": Case("one --keys {folder}/keys", "alone"),
    "keys trust": Case("other {folder}/keys/one.public --keys {folder}/keys2", "alone", (0, 1)),
    "keys revoke": Case("other --keys {folder}/keys2", "alone", (0, 1)),
    "can list": Case(when="live"),
    "can health": Case("--for 300ms", "live", (0, 1)),
    "can dump": Case("--count 3", "live"),
    "can decode": Case("--count 3", "live"),
    "can sniff": Case("--for 300ms", "live"),
    "engine import": Case(f"{MODEL} --name copy --rate 20 --deadline 50ms --output {{folder}}", "alone"),
    "engine build": Case("road_net --backend onnxruntime", "alone"),
    "engine list": Case(when="alone"),
    "engine show": Case("road_net", "alone"),
    "engine verify": Case("road_net", "alone"),
    "engine bench": Case("road_net --backend onnxruntime --for 100ms", "alone"),
    "engine plan": Case(when="alone"),
    "engine status": Case(when="live"),
    "engine swap": Case("road road_net --yes --while-driving", "live", (0, 4)),
    "engine rollback": Case("road --yes --while-driving", "live", (0, 4)),
    "engine new-key": Case("signer --output {folder}", "alone"),
    "engine sign": Case("{folder}/copy.toml --key {folder}/signer.key", "alone"),
    "install-service": Case("--print", "alone"),
    "completion": Case("bash", "alone"),
    "man": Case(when="alone"),
    "version": Case(when="alone"),
}
"""A new command needs a line here. In the order in which they are run: some need what another has made."""

GUARDED = {
    "node restart": "machine",
    "engine swap": "road road_net",
    "engine rollback": "road",
}
"""Act on a vehicle: refused while it drives, also with --yes."""
JUDGED_ELSEWHERE = {
    "control arm": "the bridge runs its arming checks",
    "control reset": "the bridge clears a latched fault only",
}
"""Have --yes, and are no business of the command line: what judges them instead."""
FOLLOWERS = {"up", "top", "watch", "foxglove", "topic echo", "topic serve", "can dump", "can decode", "can sniff"}
"""Go on until Ctrl-C when nobody says for how long."""


class Answer(NamedTuple):
    """What a command said."""

    code: int
    out: str
    err: str


class Terminal(io.StringIO):
    """Takes text as a terminal does, and says that it is one."""

    def isatty(self) -> bool:
        return True


class Tried:
    """Every command as it answered, in each form."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plain: dict[str, Answer] = {}
        self.json: dict[str, Answer] = {}
        self.painted: dict[str, Answer] = {}
        self.uncoloured: dict[str, Answer] = {}
        self.refused: dict[str, Answer] = {}
        self.unasked: dict[str, Answer] = {}

    def words(self, text: str) -> list[str]:
        recordings = (self.folder / "data" / "recordings").glob("*.mcap")
        largest = max(recordings, key=lambda path: path.stat().st_size, default=None)
        return text.format(folder=self.folder, recording=largest).split()

    def run_all(self, when: str) -> None:
        for command, case in CASES.items():
            if case.when == when:
                self._try(command, case)

    def _try(self, command: str, case: Case) -> None:
        words = [*command.split(), *self.words(case.words)]
        run = in_process if case.process else in_this_process
        shape = parser_of(command).shape
        if shape is not None:
            self.json[command] = run([*words, "--json"])
            if command == "engine new-key":  # this one is there now
                words[2] = "another"
        self.plain[command] = run(words)
        if shape is not None and "verdict" in shape.tree and not case.process and not shape.lines:
            self.painted[command] = on_terminal(words)
            self.uncoloured[command] = on_terminal(words, NO_COLOR="1")

    def try_to_act(self) -> None:
        for command, text in GUARDED.items():
            words = [*command.split(), *self.words(text)]
            self.refused[command] = in_this_process([*words, "--yes"])
            if "--while-driving" in parser_of(command).options():
                self.unasked[command] = in_this_process([*words, "--while-driving"])


def in_this_process(words: list[str]) -> Answer:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(words)
    return Answer(code, out.getvalue(), err.getvalue())


def in_process(words: list[str]) -> Answer:
    command = [sys.executable, "-m", "cardan.runtime.cli.main", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SELF_ENDING_S, check=False)
    return Answer(done.returncode, done.stdout, done.stderr)


def on_terminal(words: list[str], **environment: str) -> Answer:
    out, err = Terminal(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"TERM": "xterm", **environment}.items():
            patch.setenv(name, value)
        with redirect_stdout(out), redirect_stderr(err):
            code = main(words)
    return Answer(code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tried]:
    """All commands, tried around one drive of the reference vehicle."""
    folder = tmp_path_factory.mktemp("every")
    runs = Path("/dev/shm") / f"every-{os.getpid()}"  # short, since the name of a socket has at most 107 bytes
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARDAN_RUN_DIR", str(runs))
        patch.setenv("CARDAN_DATA_DIR", str(folder / "data"))
        patch.delenv("NO_COLOR", raising=False)
        patch.setattr("sys.stdin", io.StringIO())
        found = Tried(folder)
        write_what_is_asked(folder)
        found.run_all("alone")
        command = [sys.executable, "-m", "cardan.runtime.cli.main", "up", "--for", "120s", "--json"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as drive:
            try:
                wait_until_engaged()
                found.try_to_act()
                found.run_all("live")
            finally:
                drive.send_signal(signal.SIGINT)
                drive.wait(WITHIN_S)
        found.run_all("after")
        yield found
    shutil.rmtree(runs, ignore_errors=True)


def write_what_is_asked(folder: Path) -> None:
    """A command and a campaign to be signed, an object to be opened, the memory of a vehicle that was asked nothing."""
    (folder / "ping.toml").write_text('kind = "command"\nverb = "ping"\nvehicles = ["*"]\n')
    expires = (datetime.now(timezone.utc) + timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    (folder / "campaign.toml").write_text(
        f'kind = "campaign"\nname = "all"\nversion = 1\nvehicles = ["*"]\nexpires = {expires}\n'
        'purpose = "improvement"\nmax_bytes = 100_000_000\n[[collect]]\ntopics = ["bridge/verdict"]\n'
    )
    memory = folder / "data" / "downlink" / "memory.json"
    memory.parent.mkdir(parents=True)
    memory.write_text("{}")
    (folder / "object.key").write_bytes(base64.b64encode(bytes(32)))
    (folder / "object.key").chmod(0o600)
    (folder / "object.aes").write_bytes(Cipher(bytes(32)).seal("v1/files/object.aes", b"content"))
    report = LiveReport(broker="mqtts://b", vehicle="v", connected=True, code="", text="", told={}, wall_ns=0)
    write_report(folder / "data", report)


def wait_until_engaged() -> None:
    deadline_s = time.monotonic() + WITHIN_S
    while '"engagement":"enabled"' not in in_this_process(["control", "state", "--json"]).out:
        assert time.monotonic() < deadline_s, "the reference vehicle did not engage"
        time.sleep(0.1)


@pytest.mark.parametrize("command", SHORT)
def test_every_command_ends_with_the_code_that_its_outcome_has(tried: Tried, command: str) -> None:
    assert command in CASES, "a new command: say in CASES how it is tried"
    for answer in (tried.plain[command], tried.json.get(command, tried.plain[command])):
        assert answer.code in CASES[command].codes, answer
        assert "Traceback" not in answer.err
        assert "failed unexpectedly" not in answer.err


@pytest.mark.parametrize("command", [name for name in SHORT if "--json" in parser_of(name).options()])
def test_the_help_of_every_command_with_json_states_its_shape_and_it_has_that_shape(tried: Tried, command: str) -> None:
    parser = parser_of(command)
    assert parser.shape is not None, "state the shape in JSON of its grammar"
    help_text = " ".join(parser.format_help().split())
    assert ("JSON Lines" if parser.shape.lines else "JSON document") in help_text
    assert all(key in help_text for key in parser.shape.tree)
    assert ESCAPE not in tried.json[command].out
    lines = tried.json[command].out.splitlines()
    if tried.json[command].code == 4 and not lines:
        assert tried.json[command].err, "what is refused before anything is known says so on stderr"
        return
    if not lines and tried.json[command].code == 3:
        return  # nothing was there to be described; the error says so
    assert lines if parser.shape.lines else len(lines) == 1
    for line in lines:
        document = json.loads(line)
        assert document["schema_version"] == 1
        stated_keys = set(parser.shape.tree) - {"..."}
        assert stated_keys <= set(document) if "..." in parser.shape.tree else stated_keys == set(document)
        for key, inner in parser.shape.tree.items():
            if key == "...":
                continue
            for item in items_of(document[key], inner):
                stated = inner - {"..."}
                assert stated <= set(item) if "..." in inner else stated == set(item), key


def items_of(value: Any, inner: frozenset[str]) -> list[dict[str, Any]]:
    """What the keys in brackets are about: the value, or each of its items."""
    if not inner or value is None:
        return []
    if isinstance(value, dict) and inner & set(value):
        return [value]
    return list(value.values()) if isinstance(value, dict) else list(value)


@pytest.mark.parametrize("command", SHORT)
def test_nothing_is_painted_where_no_terminal_is(tried: Tried, command: str) -> None:
    assert ESCAPE not in tried.plain[command].out + tried.plain[command].err


@pytest.mark.parametrize("command", [name for name in SHORT if not CASES.get(name, Case()).process])
def test_the_verdict_comes_first_in_its_colour_unless_nobody_wants_colours(tried: Tried, command: str) -> None:
    if command not in tried.painted:
        shape = parser_of(command).shape
        assert shape is None or shape.lines or "verdict" not in shape.tree
        return
    if tried.painted[command].code == 4 and not tried.painted[command].out:
        assert tried.painted[command].err, "what is refused before there is a verdict says so on stderr"
        return
    first = tried.painted[command].out.splitlines()[0]
    assert first.startswith(VERDICT_COLOURS), first
    assert ESCAPE not in tried.uncoloured[command].out


@pytest.mark.parametrize("command", FOLLOWERS)
def test_what_follows_can_be_told_when_to_end(command: str) -> None:
    assert {"--for", "--count"} & set(parser_of(command).options())
    assert {"--for", "--count"} & set(CASES[command].words.split()), "try it with its end"


def test_every_command_with_yes_acts_and_is_guarded() -> None:
    asking = {name for name in SHORT if "--yes" in parser_of(name).options()}
    assert asking == set(GUARDED) | set(JUDGED_ELSEWHERE)


@pytest.mark.parametrize("command", GUARDED)
def test_what_acts_is_refused_while_the_vehicle_drives_and_unless_somebody_says_yes(tried: Tried, command: str) -> None:
    assert tried.refused[command].code == 4
    assert "the vehicle is engaged (enabled)" in tried.refused[command].err
    if command in tried.unasked:
        assert tried.unasked[command].code == 4
        assert "add --yes" in tried.unasked[command].err
