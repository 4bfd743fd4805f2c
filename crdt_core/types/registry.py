"""The replicated types, by name, in the order in which they prevail.

Where the same key was made with two types concurrently, the one that stands first in `TYPES` shows, at every replica;
the other stays stored and is reported as a conflict. To add a type: write it, register it here; the codec, the store,
the laws of the property tests and the faces' inspection know it from then on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.types.counters import GCounterType, PNCounterType
from crdt_core.types.expiry import ExpiryType
from crdt_core.types.hashes import HashType
from crdt_core.types.members import MembersType
from crdt_core.types.registers import DWFlagType, EWFlagType, LWWRegisterType, MVRegisterType
from crdt_core.types.sets import GSetType, ORSetType, RWSetType
from crdt_core.types.strings import StringType

if TYPE_CHECKING:
    from crdt_core.types.contract import CrdtType

__all__ = [
    "DWFLAG",
    "EWFLAG",
    "EXPIRY",
    "GCOUNTER",
    "GSET",
    "HASH",
    "LWWREGISTER",
    "MEMBERS",
    "MVREGISTER",
    "ORSET",
    "PNCOUNTER",
    "RWSET",
    "STRING",
    "TYPES",
]

PNCOUNTER = PNCounterType()
GCOUNTER = GCounterType()
ORSET = ORSetType()
GSET = GSetType()
RWSET = RWSetType()
LWWREGISTER = LWWRegisterType()
MVREGISTER = MVRegisterType()
EWFLAG = EWFlagType()
DWFLAG = DWFlagType()
MEMBERS = MembersType()
STRING = StringType()
HASH = HashType()
EXPIRY = ExpiryType()

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
        MEMBERS,
        EXPIRY,
    )
}

for _rank, _type in enumerate(TYPES.values()):
    _type.rank = _rank
