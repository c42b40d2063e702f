"""What a `cardan can` command looks at: channels of the running vehicle, an interface, a log, or the last run."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cardan.drivers.can.bus import OWN
from cardan.drivers.can.candump import read_candump
from cardan.drivers.can.link_state import read_links
from cardan.firmware_bridge.cli.can_source import (
    Batch,
    FrameSource,
    LiveFrames,
    StoredFrames,
    logged_batches,
    recorded_batches,
    recorded_frames,
)
from cardan.runtime.cli.exits import NoDataError, UsageError
from cardan.runtime.cli.runs import FoundRun, find_run
from cardan.runtime.clock import Clock
from cardan.runtime.errors import CardanError, near_names
from cardan.runtime.profile import CanChannelSettings
from cardan.runtime.run import RunPaths, is_alive

if TYPE_CHECKING:
    from cardan.firmware_bridge.frame_reader import FrameReader

RECORDING = ".mcap"
Failures = dict[str, CardanError]
"""Channel -> why it cannot be listened to."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """One thing to look at."""

    title: str
    """For people: what it is, and when."""
    channels: dict[str, CanChannelSettings] = field(default_factory=dict)
    """What is known of the channels; empty for a file, whose channels show as they come."""
    run: FoundRun | None = None
    """The run that the channels belong to."""
    live: bool = True
    open: Callable[[Failures | None], FrameSource]
    """Begin to take frames. Channels that cannot be opened go into what is given; without it they are an error."""
    batches: Callable[[], Iterator[Batch]] | None = None
    """Stored frames, all of them, many at a time; NoDataError when there is no recording. None where they are live."""


def find_target(arguments: argparse.Namespace, clock: Clock) -> Target:
    """What `arguments` (source, profile, data_dir) mean; UsageError or NoDataError says what else could be meant.

    Without a source: every channel of the profile, of the running vehicle, or of the last run.
    """
    given: str | None = arguments.source
    if arguments.profile:
        return _of_profile(given, arguments.profile, clock)
    if given is not None and _means_file(given):
        return _of_file(Path(given))
    found = _run_or_none(arguments.data_dir)
    if found is not None and (given is None or given in found.plan.profile.can):
        return _of_live_run(found, given, clock) if found.live else _of_last_run(found, given)
    links = read_links()
    if given is not None and given in links:
        settings = CanChannelSettings(name=given, interface="socketcan", channel=given, fd=links[given].carries_fd)
        return _listening({given: settings}, f"{given}, an interface of this computer", clock)
    raise _nothing(given, found, list(links))


def readers_of(arguments: argparse.Namespace, target: Target) -> dict[str, FrameReader]:
    """Channel -> reader; "" stands for every other channel. Of --dbc and --vehicle, else of the vehicle itself."""
    from cardan.firmware_bridge.frame_reader import reader_of_dbc, reader_of_vehicle, readers_of_plan

    found: dict[str, FrameReader] = {}
    for word in arguments.dbc or ():
        channel, name = _channel_and_name(word)
        found[channel] = reader_of_dbc(Path(name))
    for word in arguments.vehicle or ():
        channel, name = _channel_and_name(word)
        found[channel] = reader_of_vehicle(name, Path.cwd())
    if found or target.run is None:
        return found
    return readers_of_plan(target.run.plan)


def _channel_and_name(word: str) -> tuple[str, str]:
    """`can0=powertrain.dbc`; without a channel it is for all of them."""
    channel, equals, name = word.partition("=")
    if not equals:
        channel, name = "", word
    if not name:
        raise UsageError(f'"{word}" names nothing', hint="write FILE, or CHANNEL=FILE such as can0=powertrain.dbc")
    return channel, name


def _means_file(given: str) -> bool:
    path = Path(given)
    if path.is_file():
        return True
    if "/" in given or path.suffix in (RECORDING, ".log", ".gz"):
        raise UsageError(
            f"there is no file {given}", hint="a log of `candump -l`, plain or gzip, or a recording (.mcap)"
        )
    return False


def _of_file(path: Path) -> Target:
    def begin(failures: Failures | None) -> FrameSource:
        return StoredFrames(recorded_frames([path]) if path.suffix == RECORDING else read_candump(path))

    def batches() -> Iterator[Batch]:
        return recorded_batches([path]) if path.suffix == RECORDING else logged_batches(path)

    return Target(title=str(path), live=False, open=begin, batches=batches)


def _of_profile(given: str | None, name: str, clock: Clock) -> Target:
    from cardan.runtime.profile_file import load_profile

    profile = load_profile(name)
    return _listening(_chosen(given, profile.can, f"profile {profile.name}"), f"profile {profile.name}", clock)


def _chosen(given: str | None, known: dict[str, CanChannelSettings], where: str) -> dict[str, CanChannelSettings]:
    if given is not None and given not in known:
        raise UsageError(f'{where} has no CAN channel "{given}"', hint=near_names(given, list(known)))
    if not known:
        raise NoDataError(f"{where} has no CAN channel", hint="add a [can.NAME] table to the profile")
    return {given: known[given]} if given is not None else dict(known)


def _listening(channels: dict[str, CanChannelSettings], title: str, clock: Clock) -> Target:
    def begin(failures: Failures | None) -> FrameSource:
        return LiveFrames(list(channels.values()), clock, failures=failures)

    return Target(title=title, channels=channels, open=begin)


def _of_live_run(found: FoundRun, given: str | None, clock: Clock) -> Target:
    channels = _chosen(given, found.plan.profile.can, found.title)
    bus_dir = found.bus_dir or found.data_dir
    paths = RunPaths(bus_dir.parent, found.data_dir)

    def begin(failures: Failures | None) -> FrameSource:
        """A channel that only one program can open is in a node's hands: its frames come from there."""
        if all(settings.interface in OWN for settings in channels.values()):
            return LiveFrames(list(channels.values()), clock, lambda: is_alive(paths), failures)
        from cardan.firmware_bridge.cli.can_topics import TopicFrames

        return TopicFrames(found, bus_dir, list(channels), clock)

    return Target(title=f"{found.title}, live", channels=channels, run=found, open=begin)


def _of_last_run(found: FoundRun, given: str | None) -> Target:
    from cardan.runtime.record.files import recording_paths

    channels = _chosen(given, found.plan.profile.can, found.title)

    def recordings() -> Sequence[Path]:
        paths = recording_paths(found.data_dir, found.run_id) if found.run_id else []
        if not paths:
            raise NoDataError(
                f"run {found.run_id or found.plan.name} has no recording", hint="is a recorder in its manifest?"
            )
        return paths

    def begin(failures: Failures | None) -> FrameSource:
        frames = recorded_frames(recordings())
        return StoredFrames(logged for logged in frames if logged.frame.channel in channels)

    def batches() -> Iterator[Batch]:
        return recorded_batches(recordings())

    title = f"{found.title}, the last run"
    return Target(title=title, channels=channels, run=found, live=False, open=begin, batches=batches)


def _run_or_none(data_dir: str | None) -> FoundRun | None:
    try:
        return find_run(data_dir)
    except NoDataError:
        return None


def _nothing(given: str | None, found: FoundRun | None, interfaces: list[str]) -> Exception:
    channels = list(found.plan.profile.can) if found is not None else []
    if given is None:
        return NoDataError(
            "no run is active, and there was none before",
            hint="name an interface (`cardan can list`), a log or a recording, or start a vehicle with `cardan up`",
        )
    known = [*channels, *interfaces]
    hint = near_names(given, known) if known else "`cardan can list` shows what there is"
    return UsageError(f'"{given}" is no channel, no CAN interface and no file', hint=hint)
