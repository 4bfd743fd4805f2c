"""The pure core of Deltaic: clocks, the one join, the replicated types, the replica state machine, the codec."""

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
