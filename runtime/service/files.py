"""The files of the service, filled in for one computer: the shipped ones are complete, single lines are replaced."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from cardan.runtime.errors import ConfigError

DEFAULT_USER = "cardan"
UNIT = "/etc/systemd/system/cardan.service"
TARGETS = {
    UNIT: "cardan.service",
    "/etc/sysusers.d/cardan.conf": "cardan.sysusers.conf",
    "/etc/tmpfiles.d/cardan.conf": "cardan.tmpfiles.conf",
    "/etc/udev/rules.d/70-cardan.rules": "70-cardan.rules",
}
"""Where each file goes, and the name under which it is shipped."""
HOMES = ("/home", "/root", "/run/user")
SCRATCH = ("/tmp", "/var/tmp")  # noqa: S108 - names that a unit may hide, nothing is written there
USER_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,30}")


@dataclass(frozen=True, kw_only=True)
class Service:
    """What is particular to one computer. Paths are those of the computer that will run it."""

    python: Path
    manifest: Path | None = None
    """None: the reference vehicle."""
    profile: str | None = None
    """None: the one that the manifest names."""
    user: str = DEFAULT_USER

    @property
    def start_command(self) -> list[str]:
        """What systemd executes."""
        command = [str(self.python), "-m", "cardan.runtime.cli.main", "up", "--service"]
        if self.profile is not None:
            command += ["--profile", self.profile]
        return command if self.manifest is None else [*command, str(self.manifest)]

    @property
    def reads_homes(self) -> bool:
        """True when the interpreter, or what its link points to, or the manifest lies where people live."""
        return self._lies_in(HOMES)

    @property
    def reads_scratch(self) -> bool:
        """True when one of them lies in a folder for temporary files, as on a test machine."""
        return self._lies_in(SCRATCH)

    def _lies_in(self, folders: tuple[str, ...]) -> bool:
        paths = [self.python, Path(os.path.realpath(self.python)), self.manifest or Path("/")]
        return any(path.is_relative_to(folder) for path in paths for folder in folders)


def service_files(service: Service) -> dict[str, str]:
    """Every file with its text; ConfigError for a user name that no computer should have."""
    if not USER_NAME.fullmatch(service.user) or service.user == "root":
        raise ConfigError(
            f'"{service.user}" cannot be the user of the service', hint="a name such as cardan; never root"
        )
    texts = {target: read_shipped(name) for target, name in TARGETS.items()}
    texts[UNIT] = _fill_unit(texts[UNIT], service)
    if service.user != DEFAULT_USER:
        for target in TARGETS:
            texts[target] = _with_user(texts[target], service.user)
    return texts


def read_shipped(name: str) -> str:
    """A file as it is shipped."""
    return files("cardan.runtime.service").joinpath(name).read_text()


def _fill_unit(text: str, service: Service) -> str:
    text = set_key(text, "ExecStart", " ".join(map(quote, service.start_command)))
    if service.reads_scratch:
        text = set_key(text, "PrivateTmp", "no")
    return set_key(text, "ProtectHome", "read-only") if service.reads_homes else text


def set_key(unit: str, key: str, value: str) -> str:
    """The unit with another value for a key that it sets once."""
    lines = unit.splitlines(keepends=True)
    (place,) = (number for number, line in enumerate(lines) if line.startswith(f"{key}="))
    lines[place] = f"{key}={value}\n"
    return "".join(lines)


def quote(word: str) -> str:
    """One word of a command line as systemd.service(5) reads it: no specifier, no variable, no blank is special."""
    if not word.isprintable():
        raise ConfigError(f"{word!r} cannot stand in a unit file", hint="use a path of printable characters")
    plain = word.replace("%", "%%").replace("$", "$$")
    if re.fullmatch(r"[\w%$@+=:,./-]+", plain):
        return plain
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _with_user(text: str, user: str) -> str:
    """Another user where a line names one; paths and comments stay."""
    pattern = r'(?m)(^User=|^[um] |GROUP="|^d \S+ \d+ |^d \S+ \d+ \S+ )cardan\b'
    once = re.sub(pattern, rf"\g<1>{user}", text)
    return re.sub(pattern, rf"\g<1>{user}", once)
