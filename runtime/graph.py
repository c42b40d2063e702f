"""The graph: a manifest checked against its node classes and a hardware profile, and made into a plan.

Everything is checked before anything starts. Each mistake is one finding with file, line, and remedy; whatever depends
on a part that is wrong in itself is left alone, so that one mistake does not look like many.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from cardan.runtime.admission import Placement
from cardan.runtime.errors import ManifestError, ProfileError, near_names
from cardan.runtime.findings import Finding, report
from cardan.runtime.graph_admission import check_admission, place
from cardan.runtime.graph_parts import Graph, Part, load_parts
from cardan.runtime.graph_phases import Stepped, phases
from cardan.runtime.graph_reactions import check_reactions
from cardan.runtime.graph_safety import channel_places, channels_of, check_safety
from cardan.runtime.graph_timing import check_timing
from cardan.runtime.graph_wiring import wire
from cardan.runtime.limits import envelope_hash
from cardan.runtime.manifest import Manifest, NodeEntry, find_manifest, read_manifest
from cardan.runtime.messages import type_name
from cardan.runtime.plan import InputPlan, MetricPlan, NodePlan, OutputPlan, Plan
from cardan.runtime.profile import Profile
from cardan.runtime.profile_file import find_profile, read_profile


@dataclass(frozen=True)
class Checked:
    """The outcome of a check: a plan, or findings."""

    plan: Plan | None
    findings: list[Finding]
    """In the order of the file; empty when there is a plan."""
    profile: Profile | None = None
    """What the manifest was checked against; None when it has findings, or there is none of that name."""


def check(given: str | None = None, profile: str | None = None) -> Checked:
    """Check a manifest. Imports the classes of its nodes, starts nothing.

    given: a file, a folder with a vehicle.toml, or None for the packaged reference vehicle. profile: in place of the
    manifest's own; ProfileError when there is none of that name.
    """
    manifest = read_manifest(find_manifest(given))
    used, profile_findings = _profile(manifest, profile)
    graph = load_parts(manifest, used)
    wire(graph)
    check_timing(graph)
    check_admission(graph)
    check_safety(graph)
    check_reactions(graph)
    if used is not None:
        _check_profile(graph, used)
    _check_stop(manifest)
    _check_standby(manifest)
    if used is None or profile_findings or manifest.findings:
        return Checked(None, profile_findings + manifest.findings.sorted(), used)
    plan = _plan(graph, used)
    _review(graph, plan)
    findings = manifest.findings.sorted()
    return Checked(None if findings else plan, findings, used)


def _review(graph: Graph, plan: Plan) -> None:
    """Let each node class say what it has against the plan."""
    for part in graph.parts.values():
        for path, what, remedy in part.node_class.review(plan, plan.node(part.name)):
            graph.findings.add(path, what, remedy)


def load_plan(given: str | None = None, profile: str | None = None) -> Plan:
    """The plan of a manifest; ManifestError lists every finding, one a line. Arguments as for `check`."""
    checked = check(given, profile)
    if checked.plan is None:
        raise ManifestError(report(checked.findings))
    return checked.plan


def _profile(manifest: Manifest, override: str | None) -> tuple[Profile | None, list[Finding]]:
    if override is not None:
        profile, findings = read_profile(find_profile(override, Path()))
        return profile, findings.sorted()
    if manifest.findings.touches(("profile",)):
        return None, []
    try:
        profile, findings = read_profile(find_profile(manifest.profile, manifest.folder))
    except ProfileError as error:
        manifest.findings.add(("profile",), error.message, error.hint or "name another")
        return None, []
    return profile, findings.sorted()


def _check_profile(graph: Graph, profile: Profile) -> None:
    """Core groups and CAN channels that the nodes name must be in the profile."""
    for part in graph.parts.values():
        if part.entry.core is not None and part.entry.core not in profile.cores:
            what = f'the profile {profile.name} has no core group "{part.entry.core}"'
            graph.findings.add((*part.path, "core"), what, near_names(part.entry.core, list(profile.cores)))
        for path, channel in channel_places(part):
            if channel not in profile.can:
                what = f'the profile {profile.name} has no CAN channel "{channel}"'
                graph.findings.add(path, what, near_names(channel, list(profile.can)))


def _check_stop(manifest: Manifest) -> None:
    names = [*manifest.nodes, *manifest.broken_nodes]
    if manifest.stop_when is not None and manifest.stop_when not in names:
        what = f'there is no node "{manifest.stop_when}"'
        manifest.findings.add(("stop_when",), what, near_names(manifest.stop_when, names))


def _check_standby(manifest: Manifest) -> None:
    for name, entry in manifest.nodes.items():
        if entry.standby and entry.process != "exec":
            what = "a forked node starts in milliseconds and needs no spare process"
            manifest.findings.add(("nodes", name, "standby"), what, 'remove it, or write process = "exec"')


def start_order(graph: Graph) -> list[Part]:
    """Publishers before their readers; in a circle, the node that waits for the fewest goes first, then file order."""
    waits_for = {
        name: {topic.partition("/")[0] for (node, _), wired in graph.wires.items() if node == name for topic in wired}
        for name in graph.parts
    }
    order: list[Part] = []
    while waits_for:
        name = min(waits_for, key=lambda item: len(waits_for[item]))  # the first of the file among equals
        del waits_for[name]
        for others in waits_for.values():
            others.discard(name)
        order.append(graph.parts[name])
    return order


def _plan(graph: Graph, profile: Profile) -> Plan:
    manifest, placements = graph.manifest, place(graph, profile)
    order = start_order(graph)
    noted = any(part.node_class.wants_step_notes(part.config) for part in order if part.config is not None)
    behind = phases([_stepped(graph, part) for part in order])
    return Plan(
        name=manifest.name,
        manifest=str(manifest.path.resolve()),
        manifest_sha256=manifest.sha256,
        profile=profile,
        envelope=manifest.envelope,
        envelope_hash=envelope_hash(manifest.envelope),
        nodes=[
            replace(
                _node_plan(graph, part, index, profile, placements.get(part.name)),
                phase_s=behind.get(part.name),
                notes_steps=noted and _is_replayable(part),
            )
            for index, part in enumerate(order)
        ],
        privacy=manifest.privacy,
        stop_when=manifest.stop_when,
        bus=manifest.bus,
    )


def _node_plan(graph: Graph, part: Part, index: int, profile: Profile, placement: Placement | None) -> NodePlan:
    entry, reactions = part.entry, graph.manifest.reactions.get(part.name)
    cores = profile.cores.get(entry.core, "all") if entry.core is not None else "all"
    own = [placement.core] if placement is not None and placement.core is not None else []
    return NodePlan(
        name=part.name,
        index=index,
        use=part.use,
        sys_path=part.sys_path,
        rate_hz=part.own_rate_hz,
        stepped_by=part.node_class.stepped_by,
        inputs=[_input_plan(graph, part, port) for port in part.ports.inputs],
        outputs=[_output_plan(graph, part, port) for port in part.ports.outputs],
        metrics=[MetricPlan(name=name, unit=metric.unit) for name, metric in part.ports.metrics.items()],
        channels=channels_of(part),
        step_budget_s=None if entry.step_budget_ms is None else entry.step_budget_ms / 1000,
        core_group=entry.core,
        cores=own if own else [] if isinstance(cores, str) else cores,
        config=entry.config,
        critical=entry.critical,
        reactions=reactions.declared() if reactions is not None else {},
        reaction_text=reactions.text if reactions is not None else "",
        restart=entry.restart,
        max_restarts=entry.max_restarts,
        window_s=entry.window_s,
        hang_limit_s=None if entry.hang_limit_ms is None else entry.hang_limit_ms / 1000,
        start_timeout_s=entry.start_timeout_s,
        stop_timeout_s=entry.stop_timeout_s,
        stops_last=part.node_class.stops_last,
        process=entry.process,
        standby=entry.standby,
        memory_max_mib=entry.memory_max_mib,
        cpu_weight=entry.cpu_weight,
        nice=entry.nice,
        realtime=entry.realtime,
        priority=_priority(entry, profile, placement),
    )


def _is_replayable(part: Part) -> bool:
    """True for a node that says something, and reads single topics: whose steps are worth being noted."""
    inputs = part.ports.inputs.values()
    return bool(inputs) and bool(part.ports.outputs) and not any(item.many for item in inputs)


def _stepped(graph: Graph, part: Part) -> Stepped:
    rate_hz = None if part.node_class.stepped_by is not None else part.own_rate_hz
    budget_ms = part.entry.step_budget_ms
    wired = (topics for (node, _), topics in graph.wires.items() if node == part.name)
    return Stepped(
        name=part.name,
        period_s=1 / rate_hz if rate_hz else None,
        budget_s=None if budget_ms is None else budget_ms / 1000,
        realtime=part.entry.realtime,
        reads=frozenset(topic.partition("/")[0] for topics in wired for topic in topics),
    )


def _priority(entry: NodeEntry, profile: Profile, placement: Placement | None) -> int:
    if not entry.realtime:
        return 0
    return entry.priority or (placement.priority if placement is not None else profile.realtime.priority)


def _input_plan(graph: Graph, part: Part, port: str) -> InputPlan:
    spec = part.ports.inputs[port]
    topics = graph.wires.get((part.name, port), [])
    return InputPlan(port=port, topics=topics, max_age_s=spec.max_age_s, queue=spec.queue, many=spec.many)


def _output_plan(graph: Graph, part: Part, port: str) -> OutputPlan:
    topic = f"{part.name}/{port}"
    readers = {node for (node, _), wired in graph.wires.items() if topic in wired}
    output = part.ports.outputs[port]
    kind = type_name(output.type)
    return OutputPlan(port=port, topic=topic, type=kind, subscribers=len(readers), latched=output.latched)
