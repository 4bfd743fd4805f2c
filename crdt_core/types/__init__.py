"""The replicated types: the contract that each keeps, a module per family of types, and the registry of all of them.

A new type need not be listed here. What most of the code uses can be imported from here.
"""

from __future__ import annotations

from crdt_core.types.contract import SLOT, CrdtType, View
from crdt_core.types.counters import GCOUNTER, PNCOUNTER
from crdt_core.types.expiry import EXPIRY
from crdt_core.types.flags import DWFLAG, EWFLAG
from crdt_core.types.hashes import HASH
from crdt_core.types.members import MEMBERS
from crdt_core.types.registers import LWWREGISTER, MVREGISTER
from crdt_core.types.registry import FAMILIES, TYPES
from crdt_core.types.sets import GSET, ORSET, RWSET
from crdt_core.types.strings import STRING
from crdt_core.types.text import decode_text, encode_text

__all__ = [
    "DWFLAG",
    "EWFLAG",
    "EXPIRY",
    "FAMILIES",
    "GCOUNTER",
    "GSET",
    "HASH",
    "LWWREGISTER",
    "MEMBERS",
    "MVREGISTER",
    "ORSET",
    "PNCOUNTER",
    "RWSET",
    "SLOT",
    "STRING",
    "TYPES",
    "CrdtType",
    "View",
    "decode_text",
    "encode_text",
]
