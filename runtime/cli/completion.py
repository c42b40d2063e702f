"""`cardan completion bash|zsh|fish`: a script for a shell, made from the parsers; it starts nothing while one types."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator

from cardan.runtime.cli.command_table import Command, Word, first_words, table
from cardan.runtime.cli.exits import Exit
from cardan.runtime.cli.parser import NOUNS, SHORT


def run(arguments: argparse.Namespace) -> int:
    """Print the script."""
    print(SCRIPTS[arguments.shell](), end="")
    return int(Exit.HEALTHY)


def bash() -> str:
    """For bash 4 and newer, without the package bash-completion."""
    return "\n".join([BASH_HEAD, *_bash_cases(), BASH_TAIL])


def _bash_cases() -> Iterator[str]:
    for command in table():
        switches = " ".join(name for option in command.options for name in option.names)
        values = "|".join(name for option in command.options if option.value for name in option.names)
        chosen = " ".join(
            f"{name}) words={_single(' '.join(option.choices))};;"
            for option in command.options
            if option.choices
            for name in option.names
        )
        fixed = " ".join(choice for word in command.words for choice in word.choices)
        yield f'    "{command.name}")'
        yield f"      options={_single(switches)}; fixed={_single(fixed)}"
        if values:
            yield f'      case "$previous" in {values}) value=1;; esac'
        if chosen:
            yield f'      case "$previous" in {chosen} esac'
        yield "      ;;"


def _single(text: str) -> str:
    """Between single quotes, as every shell takes it."""
    return "'" + text.replace("'", "'\\''") + "'"


BASH_HEAD = f"""\
# bash completion of cardan; load it with: . <(cardan completion bash)
_cardan() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}"
  local command="${{COMP_WORDS[1]}}" options='--help --version' fixed='' words='' value=''
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W {_single(" ".join(word for word, _ in first_words()) + " --help --version")} -- "$current"))
    return
  fi
  case "$command" in
{chr(10).join(f"    {noun}) words={_single(' '.join(verbs))};;" for noun, (verbs, _) in NOUNS.items())}
  esac
  if [ -n "$words" ]; then
    if [ "$COMP_CWORD" -eq 2 ]; then
      COMPREPLY=($(compgen -W "$words --help" -- "$current"))
      return
    fi
    command="$command ${{COMP_WORDS[2]}}" words=''
  fi
  case "$command" in"""
BASH_TAIL = """\
  esac
  if [ -n "$words" ]; then
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  elif [ -z "$value" ] && [ "${current#-}" != "$current" ]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  elif [ -z "$value" ] && [ -n "$fixed" ]; then
    COMPREPLY=($(compgen -W "$fixed" -- "$current"))
  else
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "$current"))
  fi
}
complete -F _cardan cardan
"""


def zsh() -> str:
    """For a folder of $fpath, or to be sourced after compinit."""
    return "\n".join([*_zsh_lines(), ""])


def _zsh_lines() -> Iterator[str]:
    yield from ("#compdef cardan", "_cardan() {", "  local -a commands", '  local name="$words[2]"')
    yield "  if (( CURRENT == 2 )); then"
    yield f"    commands=({' '.join(_described(word, text) for word, text in first_words())})"
    yield from ("    _describe command commands; return", "  fi", '  case "$name" in')
    for noun, (verbs, _) in NOUNS.items():
        yield f"  {noun})"
        yield f"    commands=({' '.join(_described(verb, SHORT[f'{noun} {verb}']) for verb in verbs)})"
        yield "    if (( CURRENT == 3 )); then _describe command commands; return; fi"
        yield '    name="$name $words[3]"; shift words; (( CURRENT-- ));;'
    yield from ("  esac", "  shift words; (( CURRENT-- ))", '  case "$name" in')
    for command in table():
        specs = [spec for word in (*command.options, *command.words) for spec in _zsh_specs(word)]
        yield f"  {_single(command.name)}) _arguments {' '.join(map(_single, specs))};;"
    yield from ("  esac", "}", 'if [ "$funcstack[1]" = _cardan ]; then _cardan "$@"; else compdef _cardan cardan; fi')


def _zsh_specs(word: Word) -> Iterator[str]:
    """What `_arguments` takes for one word."""
    values = f"({' '.join(word.choices)})" if word.choices else ("_files" if _names_file(word.value) else "")
    if not word.names:
        yield f"*:{_zsh_text(word.value)}:{values or '_files'}"
    for name in word.names:
        yield f"*{name}[{_zsh_text(word.help)}]" + (f":{_zsh_text(word.value)}:{values}" if word.value else "")


def _zsh_text(text: str) -> str:
    for letter in "\\[]:":
        text = text.replace(letter, f"\\{letter}")
    return text


def _names_file(value: str) -> bool:
    return "FILE" in value or "DIR" in value or "." in value


def _described(word: str, text: str) -> str:
    return _single(f"{word}:{_zsh_text(text)}")


def fish() -> str:
    """For ~/.config/fish/completions."""
    return "\n".join([FISH_HEAD, *_fish_lines(), ""])


FISH_HEAD = """\
# fish completion of cardan
function __cardan_words
    set -l words (commandline -opc)
    test (count $words) -ge 2; and string join \\n -- $words[2..-1]
end
function __cardan_is
    set -l words (__cardan_words)
    test (count $words) -ge (count $argv); or return 1
    for place in (seq (count $argv))
        test "$words[$place]" = "$argv[$place]"; or return 1
    end
end
function __cardan_at
    __cardan_is $argv; and test (count (__cardan_words)) -eq (count $argv)
end
function __cardan_begins
    test (count (__cardan_words)) -eq 0
end
complete -c cardan -f -n __cardan_begins"""


def _fish_lines() -> Iterator[str]:
    for word, text in first_words():
        yield f"complete -c cardan -f -n __cardan_begins -a {_single(word)} -d {_single(text)}"
    for noun, (verbs, _) in NOUNS.items():
        for verb in verbs:
            about = _single(SHORT[f"{noun} {verb}"])
            yield f"complete -c cardan -f -n '__cardan_at {noun}' -a {_single(verb)} -d {about}"
    for command in table():
        yield from _fish_options(command)


def _fish_options(command: Command) -> Iterator[str]:
    where = f"complete -c cardan -n '__cardan_is {command.name}'"
    for option in command.options:
        names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
        yield f"{where} {names}{_fish_value(option)} -d {_single(option.help)}"
    fixed = " ".join(choice for word in command.words for choice in word.choices)
    if fixed:
        yield f"{where} -f -a {_single(fixed)}"


def _fish_value(option: Word) -> str:
    if not option.value:
        return ""
    return f" -x -a {_single(' '.join(option.choices))}" if option.choices else " -r"


SCRIPTS: dict[str, Callable[[], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
