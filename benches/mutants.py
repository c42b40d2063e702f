"""Small defects, one at a time: every mutant of a module's source, as `mutation.py` tries them.

A mutant is what a slip of the pen would leave: another comparison, another operator, a constant a little off, a
condition dropped or turned round, a statement or a row of a table missing, another member of an Enum, no return value.
Annotations, decorators and docstrings are left alone: they do nothing at run time that a test should notice.
"""

from __future__ import annotations

import ast
import copy
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}
CALLS = {"min": "max", "max": "min", "all": "any", "any": "all"}
STATEMENTS = (ast.Assign, ast.AugAssign, ast.Expr, ast.Raise, ast.Return, ast.Continue, ast.Break)
SKIPPED_FIELDS = ("annotation", "returns", "decorator_list", "type_params", "slice")


@dataclass(frozen=True)
class Mutant:
    """One defect. `name` says where and what, without line numbers, so that it stays the same when code moves."""

    name: str
    line: int
    make: Callable[[], ast.Module]

    @property
    def source(self) -> str:
        """Of the whole module, with the defect; made when it is asked for, because the names alone are wanted too."""
        return ast.unparse(self.make())


@dataclass(frozen=True)
class _Place:
    """A node, how to reach it, and the function and statement it is part of."""

    node: ast.AST
    path: tuple[tuple[str, int | None], ...]
    owner: str
    statement: ast.stmt
    in_function: bool


def mutants(source: str) -> list[Mutant]:
    """Every mutant of a module, in order of the source."""
    tree = ast.parse(source)
    enums = _enums(tree)
    seen: Counter[str] = Counter()
    found = []
    for place in _places(tree):
        for replacement in _variants(place, enums):
            statement = _described(place, replacement)
            name = f"{place.owner}: {_headline(place.statement)} => {statement}"
            seen[name] += 1
            number = f" #{seen[name]}" if seen[name] > 1 else ""
            make = partial(_replaced, tree, place.path, replacement)
            found.append(Mutant(name + number, getattr(place.node, "lineno", place.statement.lineno), make))
    return found


def fingerprint(found: Sequence[Mutant]) -> int:
    """A number that is another one when the code allows other mutants; comments and docstrings do not change it."""
    names = "\n".join(mutant.name for mutant in found)
    return int(hashlib.sha256(names.encode()).hexdigest()[:12], 16)


def _places(tree: ast.Module) -> Iterator[_Place]:
    def walk(
        node: ast.AST, path: tuple[tuple[str, int | None], ...], owner: str, statement: ast.stmt, in_function: bool
    ) -> Iterator[_Place]:
        if _is_docstring(node):
            return
        yield _Place(node, path, owner, statement, in_function)
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            owner = node.name if owner == "module" else f"{owner}.{node.name}"
            in_function = in_function or isinstance(node, ast.FunctionDef)
        for name, value in ast.iter_fields(node):
            if name in SKIPPED_FIELDS and not (name == "slice" and in_function):
                continue
            items = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
            for index, item in items:
                if isinstance(item, ast.AST):
                    inner = item if isinstance(item, ast.stmt) else statement
                    yield from walk(item, (*path, (name, index)), owner, inner, in_function)

    for index, item in enumerate(tree.body):
        yield from walk(item, (("body", index),), "module", item, False)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _variants(place: _Place, enums: dict[str, list[str]]) -> Iterator[ast.AST]:
    node = place.node
    if isinstance(node, ast.Compare):
        yield from _comparisons(node)
    elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in OPERATORS:
        yield _with(node, op=OPERATORS[type(node.op)]())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
        yield node.operand
    elif isinstance(node, ast.BoolOp):
        yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
        yield from _without_each(node, "values")
    elif isinstance(node, ast.Constant):
        yield from _constants(node)
    elif isinstance(node, ast.If | ast.While | ast.IfExp):
        yield _with(node, test=ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.comprehension):
        for index in range(len(node.ifs)):
            yield _with(node, ifs=node.ifs[:index] + node.ifs[index + 1 :])
    elif isinstance(node, ast.Tuple | ast.List) and isinstance(node.ctx, ast.Load) and len(node.elts) > 1:
        yield from _without_each(node, "elts")
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
        yield _with(node, func=ast.Name(CALLS[node.func.id], ast.Load()))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "abs":
        yield node.args[0]
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in enums:
        members = enums[node.value.id]
        if node.attr in members:
            yield _with(node, attr=members[(members.index(node.attr) + 1) % len(members)])
    if isinstance(node, ast.Return) and node.value is not None and ast.unparse(node.value) != "None":
        yield _with(node, value=None)
    if isinstance(node, STATEMENTS) and place.in_function and not isinstance(node, ast.Return):
        yield ast.Pass()


def _comparisons(node: ast.Compare) -> Iterator[ast.AST]:
    for index, operator in enumerate(node.ops):
        for other in COMPARISONS[type(operator)]:
            yield _with(node, ops=[*node.ops[:index], other(), *node.ops[index + 1 :]])


def _without_each(node: ast.AST, name: str) -> Iterator[ast.AST]:
    items = getattr(node, name)
    for index in range(len(items)):
        left = items[:index] + items[index + 1 :]
        yield left[0] if isinstance(node, ast.BoolOp) and len(left) == 1 else _with(node, **{name: left})


def _constants(node: ast.Constant) -> Iterator[ast.AST]:
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int):
        yield ast.Constant(value + 1)
        yield ast.Constant(value - 1)
    elif isinstance(value, float):
        yield ast.Constant(value * 1.1 if value else 1.0)
        yield ast.Constant(value * 0.9 if value else -1.0)
    elif isinstance(value, str):
        yield ast.Constant("~" + value)


def _with(node: ast.AST, **changes: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in changes.items():
        setattr(changed, name, value)
    return changed


def _replaced(tree: ast.Module, path: tuple[tuple[str, int | None], ...], replacement: ast.AST) -> ast.Module:
    """A copy of the tree along `path`, with the node at its end replaced; everything beside the path is shared."""

    def descend(node: ast.AST, rest: tuple[tuple[str, int | None], ...]) -> ast.AST:
        if not rest:
            return replacement
        name, index = rest[0]
        value = getattr(node, name)
        if index is None:
            return _with(node, **{name: descend(value, rest[1:])})
        return _with(node, **{name: [*value[:index], descend(value[index], rest[1:]), *value[index + 1 :]]})

    changed = descend(tree, path)
    if not isinstance(changed, ast.Module):
        raise TypeError("the path of a mutant must end below the module")
    return changed


def _described(place: _Place, replacement: ast.AST) -> str:
    """What the defect makes of the statement, short: only the part that changed."""
    before, after = _headline(place.node), _headline(replacement)
    return after if place.node is place.statement else f"`{after}` for `{before}`"


def _headline(node: ast.AST) -> str:
    """The node as source; of compound statements the first line, of long text the ends."""
    text = " ".join(ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).split("\n")[0].split())
    return text if len(text) <= 100 else f"{text[:60]} ... {text[-35:]}"


def _enums(tree: ast.Module) -> dict[str, list[str]]:
    """Members of each Enum that the module defines."""

    def members(node: ast.ClassDef) -> list[str]:
        names = [item.targets[0] for item in node.body if isinstance(item, ast.Assign)]
        return [name.id for name in names if isinstance(name, ast.Name)]

    classes = [item for item in tree.body if isinstance(item, ast.ClassDef)]
    return {
        item.name: members(item)
        for item in classes
        if any(isinstance(base, ast.Name) and base.id == "Enum" for base in item.bases)
    }
