"""The script that checks the rooms, on small made-up repositories: what it prints, and what it finds."""

from __future__ import annotations

import configparser
from typing import TYPE_CHECKING

import pytest

from tools.rooms import contracts, findings, listing, main, read_modules

if TYPE_CHECKING:
    from pathlib import Path

A_TEST = "def test_it(): ...\n"

ORDERLY = {
    "crdt_core/__init__.py": '"""The core."""\n',
    "crdt_core/errors.py": '"""The errors. And more about them."""\n',
    "crdt_core/types/__init__.py": '"""The types."""\nfrom crdt_core.types.sets import ORSET\n',
    "crdt_core/types/contract.py": '"""What a type is: a name\nand a codec.\n\nMore about it."""\n',
    "crdt_core/types/sets.py": '"""Sets."""\nfrom crdt_core.types.contract import CrdtType\n',
    "crdt_core/types/flags.py": '"""Flags."""\nimport crdt_core.errors\nimport crdt_core.types.contract\n',
    "tests/crdt_core/test_errors.py": A_TEST,
    "tests/crdt_core/types/test_contract.py": A_TEST,
    "tests/crdt_core/types/test_sets.py": A_TEST,
    "tests/crdt_core/types/test_sets_at_rest.py": "",
    "tests/crdt_core/types/test_flags.py": A_TEST,
    ".importlinter": """
[importlinter:contract:pure]
type = forbidden
source_modules = crdt_core

[importlinter:contract:crdt_core]
type = layers
containers =
    crdt_core
layers =
    types
    errors

[importlinter:contract:crdt_core.types]
type = layers
containers = crdt_core.types
layers =
    flags | sets
    contract
""",
}

NOTHING: dict[str, str | None] = {}


def repository(root: Path, changes: dict[str, str | None] = NOTHING) -> Path:
    """Write `ORDERLY` below `root`, with `changes`: other texts, more files, or `None` to leave a file out."""
    for path, text in {**ORDERLY, **changes}.items():
        if text is not None:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, "utf-8")
    return root


def found_in(root: Path, packages: tuple[str, ...] = ("crdt_core", "workers")) -> list[str]:
    return findings(root, read_modules(root, packages))


def test_an_orderly_repository_has_no_findings(tmp_path: Path) -> None:
    assert found_in(repository(tmp_path)) == []


def test_every_module_is_printed_with_its_purpose_in_the_order_of_the_layers(tmp_path: Path) -> None:
    root = repository(tmp_path)
    assert listing(root, read_modules(root)).splitlines() == [
        "crdt_core: The core.",
        "  crdt_core.types: The types.",
        "    crdt_core.types.flags     Flags.",
        "    crdt_core.types.sets      Sets.",
        "    crdt_core.types.contract  What a type is: a name and a codec.",
        "  crdt_core.errors: The errors.",
    ]


@pytest.mark.parametrize(
    "importing",
    [
        "from crdt_core.types.sets import ORSET",
        "from crdt_core.types import sets",
        "import crdt_core.types.sets",
        "from . import sets",
        "from .sets import ORSET",
        "if TYPE_CHECKING:\n    from crdt_core.types.sets import ORSET",
        "def late():\n    from crdt_core.types.sets import ORSET",
        "from crdt_core.types import ORSET",
    ],
)
def test_a_circle_between_modules_is_found_however_they_import_each_other(tmp_path: Path, importing: str) -> None:
    text = '"""What a type is."""\n' + importing + "\n"
    found = found_in(repository(tmp_path, {"crdt_core/types/contract.py": text}))
    (finding,) = found
    assert finding.startswith("these modules import each other in a circle: crdt_core.types")
    assert "crdt_core.types.contract" in finding
    assert "crdt_core.types.sets" in finding


def test_a_circle_between_rooms_is_found_though_no_modules_form_one(tmp_path: Path) -> None:
    text = '"""The errors."""\nfrom crdt_core.types.contract import CrdtType\n'
    assert found_in(repository(tmp_path, {"crdt_core/errors.py": text})) == [
        "these rooms import each other in a circle: crdt_core.errors, crdt_core.types"
    ]


def test_a_module_without_a_contract_and_a_layer_without_a_module_are_found(tmp_path: Path) -> None:
    root = repository(
        tmp_path,
        {
            "crdt_core/types/lists.py": '"""Lists."""\n',
            "tests/crdt_core/types/test_lists.py": A_TEST,
            "crdt_core/types/flags.py": None,
            "tests/crdt_core/types/test_flags.py": None,
        },
    )
    assert found_in(root) == [
        "crdt_core.types.lists stands in no import contract: .importlinter has no layer for it in crdt_core.types",
        "crdt_core.types.flags does not exist, but .importlinter has a layer for it",
    ]


