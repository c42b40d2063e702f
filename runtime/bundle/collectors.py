"""The collectors of a bundle: what each one takes, and from where. One that fails takes nothing from the others."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from cardan.runtime.bundle.cut import cut_recordings
from cardan.runtime.bundle.job import Job
from cardan.runtime.log.read import known_runs, read_log
from cardan.runtime.log.record import SUFFIX

EARLIER_RUNS = 5
"""So many runs before this one come with their logs: what changed, and how did they end?"""
EARLIER_BYTES = 2 << 20
"""Of each log file of an earlier run, its end."""
CRASHES = 5
SHRINKS = 4
"""By so much everything but recordings is compressed; rings and logs are by more."""
ANSWER_S = 1.0
"""A bridge answers in the period in which it is asked."""
SYNC_FACTS = "outbox/facts.json"
"""What `cardan sync why` judges by."""
DOCTOR, ENGAGE = "doctor.json", "engage.json"
"""What `cardan doctor` and `cardan doctor --engage` print as JSON."""


class Collector(NamedTuple):
    """One part of a bundle."""

    name: str
    collect: Callable[[Job], str]
    """Fills the folder of the job; says in one line what it has. Anything it raises is a failure of it alone."""
    limit_s: float = 10.0


class Nothing(Exception):
    """There is nothing to collect here, and nothing is wrong."""


def _run(job: Job) -> str:
    job.copy(job.plan_path, "last/plan.json", text=True)
    job.copy(job.vitals_path, "last/vitals", text=False)
    return f"plan and vitals of {job.run_id}"


def _log(job: Job) -> str:
    files = sorted(path for path in job.logs.iterdir() if path.is_file() and path.name != "vitals")
    for path in files:
        job.copy(path, f"logs/{job.run_id}/{path.name}", text=True)
    return f"{len(files)} files, {len(read_log(job.logs))} records"


def _earlier(job: Job) -> str:
    runs = [name for name in known_runs(job.data_dir) if name < job.run_id][-EARLIER_RUNS:]
    if not runs:
        raise Nothing("no earlier run is kept")
    for name in runs:
        for path in sorted((job.data_dir / "logs" / name).iterdir()):
            if path.suffix in (SUFFIX, ".json"):
                job.write(f"logs/{name}/{path.name}", job.redaction.of_text(_end_of(path)))
    return f"logs, plans and software of {len(runs)} runs before"


def _end_of(path: Path) -> bytes:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - EARLIER_BYTES))
        data = file.read()
    return data if size <= EARLIER_BYTES else data.partition(b"\n")[2]


def _rings(job: Job) -> str:
    if job.bus_dir is None:
        raise Nothing("the messages of this run were not kept")
    rings = sorted(job.bus_dir.glob("*.ring"))
    if not rings:
        raise Nothing("no topic of this run goes through a ring")
    left_out = 0
    for path in rings:
        data = path.read_bytes()
        if job.redaction.positions and any(name in data for name in (b"latitude", b"longitude")):
            left_out += 1
            continue
        job.write(f"last/bus/{path.name}", job.redaction.of_binary(data))
    return f"{len(rings) - left_out} topics" + (f", {left_out} left out for positions" if left_out else "")


def _vehicle(job: Job) -> str:
    """Manifest and models as they are on disk now, cleaned; the plan has the profile as it was resolved."""
    manifest = Path(job.plan.manifest)
    taken = [
        manifest,
        *sorted(manifest.parent.glob("*.toml"))[:20],
        *sorted(manifest.parent.glob("models/*.toml"))[:20],
    ]
    names = list(dict.fromkeys(path for path in taken if path.is_file()))
    for path in names:
        job.copy(path, f"vehicle/{path.relative_to(manifest.parent)}", text=True)
    if not names:
        raise Nothing(f"{manifest} is not there any more")
    return ", ".join(path.name for path in names[:5])


def _doctor(job: Job) -> str:
    """Every check of this computer, against the plan of the run as it is."""
    from cardan.runtime.doctor.check import Subject
    from cardan.runtime.doctor.examine import all_checks, examine
    from cardan.runtime.doctor.report import report

    subject = Subject(profile=job.plan.profile, plan=job.plan, findings=[], data_dir=job.data_dir, clock=job.clock)
    checks = all_checks()
    found = report(checks, examine(checks, subject))
    job.write(DOCTOR, job.redaction.of_text(msgspec.json.encode(found)))
    return str(found["verdict"])


def _software(job: Job) -> str:
    """Versions and hashes of what is installed now: the run may have begun with others."""
    from cardan.runtime.software import INSTALLED, installed_of

    installed = installed_of(job.plan, job.run_id)
    job.write(INSTALLED, job.redaction.of_text(msgspec.json.encode(installed)))
    return f"cardan {installed.software.cardan}, {len(installed.software.packages)} packages"


def _engage(job: Job) -> str:
    """Every arming check, as the bridge answers it now."""
    from cardan.runtime.cli.control_facts import verdict_topic
    from cardan.runtime.control_port import Ask, ask, port_path

    if not job.is_live or job.bus_dir is None:
        raise Nothing("the run has ended: nobody can be asked")
    bridge = verdict_topic(job.plan).partition("/")[0]
    answer = ask(port_path(job.bus_dir.parent, bridge), Ask(verb="check", who="bundle"), ANSWER_S)
    job.write(ENGAGE, msgspec.json.encode({"schema_version": 1, "done": False, **msgspec.to_builtins(answer)}))
    return answer.engagement


def _outbox(job: Job) -> str:
    """The account of the outbox and the word of the uplink, as they are now."""
    from cardan.runtime.uplink.status import FROZEN, sync_status_or_none
    from cardan.runtime.uplink.why import read_facts

    status = sync_status_or_none(job.data_dir)
    if status is None:
        raise Nothing("there never was an outbox")
    job.write(FROZEN, job.redaction.of_text(msgspec.json.encode(status)))
    facts = read_facts(job.data_dir, job.clock.wall_ns())
    if facts is not None:
        job.write(SYNC_FACTS, job.redaction.of_text(msgspec.json.encode(facts)))
    return str(status.ledger)


def _crashes(job: Job) -> str:
    folder = job.data_dir / "crashes"
    paths = sorted(folder.glob("*.txt"), key=lambda path: path.stat().st_mtime)[-CRASHES:] if folder.is_dir() else []
    if not paths:
        raise Nothing("no command of ours has crashed")
    for path in paths:
        job.copy(path, f"crashes/{path.name}", text=True)
    return f"{len(paths)} crashed commands"


def _kernel(job: Job) -> str:
    ended = subprocess.run(["dmesg"], capture_output=True, timeout=3.0, check=False)
    lines = ended.stdout.splitlines()[-500:]
    if not lines:
        raise ValueError(ended.stderr.decode("utf-8", "replace").strip() or "dmesg says nothing")
    job.write("kernel.txt", job.redaction.of_text(b"\n".join(lines) + b"\n"))
    return f"the last {len(lines)} messages of the kernel"


def _recordings(job: Job) -> str:
    used = sum(path.stat().st_size for path in job.folder.rglob("*") if path.is_file())
    return cut_recordings(job, max(1 << 20, job.limit_bytes - used // SHRINKS))


COLLECTORS = (
    Collector("run", _run),
    Collector("log", _log),
    Collector("rings", _rings),
    Collector("earlier", _earlier),
    Collector("vehicle", _vehicle, 5.0),
    Collector("outbox", _outbox, 5.0),
    Collector("engage", _engage, 5.0),
    Collector("software", _software, 5.0),
    Collector("doctor", _doctor, 13.0),
    Collector("kernel", _kernel, 4.0),
    Collector("crashes", _crashes, 4.0),
    Collector("recordings", _recordings, 20.0),
)


def collect_or_why(collector: Collector, job: Job) -> tuple[bool, str]:
    """Whether all is well, and what it has or why not. Never raises."""
    try:
        return True, collector.collect(job)
    except Nothing as nothing:
        return True, f"nothing: {nothing}"
    except Exception as error:  # one part that fails must not take the others with it
        with suppress(Exception):
            return False, f"{type(error).__name__}: {str(error).splitlines()[0]}"
        return False, type(error).__name__
