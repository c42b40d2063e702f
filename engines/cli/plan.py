"""`cardan engine plan`: do the engines of a manifest meet their deadlines on their accelerator?"""

from __future__ import annotations

import argparse
import sys

from cardan.engines.cli.common import print_json
from cardan.engines.load_table import explain_load, judge_host
from cardan.runtime.cli.check import require_manifest
from cardan.runtime.cli.exits import Exit, NoDataError
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.graph import check
from cardan.runtime.graph_engines import TABLE
from cardan.runtime.plan import NodePlan, Plan


def run(arguments: argparse.Namespace) -> int:
    """Print the table of each host; 1 when an engine may miss deadlines, or the manifest has findings."""
    require_manifest(arguments.manifest)
    checked = check(arguments.manifest, arguments.profile)
    if checked.plan is None:
        if arguments.json:
            print_json({"schema_version": 1, "findings": [str(finding) for finding in checked.findings], "hosts": []})
        else:
            write_lines([Line(safe_text(str(finding)), "bad") for finding in checked.findings], sys.stdout)
        return int(Exit.FINDING)
    hosts = [node for node in checked.plan.nodes if TABLE in node.config]
    if not hosts:
        raise NoDataError("this vehicle has no engines", hint="declare them as [engines.NAME] in its manifest")
    documents = [_document(checked.plan, host) for host in hosts]
    if arguments.json:
        print_json({"schema_version": 1, "findings": [], "hosts": documents})
    else:
        for host, document in zip(hosts, documents, strict=True):
            _show(checked.plan, host, ok=document["ok"] is True)
    return int(Exit.HEALTHY if all(document["ok"] for document in documents) else Exit.FINDING)


def _show(plan: Plan, host: NodePlan, *, ok: bool) -> None:
    title, *rest = explain_load(plan, host)
    write_lines([Line(safe_text(title), "good" if ok else "warning"), *map(Line, rest)], sys.stdout)


def _document(plan: Plan, host: NodePlan) -> dict[str, object]:
    judged = judge_host(plan, host)
    known = all(row.load is not None for row in judged.rows)
    return {
        "host": host.name,
        "ok": known and not judged.everything.late,
        "share": judged.everything.share,
        "engines": [
            {
                "engine": row.declared.name,
                "period_ns": row.period_ns,
                "deadline_ns": row.declared.deadline_ns,
                "way_ns": row.way_ns,
                "run_ns": row.load.run_ns if row.load is not None else None,
                "criticality": row.declared.criticality.name.lower(),
                "slack_ns": judged.everything.slack_ns.get(row.declared.name),
                "slack_while_others_make_room_ns": judged.critical.slack_ns.get(row.declared.name),
            }
            for row in judged.rows
        ],
    }
