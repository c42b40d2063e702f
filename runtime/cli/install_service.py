"""`cardan install-service`: write unit, user, folders and device rules, and say what to run next."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from cardan.runtime.cli.exits import Exit, RefusedError, UsageError
from cardan.runtime.cli.lines import Line, write_lines
from cardan.runtime.service.files import Service, service_files
from cardan.runtime.service.install import (
    Change,
    changes_for,
    closed_folder,
    closed_to_others,
    write_changes,
)


def run(arguments: argparse.Namespace) -> int:
    """Write the files (or print them); 0 also when nothing had to change."""
    root = Path(arguments.root).absolute()
    here = root == Path("/")
    service = _service(arguments, here)
    texts = {**service_files(service), **shell_files()}
    if arguments.print:
        print("\n".join(f"# {target}\n{text}" for target, text in texts.items()), end="")
        return int(Exit.HEALTHY)
    changes = changes_for(texts, root)
    closed = closed_folder(changes)
    if closed is not None:
        hint = "run it as root (sudo), write below another folder with --root, or look at the files with --print"
        raise RefusedError(f"{closed} cannot be written by this user; nothing was changed", hint=hint)
    write_changes(changes)
    write_lines([*_written(changes), *_notes(service, root, here), *_next(root, here)], sys.stdout)
    return int(Exit.HEALTHY)


def shell_files() -> dict[str, str]:
    """Manual page and completion, where every user's man and shell look for them."""
    from cardan.runtime.cli.completion import bash, fish, zsh
    from cardan.runtime.cli.man import page

    return {
        "/usr/local/share/man/man1/cardan.1": page(),
        "/usr/local/share/bash-completion/completions/cardan": bash(),
        "/usr/local/share/zsh/site-functions/_cardan": zsh(),
        "/usr/local/share/fish/vendor_completions.d/cardan.fish": fish(),
    }


def _service(arguments: argparse.Namespace, here: bool) -> Service:
    manifest = Path(arguments.manifest) if arguments.manifest else None
    if manifest is not None and here:
        _check(arguments.manifest, arguments.profile)
        manifest = manifest.expanduser().absolute()
    if manifest is not None and not manifest.is_absolute():
        raise UsageError(f"{manifest}: with --root, name the manifest by its absolute path on the vehicle")
    profile = arguments.profile
    if profile and (os.sep in profile or profile.endswith(".toml")):
        profile = str(Path(profile).expanduser().absolute())
    return Service(python=Path(sys.executable), manifest=manifest, profile=profile, user=arguments.user)


def _check(manifest: str, profile: str | None) -> None:
    """ManifestError when the service would be refused at its start."""
    from cardan.runtime.cli.check import require_manifest
    from cardan.runtime.graph import load_plan

    require_manifest(manifest)
    load_plan(manifest, profile)


def _written(changes: list[Change]) -> list[Line]:
    lines = []
    for change in changes:
        if change.before is None:
            lines.append(Line(f"+ {change.path}  ({len(change.after.splitlines())} lines)", "good"))
        elif change.changes:
            lines.append(Line(f"~ {change.path}", "warning"))
            lines += [Line(f"    {line}", "good" if line.startswith("+") else "bad") for line in change.difference()]
        else:
            lines.append(Line(f"= {change.path}", "faint"))
    return lines


def _notes(service: Service, root: Path, here: bool) -> list[Line]:
    """What would keep the service from starting."""
    notes = []
    for path in filter(None, (service.python, service.manifest)):
        if not here:
            if not (root / str(path).lstrip("/")).exists():
                notes.append(f"{path} is not below {root}: it has to be there when the service starts")
        elif closed := closed_to_others(path):
            notes.append(f"only its owner may enter {closed}: the user {service.user} cannot read {path}")
    if service.manifest is None:
        notes.append("without --manifest the service drives the reference vehicle in simulation")
    return [Line(f"note: {note}", "warning") for note in notes]


def _next(root: Path, here: bool) -> list[Line]:
    if not here:
        commands = [f"systemd-sysusers --root={root}", f"systemctl --root={root} enable cardan"]
    else:
        commands = [
            "systemd-sysusers && systemd-tmpfiles --create && udevadm control --reload && udevadm trigger",
            "systemctl daemon-reload && systemctl enable --now cardan",
            "systemctl status cardan; journalctl -u cardan",
        ]
    return [Line("next:", "title"), *(Line(f"  {command}") for command in commands)]
