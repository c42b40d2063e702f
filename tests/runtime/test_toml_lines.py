from __future__ import annotations

import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardan.runtime.toml_lines import TomlPath, key_lines, repeated_key

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EXAMPLE = '''\
schema = 1
a.b = "x" # a comment with = and [brackets]
[nodes.cam]
inputs = { x = "a/b", "y.z" = [1,
 2, { q = 1 }] }
when = 1979-05-27 07:32:00
text = """
[not.a.table]
no = "key"""" # the fourth quote belongs to the text
[[parts]]
n = 1
  [parts.sub]
  k = \'\'\'
  [[neither]]
  \'\'\'
[[parts]]
n = 2
["quoted \\"name\\"".'other']
'''
EXPECTED: dict[TomlPath, int] = {
    ("schema",): 1,
    ("a",): 2,
    ("a", "b"): 2,
    ("nodes",): 3,
    ("nodes", "cam"): 3,
    ("nodes", "cam", "inputs"): 4,
    ("nodes", "cam", "inputs", "x"): 4,
    ("nodes", "cam", "inputs", "y.z"): 4,
    ("nodes", "cam", "inputs", "y.z", 0): 4,
    ("nodes", "cam", "inputs", "y.z", 1): 5,
    ("nodes", "cam", "inputs", "y.z", 2): 5,
    ("nodes", "cam", "inputs", "y.z", 2, "q"): 5,
    ("nodes", "cam", "when"): 6,
    ("nodes", "cam", "text"): 7,
    ("parts",): 10,
    ("parts", 0): 10,
    ("parts", 0, "n"): 11,
    ("parts", 0, "sub"): 12,
    ("parts", 0, "sub", "k"): 13,
    ("parts", 1): 16,
    ("parts", 1, "n"): 17,
    ('quoted "name"',): 18,
    ('quoted "name"', "other"): 18,
}

KEYS = st.text(st.characters(codec="ascii", categories=("L", "N", "P", "Zs")), max_size=6)
SCALARS = st.one_of(st.integers(-9, 9), st.booleans(), st.text(st.characters(codec="utf-8"), max_size=12))
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
TABLES = st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=4), max_size=4)


def quoted(text: str) -> str:
    return '"' + "".join(c if c.isalnum() and c.isascii() else f"\\U{ord(c):08x}" for c in text) + '"'


class Writer:
    """Writes TOML in which every array element has a line of its own, and remembers where everything went."""

    def __init__(self) -> None:
        self.text = ""
        self.lines: dict[TomlPath, int] = {}

    def note(self, path: TomlPath) -> None:
        self.lines[path] = self.text.count("\n") + 1

    def document(self, tables: dict[str, dict[str, Any]]) -> None:
        for name, table in tables.items():
            self.note((name,))
            self.text += f"[ {quoted(name)} ] # [x] = {{\n"
            for key, value in table.items():
                self.pair((name, key), value)
                self.text += "\r\n" if len(key) % 2 else " # a = [1\n\n"

    def pair(self, path: TomlPath, value: object) -> None:
        self.note(path)
        self.text += f"{quoted(str(path[-1]))}\t= "
        self.value(path, value)

    def value(self, path: TomlPath, value: object) -> None:
        if isinstance(value, list):
            self.text += "[ # ]\n"
            for at, item in enumerate(value):
                self.note((*path, at))
                self.value((*path, at), item)
                self.text += " ,\n"
            self.text += "]"
        elif isinstance(value, dict):
            self.text += "{ "
            for at, (key, item) in enumerate(value.items()):
                self.text += ", " if at else ""
                self.pair((*path, key), item)
            self.text += " }"
        elif isinstance(value, str):
            self.text += f'"""\n{quoted(value)[1:-1]}"""' if len(value) % 3 == 0 else quoted(value)
        else:
            self.text += str(value).lower()


def test_every_key_table_and_element_is_found_on_its_line() -> None:
    tomllib.loads(EXAMPLE)
    assert key_lines(EXAMPLE) == EXPECTED


@given(TABLES)
def test_the_lines_are_those_on_which_the_keys_were_written(tables: dict[str, dict[str, Any]]) -> None:
    writer = Writer()
    writer.document(tables)
    assert tomllib.loads(writer.text) == tables
    assert key_lines(writer.text.replace("\r\n", "\n")) == writer.lines


@given(st.text(st.sampled_from("ab=[]{}.,'\"#\n 1\\"), max_size=60))
def test_text_that_is_not_toml_ends_the_walk_without_an_error(text: str) -> None:
    lines = key_lines(text)
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())


@given(st.text(st.sampled_from("ab=[]{}.,'\"#\n 1"), max_size=60))
def test_what_tomllib_accepts_has_a_line_for_each_of_its_keys(text: str) -> None:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert set(key_lines(text)) == set(paths_of(data, ()))


def paths_of(value: object, path: TomlPath) -> list[TomlPath]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in items for found in ((*path, key), *paths_of(item, (*path, key)))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1\nb = 2\na = 3\n", (("a",), 1, 3)),
        ("[n.a]\nb = 1\n[n.c]\n[n.a]\n", (("n", "a"), 1, 4)),
        ("t = { k = 1,\n k = 2 }\n", (("t", "k"), 1, 2)),
        ("[[t]]\nk = 1\n[[t]]\nk = 2\n", None),
    ],
)
def test_a_repeated_key_is_found_with_both_lines(text: str, expected: tuple[TomlPath, int, int] | None) -> None:
    assert repeated_key(text) == expected
