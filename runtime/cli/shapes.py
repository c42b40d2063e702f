"""What `--json` prints, as its help states it and the tests hold it to: one document, or a document on each line.

Every document has `schema_version`: a number that grows when a key goes away or changes its meaning. New keys may come
at any time.
"""

from __future__ import annotations

from typing import NamedTuple

SCHEMA_VERSION = 1
WIDTH = 118


class Shape(NamedTuple):
    """The top level of a document."""

    keys: str
    """Separated by `, `; in brackets behind one the keys inside of it, or of each of its items; `...`: and more."""
    lines: bool = False
    """JSON Lines: one document on each line."""

    @property
    def tree(self) -> dict[str, frozenset[str]]:
        """The keys of the top level, and of each the keys inside of it; empty where those are not stated."""
        found: dict[str, frozenset[str]] = {"schema_version": frozenset()}
        rest = self.keys
        while rest:
            name = rest[: min(at for at in (rest.find(","), rest.find(" ("), len(rest)) if at >= 0)]
            rest, inner = rest[len(name) :], ""
            if rest.startswith(" ("):
                inner, _, rest = rest[2:].partition(")")
            found[name] = frozenset(filter(None, inner.split(", ")))
            rest = rest.removeprefix(", ")
        return found

    def text(self) -> str:
        """For `--help`."""
        from textwrap import fill

        head = "each line of JSON" if self.lines else "the JSON document"
        return fill(f"{head}: schema_version, {self.keys}", WIDTH, break_long_words=False, break_on_hyphens=False)
