from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest

from cardan.runtime.errors import ConfigError
from cardan.runtime.findings import Findings
from cardan.runtime.toml_convert import convert_table


class Gains(msgspec.Struct, frozen=True, kw_only=True):
    p: float
    i: Annotated[float, msgspec.Meta(ge=0)] = 0.0


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    gains: Gains = Gains(p=1.0)
    by_name: dict[str, Gains] = {}
    rows: list[tuple[float, float]] = []
    mode: Literal["slow", "fast"] | None = None
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ConfigError("low is above high", hint="swap them")


def convert(table: Any) -> tuple[Settings | None, list[str]]:
    findings = Findings("f", {})
    return convert_table(table, Settings, ("s",), findings), [str(item) for item in findings.sorted()]


def test_a_table_that_fits_becomes_the_struct_that_msgspec_would_make() -> None:
    table = {"gains": {"p": 2}, "by_name": {"a": {"p": 3.0, "i": 1}}, "rows": [[0, 1.5]], "mode": "fast"}
    assert convert(table) == (msgspec.convert(table, Settings), [])


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"gains": {"p": "x"}}, 's.gains.p: "x" does not fit, expected a number'),
        ({"gains": {}}, "s.gains.p: is missing, write p = 1.0"),
        ({"gains": 3}, "s.gains: 3 does not fit, expected a table"),
        (
            {"by_name": {"a b": {"p": 1, "i": -1}}},
            's.by_name."a b".i: -1 does not fit, expected a number of at least 0',
        ),
        ({"rows": [[0, 1], [2]]}, "s.rows[1]: a list of one does not fit, expected a list of length 2"),
        ({"rows": [[0, "x"]]}, 's.rows[0][1]: "x" does not fit, expected a number'),
        ({"mode": "fats"}, 's.mode: "fats" is not allowed, did you mean "fast"?'),
        ({"mod": "fast"}, 's.mod: unknown key "mod", did you mean "mode"?'),
        ({"low": True}, "s.low: true does not fit, expected a number"),
        ({"low": 2}, "s: low is above high, swap them"),
        ([], "s: a list does not fit, expected a table"),
    ],
)
def test_what_does_not_fit_is_found_at_its_own_key(table: Any, expected: str) -> None:
    assert convert(table) == (None, [f"f:1: {expected}"])


def test_every_mistake_of_a_table_is_found_at_once() -> None:
    assert len(convert({"low": "x", "high": [], "mode": 3, "other": 1, "gains": {"p": 1, "q": 2}})[1]) == 5
