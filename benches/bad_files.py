"""Corrupted bundles, rings and files: every command that looks ends with one line, never with a traceback or a hang.

A drive of the reference vehicle, on which control is killed, leaves a data folder and a bundle. Then, a thousand times,
one file of them is damaged at random (bits, blocks, ends, whole contents, values of JSON), and one command looks at it
in a process of its own. `--seed N` repeats a run.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from driven import CARDAN, kill_control, wait_until_engaged
from rows import at_most, report

CASES, QUICK_CASES = 1000, 200
HANGS_AFTER_S = 10.0
CODES = (0, 1, 2, 3, 4)
TABLE = Path(__file__).resolve().parent.parent / "tests" / "runtime" / "cli" / "looks.py"


class Ended(NamedTuple):
    """How one command ended."""

    kind: str
    """`ok`, `traceback`, `hang`, or `code` (another exit code than the documented ones)."""
    text: str
    code: int


def load_looks() -> Any:
    """The commands that look; the tests hold them to the same on a small run."""
    spec = importlib.util.spec_from_file_location("cli_looks", TABLE)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{TABLE} is not there")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


looks = load_looks()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int)
    parser.add_argument("--verbose", action="store_true", help="say what went wrong with each case that did")
    arguments = parser.parse_args()
    cases = arguments.cases or (QUICK_CASES if arguments.quick else CASES)
    with tempfile.TemporaryDirectory(prefix="bad-") as name:
        folder = Path(name)
        prepare(folder)
        count = run_cases(folder, cases, random.Random(arguments.seed), verbose=arguments.verbose)
    if arguments.verbose:
        print({name: number for name, number in sorted(count.items()) if name.startswith("exit")})
    rows = [
        at_most(f"commands on {cases} damaged bundles, rings and files: tracebacks", count["traceback"], 0, ""),
        at_most(f"the same: hangs (more than {HANGS_AFTER_S:g} s)", count["hang"], 0, ""),
        at_most("the same: other exit codes than the documented ones", count["code"], 0, ""),
    ]
    return report("bad_files", rows, as_json=arguments.json)


def prepare(folder: Path) -> None:
    """A data folder and a bundle, as a drive leaves them; and an environment in which nothing else is found."""
    runs = Path(tempfile.mkdtemp(prefix="bad-", dir="/dev/shm"))
    os.environ |= {
        "CARDAN_RUN_DIR": str(runs),
        "CARDAN_DATA_DIR": str(folder / "data"),
        "XDG_CACHE_HOME": str(folder / "cache"),
    }
    run_up = [*CARDAN, "up", "--for", "300s"]
    with subprocess.Popen(run_up, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as drive:
        try:
            wait_until_engaged()
            kill_control()
            time.sleep(3.0)
        finally:
            drive.send_signal(signal.SIGINT)
            drive.wait(60.0)
    file = folder / "b.cardan.zip"
    subprocess.run(
        [*CARDAN, "bundle", "make", "--out", str(file)], check=False, stdout=subprocess.DEVNULL, timeout=60.0
    )
    if not file.exists():
        raise SystemExit("no bundle was made")
    shutil.rmtree(runs, ignore_errors=True)
    warm_up()


def warm_up() -> None:
    """Import what the commands import, so that each child begins at once."""
    from cardan.runtime.cli.main import main as cardan

    with open(os.devnull, "w") as nowhere:
        stdout, sys.stdout = sys.stdout, nowhere
        stderr, sys.stderr = sys.stderr, nowhere
        for words in looks.LOOKS:
            if words not in looks.ONLY_BUNDLE and not words.startswith("topic lat"):
                cardan(words.split())
        sys.stdout, sys.stderr = stdout, stderr


def run_cases(folder: Path, cases: int, chance: random.Random, *, verbose: bool) -> Counter[str]:
    """Damage, look, mend; what kinds of ends there were."""
    count: Counter[str] = Counter()
    zipped, data = folder / "b.cardan.zip", folder / "data"
    opened = open_bundle(zipped)
    for number in range(cases):
        way = chance.choice(("zip", "opened", "opened", "data", "data"))
        if way == "zip":
            target, place = zipped, ["--bundle", str(zipped)]
        else:
            root = opened if way == "opened" else data
            target = chance.choice(sorted(path for path in root.rglob("*") if path.is_file()))
            place = ["--bundle", str(opened)] if way == "opened" else ["--data-dir", str(data)]
        without = looks.ONLY_BUNDLE if way == "data" else looks.ONLY_FOLDER
        command = chance.choice([words for words in looks.LOOKS if words not in without])
        words = [*command.split(), *([place[1]] if command == "bundle open" else place)]
        whole = target.read_bytes()
        damage = chance.choice(DAMAGES)
        target.write_bytes(damage(whole, chance))
        ended = look(words)
        target.write_bytes(whole)
        count[ended.kind] += 1
        count[f"exit {ended.code}"] += 1
        if verbose and ended.kind != "ok":
            print(
                f"case {number}: {damage.__name__} of {target}: {' '.join(words)}: {ended.kind}\n{ended.text[-1500:]}"
            )
    return count


def open_bundle(file: Path) -> Path:
    """Its content in a folder of our own, which no clean-up of the cache takes away."""
    folder = file.parent / "opened"
    with zipfile.ZipFile(file) as archive:
        archive.extractall(folder)
    return folder


def look(words: list[str]) -> Ended:
    """One command in a forked process: how it ended."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        be_command(words, reader, writer)
    os.close(writer)
    said, ends_s = b"", time.monotonic() + HANGS_AFTER_S
    while (left_s := ends_s - time.monotonic()) > 0:
        if select.select([reader], [], [], left_s)[0]:
            piece = os.read(reader, 65536)
            if not piece:
                break
            said += piece
    os.close(reader)
    if left_s <= 0:
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    text = said.decode("utf-8", "replace")
    if left_s <= 0:
        return Ended("hang", text, code)
    if "Traceback (most recent call last)" in text or "failed unexpectedly" in text:
        return Ended("traceback", text, code)
    return Ended("ok" if code in CODES else "code", text, code)


