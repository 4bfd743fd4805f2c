"""Formats what the commands show to people: ages, sizes, values, and the nodes' views of a key side by side."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Column, Table
from rich.text import Text

from crdt_core.types import TYPES
from crdt_core.types.contract import Shape
from workers.rpc.client import KeyView, NodeUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import RenderableType

__all__ = ["age", "plain_table", "printable", "size", "value_text", "views_table", "word"]

_PLAIN_WORD = re.compile(r"[^\s,|\"{}()]+")
_COMMON_MAX = 12
_TEXT_MAX = 200


def plain_table(*columns: Column | str) -> Table:
    """Return an empty table in the style of all commands."""
    return Table(*columns, box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="dim")


def age(ms: int) -> str:
    """Return a span of milliseconds as one number with its unit.

    >>> [age(ms) for ms in (7, 1234, 75_000, 9_000_000)]
    ['7ms', '1.2s', '1min', '2h']
    """
    for limit, unit, step in ((1000, "ms", 1), (60_000, "s", 1000), (3_600_000, "min", 60_000)):
        if ms < limit:
            return f"{ms / step:.1f}{unit}" if unit == "s" else f"{ms // step}{unit}"
    return f"{ms // 3_600_000}h" if ms < 48 * 3_600_000 else f"{ms // (24 * 3_600_000)}d"


def size(count: int) -> str:
    """Return a number of bytes as one number with its unit.

    >>> [size(count) for count in (7, 91_234, 2_345_678)]
    ['7 B', '91 kB', '2.3 MB']
    """
    for limit, unit, step in ((1000, "B", 1), (1_000_000, "kB", 1000)):
        if count < limit:
            return f"{count // step} {unit}"
    return f"{count / 1_000_000:.1f} MB"


def printable(text: str) -> str:
    """Return `text` without control characters that a terminal would obey, shortened if it is long.

    >>> printable("a\\x1b[31mb")
    'a\\\\x1b[31mb'
    """
    cut = text if len(text) <= _TEXT_MAX else f"{text[:_TEXT_MAX]}... ({len(text)} characters)"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


def word(value: Any) -> str:
    """Return a value as one word, in quotes if it has spaces or punctuation."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return printable(text) if _PLAIN_WORD.fullmatch(text) else printable(json.dumps(text, ensure_ascii=False))


def value_text(view: KeyView, others: Iterable[KeyView] = ()) -> Text:
    """Return the value as people are shown it.

    Of a set, what it has more than some of `others` is green, and what it lacks follows in red.
    """
    if not view.type:
        return Text("no such key", style="dim")
    match _shape(view):
        case Shape.ELEMENTS:
            return _set_text(view, others)
        case Shape.ALTERNATIVES:
            return Text(" | ").join(Text(word(value)) for value in view.value)
        case Shape.SWITCH:
            return Text("enabled" if view.value else "disabled")
    return Text(word(view.value))


def _shape(view: KeyView) -> Shape:
    """Return the shape of a value. A node of a later version may have types that are not known here."""
    type_ = TYPES.get(view.type)
    return Shape.VALUE if type_ is None else type_.shape


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
    mine = _elements(view)
    theirs = [_elements(other) for other in others if _shape(other) is Shape.ELEMENTS or not other.type]
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


def _elements(view: KeyView) -> dict[str, None]:
    if _shape(view) is not Shape.ELEMENTS:
        return {}
    return dict.fromkeys(e if isinstance(e, str) else json.dumps(e) for e in view.value)


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
