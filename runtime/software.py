"""What software a run has: versions and hashes, kept beside its log, so that two runs can be compared.

A throw-away process of the guardian writes it, so that no start waits for it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution, requires
from pathlib import Path
from typing import Any

import msgspec

from cardan.runtime.plan import Plan

NAME = "software.json"
INSTALLED = "installed.json"
"""In a bundle: what was installed when it was made."""
VERSION = "Version:"
NO_DEV = ("dev", "train")
"""Extras that no vehicle needs."""


class Software(msgspec.Struct, frozen=True, kw_only=True):
    """Versions and hashes of one run."""

    schema_version: int = 1
    run: str
    computer: str
    cardan: str
    code_sha256: str
    """Of every module of cardan that is installed."""
    python: str
    kernel: str
    system: str
    """Name and version of the distribution."""
    vehicle: str
    manifest: str
    manifest_sha256: str
    profile: str
    profile_sha256: str
    envelope_hash: str
    packages: dict[str, str]
    """Version of each package that cardan asks for and that is installed."""


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """What is installed at one moment, beside a run that may have begun with something else."""

    software: Software
    manifest_sha256: str | None
    """Of the manifest's file as it is now; None when it cannot be read."""


def installed_of(plan: Plan, run_id: str) -> Installed:
    """Everything as it is now."""
    try:
        found = hashlib.sha256(Path(plan.manifest).read_bytes()).hexdigest()
    except OSError:
        found = None
    return Installed(software=software_of(plan, run_id), manifest_sha256=found)


def software_of(plan: Plan, run_id: str) -> Software:
    """What is installed now, for a run of `plan`. Reads every module of cardan: tens of milliseconds."""
    return Software(
        run=run_id,
        computer=platform.node(),
        cardan=_version("cardan"),
        code_sha256=code_sha256(),
        python=platform.python_version(),
        kernel=platform.release(),
        system=_system(),
        vehicle=plan.name,
        manifest=plan.manifest,
        manifest_sha256=plan.manifest_sha256,
        profile=plan.profile.name,
        profile_sha256=profile_sha256(plan),
        envelope_hash=plan.envelope_hash,
        packages=packages(),
    )


def write_software(folder: Path, software: Software) -> None:
    """Keep it in the log folder of its run."""
    new = folder / f".{NAME}.new"
    new.write_bytes(msgspec.json.format(msgspec.json.encode(software), indent=1))
    new.replace(folder / NAME)


def read_software_or_none(folder: Path) -> Software | None:
    """What was kept with a run; None where nothing was, or it cannot be read."""
    with suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return msgspec.json.decode((folder / NAME).read_bytes(), type=Software)
    return None


def read_installed_or_none(folder: Path) -> Installed | None:
    """What was installed when a bundle was made."""
    with suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return msgspec.json.decode((folder / INSTALLED).read_bytes(), type=Installed)
    return None


def profile_sha256(plan: Plan) -> str:
    """Of the profile as it was resolved, without the ports of bench buses, which each run chooses anew."""
    profile: dict[str, Any] = msgspec.to_builtins(plan.profile)
    for channel in profile.get("can", {}).values():
        channel.pop("port", None)
    return hashlib.sha256(msgspec.json.encode(profile, order="sorted")).hexdigest()


def code_sha256(package: str = "cardan") -> str:
    """Of the names and contents of all modules and data files of the package, in order of their names."""
    from importlib import import_module

    digest = hashlib.sha256()
    for root in import_module(package).__path__:
        for name in sorted(_files(root), key=lambda name: name.split(os.sep)):
            digest.update(f"{name}\0".encode())
            with open(os.path.join(root, name), "rb", buffering=0) as file:
                digest.update(hashlib.sha256(file.read()).digest())
    return digest.hexdigest()


def _files(root: str) -> list[str]:
    """Their names, from `root` on."""
    found = []
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = [name for name in folders if name != "__pycache__"]
        found += [os.path.join(folder, name) for name in names if not name.endswith(".pyc")]
    return [os.path.relpath(path, root) for path in found]


def packages() -> dict[str, str]:
    """Name -> version of what cardan asks for and is installed, without what only developers need."""
    try:
        wanted = requires("cardan") or []
    except PackageNotFoundError:
        return {}
    names = {_name(line) for line in wanted if not _is_for_developers(line)}
    found = {name: _version(name) for name in sorted(names)}
    return {name: number for name, number in found.items() if number}


def _is_for_developers(requirement: str) -> bool:
    return any(f'extra == "{extra}"' in requirement.replace("'", '"') for extra in NO_DEV)


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]


def _version(package: str) -> str:
    """Read as a line: the package's own way parses all that is said of it, which takes ten times as long."""
    try:
        said = distribution(package).read_text("METADATA") or ""
    except PackageNotFoundError:
        return ""
    head = said.partition("\n\n")[0].splitlines()
    return next((line.removeprefix(VERSION).strip() for line in head if line.startswith(VERSION)), "")


def _system() -> str:
    with suppress(OSError):
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    return ""
