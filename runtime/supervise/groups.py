"""The control groups of a run (cgroup v2): whatever a node has started, and wherever that went, ends with the node.

    <ours>/cardan-RUN/            made by the guardian, removed by it when the run has ended
        supervisor/               guardian and supervisor
        node-NAME/                one node, with its limits and its account
            START/                one process of it, and everything that this has started

A process can leave its parent, its session and its process group, but not its control group. Each start has a fresh
one: on some kernels (seen: 6.18) a process that is born in a group which was killed once is killed too.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cardan.runtime.clock import MonotonicClock, ns
from cardan.runtime.supervise.delegation import Delegation

RUN, SUPERVISOR, NODE = "cardan-", "supervisor", "node-"
TRIES = 3
"""Somebody who sweeps may take a folder away before we are in it."""
GONE_WITHIN_NS = ns(0.5)


@dataclass(frozen=True)
class Limits:
    """What a group may take; 0 is no limit."""

    memory_bytes: int = 0
    cpu_weight: int = 0
    """Its share of a busy processor, against 100 of a group without a weight."""


@dataclass(frozen=True)
class Usage:
    """What a group has taken since it was made."""

    memory_peak_bytes: int
    """0 where memory is not counted."""
    cpu_us: int
    killed: int
    """Processes that the kernel ended because the group was at its memory limit."""


@dataclass(frozen=True)
class StartGroup:
    """The group of one start of a node."""

    folder: Path

    def kill(self) -> None:
        """SIGKILL to every process in it, also to those that are being made at this moment (Linux 5.14)."""
        with suppress(OSError):
            _write(self.folder / "cgroup.kill", "1")


class NodeGroup:
    """The group of one node."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def for_start(self, number: int) -> StartGroup | None:
        """A fresh group for a start, and those of earlier ones removed; None when the kernel makes no more."""
        for earlier in self.folder.glob("[0-9]*"):
            _remove_all(earlier)
        folder = self.folder / str(number)
        try:
            folder.mkdir()
        except OSError:
            return None
        return StartGroup(folder)

    def kill(self) -> None:
        """SIGKILL to every process of it."""
        StartGroup(self.folder).kill()

    def remove(self) -> bool:
        """Remove it; False while there is a process in it."""
        return _remove_all(self.folder)

    def limit(self, wished: Limits) -> Limits:
        """Apply limits; returns those that hold, as the kernel reads them back."""
        if wished.memory_bytes:
            with suppress(OSError):
                _write(self.folder / "memory.max", str(wished.memory_bytes))
                _write(self.folder / "memory.oom.group", "1")
        if wished.cpu_weight:
            with suppress(OSError):
                _write(self.folder / "cpu.weight", str(wished.cpu_weight))
        return Limits(_number(self.folder / "memory.max"), _number(self.folder / "cpu.weight"))

    def usage(self) -> Usage:
        """What it has taken until now."""
        return Usage(
            _number(self.folder / "memory.peak"),
            _entry(self.folder / "cpu.stat", "usage_usec"),
            _entry(self.folder / "memory.events", "oom_kill"),
        )


class RunGroups:
    """The groups of one run, below a group that was handed over to us."""

    def __init__(self, ours: Path, run_id: str) -> None:
        self.ours = ours
        self.folder = ours / f"{RUN}{run_id}"

    def enter(self) -> None:
        """Make the groups of this run and move this process in; OSError when the kernel refuses."""
        for left in range(TRIES - 1, -1, -1):
            try:
                self._enter()
                return
            except FileNotFoundError:
                if left == 0:
                    raise

    def _enter(self) -> None:
        place = self.folder / SUPERVISOR
        place.mkdir(parents=True, exist_ok=True)
        _write(place / "cgroup.procs", "0")

    def sweep_dead(self) -> None:
        """End and remove what runs have left here whose guardian and supervisor are gone."""
        for folder in self.ours.glob(f"{RUN}*"):
            if folder != self.folder and not _entry(folder / SUPERVISOR / "cgroup.events", "populated"):
                RunGroups(self.ours, folder.name.removeprefix(RUN)).remove()

    def enable(self, controllers: list[str]) -> list[str]:
        """Let limits of these kinds hold in the groups of nodes; returns the kinds that cannot be had."""
        return [name for name in controllers if not (_enable(self.ours, name) and _enable(self.folder, name))]

    def node(self, name: str) -> NodeGroup:
        """The group of a node, made if need be; OSError when the kernel refuses."""
        folder = self.folder / f"{NODE}{name}"
        folder.mkdir(exist_ok=True)
        return NodeGroup(folder)

    def leave(self) -> None:
        """The run has ended: move this process back to where it came from, end what is left, remove the groups.

        A service cannot move back once controllers are enabled: its service manager removes what it leaves.
        """
        with suppress(OSError):
            _write(self.ours / "cgroup.procs", "0")
        self.remove()

    def remove(self) -> None:
        """End everything in the groups of the nodes, and remove what is empty then; waits half a second at most."""
        clock = MonotonicClock()
        deadline_ns = clock.now_ns() + GONE_WITHIN_NS
        nodes = [NodeGroup(folder) for folder in self.folder.glob(f"{NODE}*")]
        for node in nodes:
            node.kill()
        while not all([node.remove() for node in nodes]) and clock.now_ns() < deadline_ns:
            clock.sleep_until_ns(clock.now_ns() + 2_000_000)
        for folder in (self.folder / SUPERVISOR, self.folder):
            _remove(folder)


def enter_groups(delegation: Delegation, run_id: str) -> RunGroups | str:
    """The groups of this run, with this process in them; else the reason for having none."""
    if delegation.folder is None:
        return delegation.why_not
    groups = RunGroups(delegation.folder, run_id)
    try:
        groups.sweep_dead()
        groups.enter()
    except OSError as error:
        return f"{delegation.folder}: {error.strerror}"
    return groups


def _write(path: Path, text: str) -> None:
    """One write, to a file that is there: a group's files are not made by those who write to them."""
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _enable(folder: Path, controller: str) -> bool:
    path = folder / "cgroup.subtree_control"
    if controller not in _words(path):
        with suppress(OSError):
            _write(path, f"+{controller}")
    return controller in _words(path)


def _remove_all(folder: Path) -> bool:
    """Remove a group and those in it, which the node may have made; False while there is a process in one of them."""
    return all([_remove(Path(inner)) for inner, _, _ in os.walk(folder, topdown=False)])


def _remove(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _number(path: Path) -> int:
    """The number in a file; 0 for `max`, and where there is no such file."""
    words = _words(path)
    return int(words[0]) if words and words[0].isdigit() else 0


def _entry(path: Path, key: str) -> int:
    """The number beside `key` in a file of lines `key number`; 0 where there is none."""
    words = _words(path)
    return int(words[words.index(key) + 1]) if key in words else 0
