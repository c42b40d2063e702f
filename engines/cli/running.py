"""`cardan engine status|swap|rollback`: what serves each engine of the active run, and how to change that."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from cardan.engines.cli.common import print_json
from cardan.engines.cli.served_before import served_before
from cardan.engines.commands import Answer, Request, ask
from cardan.runtime.cli.acting import confirm, require_standing
from cardan.runtime.cli.exits import Exit, NoDataError, RefusedError
from cardan.runtime.cli.lines import Line, safe_text, table, write_lines
from cardan.runtime.cli.runs import FoundRun, find_run
from cardan.runtime.clock import MonotonicClock
from cardan.runtime.errors import near_names
from cardan.runtime.graph_engines import TABLE

HEAD = ("engine", "host", "serves", "model", "precision", "backend", "last change")


def run(arguments: argparse.Namespace) -> int:
    """Ask the hosts of the active run; what served in one that is over is in its log."""
    found = find_run(arguments.data_dir, must_live=arguments.command != "engine status")
    if not found.live:
        return _show(served_before(found), as_json=arguments.json)
    hosts = {engine: node.name for node in found.plan.nodes for engine in node.config.get(TABLE, {})}
    if not hosts:
        raise NoDataError("the active run has no engines", hint="declare them as [engines.NAME] in its manifest")
    if arguments.command == "engine status":
        return _status(found, dict.fromkeys(hosts.values()), as_json=arguments.json)
    if arguments.engine not in hosts:
        raise NoDataError(f'no engine "{arguments.engine}"', hint=near_names(arguments.engine, list(hosts)))
    if not arguments.while_driving:
        require_standing(found, MonotonicClock())
    confirm(f"change what serves the engine {arguments.engine}", yes=arguments.yes)
    return _change(arguments, _ask(found, hosts[arguments.engine], _request(arguments)))


def _request(arguments: argparse.Namespace) -> Request:
    if arguments.command == "engine rollback":
        return Request(action="rollback", engine=arguments.engine)
    model = arguments.model
    if model.endswith(".toml"):
        model = str(Path(model).expanduser().absolute())  # the host stands elsewhere
    return Request(action="swap", engine=arguments.engine, model=model, frames=arguments.frames)


def _ask(found: FoundRun, host: str, request: Request) -> Answer:
    if found.bus_dir is None:
        raise NoDataError("the run has ended")
    return ask(found.bus_dir.parent, host, request)


def _change(arguments: argparse.Namespace, answer: Answer) -> int:
    if arguments.json:
        print_json({"schema_version": 1, "ok": answer.ok, "text": answer.text})
        return int(Exit.HEALTHY if answer.ok else Exit.REFUSED)
    if not answer.ok:
        raise RefusedError(answer.text, hint="`cardan engine status`")
    write_lines([Line(safe_text(f"{arguments.engine}: {answer.text}"), "good")], sys.stdout)
    return int(Exit.HEALTHY)


def _status(found: FoundRun, hosts: dict[str, None], *, as_json: bool) -> int:
    shown = [{"host": host, **engine} for host in hosts for engine in _ask(found, host, Request(action="show")).engines]
    return _show(shown, as_json=as_json)


def _show(engines: list[dict[str, Any]], *, as_json: bool) -> int:
    well = not any(engine["stands_in"] for engine in engines)
    if as_json:
        print_json({"schema_version": 1, "engines": engines})
    else:
        rows = [
            (
                engine["engine"],
                engine["host"],
                "stand-in" if engine["stands_in"] else "first choice",
                f"{engine['model']} {engine['sha256'][:12]}",
                engine["precision"],
                engine["backend"],
                safe_text(engine["change"] or "-"),
            )
            for engine in engines
        ]
        write_lines(map(Line, table(HEAD, rows, "<<<<<<<")), sys.stdout)
    return int(Exit.HEALTHY if well else Exit.FINDING)
