"""docs/client.md does what it says: its blocks are run from top to bottom, and give the results in their comments."""

from __future__ import annotations

import ast
import asyncio
import dataclasses
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import deltaic
from crdt_core import library
from deltaic import ClientOptions
from tests.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator

GUIDE = Path(__file__).parents[2] / "docs" / "client.md"
RESULT = re.compile(r"^(?P<expression>[^#]*[^#\s])\s+# (?P<result>[^\s].*)$")


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Fleet]:
    """Three nodes without any keys, as the page begins."""
    with Fleet(tmp_path, nodes=3) as fleet:
        yield fleet


def blocks() -> list[str]:
    """The Python of the page, without what shows a failure."""
    found = re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    return [block for block in found if not block.startswith(">>>")]


def promised(line: str) -> Any:
    """The value that a comment begins with; `...` where it begins with none."""
    match = RESULT.match(line)
    if match is None:
        return ...
    for text in (match["result"], match["result"].partition(":")[0], match["result"].partition(",")[0]):
        try:
            return ast.literal_eval(text)
        except (SyntaxError, ValueError):
            continue
    return ...


def run(source: str, names: dict[str, Any], mode: str) -> Any:
    value = eval(compile(source, GUIDE, mode, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)  # noqa: S307  our own page
    return asyncio.run(value) if inspect.iscoroutine(value) else value


def test_the_page_does_what_it_says(fresh: Fleet) -> None:
    urls = [f"redis://127.0.0.1:{node.resp_port}" for node in fresh.nodes.values()]
    names: dict[str, Any] = {"urls": urls}
    seen = 0
    for block in blocks():
        source = block
        for number, node in enumerate(fresh.nodes.values(), 1):
            source = source.replace(f"127.0.0.1:720{number}", f"127.0.0.1:{node.resp_port}")
        lines = source.splitlines()
        for statement in ast.parse(source).body:
            text = ast.get_source_segment(source, statement) or ""
            value = promised(lines[statement.end_lineno - 1]) if isinstance(statement, ast.Expr) else ...
            if value is ...:
                run(text, names, "exec")
            else:
                assert run(text, names, "eval") == value, text
                seen += 1
        if "client.close()" in source:
            names["client"] = deltaic.Client(urls)
    assert seen > 8
    names["client"].close()


def test_the_page_names_every_option_and_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+_\w+)` \| (\d+) \|", GUIDE.read_text("utf-8"), re.MULTILINE))
    assert {name: float(value) for name, value in rows.items()} == {
        field.name: field.default for field in dataclasses.fields(ClientOptions)
    }


def test_the_package_has_every_type_of_the_library_and_the_page_names_it() -> None:
    text = GUIDE.read_text("utf-8")
    for name in library.__all__:
        assert getattr(deltaic, name) is getattr(library, name)
        assert f"`{name}`" in text
