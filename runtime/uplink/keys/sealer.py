"""What objects are encrypted with: one key for all, or a data key for each start of the computer, wrapped."""

from __future__ import annotations

from collections.abc import Set
from typing import Protocol

from cardan.runtime.uplink.cipher import Cipher


class Sealer(Protocol):
    """Gives the cipher of an object."""

    def cipher(self, data_key: str = "") -> Cipher:
        """The cipher of now, or of the data key of that name, so that an object is the same bytes when sealed again.

        KeyAwayError when the key cannot be used now. May block for as long as a token takes.
        """

    def forget_all_but(self, data_keys: Set[str]) -> None:
        """Objects that have a name already want these data keys; others of the past are not needed any more."""

    def retry(self) -> None:
        """Somebody wants it tried now."""


class OneKey:
    """The same cipher for everything: a key in a file."""

    def __init__(self, cipher: Cipher) -> None:
        self._cipher = cipher

    def cipher(self, data_key: str = "") -> Cipher:
        return self._cipher

    def forget_all_but(self, data_keys: Set[str]) -> None:
        return

    def retry(self) -> None:
        return
