"""`cardan check`: every finding of a manifest, one a line, or its graph."""

from __future__ import annotations

import argparse
import sys

import msgspec

from cardan.runtime.cli import units
from cardan.runtime.cli.exits import Exit, UsageError
from cardan.runtime.cli.lines import Line, safe_text, write_lines
from cardan.runtime.cli.summary import OK
from cardan.runtime.errors import near_names
from cardan.runtime.findings import Finding
from cardan.runtime.graph import check
from cardan.runtime.graph_report import describe
from cardan.runtime.manifest import FILE_NAME, find_manifest
from cardan.runtime.plan import NodePlan, Plan
from cardan.runtime.registry import load_node_class


class CheckDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What `cardan check --json` prints."""

    schema_version: int = 1
    verdict: str
    """`ok`, or the first finding."""
    manifest: str
    findings: list[Finding]
    plan: Plan | None
    """What would run; None when there are findings."""


def run(arguments: argparse.Namespace) -> int:
    """Print the findings (exit code 1), or the graph."""
    require_manifest(arguments.manifest)
    checked = check(arguments.manifest, arguments.profile)
    if arguments.json:
        verdict = str(checked.findings[0]) if checked.findings else OK
        manifest = str(find_manifest(arguments.manifest))
        document = CheckDocument(verdict=verdict, manifest=manifest, findings=checked.findings, plan=checked.plan)
        print(msgspec.json.encode(document).decode())
    elif checked.plan is not None:
        write_lines(_graph(checked.plan), sys.stdout)
    else:
        write_lines([Line(safe_text(str(finding))) for finding in checked.findings], sys.stdout)
        print(units.plural(len(checked.findings), "finding"), file=sys.stderr)
    return int(Exit.HEALTHY if checked.plan is not None else Exit.FINDING)


def require_manifest(given: str | None) -> None:
    """UsageError when there is no file where a person says that the manifest is; lists what is near."""
    path = find_manifest(given)
    if path.is_file():
        return
    what = f'no manifest "{path}"' if path.parent.is_dir() else f'no folder "{path.parent}"'
    known = sorted(other.name for other in path.parent.glob("*.toml")) if path.parent.is_dir() else []
    known += sorted(other.parent.name for other in path.parent.glob(f"*/{FILE_NAME}"))
    expected = f"name a manifest, or a folder that holds a {FILE_NAME}"
    raise UsageError(what, hint=near_names(path.name, known) if known else expected)


def _graph(plan: Plan) -> list[Line]:
    title, *rest = describe(plan).splitlines()
    rest += [text for node in plan.nodes for text in _explained(plan, node)]
    return [Line(f"ok  {safe_text(title)}", "good"), *(Line(safe_text(text)) for text in rest)]


def _explained(plan: Plan, node: NodePlan) -> list[str]:
    """What the class of a node says about it, after an empty line."""
    said = load_node_class(node.use, node.sys_path).explain(plan, node)
    return ["", *said] if said else []
