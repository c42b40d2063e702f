"""What changed since it last worked: software, manifest, profile and networks of this run against those of that one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from cardan.runtime.cli.moments import date_text
from cardan.runtime.log.read import known_runs, log_folder, read_log
from cardan.runtime.log.record import LogRecord
from cardan.runtime.software import Software, read_software_or_none
from cardan.runtime.why.answer import Answer
from cardan.runtime.why.evidence import Evidence

QUESTION = "changed"
WELL = "verdict: ok"
NOT_COMPARED = ("run", "schema_version")
PORTS = ".port"
MOST = 60
NODE_LINE = re.compile(r"plan: nodes\.([^.:]+)\.(.*)", re.DOTALL)


def answer(evidence: Evidence) -> Answer:
    """This run against the newest earlier one whose verdict was ok and that drove, if the vehicle can be driven."""
    data_dir, run_id = evidence.found.data_dir, evidence.found.run_id
    earlier = [name for name in reversed(known_runs(data_dir)) if name < run_id]
    for name in earlier:
        records = read_log(log_folder(data_dir) / name)
        if _worked(records):
            return _compared(evidence, name, records)
    said = "no earlier run is kept" if not earlier else f"none of the {len(earlier)} earlier runs that are kept worked"
    return Answer(
        question=QUESTION, verdict=f"not recorded: {said}", healthy=False, missing=[f"a run that worked: {said}"]
    )


def _worked(records: list[LogRecord]) -> bool:
    """It ended in order, with the verdict ok; with a bridge, it also drove."""
    turns = [record for record in records if record.code == "engagement"]
    drove = not turns or any(record.fields.get("after") == "enabled" for record in turns)
    return drove and any(record.code == "run-verdict" and record.text == WELL for record in records)


def _compared(evidence: Evidence, name: str, records: list[LogRecord]) -> Answer:
    logs = log_folder(evidence.found.data_dir)
    now, then = logs / evidence.found.run_id, logs / name
    lines, missing = _software_changes(read_software_or_none(now), read_software_or_none(then))
    lines += _differences("networks", _networks(evidence.records), _networks(records))
    lines += _plan_changes(dict(_flat(msgspec.to_builtins(evidence.plan), "")), _flat_plan(then))
    when = date_text(records[0].wall_ns) if records else name
    what = f"since {name} ({when} UTC), which worked"
    if not lines:
        return Answer(
            question=QUESTION, verdict=f"nothing that is recorded has changed {what}", healthy=True, missing=missing
        )
    more = [f"... and {len(lines) - MOST} more"] if len(lines) > MOST else []
    return Answer(
        question=QUESTION,
        verdict=f"{len(lines)} {'thing has' if len(lines) == 1 else 'things have'} changed {what}: {lines[0]}",
        healthy=False,
        facts=[*lines[:MOST], *more],
        missing=missing,
    )


def _software_changes(now: Software | None, then: Software | None) -> tuple[list[str], list[str]]:
    if now is None or then is None:
        return [], [f"the software of {'this run' if now is None else 'that run'}: no readable software.json"]
    new, old = (dict(_flat(msgspec.to_builtins(item), "")) for item in (now, then))
    for name in NOT_COMPARED:
        new.pop(name, None), old.pop(name, None)
    return _differences("software", new, old), []


def _networks(records: list[LogRecord]) -> dict[str, str]:
    """Engine -> the network that served it first."""
    found: dict[str, str] = {}
    for record in records:
        fields = record.fields
        if record.code == "engine-serves" and str(fields.get("engine")) not in found:
            words = (str(fields.get(name, "")) for name in ("model", "sha256", "backend", "precision"))
            found[str(fields.get("engine"))] = " ".join(words)
    return found


def _flat_plan(folder: Path) -> dict[str, Any]:
    with suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return dict(_flat(msgspec.json.decode((folder / "plan.json").read_bytes()), ""))
    return {}


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every leaf with its path; nodes by their names, so that a new one moves none of the others."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value and all(isinstance(item, dict) and "name" in item for item in value):
        for item in value:
            yield from _flat(
                {key: inner for key, inner in item.items() if key not in ("name", "index")}, f"{path}.{item['name']}"
            )
    elif not path.endswith(PORTS):
        yield path, value


def _plan_changes(now: dict[str, Any], then: dict[str, Any]) -> list[str]:
    """Nodes that are new or gone in one line each; what is new for several nodes alike in one line, too."""
    for name in ("manifest", "manifest_sha256"):
        now.pop(name, None), then.pop(name, None)
    new, gone = _nodes(now) - _nodes(then), _nodes(then) - _nodes(now)
    lines = [f"plan: node {name} is new" for name in sorted(new)] + [
        f"plan: node {name} is gone" for name in sorted(gone)
    ]
    return lines + _grouped(_differences("plan", _without(now, new), _without(then, gone)))


def _nodes(plan: dict[str, Any]) -> set[str]:
    return {name.split(".")[1] for name in plan if name.startswith("nodes.")}


def _without(plan: dict[str, Any], nodes: set[str]) -> dict[str, Any]:
    return {
        name: value for name, value in plan.items() if not name.startswith("nodes.") or name.split(".")[1] not in nodes
    }


def _grouped(lines: list[str]) -> list[str]:
    """Lines that differ in the name of a node only, as one."""
    groups: dict[str, list[str]] = {}
    for line in lines:
        match = NODE_LINE.fullmatch(line)
        if match is None:
            groups[line] = []
        else:
            groups.setdefault(f"plan: nodes.{{}}.{match[2]}", []).append(match[1])
    return [form.replace("{}", ",".join(names), 1) if names else form for form, names in groups.items()]


def _differences(area: str, now: dict[str, Any], then: dict[str, Any]) -> list[str]:
    """A line for each leaf that is new, gone, or another; none when one side is not known."""
    if not now or not then:
        return []
    lines = [
        f"{area}: {name}: {_shown(then[name])} -> {_shown(now[name])}"
        for name in now
        if name in then and now[name] != then[name]
    ]
    new, gone = sorted(set(now) - set(then)), sorted(set(then) - set(now))
    return (
        lines
        + [f"{area}: {name} is new: {_shown(now[name])}" for name in new]
        + [f"{area}: {name} is gone" for name in gone]
    )


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else text[:12] + "…" if len(text) == 64 else text[:59] + "…"
