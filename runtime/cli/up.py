"""`cardan up`: check a manifest, start its supervisor, accompany the run, and say how it went."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import msgspec

from cardan.runtime.cli.durations import parse_duration_s
from cardan.runtime.cli.exits import Exit, RefusedError, UsageError
from cardan.runtime.cli.kept import recording_of, synced_of
from cardan.runtime.cli.lines import write_lines
from cardan.runtime.cli.process_start import process_start_ns
from cardan.runtime.cli.report import report
from cardan.runtime.cli.runs import link_data, run_label
from cardan.runtime.cli.summary import OK, Summary, summarise
from cardan.runtime.cli.watch import Outcome, Watch
from cardan.runtime.clock import Clock, MonotonicClock
from cardan.runtime.errors import ManifestError, ProfileError
from cardan.runtime.plan import Plan, write_plan
from cardan.runtime.profile import Profile
from cardan.runtime.run import RunPaths, data_folder, new_run, pick_free_port, sweep, sweep_dead_runs

BENCH_BUS = "udp_multicast"


def run(arguments: argparse.Namespace) -> int:
    """Run a vehicle to its end; 0 when the verdict is ok, 5 when it was ended at once."""
    clock = MonotonicClock()
    up_started_ns = process_start_ns(clock)
    longest_s = parse_duration_s(arguments.duration, "--for") if arguments.duration else None
    from cardan.runtime.cli.check import require_manifest
    from cardan.runtime.graph import load_plan

    require_manifest(arguments.manifest)
    if arguments.service:
        _serve(arguments, clock)
    plan = with_free_ports(load_plan(arguments.manifest, arguments.profile))
    paths, supervisor = _start(plan, _data_dir(arguments.data_dir, plan.profile), clock)
    outcome = Watch(
        plan=plan,
        paths=paths,
        supervisor=supervisor,
        clock=clock,
        up_started_ns=up_started_ns,
        ends_after_s=longest_s,
    ).follow()
    summary = _summary(plan, paths, outcome, up_started_ns)
    if arguments.json:
        print(msgspec.json.encode(summary).decode())
    else:
        write_lines(report(summary, f"{plan.name} on {plan.profile.name}"), sys.stdout)
    if outcome.stop_wishes > 1:
        return int(Exit.INTERRUPTED)
    return int(Exit.HEALTHY if summary.verdict == OK else Exit.FINDING)


def _serve(arguments: argparse.Namespace, clock: Clock) -> NoReturn:
    """Be the main process of a service from here on: nothing is shown, and every event goes to the journal.

    RefusedError when the manifest has findings: starting again would find them again.
    """
    from cardan.runtime.graph import load_plan
    from cardan.runtime.supervise.start import become_supervisor

    if arguments.duration or arguments.json:
        raise UsageError("--service neither ends by itself nor prints: leave out --for and --json")
    try:
        plan = with_free_ports(load_plan(arguments.manifest, arguments.profile))
    except (ManifestError, ProfileError) as error:
        raise RefusedError(error.message, hint=error.hint) from error
    become_supervisor(_prepare(plan, _data_dir(arguments.data_dir, plan.profile), clock))


def with_free_ports(plan: Plan) -> Plan:
    """The plan with a UDP port of its own for each bench bus that leaves the choice to the run."""
    taken = {channel.port for channel in plan.profile.can.values()}
    channels = {}
    for name, channel in plan.profile.can.items():
        port = channel.port
        if channel.interface == BENCH_BUS and port == 0:
            while port in taken:
                port = pick_free_port()
            taken.add(port)
        channels[name] = msgspec.structs.replace(channel, port=port)
    return msgspec.structs.replace(plan, profile=msgspec.structs.replace(plan.profile, can=channels))


def _data_dir(given: str | None, profile: Profile) -> Path:
    folder = Path(given).expanduser() if given else data_folder(profile.storage.data_dir)
    return folder.absolute()


def _start(plan: Plan, data_dir: Path, clock: Clock) -> tuple[RunPaths, subprocess.Popen[bytes]]:
    """A run of its own for the plan, and its supervisor; from here on the supervisor sweeps."""
    from cardan.runtime.supervise.start import start_supervisor

    paths = _prepare(plan, data_dir, clock)
    try:
        return paths, start_supervisor(paths)
    except BaseException:
        sweep(paths)
        raise


def _prepare(plan: Plan, data_dir: Path, clock: Clock) -> RunPaths:
    """The folder of a new run with its plan; what dead runs have left is gone."""
    sweep_dead_runs(data_dir)
    paths = new_run(data_dir, run_label(clock.wall_ns()))
    try:
        write_plan(plan, paths.plan)
        link_data(paths)
    except BaseException:
        sweep(paths)
        raise
    return paths


def _summary(plan: Plan, paths: RunPaths, outcome: Outcome, up_started_ns: int) -> Summary:
    recording = recording_of(plan, paths.data_dir, paths.run_id)
    return summarise(
        plan,
        outcome.last,
        up_started_ns=up_started_ns,
        first_sent_ns=outcome.first_sent_ns,
        trouble=outcome.trouble,
        recording=recording[0] if recording else None,
        synced=synced_of(plan, paths.data_dir),
    )
