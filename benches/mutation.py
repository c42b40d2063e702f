"""Mutation testing of the bridge's core: is every small defect in it seen by the module's own tests?

Each mutant (see mutants.py) is imported in place of the module by a forked child, which runs the tests with -x. A
mutant that survives is a test that is missing, or changes nothing that can be seen; those are listed, each with its
explanation, in tests/firmware_bridge/mutation_survivors.toml, and a survivor that is not listed fails the run.

The kept tools do not fit: mutmut changes function bodies only (half of the engagement is a table at module level) and
cosmic-ray edits the source files in place and starts an interpreter for every mutant.

    python benches/mutation.py --module guard --jobs 2      # resumes where it was stopped
    python benches/report.py mutation                       # all, for docs/benchmarks: a test compares the code
    python benches/mutation.py --sample 60                  # of all modules, the same every time
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.abc
import importlib.util
import json
import os
import random
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from mutants import Mutant, fingerprint, mutants
from rows import Row, at_most, report

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "firmware_bridge"
SURVIVORS = FOLDER / "mutation_survivors.toml"
KEPT = ROOT / "build" / "mutation"
TESTS = {
    "envelope": ("test_envelope.py",),
    "guard": ("test_guard.py", "test_stop_asked.py"),
    "engage": ("test_engage.py", "test_guard.py", "test_stop_asked.py"),
    "e2e": ("test_e2e.py",),
}
"""Module of the bridge -> the tests that must see its defects."""
PACKAGE = "cardan.firmware_bridge"
SURVIVED, KILLED, HUNG = "survived", "killed", "hung"
SLOWER = 8.0
"""A mutant may take so many times as long as the module itself: other work may run beside it."""
PATIENCE_S = 10.0
POLL_S = 0.01


@dataclass(frozen=True)
class Job:
    """One mutant of one module."""

    module: str
    mutant: Mutant


class Replacement(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports a mutant in place of its module."""

    def __init__(self, job: Job) -> None:
        self._name = f"{PACKAGE}.{job.module}"
        self._source = job.mutant.source
        self._path = str(ROOT / "firmware_bridge" / f"{job.module}.py")

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.util.spec_from_loader(fullname, self, origin=self._path)

    def get_source(self, fullname: str) -> str:
        return self._source


def main() -> int:
    arguments = parse_arguments()
    names = [arguments.module] if arguments.module else list(TESTS)
    explained = tomllib.loads(SURVIVORS.read_text()) if SURVIVORS.exists() else {}
    preload()
    rows: list[Row] = []
    limits_s = {name: baseline_s(name) * SLOWER + PATIENCE_S for name in names}
    every = {name: mutants(source_of(name).read_text()) for name in names}
    jobs = [Job(name, mutant) for name in names for mutant in every[name]]
    complete = not arguments.sample
    if arguments.sample:
        jobs = random.Random(arguments.seed).sample(jobs, min(arguments.sample, len(jobs)))
    outcomes = dict(run_all(jobs, limits_s, arguments))
    for name in names:
        mine = {job.mutant.name: outcome for job, outcome in outcomes.items() if job.module == name}
        rows.extend(judge(name, mine, explained.get(name, {}), complete=complete))
        rows.append(Row(f"{name}: fingerprint of its mutants", fingerprint(every[name]), "", "shown", True))
    missing = len(jobs) - len(outcomes)
    rows.append(at_most("mutants not tried", missing, 0, "mutants"))
    return report("mutation", rows, as_json=arguments.json)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--module", choices=list(TESTS), help="only this one (default: all)")
    parser.add_argument("--jobs", type=int, default=1, help="children at a time")
    parser.add_argument("--sample", type=int, metavar="N", help="so many mutants, chosen by --seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--for", dest="seconds", type=float, default=3600.0, help="stop after so long; resumable")
    parser.add_argument("--retry", action="store_true", help="tests were only added: try again only what survived")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser.parse_args()


def judge(module: str, outcomes: dict[str, str], explained: dict[str, str], *, complete: bool) -> list[Row]:
    """The score of one module; survivors that are not explained, and explanations that are not needed."""
    survivors = [name for name, outcome in outcomes.items() if outcome == SURVIVED]
    new = [name for name in survivors if name not in explained]
    stale = [name for name in explained if outcomes.get(name, "" if complete else SURVIVED) != SURVIVED]
    for name in new:
        print(f"{module}: survived: {name}", file=sys.stderr)
    for name in stale:
        print(f"{module}: listed as survivor, but is none: {name}", file=sys.stderr)
    score = 100.0 * (1 - len(survivors) / len(outcomes)) if outcomes else 0.0
    return [
        Row(f"{module}: mutants tried", len(outcomes), "mutants", "as many as there are", True),
        Row(f"{module}: killed", score, "%", "every survivor explained", not new),
        at_most(f"{module}: survivors without explanation", len(new), 0, "mutants"),
        at_most(f"{module}: explanations without survivor", len(stale), 0, "mutants"),
    ]


