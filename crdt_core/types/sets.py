"""GSet, ORSet and RWSet: a part per member.

An ORSet's add is a new write, also if the member is present. So it survives a concurrent remove, which takes away only
the writes that it has seen: adds win. There are no tags besides the dots and, at rest, no tombstones. Source: Bieniusa
et al. 2012, "An optimized conflict-free replicated set", with the version vector shared by the whole replica.

An RWSet's remove wins over adds that have not seen it, also the remove of a member that is not there. It writes a
winning tombstone, which hides the member until an add that has seen the tombstone replaces it. Deleting the whole set
hides nothing: it takes away what it saw, winning tombstones too. Source: the remove-wins set of Bieniusa et al. 2012,
section 3.

    A: SREM s x      x: n1:8 is a winning tombstone    } concurrent: both stand side by side, x is out
    B: SADD s x      x: n2:5 adds                      }
    B: SADD s x      x: n2:6 adds, has seen n1:8, and replaces it: x is in
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.lattice.siblings import shows
from crdt_core.types.contract import CrdtType, Shape

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from crdt_core.lattice.clocks import Stamp
    from crdt_core.lattice.siblings import Siblings
    from crdt_core.types.contract import PartWrite, View

__all__ = ["GSET", "ORSET", "RWSET", "GSetType", "ORSetType", "RWSetType", "SetType"]


class SetType(CrdtType):
    """What all sets share. A part is a member; its payload is `True`."""

    redis_type = "set"
    event_class = "s"
    family = "set"
    collection = True
    shape = Shape.ELEMENTS

    def value(self, view: View) -> list[bytes]:
        """Return the members, sorted."""
        return sorted(view.shown())

    def contents(self, view: View) -> list[bytes]:
        return list(view.shown())

    def contents_by_part(self, view: View) -> Generator[None, None, list[bytes]]:
        members = []
        for member in view.shown():
            members.append(member)
            yield
        return members

    def rewrite(self, view: View, contents: Iterable[bytes], now: Stamp) -> Iterable[PartWrite]:  # noqa: ARG002
        return ((member, True) for member in contents)

    def events(self, part: bytes, before: Siblings, now: Siblings) -> list[bytes]:  # noqa: ARG002
        if shows(now) is shows(before):
            return []
        return [b"sadd"] if shows(now) else [b"srem"]


class GSetType(SetType):
    """A set that only grows, but may be deleted whole."""

    name = "gset"
    plain = False
    grow_only = True


class ORSetType(SetType):
    """A set where a concurrent add wins over a remove."""

    name = "orset"


class RWSetType(SetType):
    """A set where a concurrent remove wins over an add. The payload of a remove is `WINNING_TOMBSTONE`."""

    name = "rwset"
    removes_win = True


GSET = GSetType()
ORSET = ORSetType()
RWSET = RWSetType()
