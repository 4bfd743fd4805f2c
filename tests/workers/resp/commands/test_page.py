"""The tables of commands in docs/redis.md are those of the rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from crdt_core.commands import Command, CommandTable
from crdt_core.commands.command import KEY
from workers.resp.commands.page import main, missing, tables, with_tables
from workers.resp.commands.table import TABLE

if TYPE_CHECKING:
    from workers.resp.context import Client

PAGE = Path(__file__).parents[4] / "docs" / "redis.md"


def nothing(_client: Client, _args: list[bytes]) -> None:
    """The function of a row that is never run."""


def test_the_page_is_up_to_date() -> None:
    """`make docs` writes it."""
    text = PAGE.read_text("utf-8")
    assert with_tables(text) == text


def test_a_row_is_a_line_of_the_table_of_its_group() -> None:
    row: Command[Client] = Command(
        "hash", "HX key a | b", 3, KEY, "write", nothing, "Does it.", "The later is kept.", since="0.2.0"
    )
    assert tables([row]).splitlines() == [
        "### Hashes",
        "",
        "| command | arguments | what it does | concurrent calls | since |",
        "|---|---|---|---|---|",
        r"| `HX` | `key a \| b` | Does it. | The later is kept. | 0.2.0 |",
    ]


def test_what_is_missing_is_listed_with_subcommands_of_families_that_are_there() -> None:
    listed = missing(TABLE)
    assert "`ZADD`" in listed
    assert "`CLIENT PAUSE`" in listed.replace("\n", " ")
    assert "XINFO STREAM" not in listed.replace("\n", " ")
    assert "`GET`" in missing(CommandTable([]))


def test_a_page_is_written_in_place_and_must_have_markers(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    text = PAGE.read_text("utf-8")
    page.write_text(text.replace("| `INCR` |", "| `LOST` |"), "utf-8")
    main([str(page)])
    assert page.read_text("utf-8") == text
    with pytest.raises(ValueError, match="no markers"):
        with_tables("a page")
