"""Completion in the real shells, and the manual page as man renders it; skipped where a shell is not installed."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cardan.runtime.cli.command_table import table
from cardan.runtime.cli.completion import bash, fish, zsh
from cardan.runtime.cli.main import main
from cardan.runtime.cli.man import page
from cardan.runtime.cli.parser import SHORT, parser_of

ASKED = [
    ("cardan to", {"top", "topic"}, set()),
    ("cardan topic ", {"list", "hz", "echo"}, {"health"}),
    ("cardan topic h", {"hz"}, {"list"}),
    ("cardan topic hz --", {"--for", "--count", "--json", "--help"}, {"--last"}),
    ("cardan status --j", {"--json"}, {"--data-dir"}),
    ("cardan completion ", {"bash", "zsh", "fish"}, {"--json"}),
    ("cardan engine build road_net --backend ", {"tensorrt", "onnxruntime"}, {"--force"}),
]
"""What has been typed, what must be offered, and what must not."""


def shell_or_skip(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(("typed", "offered", "not_offered"), ASKED)
def test_bash_completes(typed: str, offered: set[str], not_offered: set[str], tmp_path: Path) -> None:
    script = tmp_path / "cardan.bash"
    script.write_text(bash())
    words = typed.split(" ")
    listed = " ".join(f"'{word}'" for word in words)
    code = (
        f". {script}; COMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}; _cardan; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    found = set(run(shell_or_skip("bash"), "--norc", "-c", code).split())
    assert offered <= found
    assert not not_offered & found


@pytest.mark.parametrize(("typed", "offered", "not_offered"), ASKED)
def test_fish_completes(typed: str, offered: set[str], not_offered: set[str], tmp_path: Path) -> None:
    script = tmp_path / "cardan.fish"
    script.write_text(fish())
    code = f"source {script}; complete -C '{typed}'"
    found = {line.split("\t")[0] for line in run(shell_or_skip("fish"), "--no-config", "-c", code).splitlines()}
    assert offered <= found
    assert not not_offered & found


class Zsh:
    """zsh on a terminal, with completion and nothing else."""

    def __init__(self, script: Path) -> None:
        self._master, terminal = pty.openpty()
        environment = {"PATH": os.environ["PATH"], "TERM": "dumb", "HOME": str(script.parent), "COLUMNS": "200"}
        command = [shell_or_skip("zsh"), "-f", "-i"]
        self._process = subprocess.Popen(
            command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment, start_new_session=True
        )
        os.close(terminal)
        self._type(f"unsetopt zle prompt_cr; autoload -U compinit; compinit -u -D; . {script}\n")
        self._type("setopt zle no_beep list_ambiguous; LISTMAX=500; PS1='%%'; print rea''dy\n")
        self._read_until("ready")

    def complete(self, typed: str) -> str:
        """What stands on the terminal after a tab, and after another for the list."""
        self._type(f"{typed}\t\t")
        text = self._read_until("")
        self._type("\x15print don''e\n")
        return text + self._read_until("done")

    def _type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def _read_until(self, text: str) -> str:
        """Until `text` is there; without one, until the terminal has been silent for a moment."""
        seen, deadline_s = "", time.monotonic() + 20
        while time.monotonic() < deadline_s:
            if not select.select([self._master], [], [], 0.2 if not text else 1)[0]:
                if not text and seen:
                    return seen
                continue
            seen += os.read(self._master, 65536).decode(errors="replace")
            if text and text in seen:
                return seen
        pytest.fail(f"zsh did not say {text!r}: {seen!r}")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)


@pytest.fixture
def z_shell(tmp_path: Path) -> Iterator[Zsh]:
    shell_or_skip("zsh")
    script = tmp_path / "_cardan"
    script.write_text(zsh())
    shell = Zsh(script)
    yield shell
    shell.close()


@pytest.mark.slow
def test_zsh_completes(z_shell: Zsh) -> None:
    for typed, offered, not_offered in ASKED:
        text = z_shell.complete(typed)
        found = set(re.findall(r"[\w-]+", text.replace(typed, "", 1) + " " + text))
        assert offered <= found, (typed, text)
        assert not {word for word in not_offered if word in found}, (typed, text)


def test_every_command_and_every_option_is_in_each_script_and_in_the_page() -> None:
    manual, scripts = page().replace("\\-", "-"), (bash(), zsh())
    for_fish = fish()
    for command in table():
        assert f".SS cardan {command.name}\n" in manual
        for option in command.options:
            for name in option.names:
                assert all(name in text for text in (*scripts, manual))
                assert (f"-l {name[2:]} " if name.startswith("--") else f"-s {name[1:]} ") in for_fish


def test_the_table_has_every_option_of_every_parser() -> None:
    assert [command.name for command in table()] == list(SHORT)
    for command in table():
        options = {name for option in command.options for name in option.names}
        assert options == set(parser_of(command.name).options())


def test_man_renders_the_page_without_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "cardan.1"
    file.write_text(page())
    man = shell_or_skip("man")
    done = subprocess.run(
        [man, "--warnings=w", "-l", str(file)],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8", "MAN_KEEP_FORMATTING": ""},
        check=True,
    )
    assert done.stderr == ""
    assert "cardan topic echo control/command --count 5" in done.stdout
    assert "0 healthy, 1 finding, 2 usage" in done.stdout


def test_both_are_printed_by_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "zsh"]) == 0
    assert capsys.readouterr().out == zsh()
    assert main(["man"]) == 0
    assert capsys.readouterr().out == page()
    assert main(["completion", "tcsh"]) == 2
