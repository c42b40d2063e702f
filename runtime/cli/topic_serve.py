"""`cardan topic serve`: publish topics of a run over ZeroMQ for tools, foreign programs and other computers."""

from __future__ import annotations

import argparse
import select
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from cardan.runtime.cli.durations import parse_duration_s
from cardan.runtime.cli.exits import Exit, RefusedError, UsageError
from cardan.runtime.cli.lines import Line, write_lines
from cardan.runtime.cli.runs import FoundRun, find_run
from cardan.runtime.clock import Clock, MonotonicClock, ns
from cardan.runtime.errors import ConfigError
from cardan.runtime.run import RunPaths, is_alive

if TYPE_CHECKING:
    from cardan.runtime.link.gateway import Gateway

LOOK_MS = 5
"""How often rings are looked at: what is forwarded is half of that late on average."""
SOCKET = "serve"
"""Name of the socket in the folder of the run."""


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C, a limit, or the end of the run; 4 for tcp without keys."""
    longest_s = parse_duration_s(arguments.duration, "--for") if arguments.duration else None
    found = find_run(None, must_live=True)
    paths = RunPaths((found.bus_dir or found.data_dir).parent, found.data_dir)
    clock = MonotonicClock()
    import zmq

    with zmq.Context() as context, closing(_open(arguments, found, paths, context, clock)) as gateway:
        write_lines(how_to_listen(gateway.endpoint, arguments.key), sys.stdout)
        sys.stdout.flush()
        _serve(gateway, paths, clock, None if longest_s is None else clock.now_ns() + ns(longest_s))
    return int(Exit.HEALTHY)


def _open(arguments: argparse.Namespace, found: FoundRun, paths: RunPaths, context: object, clock: Clock) -> Gateway:
    from cardan.runtime.link.endpoints import check_endpoint, is_tcp
    from cardan.runtime.link.gateway import Gateway, GatewaySettings, offered
    from cardan.runtime.link.keys import KeyFolder, keys_folder
    from cardan.runtime.link.open_source import open_source
    from cardan.runtime.link.repeats import Repeats

    bind = arguments.bind or f"ipc://{paths.run_dir / SOCKET}"
    try:
        check_endpoint(bind, has_key=bool(arguments.key), to_bind=True)
    except ConfigError as error:
        kind = RefusedError if is_tcp(bind) and not arguments.key else UsageError
        raise kind(error.message, hint=error.hint) from None
    folder = KeyFolder(keys_folder(found.data_dir, arguments.keys or ""))
    topics = {name: output.type for name, output in found.plan.topics().items()}
    settings = GatewaySettings(
        bind=bind,
        topics=offered(topics, arguments.topics or ["*"]),
        run=found.run_id,
        vehicle=found.plan.name,
    )
    return Gateway(
        context,  # type: ignore[arg-type] # imported late
        settings,
        open_source(context, found.plan, paths),  # type: ignore[arg-type] # imported late
        paths.frames,
        clock,
        Repeats(_say, clock),
        pair=folder.load(arguments.key) if is_tcp(bind) else None,
        keys=folder if is_tcp(bind) else None,
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def how_to_listen(endpoint: str, key: str | None) -> list[Line]:
    """The address, and what a listener needs."""
    lines = [Line(endpoint, "title")]
    if key:
        lines.append(
            Line(f"a client needs the public key of {key} (`cardan keys show {key}`), and its own to be trusted")
        )
    return lines


def _serve(gateway: Gateway, paths: RunPaths, clock: Clock, until_ns: int | None) -> None:
    waiting = select.poll()
    waiting.register(gateway.fileno(), select.POLLIN)
    while is_alive(paths) and (until_ns is None or clock.now_ns() < until_ns):
        for _ in range(round(200 / LOOK_MS)):
            waiting.poll(LOOK_MS)
            gateway.pump()
