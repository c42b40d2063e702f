"""`cardan version`: the versions that a bug report needs."""

from __future__ import annotations

import argparse
import json
import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("numpy", "pyzmq", "msgspec", "msgpack")


def run(arguments: argparse.Namespace) -> int:
    """Print the versions."""
    found = versions()
    if arguments.json:
        print(json.dumps({"schema_version": 1, **found}))
    else:
        print("\n".join(f"{name} {number}" for name, number in found.items()))
    return 0


def versions() -> dict[str, str]:
    """Of cardan, Python, and the libraries that every part needs."""
    return {"cardan": _version("cardan"), "python": platform.python_version()} | {
        name: _version(name) for name in PACKAGES
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
