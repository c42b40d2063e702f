"""The load of an accelerator as a table, and what is wrong with it: asked of a plan, before anything starts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from cardan.engines.declared import Declared, declare
from cardan.engines.feasible import Load, Verdict, judge
from cardan.engines.schedule import Criticality
from cardan.runtime.clock import NS_PER_S, ns
from cardan.runtime.findings import ObjectedError, Objection
from cardan.runtime.graph_engines import TABLE
from cardan.runtime.graph_report import step_rate_hz
from cardan.runtime.manifest import EngineEntry
from cardan.runtime.plan import NodePlan, Plan

HEAD = ["", "engine", "rate", "deadline", "way", "run", "share", "criticality", "slack"]
JUDGED = (
    "slack: least time left at a deadline, by the demand of non-preemptive earliest deadline first "
    "(Jeffay 1991, George 1996); way: from capture to this host, the longest"
)


@dataclass(frozen=True)
class Row:
    """One engine of a host."""

    declared: Declared
    period_ns: int
    way_ns: int
    """The longest step of the node that publishes its frames: they are stamped when it begins and sent when it ends."""

    @property
    def load(self) -> Load | None:
        """What it asks for; None while its run time is not declared."""
        run_ms = self.declared.entry.run_ms
        if run_ms is None:
            return None
        left_ns = self.declared.deadline_ns - self.way_ns
        return Load(name=self.declared.name, period_ns=self.period_ns, deadline_ns=left_ns, run_ns=ns(run_ms / 1000))


@dataclass(frozen=True)
class Judged:
    """All engines of a host, and what became of the test."""

    rows: list[Row]
    everything: Verdict
    critical: Verdict
    """Those of high criticality, while every other makes room."""


def judge_host(plan: Plan, node: NodePlan) -> Judged:
    """The test for one host of a plan. ObjectedError when an engine cannot be looked into."""
    entries = msgspec.convert(node.config.get(TABLE, {}), dict[str, EngineEntry])
    folder = Path(plan.manifest).parent
    rows = [_row(plan, declared) for declared in declare(entries, node.sys_path or [str(folder)], folder)]
    loads = [row.load for row in rows if row.load is not None]
    high = {row.declared.name for row in rows if row.declared.criticality is Criticality.HIGH}
    critical = [load for load in loads if load.name in high]
    others = [load for load in loads if load.name not in high]
    return Judged(rows, judge(loads), judge(critical, others))


def _row(plan: Plan, declared: Declared) -> Row:
    publisher = next((one for one in plan.nodes if one.name == declared.entry.input.partition("/")[0]), None)
    rate_hz = step_rate_hz(plan, publisher) if publisher is not None else None
    period_ns = round(NS_PER_S / rate_hz) if rate_hz else declared.file.model.period_ns
    way_s = publisher.step_budget_s if publisher is not None else None
    return Row(declared, period_ns, ns(way_s or 0.0))


def review_load(plan: Plan, node: NodePlan) -> list[Objection]:
    """Engines that cannot be looked into, and those of high criticality that may miss a deadline."""
    try:
        judged = judge_host(plan, node)
    except ObjectedError as error:
        return error.objections
    slowest = max(judged.rows, key=lambda row: row.load.run_ns if row.load else 0, default=None)
    rival = slowest.declared.name if slowest is not None else ""
    return [
        Objection(
            (TABLE, row.declared.name, "run_ms"),
            f"a result may miss its deadline of {row.declared.deadline_ns / 1e6:g} ms, even while others make room",
            f"lower run times, above all that of {rival}, or rates, or give it a host of its own",
        )
        for row in judged.rows
        if row.declared.name in judged.critical.late
    ]


def explain_load(plan: Plan, node: NodePlan) -> list[str]:
    """The table of a host, and what follows from it."""
    judged = judge_host(plan, node)
    if not judged.rows:
        return [f"{node.name} runs no engine"]
    cells = [HEAD, *(_cells(row, judged) for row in judged.rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEAD))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return [_title(node, judged), *table, "", JUDGED]


def _title(node: NodePlan, judged: Judged) -> str:
    unknown = [row.declared.name for row in judged.rows if row.load is None]
    if unknown:
        return f"engines on {node.name}: not judged, run_ms is not declared for {', '.join(unknown)}"
    share = f"engines on {node.name}: {100 * judged.everything.share:.0f} % of the accelerator"
    if not judged.everything.late:
        return f"{share}, every deadline is met"
    low = [name for name in judged.everything.late if name not in judged.critical.slack_ns]
    return f"{share}: those of high criticality meet their deadlines, these may have to make room: {', '.join(low)}"


def _cells(row: Row, judged: Judged) -> list[str]:
    load = row.load
    slack_ns = judged.everything.slack_ns.get(row.declared.name)
    return [
        "",
        row.declared.name,
        f"{NS_PER_S / row.period_ns:g} Hz",
        _ms(row.declared.deadline_ns),
        _ms(row.way_ns),
        "-" if load is None else _ms(load.run_ns),
        "-" if load is None else f"{100 * load.share:.0f} %",
        row.declared.criticality.name.lower(),
        "-" if load is None else "none" if slack_ns is None else _ms(slack_ns),
    ]


def _ms(duration_ns: int) -> str:
    return f"{duration_ns / 1e6:.4g} ms"
