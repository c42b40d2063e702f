"""Find node classes: by entry point (`cardan.nodes`), or as `module:Class` in a folder that comes first.

A user's own modules lie beside the manifest. They may be called `drivers` or `engines` like parts of cardan: those are
`cardan.drivers` and `cardan.engines`, and a bare name always means the user's folder.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from difflib import get_close_matches
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import entry_points
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType

from cardan.runtime.errors import NodeError, near_names
from cardan.runtime.messages import Message
from cardan.runtime.node import Node

GROUP = "cardan.nodes"
EXTRAS = {
    "can": "can",
    "cantools": "can",
    "onnxruntime": "ort",
    "mcap": "record",
    "zstandard": "record",
    "PIL": "record",
    "vehiclemodels": "sim",
}
"""Module -> the extra of cardan that installs it."""


def node_names(group: str = GROUP) -> dict[str, str]:
    """Everything that is installed in a group: entry point -> `module:Class`."""
    return {point.name: point.value for point in entry_points(group=group)}


def resolve(use: str, group: str = GROUP, kind: str = "node") -> str:
    """`use` of a manifest as `module:Class`; NodeError lists near names."""
    if ":" in use:
        return use
    known = node_names(group)
    if use not in known:
        raise NodeError(f'no {kind} is called "{use}"', hint=f'{near_names(use, list(known))} or write "module:Class"')
    return known[use]


def lies_beside(use: str, folder: Path) -> bool:
    """True when the module of `module:Class` starts in `folder`."""
    return _find_beside(use, folder) is not None


def load_node_class(use: str, folders: list[str]) -> type[Node]:
    """The node class `module:Class`, looked for in `folders` before anywhere else.

    NodeError says why it cannot be used: module or class not found, a package to install, an exception at import.
    """
    found = load_object(use, folders)
    if not (isinstance(found, type) and issubclass(found, Node)):
        raise NodeError(f"{use} is not a Node", hint="derive it from cardan.runtime.node.Node")
    return found


def load_message_type(name: str, folders: list[str]) -> type[Message]:
    """The message type `module:Class` of a topic, as a plan names it; errors as in `load_node_class`."""
    found = load_object(name, folders)
    if not (isinstance(found, type) and issubclass(found, Message)):
        raise NodeError(f"{name} is not a Message", hint="derive it from cardan.runtime.messages.Message")
    return found


def load_object(use: str, folders: list[str]) -> object:
    """Whatever `module:Class` names; errors as in `load_node_class`."""
    module_name, _, class_name = use.partition(":")
    if not module_name.replace(".", "_").isidentifier() or not class_name.isidentifier():
        raise NodeError(f'"{use}" is not `module:Class`', hint='write it as in "drivers.mine:Hello"')
    module = _load_module(module_name, [Path(folder) for folder in folders])
    found = getattr(module, class_name, None)
    if found is None:
        raise NodeError(f'no class "{class_name}" in {module_name}', hint=_near_classes(class_name, module))
    return found


def _load_module(name: str, folders: list[Path]) -> ModuleType:
    try:
        for folder in folders:
            _prefer(name, folder)
        return importlib.import_module(name)
    except ImportError as error:
        raise _import_problem(error, name, folders) from error
    except SyntaxError as error:
        place = f"{error.filename} line {error.lineno}"
        raise NodeError(f"{name} is not valid Python: {error.msg} ({place})", hint="correct that line") from error
    except Exception as error:  # a user's module may raise anything while it is imported
        frame = traceback.extract_tb(error.__traceback__)[-1]
        what = f"importing {name} failed: {type(error).__name__}: {error}"
        raise NodeError(what, hint=f"see {frame.filename} line {frame.lineno}") from error


def _prefer(name: str, folder: Path) -> None:
    """Let the first part of the module `name` come from `folder` if it is there, whatever else has that name.

    A folder without `__init__.py` would otherwise lose against any package of that name further down the path.
    """
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    spec = _find_beside(name, folder)
    if spec is None or _comes_from(sys.modules.get(spec.name), folder):
        return
    _forget(spec.name)
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    if spec.loader is None or spec.origin is None:
        module.__path__ = [str(folder / spec.name)]
        return
    try:
        spec.loader.exec_module(module)
    except BaseException:
        _forget(spec.name)
        raise


def _find_beside(name: str, folder: Path) -> ModuleSpec | None:
    top = name.partition(":")[0].partition(".")[0]
    if top in sys.stdlib_module_names or top == "cardan":
        return None
    importlib.invalidate_caches()
    return PathFinder.find_spec(top, [str(folder)])


def _comes_from(module: ModuleType | None, folder: Path) -> bool:
    if module is None:
        return False
    places = [module.__file__] if getattr(module, "__file__", None) else list(getattr(module, "__path__", []))
    return any(place is not None and Path(place).is_relative_to(folder) for place in places)


def _forget(top: str) -> None:
    """Drop a module of that name which came from elsewhere (another manifest's folder), with its parts."""
    for name in [name for name in sys.modules if name == top or name.startswith(f"{top}.")]:
        del sys.modules[name]


def _import_problem(error: ImportError, name: str, folders: list[Path]) -> NodeError:
    missing = error.name or ""
    if not isinstance(error, ModuleNotFoundError) or not missing:
        return NodeError(f"importing {name} failed: {error}", hint="is its package installed in this version?")
    if name == missing or name.startswith(f"{missing}."):
        return NodeError(f'no module "{name}"', hint=_near_modules(name, folders))
    top = missing.partition(".")[0]
    package = f'"cardan[{EXTRAS[top]}]"' if top in EXTRAS else top
    return NodeError(f'{name} needs the module "{missing}"', hint=f"install it: pip install {package}")


def _near_modules(missing: str, folders: list[Path]) -> str:
    near = [
        ".".join(path.relative_to(folder).with_suffix("").parts)
        for folder in folders
        for path in sorted([*folder.glob("*.py"), *folder.glob("*/*.py")])
        if path.name != "__init__.py"
    ]
    beside = folders[0] if folders else Path()
    where = beside.joinpath(*missing.split(".")).with_suffix(".py")
    return near_names(missing, near) if get_close_matches(missing, near, cutoff=0.5) else f"expected it at {where}"


def _near_classes(name: str, module: ModuleType) -> str:
    nodes = [key for key, value in vars(module).items() if isinstance(value, type) and issubclass(value, Node)]
    return near_names(name, [key for key in nodes if vars(module)[key] is not Node])
