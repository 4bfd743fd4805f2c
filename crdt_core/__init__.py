"""The pure core of Deltaic: clocks, the one join, the replicated types, the replica state machine, the codec."""

from crdt_core.clocks import Dot, HybridClock, Stamp, VersionVector
from crdt_core.library import EWFlag, GCounter, GSet, LWWRegister, MVRegister, ORSet, PNCounter
from crdt_core.replica import Applied, Replica

__all__ = [
    "Applied",
    "Dot",
    "EWFlag",
    "GCounter",
    "GSet",
    "HybridClock",
    "LWWRegister",
    "MVRegister",
    "ORSet",
    "PNCounter",
    "Replica",
    "Stamp",
    "VersionVector",
]
