"""Print every module with its room and its purpose, and check that the rooms are in order.

Run it in the root of the repository:

    python tools/rooms.py               print the modules in the order of the layers, then what is wrong, if anything
    python tools/rooms.py --contracts   print the import contracts of the rooms, computed from the present imports

A *room* is a folder of a package; `crdt_core.replica` is one. The script ends with exit code 1 and prints one line for
each of these:

- an import circle between modules, or between rooms. Imports under `TYPE_CHECKING` count.
- a module that no import contract lists. The contracts are in `.importlinter`: a `layers` contract for each package,
  and one for each room.
- a module without a docstring, which would say what it is for.
- a module without a test module of its name, with a test in it, at the same place under `tests`:
  `crdt_core/replica/digest.py` needs `tests/crdt_core/replica/test_digest.py`. Generated modules (`*_pb2*`), `__init__`
  and `__main__` need none.
- a test module there that has no module of its name. `test_replica_at_rest.py` may stand beside `test_replica.py`; all
  others have to be listed in `pyproject.toml`, as `extra_tests` in `[tool.rooms]`.
"""

from __future__ import annotations

import argparse
import ast
import configparser
import sys
import tomllib
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

__all__ = ["PACKAGES", "Module", "contracts", "findings", "listing", "main", "read_modules"]

PACKAGES = ("crdt_core", "workers", "deltaic")
"""The packages of the product, all of which have rooms; those that do not exist are left out."""

_LIST_SEPARATORS = "|:"

Graph = dict[str, set[str]]
"""Who imports whom, by name."""


@dataclass(frozen=True)
class Module:
    """One module: its dotted name, its file, what it is for, and the names that its import statements mention."""

    name: str
    path: Path
    purpose: str
    mentions: frozenset[str]

    @property
    def is_package(self) -> bool:
        """Whether this is the `__init__` of a package or room."""
        return self.path.name == "__init__.py"

    @property
    def is_generated(self) -> bool:
        """Whether a program has written this module."""
        return "_pb2" in self.path.name

    @property
    def parent(self) -> str:
        """The package or room that the module stands in."""
        return self.name.rpartition(".")[0]


def read_modules(root: Path, packages: Iterable[str] = PACKAGES) -> dict[str, Module]:
    """Return every module of `packages` under `root`, by name."""
    found = {}
    for package in packages:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            tree = ast.parse(path.read_text("utf-8"), str(path))
            found[name] = Module(name, path, _purpose(tree), frozenset(_mentions(tree, name, path)))
    return found


def _purpose(tree: ast.Module) -> str:
    """Return the first sentence of the docstring."""
    paragraph, _, _ = (ast.get_docstring(tree) or "").partition("\n\n")
    sentence, dot, _ = " ".join(paragraph.split()).partition(". ")
    return sentence + dot.strip()


