"""Formats what the commands say without a table: ages, sizes, and the view of a key, in words and as JSON.

It does without rich, whose import takes as long as a call of a node.
"""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any

import click

from crdt_core.types import TYPES
from crdt_core.types.contract import Shape

if TYPE_CHECKING:
    from workers.rpc.client import KeyView

__all__ = ["age", "elements_of", "faint", "printable", "shape_of", "size", "value_words", "view_json", "word"]

_PLAIN_WORD = re.compile(r"[^\s,|\"{}()]+")
_TEXT_MAX = 200


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


def faint(text: str) -> str:
    """Return `text` in faint letters, if the terminal has them. Where there is no terminal, `click.echo` drops them."""
    return text if os.environ.get("TERM", "").lower() in {"dumb", "unknown"} else click.style(text, dim=True)


def value_words(view: KeyView) -> str:
    """Return the value of a key as people are shown it."""
    if not view.type:
        return "no such key"
    match shape_of(view):
        case Shape.ELEMENTS:
            return f"{{{', '.join(map(word, elements_of(view)))}}}"
        case Shape.ALTERNATIVES:
            return " | ".join(map(word, view.value))
        case Shape.SWITCH:
            return "enabled" if view.value else "disabled"
    return word(view.value)


def elements_of(view: KeyView) -> dict[str, None]:
    """Return the elements of a set in their order; none for anything else."""
    if shape_of(view) is not Shape.ELEMENTS:
        return {}
    return dict.fromkeys(e if isinstance(e, str) else json.dumps(e) for e in view.value)


def shape_of(view: KeyView) -> Shape:
    """Return the shape of a value. A node of a later version may have types that are not known here."""
    type_ = TYPES.get(view.type)
    return Shape.VALUE if type_ is None else type_.shape


def view_json(view: KeyView) -> dict[str, Any]:
    """Return the view of a key as `--json` prints it."""
    return {
        "type": view.type or None,
        "value": view.value,
        "conflicts": list(view.conflicts),
        "siblings": view.siblings,
    }
