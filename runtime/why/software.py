"""Is the right software everywhere: what runs against what is installed, the manifest, and its needs."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires

from cardan.runtime.cli.runs import FoundRun
from cardan.runtime.log.record import LogRecord
from cardan.runtime.software import (
    Installed,
    Software,
    installed_of,
    read_installed_or_none,
    read_software_or_none,
)
from cardan.runtime.why.answer import Answer
from cardan.runtime.why.evidence import Evidence

QUESTION = "software"
RESTART = "start the run again to run what is installed; or install again what should run"
ELSEWHERE = "what the control units of the vehicle run: they were not asked"


def answer(evidence: Evidence) -> Answer:
    """Of the run, against what is installed on this computer (in a bundle: was, when it was made)."""
    found = evidence.found
    running = read_software_or_none(found.logs)
    installed = _installed(found)
    if running is None or installed is None:
        what = "which software the run has" if running is None else "what was installed when the bundle was made"
        return Answer(question=QUESTION, verdict=f"not recorded: {what}", healthy=False, missing=[what, ELSEWHERE])
    networks = _networks(evidence)
    wrong = [*_differences(running, installed), *_stand_ins(networks), *_too_old(running.packages)]
    facts = [
        f"cardan {running.cardan}, code {running.code_sha256[:12]}, python {running.python}, kernel {running.kernel}",
        f"manifest {running.manifest} {running.manifest_sha256[:12]}, envelope {running.envelope_hash}",
        f"profile {running.profile} {running.profile_sha256[:12]}",
        *(f"engine {name}: {record.text.partition(': ')[2]}" for name, record in networks.items()),
        ", ".join(f"{name} {number}" for name, number in running.packages.items()),
    ]
    verdict = wrong[0] if wrong else f"cardan {running.cardan} as installed, with the manifest as it is on disk"
    return Answer(
        question=QUESTION,
        verdict=f"{len(wrong)} {'difference' if len(wrong) == 1 else 'differences'}: {verdict}"
        if wrong
        else f"ok: {verdict}",
        healthy=not wrong,
        hint=RESTART if wrong else "",
        facts=[*wrong, *facts],
        missing=[ELSEWHERE],
    )


def _installed(found: FoundRun) -> Installed | None:
    return read_installed_or_none(found.data_dir) if found.bundle else installed_of(found.plan, found.run_id)


def _differences(running: Software, installed: Installed) -> list[str]:
    now = installed.software
    pairs = (
        ("cardan", running.cardan, now.cardan),
        ("the code of cardan", running.code_sha256[:12], now.code_sha256[:12]),
        ("python", running.python, now.python),
        ("kernel", running.kernel, now.kernel),
        *((name, running.packages.get(name, "none"), now.packages.get(name, "none")) for name in _names(running, now)),
    )
    found = [f"{name}: the run has {ours}, installed is {theirs}" for name, ours, theirs in pairs if ours != theirs]
    if installed.manifest_sha256 is None:
        found.append(f"the manifest {running.manifest} cannot be read any more")
    elif installed.manifest_sha256 != running.manifest_sha256:
        found.append(f"the manifest {running.manifest} was changed after the run began")
    return found


def _names(*sides: Software) -> list[str]:
    return sorted({name for side in sides for name in side.packages})


def _networks(evidence: Evidence) -> dict[str, LogRecord]:
    """Engine -> the record of what serves it last."""
    return {str(record.fields.get("engine")): record for record in evidence.of_codes("engine-serves")}


def _stand_ins(networks: dict[str, LogRecord]) -> list[str]:
    return [f"engine {record.text}" for record in networks.values() if record.fields.get("stands_in")]


def _too_old(packages: dict[str, str]) -> list[str]:
    """Packages that are older than cardan asks for (`name>=1.2`)."""
    try:
        wanted = requires("cardan") or []
    except PackageNotFoundError:
        return []
    found = []
    for line in wanted:
        match = re.match(r"([A-Za-z0-9._-]+)\s*(?:\[[^]]*\])?\s*\(?>=\s*([0-9.]+)", line)
        if match is not None and match[1] in packages and _numbers(packages[match[1]]) < _numbers(match[2]):
            found.append(f"{match[1]} {packages[match[1]]} is older than the {match[2]} that cardan needs")
    return found


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])
