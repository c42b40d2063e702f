"""What people are told about settings is what the code accepts."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest

from cardan.runtime.keys import Key, Table, tables_of
from cardan.runtime.manifest import Header
from cardan.runtime.node_type import node_type
from cardan.runtime.profile import Profile
from cardan.runtime.registry import node_names

ROOT = Path(__file__).parents[2]


class Inner(msgspec.Struct):
    """What is inside.

    A second paragraph.
    """

    depth_m: Annotated[float, msgspec.Meta(gt=0, le=2)]
    """How deep."""


class Base(msgspec.Struct, kw_only=True):
    """Base."""

    shared: int = 200_000
    """Of the base."""


class Outer(Base, kw_only=True):
    """All of it."""

    name: str
    kind: Literal["round", "flat"] | None = None
    """Its form; None: not said."""
    limits: dict[str, Inner] = msgspec.field(default_factory=dict)
    points: list[Inner] = []
    one: Inner | None = None
    pair: tuple[float, bool] = (1.5, True)
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0


def key(table: Table, name: str) -> Key:
    return next(item for item in table.keys if item.name == name)


def test_a_key_has_its_type_bounds_default_and_meaning() -> None:
    top, *_ = tables_of(Outer, ("config",))
    assert (top.title, top.about) == ("[config]", "All of it.")
    assert key(top, "name") == Key(name="name", type="text", default=None, meaning="")
    assert key(top, "kind") == Key(
        name="kind", type='"flat" or "round"', default="", meaning="Its form; left out: not said."
    )
    assert key(top, "shared") == Key(name="shared", type="whole number", default="200_000", meaning="Of the base.")
    assert key(top, "pair") == Key(name="pair", type="[number, true or false]", default="[1.5, true]", meaning="")
    assert key(top, "port").type == "whole number, 0 to 65535"


def test_tables_inside_of_a_table_follow_it_under_the_titles_that_toml_gives_them() -> None:
    _, *inner = tables_of(Outer, ("config",))
    assert [table.title for table in inner] == ["[config.limits.NAME]", "[[config.points]]", "[config.one]"]
    assert {table.about for table in inner} == {"What is inside."}
    assert inner[0].keys == [Key(name="depth_m", type="number above 0, at most 2", default=None, meaning="How deep.")]


@pytest.mark.parametrize("struct", [Header, Profile])
def test_every_key_of_a_file_that_a_person_writes_says_what_it_means(struct: type[msgspec.Struct]) -> None:
    silent = [f"{table.title} {item.name}" for table in tables_of(struct) for item in table.keys if not item.meaning]
    assert silent == []


@pytest.mark.parametrize("use", sorted(node_names()))
def test_every_node_that_is_shipped_can_be_described(use: str) -> None:
    found = node_type(use, [])
    assert found.about
    assert found.inputs or found.outputs or found.metrics or found.settings[0].keys


def test_the_pages_are_what_the_code_says(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_reference", ROOT / "docs" / "make_reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, page in module.PAGES.items():
        assert (ROOT / "docs" / name).read_text() == page(), "run `python docs/make_reference.py`"
