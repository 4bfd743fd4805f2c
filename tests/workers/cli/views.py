"""Views of keys, as nodes answer them, and what each is in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from workers.rpc.client import KeyView

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SHOWN", "view"]


def view(type_: str, value: Any, *conflicts: str, siblings: Mapping[str, Any] | None = None) -> KeyView:
    """A view of a key that has this type and value."""
    return KeyView(type_, value, siblings or {}, conflicts)


SHOWN = [
    (view("", None), "no such key"),
    (view("pncounter", 3), "3"),
    (view("mvregister", ["tea", "green tea"]), 'tea | "green tea"'),
    (view("ewflag", True), "enabled"),
    (view("dwflag", False), "disabled"),
    (view("orset", ["fig", "apple"]), "{fig, apple}"),
    (view("gset", []), "{}"),
]
"""Values, and how each is shown."""
