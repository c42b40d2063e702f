"""The spare process of one node (`standby = true`): started while the node runs well, handed over when it ends."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import msgspec

from cardan.runtime.birth import TakeOver
from cardan.runtime.clock import ns
from cardan.runtime.supervise.groups import StartGroup
from cardan.runtime.supervise.sources import Sources
from cardan.runtime.supervise.spawn import NodeProcessHandle

AFTER_NS = ns(2.0)
"""A run that starts needs its processors for itself; so does one whose node has just come back."""
AGAIN_NS = ns(10.0)
"""A spare process that has died is replaced after so long."""


class Spare:
    """Keeps one spare process. make: starts it; OSError when the kernel refuses."""

    def __init__(self, wanted: bool, make: Callable[[], NodeProcessHandle], sources: Sources) -> None:
        self._wanted = wanted
        self._make = make
        self._sources = sources
        self._handle: NodeProcessHandle | None = None
        self._due_ns: int | None = None

    @property
    def pid(self) -> int:
        """Its process; 0 while there is none."""
        return self._handle.pid if self._handle is not None else 0

    def look(self, now_ns: int, node_runs: bool) -> None:
        """Start it when the node has been running for a while."""
        if not self._wanted or self._handle is not None:
            return
        if not node_runs:
            self._due_ns = None
        elif self._due_ns is None:
            self._due_ns = now_ns + AFTER_NS
        elif now_ns >= self._due_ns:
            self._start(now_ns)

    def _start(self, now_ns: int) -> None:
        self._due_ns = now_ns + AGAIN_NS
        with suppress(OSError):  # tried again; the node itself needs none of it
            self._handle = self._make()
            self._sources.add(self._handle.pidfd, self._on_exit)

    def take_or_none(self, starts: int, group: StartGroup | None) -> NodeProcessHandle | None:
        """Let the spare process become the node: its handle, or None when there is none that lives."""
        handle, self._handle, self._due_ns = self._handle, None, None
        if handle is None:
            return None
        self._sources.remove(handle.pidfd)
        over = TakeOver(starts=starts, group="" if group is None else str(group.folder))
        try:
            os.write(handle.go_fd, msgspec.json.encode(over))
        except OSError:
            handle.kill()
            handle.reap()
            return None
        return replace(handle, group=group)

    def close(self) -> None:
        """End it, and start no other."""
        self._wanted = False
        if self._handle is not None:
            self._handle.kill()

    def _on_exit(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            self._sources.remove(handle.pidfd)
            handle.reap()
