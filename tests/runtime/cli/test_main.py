"""Every mistake on the command line is a line, a hint and an exit code; never a traceback, never a slow import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from cardan.runtime.cli import main as entry
from cardan.runtime.cli.lines import wants_colour
from cardan.runtime.cli.main import main
from cardan.runtime.cli.own_grammar import MODULES
from cardan.runtime.cli.parser import COMMANDS, NOUNS, SHORT
from cardan.runtime.cli.siblings import SIBLINGS, grammar_of

DEVICES = {"onnxruntime", "mcap", "can", "cantools"}
HEAVY = {"numpy", "zmq", "msgpack", "cardan.runtime.node", "cardan.runtime.graph"} | DEVICES
QUICK = [
    "['--help']",
    "['version']",
    "['status']",
    "['topic', 'list']",
    "['topic', 'lat']",
    "['trace']",
    "['up', '--for', '3']",
]


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARDAN_RUN_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("CARDAN_DATA_DIR", str(tmp_path / "data"))


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, env={**os.environ, **environment}
    )


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (["sttus"], 'no command "sttus"', 'did you mean "status"?'),
        (
            ["quux"],
            'no command "quux"',
            "known: bundle, can, check, ",
        ),
        (["--frob"], 'no option "--frob"', "known:"),
        (["topic", "lst"], 'no command "lst"', 'did you mean "list" or "lat"?'),
        (["up", "--fro", "3s"], 'no option "--fro"', 'did you mean "--for"'),
        (["up", "--for"], "expected one argument", "cardan up --help"),
        (["up", "--for", "30"], "expected a number and a unit", "--for 30s"),
        (["status", "now"], '"now" is one word too many', "cardan status --help"),
        (["topic", "echo"], "required", "cardan topic echo --help"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2_with_a_hint(
    words: list[str], said: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert said in output.err
    assert f"hint: {hint}" in output.err or hint in output.err.split("hint: ")[1]


@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["trace"],
        ["topic", "list"],
        *(["topic", name, "a/b"] for name in NOUNS["topic"][0] if name != "list"),
    ],
)
def test_without_any_run_the_exit_code_is_3(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 3
    assert "no run is active" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["--help"], ["topic"], *([*name.split(), "--help"] for name in SHORT)])
def test_help_is_there_for_everything(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    output = capsys.readouterr()
    assert "usage: cardan" in output.out
    assert max(map(len, output.out.splitlines())) <= 120


def test_the_commands_are_those_that_work_and_no_others() -> None:
    offered = {name for name in COMMANDS if name not in NOUNS}
    offered |= {f"{noun} {name}" for noun, (names, _) in NOUNS.items() for name in names}
    theirs = {f"{noun} {verb}" for noun in SIBLINGS for verb in grammar_of(noun).MODULES}
    assert offered == set(MODULES) | theirs == set(SHORT)


@pytest.mark.parametrize("noun", SIBLINGS)
def test_commands_of_other_folders_have_a_module_and_options_each(noun: str) -> None:
    grammar = grammar_of(noun)
    verbs = set(SIBLINGS[noun].verbs)
    assert verbs == set(grammar.MODULES) == set(grammar.ADD)
    assert set(grammar.DESCRIPTIONS) <= verbs
    assert all(find_spec(module) for module in grammar.MODULES.values())


def test_version_names_what_a_bug_report_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version", "--json"]) == 0
    assert {"schema_version", "cardan", "python", "numpy"} <= set(json.loads(capsys.readouterr().out))
    assert main(["--version"]) == 0


def test_an_unforeseen_error_is_one_line_and_a_file_with_the_details(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def explode(words: list[str]) -> int:
        raise ZeroDivisionError("the wheel\nfell off")

    monkeypatch.setattr(entry, "_run", explode)
    assert main(["status"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "cardan failed unexpectedly: ZeroDivisionError: the wheel"
    assert len(said) == 2
    (details,) = (tmp_path / "data" / "crashes").iterdir()
    assert str(details) in said[1]
    assert "Traceback" in details.read_text()
    assert "status" in details.read_text()


def test_the_details_go_elsewhere_when_the_data_folder_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def explode(words: list[str]) -> int:
        raise RuntimeError

    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CARDAN_DATA_DIR", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(entry, "_run", explode)
    assert main(["status"]) == 1
    assert str(tmp_path / "cardan-crash-") in capsys.readouterr().err


def test_ctrl_c_is_exit_code_5(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(words: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "_run", interrupt)
    assert main(["topic", "echo", "a/b"]) == 5


def test_a_reader_that_closes_the_pipe_is_no_error() -> None:
    code = "import sys; from cardan.runtime.cli.main import main; sys.exit(main(['--help']))"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(20) == 0


@pytest.mark.parametrize("words", QUICK)
def test_what_should_be_quick_imports_nothing_heavy(words: str) -> None:
    code = f"import sys; from cardan.runtime.cli.main import main; main({words}); print(*sys.modules)"
    loaded = set(python(code).stdout.splitlines()[-1].split())
    assert "cardan.runtime.cli.main" in loaded
    assert not HEAVY & loaded


def test_help_does_not_even_import_the_vitals() -> None:
    code = "import sys; from cardan.runtime.cli.main import main; main(['--help']); print(*sys.modules)"
    loaded = python(code).stdout.splitlines()[-1].split()
    assert not {"msgspec", "dataclasses", "cardan.runtime.vitals", "cardan.runtime.plan"} & set(loaded)


class Terminal:
    def isatty(self) -> bool:
        return True


def test_colours_only_on_a_terminal_that_wants_them() -> None:
    terminal = Terminal()
    assert wants_colour(terminal, {"TERM": "xterm"})  # type: ignore[arg-type]  # only isatty() is asked
    assert not wants_colour(terminal, {"TERM": "xterm", "NO_COLOR": "1"})  # type: ignore[arg-type]  # as above
    assert not wants_colour(terminal, {"TERM": "dumb"})  # type: ignore[arg-type]  # as above
    assert "\x1b" not in python("from cardan.runtime.cli.main import main; main(['nope'])", TERM="xterm").stderr
