"""Find, read and check hardware profiles: TOML files, shipped with cardan (by name) or anywhere (by path)."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from cardan.runtime.errors import ProfileError, near_names
from cardan.runtime.findings import Findings, report
from cardan.runtime.profile import SCHEMA, Profile
from cardan.runtime.toml_convert import convert_table
from cardan.runtime.toml_document import read_document


def profile_names() -> list[str]:
    """The profiles that are shipped with cardan."""
    return sorted(item.name[: -len(".toml")] for item in files("cardan.hw_profiles").iterdir() if _is_toml(item.name))


def _is_toml(name: str) -> bool:
    return name.endswith(".toml")


def find_profile(name: str, base: Path) -> Path:
    """The file of the profile `name`: a shipped one, or a path (ends in .toml) that starts at the folder `base`."""
    if _is_toml(name):
        return _existing(base / Path(name).expanduser())
    if name not in profile_names():
        raise ProfileError(f'no profile "{name}"', hint=near_names(name, profile_names()))
    return Path(str(files("cardan.hw_profiles").joinpath(f"{name}.toml")))


def _existing(path: Path) -> Path:
    if path.exists():
        return path
    beside = [item.name for item in path.parent.glob("*.toml")]
    raise ProfileError(f"there is no profile file {path}", hint=near_names(path.name, beside))


def read_profile(path: Path) -> tuple[Profile | None, Findings]:
    """The profile in the file `path`, or what is wrong with it."""
    document = read_document(path, str(path), "profile")
    if document.findings and not document.data:
        return None, document.findings
    table = dict(document.data)
    check_schema(table, document.findings)
    profile = convert_table(table, Profile, (), document.findings)
    for name in profile.can if profile is not None else ():
        if "name" in table["can"][name]:
            document.findings.add(("can", name, "name"), "is the name of its table", "remove it")
    return (None if profile is None or document.findings else _with_channel_names(profile)), document.findings


def _with_channel_names(profile: Profile) -> Profile:
    """Write the key of each CAN channel into its settings."""
    named = {name: msgspec.structs.replace(channel, name=name) for name, channel in profile.can.items()}
    return msgspec.structs.replace(profile, can=named)


def check_schema(table: dict[str, Any], findings: Findings) -> None:
    """Take `schema` out of `table`; record a file that was written for other keys than ours."""
    schema = table.pop("schema", None)
    misspelt = get_close_matches("schema", table, n=1, cutoff=0.8)
    if schema is None and misspelt:
        findings.add((misspelt[0],), f'unknown key "{misspelt[0]}"', 'did you mean "schema"?')
        del table[misspelt[0]]
    elif schema is None:
        findings.add(("schema",), "is missing", f"write schema = {SCHEMA} as the first line")
    elif schema != SCHEMA or isinstance(schema, bool):
        findings.add(("schema",), f"{schema!r} is not a schema that this release reads", f"expected {SCHEMA}")


def load_profile(name: str, base: Path = Path()) -> Profile:
    """The profile `name` (shipped, or a path that starts at `base`); ProfileError lists what is wrong with it."""
    profile, findings = read_profile(find_profile(name, base))
    if profile is None:
        raise ProfileError(report(findings.sorted()))
    return profile
