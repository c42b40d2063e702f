from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import metadata
from pathlib import Path

import pytest

from cardan.runtime.errors import NodeError
from cardan.runtime.registry import EXTRAS, lies_beside, load_node_class, node_names, resolve

NODE = """\
from cardan.runtime.node import Node
class Hello(Node):
    rate_hz = 1.0
    where = {where!r}
"""


@pytest.fixture(autouse=True)
def same_imports() -> Iterator[None]:
    path, modules = list(sys.path), dict(sys.modules)
    yield
    sys.path[:] = path
    sys.modules.clear()
    sys.modules.update(modules)


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def where(use: str, *folders: Path) -> str:
    return str(vars(load_node_class(use, [str(folder) for folder in folders]))["where"])


def error_of(use: str, *folders: Path) -> str:
    with pytest.raises(NodeError) as error:
        load_node_class(use, [str(folder) for folder in folders])
    return str(error.value)


def test_an_entry_point_stands_for_a_class() -> None:
    assert resolve("recorder") == "cardan.runtime.record.recorder:Recorder" == node_names()["recorder"]
    assert resolve("a.b:C") == "a.b:C"


def test_an_unknown_entry_point_lists_near_names() -> None:
    with pytest.raises(NodeError, match='no node is called "recoder"\n  hint: did you mean "recorder"'):
        resolve("recoder")


@pytest.mark.parametrize("is_package", [True, False])
def test_a_users_drivers_folder_is_used_although_another_package_has_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_package: bool
) -> None:
    write(tmp_path / "other" / "drivers" / "__init__.py", "raise ImportError('not this one')")
    write(tmp_path / "mine" / "drivers" / "mine.py", NODE.format(where="mine"))
    if is_package:
        write(tmp_path / "mine" / "drivers" / "__init__.py", "")
    monkeypatch.syspath_prepend(str(tmp_path / "other"))
    assert lies_beside("drivers.mine:Hello", tmp_path / "mine")
    assert where("drivers.mine:Hello", tmp_path / "mine") == "mine"


def test_two_folders_may_use_the_same_module_name_one_after_the_other(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name / "drivers" / "mine.py", NODE.format(where=name))
        assert where("drivers.mine:Hello", tmp_path / name) == name
    assert where("drivers.mine:Hello", tmp_path / "one") == "one"


def test_a_module_is_imported_once(tmp_path: Path) -> None:
    write(tmp_path / "mine.py", NODE.format(where="mine"))
    folders = [str(tmp_path)]
    assert load_node_class("mine:Hello", folders) is load_node_class("mine:Hello", folders)


def test_modules_beside_the_manifest_may_import_each_other(tmp_path: Path) -> None:
    write(tmp_path / "helper.py", "PLACE = 'with a helper'")
    write(
        tmp_path / "drivers" / "mine.py", "from helper import PLACE\n" + NODE.format(where="") + "    where = PLACE\n"
    )
    assert where("drivers.mine:Hello", tmp_path) == "with a helper"


def test_cardans_own_modules_are_never_taken_from_the_users_folder(tmp_path: Path) -> None:
    write(tmp_path / "cardan" / "__init__.py", "raise ImportError('not this one')")
    assert not lies_beside("cardan.runtime.record.recorder:Recorder", tmp_path)
    assert load_node_class("cardan.runtime.record.recorder:Recorder", [str(tmp_path)]).__name__ == "Recorder"


def test_a_module_that_is_not_there_lists_near_ones_or_the_place_where_it_was_expected(tmp_path: Path) -> None:
    write(tmp_path / "drivers" / "mine.py", NODE.format(where=""))
    assert 'no module "drivers.mien"\n  hint: did you mean "drivers.mine"?' in error_of("drivers.mien:Hello", tmp_path)
    assert f"expected it at {tmp_path}/quite/different.py" in error_of("quite.different:Hello", tmp_path)


def test_a_class_that_is_not_there_lists_near_ones(tmp_path: Path) -> None:
    write(tmp_path / "mine.py", NODE.format(where=""))
    assert 'no class "Helo" in mine\n  hint: did you mean "Hello"?' in error_of("mine:Helo", tmp_path)


@pytest.mark.parametrize(("module", "extra"), EXTRAS.items())
def test_a_missing_package_names_the_extra_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    write(tmp_path / "mine.py", f"import {module}\n")
    text = error_of("mine:Hello", tmp_path)
    assert f'mine needs the module "{module}"' in text
    assert f'pip install "cardan[{extra}]"' in text


def test_every_extra_that_is_named_exists() -> None:
    assert set(EXTRAS.values()) <= set(metadata("cardan").get_all("Provides-Extra") or [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f(:\n", "mine.py line 1"),
        ("import json\n\n1 / 0\n", "ZeroDivisionError"),
        ("from json import nothing_of_that_name\n", "cannot import name"),
        ("import not_installed_anywhere\n", "pip install not_installed_anywhere"),
        ("Hello = 3\n", "derive it from cardan.runtime.node.Node"),
        ("class Hello: ...\n", "derive it from cardan.runtime.node.Node"),
    ],
)
def test_a_module_that_cannot_be_used_says_why(tmp_path: Path, text: str, expected: str) -> None:
    write(tmp_path / "mine.py", text)
    assert expected in error_of("mine:Hello", tmp_path)


@pytest.mark.parametrize("use", ["mine", "mine:", ":Hello", "mi ne:Hello", "mine:Hello()", "../mine:Hello"])
def test_text_that_is_not_module_and_class_is_refused(tmp_path: Path, use: str) -> None:
    assert "is not `module:Class`" in error_of(use, tmp_path)