# ------------------------------------------------------------------------------------------------------------ children


def run_all(jobs: list[Job], limits_s: dict[str, float], arguments: argparse.Namespace) -> Iterator[tuple[Job, str]]:
    """The outcome of each job: as kept from an earlier run of the same source and tests, or tried now."""
    kept = {name: Kept(name, retry=arguments.retry) for name in limits_s}
    left = []
    for job in jobs:
        known = kept[job.module].known.get(job.mutant.name)
        if known is None:
            left.append(job)
        else:
            yield job, known
    ends_at = time.monotonic() + arguments.seconds
    running: dict[int, tuple[Job, float]] = {}
    while left or running:
        while left and len(running) < arguments.jobs and time.monotonic() < ends_at:
            job = left.pop(0)
            running[fork(job)] = job, time.monotonic() + limits_s[job.module]
        if not running:
            return
        for pid, outcome in finished(running):
            job, _ = running.pop(pid)
            kept[job.module].add(job.mutant.name, outcome)
            yield job, outcome
            print(f"{len(left)} left, {job.module} line {job.mutant.line}: {outcome}", file=sys.stderr)


def finished(running: dict[int, tuple[Job, float]]) -> list[tuple[int, str]]:
    """Children that have ended, or have been ended because they hung; waits a moment when there is none."""
    found = []
    for pid, (_, until) in running.items():
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            found.append((pid, SURVIVED if status == 0 else KILLED))
        elif time.monotonic() > until:
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            found.append((pid, HUNG))
    if not found:
        time.sleep(POLL_S)
    return found


def fork(job: Job | None, module: str = "") -> int:
    """A child that runs the tests of a module with the mutant in its place; exits 0 when all of them pass."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        os._exit(run_tests(job, job.module if job else module))
    return pid


def run_tests(job: Job | None, module: str) -> int:
    import pytest

    try:
        if job is not None:
            sys.meta_path.insert(0, Replacement(job))
        warnings.simplefilter("ignore", SyntaxWarning)
        tests = [str(FOLDER / name) for name in TESTS[module]]
        plugins = ["-p", "no:cacheprovider", "--assert=plain"]
        options = ["-x", "-q", *plugins, "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")]
        return int(pytest.main([*options, *tests]))
    except BaseException:  # a mutant may do anything; the child's only answer is its exit code
        return 1


def preload() -> None:
    """Import what every child needs, but nothing that depends on a mutant."""
    os.chdir(ROOT)
    for name in ("pytest", f"{PACKAGE}.testing", "cantools.database", "hypothesis.strategies", "e2e.p01"):
        if importlib.util.find_spec(name.split(".")[0]) is not None:
            importlib.import_module(name)
    for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
        del sys.modules[name]


def baseline_s(module: str) -> float:
    """How long the tests of the module take as it is; SystemExit when they do not pass."""
    began = time.monotonic()
    _, status = os.waitpid(fork(None, module), 0)
    if status != 0:
        raise SystemExit(f"the tests of {module} do not pass without any mutant: `pytest {FOLDER}`")
    return time.monotonic() - began


# ------------------------------------------------------------------------------------------------------ kept outcomes


def source_of(module: str) -> Path:
    return ROOT / "firmware_bridge" / f"{module}.py"


class Kept:
    """Outcomes on disk, so that a run can be stopped and go on; void once the module or its tests have changed.

    retry: what was killed before the tests changed counts as killed still; true as long as tests were only added.
    """

    def __init__(self, module: str, *, retry: bool) -> None:
        self._source = _digest([source_of(module)])
        self._tests = _digest([FOLDER / name for name in TESTS[module]])
        self._path = KEPT / f"{module}.jsonl"
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        every = [item for item in map(json.loads, lines) if item["source"] == self._source]
        self.known: dict[str, str] = {
            item["name"]: item["outcome"]
            for item in every
            if item["tests"] == self._tests or (retry and item["outcome"] != SURVIVED)
        }

    def add(self, name: str, outcome: str) -> None:
        KEPT.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as out:
            row = {"source": self._source, "tests": self._tests, "name": name, "outcome": outcome}
            out.write(json.dumps(row) + "\n")


def _digest(paths: list[Path]) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
