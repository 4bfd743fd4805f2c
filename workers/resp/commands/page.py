"""Writes the tables of commands into `docs/redis.md`: `python -m workers.resp.commands.page docs/redis.md`.

The tables come from the rows, and stand between two markers. What is around them is written by hand.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workers.resp.commands.table import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from crdt_core.commands import Command, CommandTable

__all__ = ["main", "missing", "tables", "with_tables"]

_BEGIN = "<!-- The tables up to the end marker are written by `make docs`, from the rows of the commands. -->"
_END = "<!-- End of the tables. -->"

_WIDTH = 120

_TITLES = {
    "string": "Strings",
    "set": "Sets",
    "hash": "Hashes",
    "bitmap": "Bits",
    "hyperloglog": "HyperLogLogs",
    "generic": "Keys and expiry",
    "transactions": "Transactions",
    "pubsub": "Channels",
    "connection": "Connections",
    "server": "The server",
    "cluster": "Redis Cluster",
    "deltaic": "Deltaic's own",
}


def tables(rows: Iterable[Command[Any]]) -> str:
    """Return a table for each group, as Markdown: name, arguments, summary, what concurrent calls give, since when."""
    by_group: dict[str, list[Command[Any]]] = {group: [] for group in _TITLES}
    for row in rows:
        by_group.setdefault(row.group, []).append(row)
    listed = [_table(_TITLES.get(group, group.capitalize()), found) for group, found in by_group.items() if found]
    return "\n\n".join(map("\n".join, listed))


def missing(table: CommandTable) -> str:
    """Return the names that Redis has and `table` has not; of subcommands, those of families that it has."""
    families = {row.name for row in table.commands.values() if row.members}
    names = [name for name in sorted(table.unsupported) if b"|" not in name or name.partition(b"|")[0] in families]
    listed = " ".join(f"`{name.decode()}`" for name in names)
    return textwrap.fill(listed, _WIDTH, break_long_words=False, break_on_hyphens=False).replace("|", " ")


def with_tables(page: str) -> str:
    """Return `page` with the tables of all commands between its markers. Raises `ValueError` if it has no markers."""
    before, begin, rest = page.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError("the page has no markers for the tables of commands")
    listed = tables(TABLE.commands.values())
    return "\n\n".join([before + _BEGIN, listed, "### Not supported", missing(TABLE), _END + after])


def _table(title: str, rows: list[Command[Any]]) -> Iterator[str]:
    yield f"### {title}"
    yield ""
    yield "| command | arguments | what it does | concurrent calls | since |"
    yield "|---|---|---|---|---|"
    for row in sorted(rows, key=lambda row: row.name):
        yield from (_line(command) for command in row.members or (row,))


def _line(row: Command[Any]) -> str:
    arguments = f"`{row.arguments}`" if row.arguments else ""
    cells = [f"`{row.title}`", arguments, row.summary, row.concurrent, row.since]
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def main(paths: list[str]) -> None:
    """Write the tables into the pages at `paths`."""
    for path in map(Path, paths):
        path.write_text(with_tables(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
