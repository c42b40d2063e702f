"""The words of a condition: numbers, texts, fields of topics, names and signs, each with its place."""

from __future__ import annotations

import re
from typing import NamedTuple

from cardan.runtime.conditions.errors import ConditionError

_TOKENS = re.compile(
    r"""(?P<space>\s+)
    |(?P<topic>[a-z][a-z0-9_-]*/[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z_]\w*|\[\d+\])*)
    |(?P<number>0x[0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+)
    |(?P<text>"[^"]*"|'[^']*')
    |(?P<name>[A-Za-z_]\w*)
    |(?P<sign><=|>=|==|!=|[-<>+*/(),])""",
    re.VERBOSE | re.ASCII,
)
_OTHER_LANGUAGES = {"=": "==", "&": "and", "|": "or", "!": "not", "%": "/"}


class Token(NamedTuple):
    """One word of the text. kind: topic, number, text, name, sign, or end behind the last."""

    kind: str
    text: str
    at: int


def tokens_of(text: str) -> list[Token]:
    """The words of `text`, closed by one of kind `end`; ConditionError for a sign that has no meaning."""
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _TOKENS.match(text, at)
        if match is None:
            meant = _OTHER_LANGUAGES.get(text[at])
            hint = f"did you mean `{meant}`?" if meant else "expected a field, a number, a word or an operator"
            raise ConditionError(f"`{text[at]}` has no meaning here", hint, at)
        if match.lastgroup != "space":
            found.append(Token(match.lastgroup or "", match.group(), at))
        at = match.end()
    return [*found, Token("end", "", len(text))]
