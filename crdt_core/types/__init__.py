"""The replicated types: the contract that each keeps, one module per family, and the registry of all of them."""

from __future__ import annotations

from crdt_core.types.contract import SLOT, CrdtType, View, decode_text, encode_text
from crdt_core.types.registry import (
    DWFLAG,
    EWFLAG,
    EXPIRY,
    GCOUNTER,
    GSET,
    HASH,
    LWWREGISTER,
    MEMBERS,
    MVREGISTER,
    ORSET,
    PNCOUNTER,
    RWSET,
    STRING,
    TYPES,
)

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
    "SLOT",
    "STRING",
    "TYPES",
    "CrdtType",
    "View",
    "decode_text",
    "encode_text",
]
