"""Shows the nodes' views of a key side by side, in the style of all tables. It needs rich, which is slow to import."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Column, Table
from rich.text import Text

from crdt_core.types.contract import Shape
from workers.cli.words import elements_of, printable, shape_of, value_words, word
from workers.rpc.client import KeyView, NodeUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import RenderableType

__all__ = ["plain_table", "value_text", "views_table"]

_COMMON_MAX = 12


def plain_table(*columns: Column | str) -> Table:
    """Return an empty table in the style of all commands."""
    return Table(*columns, box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")


def value_text(view: KeyView, others: Iterable[KeyView] = ()) -> Text:
    """Return the value as people are shown it.

    Of a set, what it has more than some of `others` is green, and what it lacks follows in red.
    """
    if shape_of(view) is Shape.ELEMENTS:
        return _set_text(view, others)
    return Text(value_words(view), style="" if view.type else "dim")


def views_table(views: Mapping[str, KeyView | NodeUnavailable], *, dots: bool = False) -> RenderableType:
    """Return a table with a row per node for one key. Nodes that show the same value have the same colour.

    With `dots`, a further column shows the siblings, each with its dot.
    """
    seen = [view for view in views.values() if isinstance(view, KeyView)]
    colours = _colours(seen)
    table = plain_table(Column("node", no_wrap=True), "type", Column("value", overflow="fold"))
    if dots:
        table.add_column("siblings", overflow="fold")
    for name, view in views.items():
        if isinstance(view, NodeUnavailable):
            table.add_row(name, Text("?", style="red"), Text(f"unreachable: {view.reason}", style="red"))
            continue
        type_ = " / ".join([view.type or "-", *view.conflicts])
        style = colours.get(_identity(view), "")
        siblings = [_siblings_text(view)] if dots else []
        table.add_row(Text(name, style=style), type_, value_text(view, seen), *siblings)
    notes = [_conflict_note(seen)] if any(view.conflicts for view in seen) else []
    return Group(table, *notes)


def _set_text(view: KeyView, others: Iterable[KeyView]) -> Text:
    mine = elements_of(view)
    theirs = [elements_of(other) for other in others if shape_of(other) is Shape.ELEMENTS or not other.type]
    common = [e for e in mine if all(e in other for other in theirs)]
    shown = common[:_COMMON_MAX] if theirs else common
    parts = [Text(word(e)) for e in shown]
    if len(shown) < len(common):
        parts.append(Text(f"... {len(common) - len(shown)} more that all have", style="dim"))
    parts += [Text(word(e), style="bold green") for e in mine if e not in set(common)]
    text = Text.assemble("{", Text(", ").join(parts), "}")
    missing = sorted({e for other in theirs for e in other if e not in mine})
    if missing:
        text.append(f" lacks {', '.join(map(word, missing))}", style="bold red")
    return text


def _siblings_text(view: KeyView) -> Text:
    lines = []
    for part, siblings in view.siblings.items():
        found = ", ".join(f"{dot}{_payload_words(payload)}" for dot, payload in siblings.items())
        lines.append(f"{word(part)}: {found}" if part else found)
    return Text("\n".join(lines))


def _payload_words(payload: Any) -> str:
    if payload is True:
        return ""
    return " removed" if payload is None else f" {printable(json.dumps(payload, ensure_ascii=False))}"


def _identity(view: KeyView) -> str:
    return json.dumps(view.shown)


def _colours(seen: list[KeyView]) -> dict[str, str]:
    """Return a colour for each distinct view; none if all views are equal."""
    distinct = list(dict.fromkeys(map(_identity, seen)))
    palette = ("cyan", "magenta", "yellow", "blue", "green")
    return {} if len(distinct) < 2 else {view: palette[i % len(palette)] for i, view in enumerate(distinct)}


def _conflict_note(seen: list[KeyView]) -> Text:
    hidden = sorted({name for view in seen for name in view.conflicts})
    return Text(f"written concurrently as another type too; hidden: {', '.join(hidden)}", style="yellow")