def _mentions(tree: ast.Module, name: str, path: Path) -> Iterator[str]:
    """Yield the dotted names that the imports of a module mention, wherever they stand in it."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *filter(None, [node.module])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


def imports(modules: Mapping[str, Module]) -> Graph:
    """Return which modules each module imports."""
    return {
        name: {_module_of(mention, modules) for mention in module.mentions} - {"", name}
        for name, module in modules.items()
    }


def _module_of(mention: str, modules: Mapping[str, Module]) -> str:
    """Return the module that a mentioned name is, or is defined in; empty if it is none of `modules`."""
    while mention and mention not in modules:
        mention = mention.rpartition(".")[0]
    return mention


def room_of(name: str, modules: Mapping[str, Module]) -> str:
    """Return the room of a module. A module that stands directly in a package is a room by itself."""
    room = ".".join(name.split(".")[:2])
    return room if room in modules else name


def between_rooms(graph: Graph, modules: Mapping[str, Module]) -> Graph:
    """Return which rooms each room imports."""
    rooms: Graph = {room_of(name, modules): set() for name in graph}
    for name, imported in graph.items():
        room = room_of(name, modules)
        rooms[room] |= {room_of(other, modules) for other in imported} - {room}
    return rooms


def circles(graph: Graph) -> list[list[str]]:
    """Return the sets of names that import each other in a circle, directly or through others, each sorted."""
    reach = {name: _reachable(name, graph) for name in graph}
    found = {frozenset({name} | {other for other in reach[name] if name in reach[other]}) for name in graph}
    return sorted(sorted(circle) for circle in found if len(circle) > 1)


def _reachable(name: str, graph: Graph) -> set[str]:
    seen: set[str] = set()
    ahead = list(graph[name])
    while ahead:
        here = ahead.pop()
        if here not in seen:
            seen.add(here)
            ahead += graph.get(here, ())
    return seen


# Contracts


def read_layers(root: Path) -> dict[str, list[str]]:
    """Return, for each package or room with a `layers` contract, its modules in the order of the layers, top first."""
    parser = configparser.ConfigParser()
    parser.read(root / ".importlinter", "utf-8")
    found: dict[str, list[str]] = {}
    for section in parser.sections():
        if parser.get(section, "type", fallback="") == "layers":
            layers = parser.get(section, "layers").translate(str.maketrans(_LIST_SEPARATORS, "  ")).split()
            for container in parser.get(section, "containers").split():
                found[container] = [f"{container}.{layer.strip('()')}" for layer in layers]
    return found


def contracts(modules: Mapping[str, Module]) -> str:
    """Return the text of one exhaustive `layers` contract for each room, computed from the present imports.

    A module stands one layer above the highest module that it imports. A room with an import circle has no layers:
    a comment stands in its place.
    """
    graph = imports(modules)
    return "\n\n".join(_contract(name, graph, modules) for name in modules if _has_own_contract(name, modules))


def _has_own_contract(name: str, modules: Mapping[str, Module]) -> bool:
    """Whether this is a room, or a package without rooms. What the rooms of a package may import is decided by hand."""
    has_rooms = any(module.is_package and module.parent == name for module in modules.values())
    return modules[name].is_package and ("." in name or not has_rooms)


def _contract(room: str, graph: Graph, modules: Mapping[str, Module]) -> str:
    inside = {name for name, module in modules.items() if module.parent == room}
    within: Graph = {name: set() for name in inside}
    for name, imported in graph.items():
        here = _child(room, name)
        if here in inside:
            through_room = graph[room] if room in imported else set()
            within[here] |= {_child(room, other) for other in imported | through_room} & inside - {here}
    found = circles(within)
    if found:
        return f"# {room} has an import circle: {', '.join(found[0])}"
    heights: dict[str, int] = {}
    while len(heights) < len(inside):
        ready = [name for name in inside - heights.keys() if within[name] <= heights.keys()]
        heights.update({name: 1 + max((heights[other] for other in within[name]), default=0) for name in ready})
    ordered = sorted(inside, key=lambda name: (-heights[name], name))
    layers = [" | ".join(_last(name) for name in group) for _, group in groupby(ordered, key=heights.__getitem__)]
    return "\n".join(
        [
            f"[importlinter:contract:{room}]",
            f"name = the modules of {room}",
            "type = layers",
            f"containers = {room}",
            "exhaustive = True",
            "layers =",
            *(f"    {layer}" for layer in layers),
        ]
    )


def _child(room: str, name: str) -> str:
    """Return which module or folder directly in `room` contains `name`."""
    depth = room.count(".") + 2
    return ".".join(name.split(".")[:depth])


def _last(name: str) -> str:
    return name.rpartition(".")[2]


# Findings


def findings(root: Path, modules: Mapping[str, Module]) -> list[str]:
    """Return what is wrong with the rooms, one line each."""
    return [
        *_circle_findings(modules),
        *_contract_findings(modules, read_layers(root)),
        *(f"{m.name} has no docstring" for m in modules.values() if not m.purpose and not m.is_generated),
        *_test_findings(root, modules),
    ]


def _circle_findings(modules: Mapping[str, Module]) -> Iterator[str]:
    graph = imports(modules)
    for circle in circles(graph):
        yield f"these modules import each other in a circle: {', '.join(circle)}"
    for circle in circles(between_rooms(graph, modules)):
        yield f"these rooms import each other in a circle: {', '.join(circle)}"


def _contract_findings(modules: Mapping[str, Module], layers: Mapping[str, Sequence[str]]) -> Iterator[str]:
    listed = {name for names in layers.values() for name in names}
    for name, module in modules.items():
        if module.parent and name not in listed:
            yield f"{name} stands in no import contract: .importlinter has no layer for it in {module.parent}"
    for name in sorted(listed - modules.keys()):
        if name.partition(".")[0] in modules:
            yield f"{name} does not exist, but .importlinter has a layer for it"


def _test_findings(root: Path, modules: Mapping[str, Module]) -> Iterator[str]:
    wanted = {_test_of(module, root): module for module in modules.values() if _needs_test(module)}
    for path, module in wanted.items():
        if not (root / path).exists():
            yield f"{module.name} has no test module {path}"
        elif not _has_tests(root / path):
            yield f"{path} has no test in it"
    extra = _extra_tests(root)
    folders = [root / "tests" / name for name in modules if "." not in name]
    present = {path.relative_to(root).as_posix() for folder in folders for path in folder.rglob("test_*.py")}
    for path in sorted(present):
        if path not in wanted and path not in extra and not _is_more_of(path, wanted):
            yield f"{path} tests no module of its name; rename it, or list it in [tool.rooms] of pyproject.toml"
    for path in sorted(extra):
        if path not in present:
            yield f"{path} does not exist, but [tool.rooms] of pyproject.toml lists it"


def _has_tests(path: Path) -> bool:
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
        for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path)))
    )


def _needs_test(module: Module) -> bool:
    return not (module.is_package or module.is_generated or module.path.name == "__main__.py")


def _test_of(module: Module, root: Path) -> str:
    path = module.path.relative_to(root)
    return (Path("tests") / path.parent / f"test_{path.name}").as_posix()


def _is_more_of(path: str, wanted: Collection[str]) -> bool:
    """Whether `test_<module>_<more>.py` stands beside `test_<module>.py`."""
    return any(path.startswith(other.removesuffix(".py") + "_") for other in wanted)


def _extra_tests(root: Path) -> list[str]:
    path = root / "pyproject.toml"
    settings = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    found: list[str] = settings.get("tool", {}).get("rooms", {}).get("extra_tests", [])
    return found


# Output


def listing(root: Path, modules: Mapping[str, Module]) -> str:
    """Return a table of every module with its purpose, room by room, in the order of the layers, top first."""
    order = {name: at for at, name in enumerate(name for names in read_layers(root).values() for name in names)}
    last = len(order)
    lines: list[str] = []
    for package in [name for name in modules if "." not in name]:
        rooms = {room_of(name, modules) for name in modules if name.startswith(f"{package}.")}
        lines.append(f"{package}: {modules[package].purpose}")
        for room in sorted(rooms, key=lambda name: (order.get(name, last), name)):
            lines.append(f"  {room}: {modules[room].purpose}")
            inside = [name for name in modules if name.startswith(f"{room}.")]
            width = max((len(name) for name in inside), default=0)
            for name in sorted(inside, key=lambda name: (order.get(name, last), name)):
                purpose = "generated" if modules[name].is_generated else modules[name].purpose
                lines.append(f"    {name:{width}}  {purpose}")
    return "\n".join(lines)


def main(args: Sequence[str] | None = None) -> int:
    """Run the script with the command line `args`; return its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--contracts", action="store_true", help="print the import contracts of the rooms instead")
    parser.add_argument("--root", type=Path, default=Path(), help="the root of the repository (default: here)")
    options = parser.parse_args(args)
    modules = read_modules(options.root)
    if options.contracts:
        print(contracts(modules))
        return 0
    print(listing(options.root, modules))
    found = findings(options.root, modules)
    for finding in found:
        print(finding, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
