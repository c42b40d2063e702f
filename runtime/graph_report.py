"""The graph as text: what `cardan check` prints about a manifest that is in order."""

from __future__ import annotations

from cardan.runtime.plan import InputPlan, NodePlan, Plan


def describe(plan: Plan) -> str:
    """A table of the nodes in start order with rate, time budget and inputs, then the load of each core group."""
    rates = {node.name: step_rate_hz(plan, node) for node in plan.nodes}
    header = ["node", "rate", "period", "budget", "cores", "restart", "reads", "oldest", "publishes"]
    rows = [row for node in plan.nodes for row in _rows(node, rates[node.name])]
    title = f"{plan.name}: {_count(len(plan.nodes), 'node')}, {_count(len(plan.topics()), 'topic')}"
    title += f" on the profile {plan.profile.name}"
    envelope = f"envelope {plan.envelope_hash}: {', '.join(plan.envelope)}" if plan.envelope else "no envelope"
    return "\n".join([title, "", *_table([header, *rows]), "", *_groups(plan, rates), envelope])


def step_rate_hz(plan: Plan, node: NodePlan) -> float | None:
    """Steps a second of a node: that of the node which publishes what steps it, or its own."""
    publishers = {output.topic: other for other in plan.nodes for output in other.outputs}
    seen: set[str] = set()
    while node.stepped_by is not None and node.name not in seen:
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


def _groups(plan: Plan, rates: dict[str, float | None]) -> list[str]:
    """Of each core group: its cores, and the share of one core that the declared step budgets add up to."""
    lines = []
    for group in dict.fromkeys(node.core_group for node in plan.nodes):
        nodes = [node for node in plan.nodes if node.core_group == group]
        declared = [node for node in nodes if node.step_budget_s is not None]
        share = sum((node.step_budget_s or 0.0) * (rates[node.name] or 0.0) for node in declared)
        cores = ",".join(map(str, nodes[0].cores)) or "all"
        text = f"{100 * share:.0f} % of one core by {len(declared)} declared budgets of {_count(len(nodes), 'node')}"
        lines.append(f"core group {group or 'any'} (cores: {cores}): {text}")
    return lines


def _table(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _ms(duration_s: float | None) -> str:
    return "-" if duration_s is None else f"{duration_s * 1000:.4g} ms"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
