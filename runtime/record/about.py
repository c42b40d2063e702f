"""What a recording says about its run."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec

from cardan.runtime.node.node import NodeContext


def about(context: NodeContext) -> dict[str, str]:
    """Run, vehicle, manifest, limits and plan, as texts for the metadata of a file."""
    plan: dict[str, Any] = msgspec.json.decode(context.plan_json) if context.plan_json else {}
    return {
        "run_id": context.run_id,
        "vehicle": str(plan.get("name", "")),
        "manifest": str(plan.get("manifest", "")),
        "manifest_sha256": str(plan.get("manifest_sha256", "")),
        "profile": context.profile.name,
        "envelope_hash": context.envelope_hash,
        "cardan_version": _version(),
        "plan": context.plan_json.decode(),
    }


def _version() -> str:
    try:
        return version("cardan")
    except PackageNotFoundError:
        return "unknown"
