"""GSet and ORSet: a part per member.

An ORSet's add is a new write, also where the member is present: so it survives a concurrent remove, which takes away
only the writes it has seen (add wins). There are no tags besides the dots and, at rest, no tombstones. Source: Bieniusa
et al. 2012, "An optimized conflict-free replicated set", with the version vector shared by the whole replica.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.siblings import REMOVED
from crdt_core.types.base import CrdtType, View

if TYPE_CHECKING:
    from crdt_core.siblings import Payload

__all__ = ["GSetType", "ORSetType", "remove_element"]


class SetType(CrdtType):
    """What both sets share; part: the member, payload: `True`."""

    collection = True

    def value(self, view: View) -> list[bytes]:
        """The members, sorted."""
        return sorted(view.shown())


class GSetType(SetType):
    """A set that only grows (but may be deleted whole)."""

    name = "gset"


class ORSetType(SetType):
    """A set where a concurrent add wins over a remove."""

    name = "orset"


def remove_element(view: View, element: bytes) -> tuple[bytes, Payload] | None:
    """The write that removes `element`; `None` where there is nothing seen to remove."""
    return (element, REMOVED) if view.shows(element) else None
