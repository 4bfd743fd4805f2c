"""The pure core of Deltaic: clocks, the one join, the replicated types, the replica state machine, the codec.

The names below are imported when they are first used: a short command that needs one module of the core does not wait
for all of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crdt_core.lattice.clocks import Dot, HybridClock, Stamp, VersionVector
    from crdt_core.library import DWFlag, EWFlag, GCounter, GSet, LWWRegister, MVRegister, ORSet, PNCounter, RWSet
    from crdt_core.replica.replica import Applied, Replica

__all__ = [
    "Applied",
    "DWFlag",
    "Dot",
    "EWFlag",
    "GCounter",
    "GSet",
    "HybridClock",
    "LWWRegister",
    "MVRegister",
    "ORSet",
    "PNCounter",
    "RWSet",
    "Replica",
    "Stamp",
    "VersionVector",
]

_HOMES = {
    "lattice.clocks": ("Dot", "HybridClock", "Stamp", "VersionVector"),
    "library": ("DWFlag", "EWFlag", "GCounter", "GSet", "LWWRegister", "MVRegister", "ORSet", "PNCounter", "RWSet"),
    "replica.replica": ("Applied", "Replica"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
