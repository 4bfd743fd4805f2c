"""GSet, ORSet and RWSet: a part per member.

An ORSet's add is a new write, also where the member is present: so it survives a concurrent remove, which takes away
only the writes it has seen (add wins). There are no tags besides the dots and, at rest, no tombstones. Source: Bieniusa
et al. 2012, "An optimized conflict-free replicated set", with the version vector shared by the whole replica.

An RWSet's remove wins over adds that have not seen it, also the remove of a member that is not there: it is a write
that denies the member, until an add that has seen it replaces it. Deleting the whole set denies nothing: it takes away
what it saw, denials too. Source: the remove-wins set of Bieniusa et al. 2012, section 3.

    A: SREM s x      x: n1:8 denies               } concurrent: both stand side by side, x is out
    B: SADD s x      x: n2:5 adds                 }
    B: SADD s x      x: n2:6 adds, has seen n1:8, and replaces it: x is in
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.lattice.siblings import TOMBSTONE, WINNING_TOMBSTONE
from crdt_core.types.contract import CrdtType, View, decode_grant

if TYPE_CHECKING:
    from typing import Any

    from crdt_core.lattice.siblings import Payload

__all__ = ["GSetType", "ORSetType", "RWSetType", "deny_element", "remove_element"]


class SetType(CrdtType):
    """What all sets share; part: the member, payload: `True`."""

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


class RWSetType(SetType):
    """A set where a concurrent remove wins over an add; payload: `True`, or `WINNING_TOMBSTONE` of a remove."""

    name = "rwset"

    def decode_payload(self, value: Any) -> Payload:
        return decode_grant(self.name, value)


def deny_element(element: bytes) -> tuple[bytes, Payload]:
    """The write that removes `element` from a set where removes win, also where it is not seen there."""
    return element, WINNING_TOMBSTONE


def remove_element(view: View, element: bytes) -> tuple[bytes, Payload] | None:
    """The write that removes `element`; `None` where there is nothing seen to remove."""
    return (element, TOMBSTONE) if view.shows(element) else None
