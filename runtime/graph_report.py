"""The graph as text: what `cardan check` prints about a manifest that is in order."""

from __future__ import annotations

import math

from cardan.runtime.admission import Placement, Task, admit
from cardan.runtime.plan import ANY_INPUT, InputPlan, NodePlan, Plan


def describe(plan: Plan) -> str:
    """The nodes in start order with rate, budget and inputs, then what each core group has to do by when."""
    rates = {node.name: step_rate_hz(plan, node) for node in plan.nodes}
    header = ["node", "rate", "period", "budget", "cores", "restart", "reads", "oldest", "publishes"]
    rows = [row for node in plan.nodes for row in _rows(node, rates[node.name])]
    title = f"{plan.name}: {_count(len(plan.nodes), 'node')}, {_count(len(plan.topics()), 'topic')}"
    title += f" on the profile {plan.profile.name}"
    envelope = f"envelope {plan.envelope_hash}: {', '.join(plan.envelope)}" if plan.envelope else "no envelope"
    return "\n".join([title, "", *_table([header, *rows]), "", *_groups(plan), envelope])


def step_rate_hz(plan: Plan, node: NodePlan) -> float | None:
    """Steps a second of a node: that of the node which publishes what steps it, or its own."""
    publishers = {output.topic: other for other in plan.nodes for output in other.outputs}
    seen: set[str] = set()
    while node.stepped_by not in (None, ANY_INPUT) and node.name not in seen:
        seen.add(node.name)
        topics = [topic for item in node.inputs if item.port == node.stepped_by for topic in item.topics]
        if not topics:
            break
        node = publishers[topics[0]]
    return node.rate_hz


def _rows(node: NodePlan, rate_hz: float | None) -> list[list[str]]:
    """One line for the node; more where it has several inputs or outputs."""
    period_s = 1 / rate_hz if rate_hz else None
    budget_s = node.step_budget_s or period_s
    first = [
        node.name,
        f"{rate_hz:g} Hz" if rate_hz else "-",
        _ms(period_s),
        _ms(budget_s),
        (node.core_group or "any") + (" rt" if node.realtime else ""),
        node.restart + (" critical" if node.critical else ""),
    ]
    inputs = [_input(item) for item in node.inputs] or [("-", "")]
    outputs = [output.topic for output in node.outputs] or ["-"]
    lines = max(len(inputs), len(outputs))
    inputs += [("", "")] * (lines - len(inputs))
    outputs += [""] * (lines - len(outputs))
    return [
        [*(first if at == 0 else [""] * len(first)), reads, oldest, publishes]
        for at, ((reads, oldest), publishes) in enumerate(zip(inputs, outputs, strict=True))
    ]


def _input(item: InputPlan) -> tuple[str, str]:
    if item.many:
        return f"{item.port} <- {_count(len(item.topics), 'topic')}", f"queue {item.queue}"
    reads = f"{item.port} <- {item.topics[0] if item.topics else 'nothing'}"
    if item.queue:
        return reads, f"queue {item.queue}"
    return reads, _ms(item.max_age_s) if item.max_age_s is not None else "any age"


def tasks_of(plan: Plan) -> list[Task]:
    """The nodes of a plan for admission."""
    publishers = {output.topic: node.name for node in plan.nodes for output in node.outputs}
    return [_task(node, step_rate_hz(plan, node), publishers) for node in plan.nodes]


def _task(node: NodePlan, rate_hz: float | None, publishers: dict[str, str]) -> Task:
    topics = [topic for item in node.inputs if item.port == node.stepped_by for topic in item.topics]
    return Task(
        name=node.name,
        group=node.core_group,
        cores=tuple(node.cores),
        period_s=1 / rate_hz if rate_hz else None,
        budget_s=node.step_budget_s,
        realtime=node.realtime,
        priority=node.priority or None,
        stepped_by=publishers[topics[0]] if topics else None,
    )


def _groups(plan: Plan) -> list[str]:
    """Of each core group: the share of one core that is declared, and when each step is done at the latest."""
    tasks = tasks_of(plan)
    placements = admit(tasks, plan.profile.realtime.priority)
    lines = []
    for group in dict.fromkeys(task.group for task in tasks):
        own = [task for task in tasks if task.group == group]
        rows = [_admission_row(task, placements.get(task.name), plan.node(task.name).phase_s) for task in own]
        header = ["", "node", "core", "priority", "period", "phase", "budget", "share", "response", "slack"]
        lines += [_group_title(group, own, plan), *_table([header, *rows]), ""]
    return [*lines, *_notes(tasks)]


def _group_title(group: str | None, tasks: list[Task], plan: Plan) -> str:
    wide = plan.profile.cores.get(group or "", [])
    numbers = sorted({core for task in tasks for core in task.cores}.union([] if isinstance(wide, str) else wide))
    cores = ",".join(map(str, numbers)) or "all"
    declared = [task for task in tasks if task.budget_s is not None]
    share = sum((task.budget_s or 0.0) / task.period_s for task in declared if task.period_s)
    text = f"{100 * share:.0f} % of one core by {len(declared)} declared budgets of {_count(len(tasks), 'node')}"
    return f"core group {group or 'any'} (cores: {cores}): {text}"


def _admission_row(task: Task, placement: Placement | None, phase_s: float | None) -> list[str]:
    declared = task.budget_s is not None and task.period_s is not None
    share = f"{100 * (task.budget_s or 0.0) / (task.period_s or 1.0):.0f} %" if declared else "-"
    first = ["", task.name, "any" if placement is None or placement.core is None else str(placement.core)]
    times = [_ms(task.period_s), _ms(phase_s), _ms(task.budget_s), share]
    if placement is None or not (declared or placement.core is not None):
        return [*first, "-" if placement is None else str(placement.priority), *times, "-", "-"]
    late = math.isinf(placement.response_s)
    response, slack = ("late", "-") if late else (_ms(placement.response_s), _ms(placement.slack_s))
    return [*first, str(placement.priority), *times, response, slack]


def _notes(tasks: list[Task]) -> list[str]:
    """How the table is to be read, where it says anything."""
    if not any(task.realtime for task in tasks):
        return []
    judged = "phase: how long a real-time node steps behind the grid of its period, so that it finds what it reads\n"
    judged += "response: its worst case by response-time analysis (Joseph and Pandya 1986, Audsley 1993)"
    free = "; where a group has no core numbers, as if all its real-time nodes were on one core"
    return [judged + (free if any(task.realtime and not task.cores for task in tasks) else ""), ""]


def _table(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _ms(duration_s: float | None) -> str:
    return "-" if duration_s is None else f"{duration_s * 1000:.4g} ms"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
