"""Strategies for what the codec writes and reads: clocks, stamps, payloads of every type, deltas and patches."""

from __future__ import annotations

from functools import partial
from typing import Any

from hypothesis import strategies as st

from crdt_core.lattice.clocks import Dot, Stamp, VersionVector
from crdt_core.lattice.deltas import Delta, Patch, PatchPart, Write
from crdt_core.lattice.siblings import TOMBSTONE, ObservedReset
from crdt_core.types import SLOT, TYPES
from crdt_core.types.counters import Share
from crdt_core.types.expiry import PERSISTED, Until
from crdt_core.types.hashes import slot_part
from crdt_core.types.members import Fact, Standing
from crdt_core.types.registers import Stamped
from tests.crdt_core.histories import NAMES

__all__ = ["BYTES", "CLOCKS", "PARTS_AND_PAYLOADS", "STAMPS", "deltas", "patches"]

BYTES = st.one_of(st.binary(max_size=8), st.text(max_size=8).map(str.encode))
TOTALS = st.one_of(st.integers(0, 20), st.sampled_from([2**63 - 1, 2**63, 2**64, 10**39]))
STAMPS = st.builds(Stamp, st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
CLOCKS = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 2**49)).map(VersionVector)
INT64 = st.integers(-(2**63), 2**63 - 1)
STAMPED = st.builds(Stamped, BYTES, INT64, st.integers(0, 2**63 - 1))


def shares(decrements: st.SearchStrategy[int]) -> st.SearchStrategy[Share | ObservedReset]:
    """Shares whose base is not larger than they are, and observed resets."""
    share = st.builds(
        lambda n, m, base_n, base_m: Share(n + base_n, m + base_m, base_n, base_m),
        TOTALS.filter(lambda total: total < 10**39),
        decrements.filter(lambda total: total < 10**39),
        TOTALS,
        decrements,
    )
    return st.one_of(share, st.builds(ObservedReset, TOTALS, decrements))


def facts() -> st.SearchStrategy[Any]:
    """Facts about replica ids, and closings."""
    end = {"reason": st.text(max_size=9), "at_ms": st.integers(0, 2**63 - 1)}
    node = st.sampled_from(NAMES)
    return st.one_of(
        st.just(True),
        st.tuples(st.just(Standing.ACTIVE), node, st.text(max_size=9), st.text(max_size=9)).map(lambda f: Fact(*f)),
        st.builds(partial(Fact, Standing.LEAVING, grpc="", redis="", final=0), node, **end),
        st.builds(partial(Fact, Standing.FOLDED, grpc="", redis=""), node, **end, final=st.integers(0, 2**49)),
    )


PARTS_AND_PAYLOADS: dict[str, tuple[st.SearchStrategy[bytes], st.SearchStrategy[Any]]] = {
    "pncounter": (st.sampled_from([name.encode() for name in NAMES]), shares(TOTALS)),
    "gcounter": (st.sampled_from([name.encode() for name in NAMES]), shares(st.just(0))),
    "orset": (BYTES, st.just(True)),
    "gset": (BYTES, st.just(True)),
    "lwwregister": (st.just(SLOT), STAMPED),
    "mvregister": (st.just(SLOT), STAMPED),
    "rwset": (BYTES, st.booleans()),
    "dwflag": (st.just(SLOT), st.booleans()),
    "ewflag": (st.just(SLOT), st.just(True)),
    "string": (st.sampled_from([SLOT, *(name.encode() for name in NAMES)]), st.one_of(shares(TOTALS), STAMPED)),
    "hash": (
        st.builds(lambda field, share: slot_part(field) + share, BYTES, st.sampled_from([b"", b"\0n1", b"\0n2"])),
        st.one_of(shares(TOTALS), STAMPED),
    ),
    "expiry": (
        st.just(SLOT),
        st.builds(
            Until,
            st.integers(0, PERSISTED),
            st.one_of(st.none(), st.builds(Dot, st.sampled_from(NAMES), st.integers(1, 2**49))),
        ),
    ),
    "members": (st.sampled_from([b"n1", b"n1.2", b"n1/n2"]), facts()),
}


@st.composite
def writes(draw: st.DrawFn) -> tuple[Write, ...]:
    """Writes to different parts, clears first."""
    found: dict[Any, Write] = {}
    for _ in range(draw(st.integers(0, 4))):
        key, name = draw(BYTES), draw(st.sampled_from(list(TYPES)))
        parts, payloads = PARTS_AND_PAYLOADS[name]
        write = Write(key, name, draw(parts), draw(st.one_of(payloads, st.just(TOMBSTONE))))
        if TYPES[name].collection and draw(st.booleans()):
            write = Write(key, name, None, None)
        found[write[:3]] = write
    return tuple(sorted(found.values(), key=lambda write: write.part is not None))


@st.composite
def deltas(draw: st.DrawFn) -> Delta:
    """Deltas as a replica can make them: the dot follows the deps."""
    deps, replica = draw(CLOCKS), draw(st.sampled_from(NAMES))
    return Delta(Dot(replica, deps[replica] + 1), deps, draw(STAMPS), draw(writes()))


@st.composite
def patches(draw: st.DrawFn) -> Patch:
    """Patches whose clock covers what they carry."""
    clock = draw(st.dictionaries(st.sampled_from(NAMES), st.integers(1, 9), min_size=1).map(VersionVector))
    dots = st.sampled_from([Dot(replica, n + 1) for replica, counter in clock.items() for n in range(counter)])
    parts: dict[Any, PatchPart] = {}
    for write in draw(writes()):
        if write.part is None:
            dot = draw(dots)
            siblings: dict[Dot, Any] = {dot: VersionVector({dot.replica: dot.counter - 1} if dot.counter > 1 else {})}
        else:
            siblings = draw(st.dictionaries(dots, st.just(write.payload), min_size=1, max_size=3))
        parts[write[:3]] = PatchPart(*write[:3], siblings)
    since = draw(st.one_of(st.none(), CLOCKS))
    return Patch(draw(st.sampled_from(NAMES)), since, clock, VersionVector(), draw(STAMPS), tuple(parts.values()))
