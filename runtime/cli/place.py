"""Where a command looks, and at which run: a data folder or a bundle, now or at a moment."""

from __future__ import annotations

import argparse
from pathlib import Path

from cardan.runtime.bundle.header import read_header_or_none
from cardan.runtime.cli.moments import parse_moment_ns
from cardan.runtime.cli.runs import Place
from cardan.runtime.clock import Clock, MonotonicClock


def settle(arguments: argparse.Namespace, clock: Clock | None = None) -> None:
    """Let `arguments.data_dir` say what --bundle and --at mean, for the commands that have them."""
    arguments.data_dir = place_of(arguments, clock)


def place_of(arguments: argparse.Namespace, clock: Clock | None = None) -> Place:
    """What a command was told; UsageError for a moment that is none, an error of ours for a file that is no bundle."""
    given = getattr(arguments, "data_dir", None)
    if isinstance(given, Place):
        return given
    folder = None if given is None else Path(given).expanduser()
    if getattr(arguments, "bundle", None):
        from cardan.runtime.bundle.unpack import opened

        folder = opened(Path(arguments.bundle).expanduser())
    place = Place(folder)
    if getattr(arguments, "at", None):
        newest_ns = newest_wall_ns(place, clock or MonotonicClock())
        place = Place(folder, at_ns=parse_moment_ns(arguments.at, "--at", newest_ns))
    return place


def newest_wall_ns(place: Place, clock: Clock) -> int:
    """The newest moment that a place can know: of a bundle, when it was made."""
    header = None if place.data_dir is None else read_header_or_none(place.data_dir)
    return clock.wall_ns() if header is None else header.made_wall_ns
