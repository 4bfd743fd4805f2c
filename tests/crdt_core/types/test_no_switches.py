"""Nobody outside the room of the types asks which type an object has.

The rule: a module outside `crdt_core/types` may hold a type, ask it anything that the contract has, and look one up by
a name that it was given. It compares with no particular type: not by identity (`type_ is ORSET`), not by name
(`type_.name == "orset"`), not by class, and not by a table whose keys are types or their names. One exception: a module
of `crdt_core/commands` may ask whether an object is of a type of the family that its commands work on, such as
`found.type is STRING` in the commands of strings. It names no type of a second family.

The rule is checked on the syntax tree. It does not see a comparison with a type that came through a variable. To look
for switches by hand: `git grep -nwE 'is|in|==|!=' -- crdt_core deltaic workers | grep -wE 'ORSET|STRING|...'`.
"""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crdt_core.types import FAMILIES, TYPES, CrdtType
from tools.rooms import PACKAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[3]
TYPE_ROOM, COMMANDS = "crdt_core.types", "crdt_core.commands"
REDIS_NAMES = frozenset({"string", "hash", "hyperloglog"})
"""Names of types that name groups of commands in Redis, too: a table of these says nothing about types."""


def modules() -> list[str]:
    """All modules of the packages but the types and what protoc has written."""
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            if not name.startswith(TYPE_ROOM) and "_pb2" not in name:
                found.append(name)
    return found


def switches(name: str, source: str) -> dict[int, set[str]]:
    """The lines of a module that compare with particular types, with the families of these types."""
    tree = ast.parse(source)
    known = imported_types(tree)
    found: dict[int, set[str]] = {}
    for node in ast.walk(tree):
        for operand in compared(node):
            families = families_in(operand, known, isinstance(node, ast.Compare | ast.match_case))
            if families:
                found.setdefault(operand.lineno, set()).update(families)
    return found


def imported_types(tree: ast.AST) -> dict[str, set[str]]:
    """The names that a module imports from the types and that are types, classes of types or all of a family."""
    known: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(TYPE_ROOM):
            module = importlib.import_module(node.module or "")
            for alias in node.names:
                families = families_of(getattr(module, alias.name, None))
                if families:
                    known[alias.asname or alias.name] = families
    return known


def families_of(value: object) -> set[str]:
    """The families of a type, or of a class of types."""
    if isinstance(value, CrdtType):
        return {value.family}
    if isinstance(value, type) and issubclass(value, CrdtType) and value is not CrdtType:
        return {type_.family for type_ in TYPES.values() if isinstance(type_, value)}
    return set()


def compared(node: ast.AST) -> Iterator[ast.expr]:
    """What something is compared with, or looked up in, at a node."""
    match node:
        case ast.Compare(left, _, others):
            yield from (left, *others)
        case ast.Call(ast.Name("isinstance" | "issubclass"), [_, classes]):
            yield classes
        case ast.match_case(pattern):
            yield from (inner.value for inner in ast.walk(pattern) if isinstance(inner, ast.MatchValue))
        case ast.Dict(keys):
            yield from (key for key in keys if key is not None)
        case ast.Set() | ast.List() | ast.Tuple() if all(isinstance(item, ast.Constant) for item in node.elts):
            yield from node.elts


def families_in(operand: ast.expr, known: dict[str, set[str]], is_comparison: bool) -> set[str]:
    """The families of the types that an operand names."""
    found = set()
    for node in ast.walk(operand) if isinstance(operand, ast.Tuple | ast.List | ast.Set) else [operand]:
        match node:
            case ast.Name(name):
                found |= known.get(name, set())
            case ast.Attribute(ast.Name(name), "name" | "encoded_name"):
                found |= known.get(name, set())
            case ast.Constant(bytes() | str() as value):
                name = value.decode("latin-1") if isinstance(value, bytes) else value
                if name in TYPES and (is_comparison or name not in REDIS_NAMES):
                    found.add(TYPES[name].family)
    return found


@pytest.mark.parametrize("name", modules())
def test_no_module_asks_which_type_it_has(name: str) -> None:
    path = ROOT.joinpath(*name.split("."))
    source = (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text("utf-8")
    found = switches(name, source)
    families = set().union(*found.values()) if found else set()
    allowed = 1 if name.startswith(COMMANDS) else 0
    assert len(families) <= allowed, f"{name} asks about {sorted(families)} in lines {sorted(found)}"


@pytest.mark.parametrize(
    "source",
    [
        "type_ is ORSET",
        "type_ is not ORSET",
        "type_ in (ORSET, GSET)",
        'type_.name == "orset"',
        "type_.name == ORSET.name",
        'name in {"orset", "gset"}',
        'SETS = frozenset({"orset", "gset"})',
        "isinstance(type_, ORSetType)",
        "isinstance(type_, (ORSetType, GSetType))",
        "{ORSET: 1}[type_]",
        '{"orset": 1}[name]',
        'match name:\n    case "orset":\n        pass',
        'match name:\n    case "gset" | "orset":\n        pass',
        'name == b"orset"',
    ],
)
def test_a_switch_is_seen(source: str) -> None:
    imports = "from crdt_core.types.sets import GSET, ORSET, GSetType, ORSetType\n"
    assert list(switches("a", imports + source).values()) == [{"set"}]


def test_types_of_two_families_are_told_apart() -> None:
    found = switches("a", "from crdt_core.types import ORSET, STRING\nx is ORSET or x is STRING")
    assert set().union(*found.values()) == {"set", "string"} <= FAMILIES.keys()


@pytest.mark.parametrize(
    "source",
    [
        "type_ = ORSET",
        "write(key, ORSET, part)",
        "link.type is type_",
        "link.type.name == name",
        '{"add-wins": ORSET}[word]',
        'TYPES["orset"]',
        'NAMES = ("string", "list", "set", "hash")',
        '("members", members)',
    ],
)
def test_a_mention_is_no_switch(source: str) -> None:
    assert not switches("a", "from crdt_core.types import ORSET, TYPES\n" + source)
