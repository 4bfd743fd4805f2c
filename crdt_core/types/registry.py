"""All replicated types, by name and by family, in the order in which they prevail.

If the same key was made with two types concurrently, the one that stands first in `TYPES` shows, at every replica. The
other stays stored, and is reported as a type conflict. The order is published: a new type goes where it changes
the order of no two others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.types.counters import GCOUNTER, PNCOUNTER
from crdt_core.types.expiry import EXPIRY
from crdt_core.types.flags import DWFLAG, EWFLAG
from crdt_core.types.hashes import HASH
from crdt_core.types.hyperloglogs import HYPERLOGLOG
from crdt_core.types.members import MEMBERS
from crdt_core.types.registers import LWWREGISTER, MVREGISTER
from crdt_core.types.sets import GSET, ORSET, RWSET
from crdt_core.types.strings import STRING

if TYPE_CHECKING:
    from crdt_core.types.contract import CrdtType

__all__ = ["FAMILIES", "TYPES"]

TYPES: dict[str, CrdtType] = {
    type_.name: type_
    for type_ in (
        PNCOUNTER,
        GCOUNTER,
        STRING,
        ORSET,
        GSET,
        RWSET,
        HASH,
        LWWREGISTER,
        MVREGISTER,
        EWFLAG,
        DWFLAG,
        HYPERLOGLOG,
        MEMBERS,
        EXPIRY,
    )
}
"""Every type by its name. The first prevails over the second, and so on."""

FAMILIES: dict[str, tuple[CrdtType, ...]] = {
    family: tuple(type_ for type_ in TYPES.values() if type_.family == family)
    for family in dict.fromkeys(type_.family for type_ in TYPES.values())
}
"""The types that the same commands work on, by the name of the family."""

for _rank, _type in enumerate(TYPES.values()):
    _type.rank = _rank