def test_a_new_package_needs_contracts_too(tmp_path: Path) -> None:
    root = repository(
        tmp_path,
        {
            "workers/__init__.py": '"""The workers."""\n',
            "workers/wire/__init__.py": '"""The wire."""\n',
            "workers/wire/keys.py": '"""The keys."""\n',
            "workers/wire/__main__.py": '"""Started as a program."""\n',
            "workers/wire/deltaic_pb2.py": "",
            "tests/workers/wire/test_keys.py": A_TEST,
        },
    )
    assert [finding.partition(" stands")[0] for finding in found_in(root)] == [
        "workers.wire",
        "workers.wire.__main__",
        "workers.wire.deltaic_pb2",
        "workers.wire.keys",
    ]


def test_a_module_without_a_docstring_is_found(tmp_path: Path) -> None:
    assert found_in(repository(tmp_path, {"crdt_core/types/sets.py": "X = 1\n"})) == [
        "crdt_core.types.sets has no docstring"
    ]


def test_a_module_without_a_test_of_its_name_is_found(tmp_path: Path) -> None:
    assert found_in(repository(tmp_path, {"tests/crdt_core/types/test_flags.py": None})) == [
        "crdt_core.types.flags has no test module tests/crdt_core/types/test_flags.py"
    ]


@pytest.mark.parametrize("text", ["", "# def test_it(): ...\n", "def check_it(): ...\n"])
def test_a_test_module_without_a_test_is_found(tmp_path: Path, text: str) -> None:
    """An empty file satisfied the check."""
    flags = "tests/crdt_core/types/test_flags.py"
    assert found_in(repository(tmp_path, {flags: text})) == [f"{flags} has no test in it"]


@pytest.mark.parametrize("text", ["async def test_it(): ...\n", "class TestIt:\n    def test_it(self): ...\n"])
def test_a_test_may_be_a_coroutine_or_a_method(tmp_path: Path, text: str) -> None:
    assert found_in(repository(tmp_path, {"tests/crdt_core/types/test_flags.py": text})) == []


def test_a_test_without_a_module_of_its_name_is_found_unless_it_is_listed(tmp_path: Path) -> None:
    laws = "tests/crdt_core/types/test_laws.py"
    root = repository(tmp_path, {laws: ""})
    assert found_in(root) == [
        f"{laws} tests no module of its name; rename it, or list it in [tool.rooms] of pyproject.toml"
    ]
    (root / "pyproject.toml").write_text(f'[tool.rooms]\nextra_tests = ["{laws}", "tests/crdt_core/test_gone.py"]\n')
    assert found_in(root) == [
        "tests/crdt_core/test_gone.py does not exist, but [tool.rooms] of pyproject.toml lists it"
    ]


def test_the_tests_of_other_folders_mirror_nothing(tmp_path: Path) -> None:
    assert found_in(repository(tmp_path, {"tests/scenarios/test_crash.py": "", "tests/crdt_core/net.py": ""})) == []


def test_the_computed_contracts_are_layers_by_what_imports_what(tmp_path: Path) -> None:
    text = contracts(read_modules(repository(tmp_path)))
    parser = configparser.ConfigParser()
    parser.read_string(text)
    contract = parser["importlinter:contract:crdt_core.types"]
    assert contract["type"] == "layers"
    assert contract["containers"] == "crdt_core.types"
    assert contract["exhaustive"] == "True"
    assert contract["layers"].split("\n") == ["", "flags | sets", "contract"]


def test_a_room_with_a_circle_has_a_comment_in_place_of_a_contract(tmp_path: Path) -> None:
    text = '"""What a type is."""\nfrom crdt_core.types.sets import ORSET\n'
    root = repository(tmp_path, {"crdt_core/types/contract.py": text})
    assert contracts(read_modules(root)) == (
        "# crdt_core.types has an import circle: crdt_core.types.contract, crdt_core.types.sets"
    )


def test_the_script_ends_with_1_if_it_finds_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = repository(tmp_path)
    assert main(["--root", str(root)]) == 0
    out, err = capsys.readouterr()
    assert "crdt_core.types.sets" in out
    assert err == ""
    (root / "tests/crdt_core/types/test_flags.py").unlink()
    assert main(["--root", str(root)]) == 1
    out, err = capsys.readouterr()
    assert err == "crdt_core.types.flags has no test module tests/crdt_core/types/test_flags.py\n"


def test_the_contracts_can_be_pasted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--contracts", "--root", str(repository(tmp_path))]) == 0
    out, _ = capsys.readouterr()
    assert out.startswith("[importlinter:contract:crdt_core.types]\n")
