"""The key to a store, in a file that something else renews: an agent, a script, a message from the fleet.

Either one line, a shared access signature (SAS) of Azure, or a JSON object of settings that obstore knows
(`access_key_id`, `secret_access_key`, `session_token`, ...).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

import msgspec

from cardan.runtime.errors import ConfigError


@dataclass(frozen=True)
class Access:
    """What a file said. repr has no secret."""

    settings: dict[str, str]

    def __repr__(self) -> str:
        return f"Access({', '.join(sorted(self.settings))})"

    @property
    def sas(self) -> str:
        """The shared access signature; empty when there is none."""
        return self.settings.get("sas_key", "")

    @property
    def ends(self) -> str:
        """When the signature says that it ends, as it says it; empty when it does not."""
        return parse_qs(self.sas).get("se", [""])[0]


NO_ACCESS = Access({})
"""Nothing but what the environment gives: workload identity, an account's own variables."""


class AccessFile:
    """Reads the file again when it was written again."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._access = NO_ACCESS

    def read(self) -> Access:
        """What the file says now. ConfigError when it is not there, or says nothing that could be a key."""
        if self.path is None:
            return NO_ACCESS
        try:
            status = self.path.stat()
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                self._access = access_of(self.path.read_text(), self.path)
                self._seen = seen
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ConfigError(
                f"the key to the store cannot be read from {self.path}: {reason}",
                hint="what writes `access_file`, and has it run?",
            ) from error
        return self._access


def access_of(text: str, path: Path) -> Access:
    """The key in the text of a file. ConfigError when there is none."""
    text = text.strip()
    if text.startswith("{"):
        try:
            return Access(msgspec.json.decode(text, type=dict[str, str]))
        except msgspec.MsgspecError as error:
            raise ConfigError(f"{path} holds no JSON object of texts: {error}") from error
    sas = text.removeprefix("?")
    if "\n" in text or "sig=" not in sas:
        raise ConfigError(
            f"{path} holds no key to a store", hint="one line with a SAS (sv=...&sig=...), or a JSON object"
        )
    return Access({"sas_key": sas})