def be_command(words: list[str], reader: int, writer: int) -> None:
    """The process of a command; only what goes to stderr is kept."""
    code = 120
    try:
        os.close(reader)
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, 0)
        os.dup2(nowhere, 1)
        os.dup2(writer, 2)
        os.close(writer)
        from cardan.runtime.cli.main import main as cardan

        code = cardan(words)
        sys.stderr.flush()
    finally:
        os._exit(code)


# -------------------------------------------------------------------------------------------------------------- damages


def flip_bits(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 4, 40)) if data else 0):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def flip_at_the_front(data: bytes, chance: random.Random) -> bytes:
    """Heads have the lengths and the counts."""
    return flip_bits(data[:4096], chance) + data[4096:]


def cut_off(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def overwrite(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    length = chance.choice((1, 8, 64, 4096))
    block = chance.choice((chance.randbytes(length), bytes(length), b"\xff" * length))
    return data[:at] + block + data[at + length :]


def add_noise(data: bytes, chance: random.Random) -> bytes:
    return data + chance.randbytes(chance.choice((1, 100, 10_000)))


def replace_all(data: bytes, chance: random.Random) -> bytes:
    choices = (b"", b"\0" * len(data), chance.randbytes(min(len(data), 100_000)), b"[]", b"{}", b"null", b"\n" * 100)
    return chance.choice(choices)


def shift(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data) + 1)
    return data[:at] + chance.randbytes(chance.randrange(1, 9)) + data[at:]


def change_json(data: bytes, chance: random.Random) -> bytes:
    """One value of a JSON document, or of one line of it, becomes something else; other files get other damage."""
    lines = data.split(b"\n")
    index = chance.randrange(len(lines))
    for content, put in ((data, None), (lines[index], index)):
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            continue
        changed = json.dumps(other_value(document, chance)).encode()
        return changed if put is None else b"\n".join([*lines[:index], changed, *lines[index + 1 :]])
    return overwrite(data, chance)


def other_value(value: Any, chance: random.Random) -> Any:
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(sorted(value))
        if chance.random() < 0.15:
            return {name: item for name, item in value.items() if name != key}
        return {**value, key: other_value(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.9:
        index = chance.randrange(len(value))
        return [*value[:index], other_value(value[index], chance), *value[index + 1 :]]
    return chance.choice(
        (None, -1, 0, 1 << 70, 1e308, "", "x" * 5000, [], {}, [[]], True, "\u0000\ud800", float("nan"))
    )


DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flip_bits,
    flip_at_the_front,
    cut_off,
    overwrite,
    add_noise,
    replace_all,
    shift,
    change_json,
    change_json,
)

if __name__ == "__main__":
    sys.exit(main())
