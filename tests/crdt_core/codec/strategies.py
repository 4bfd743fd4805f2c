"""Strategies for what the codec writes and reads: clocks, stamps, payloads of every type, deltas and patches."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from crdt_core.lattice.clocks import Dot, Stamp, VersionVector
from crdt_core.lattice.deltas import Delta, Patch, PatchPart, Write
from crdt_core.lattice.siblings import TOMBSTONE
from crdt_core.types import TYPES
from tests.crdt_core.types.models import MODELS
from tests.crdt_core.types.models.payloads import BYTES, NAMES

__all__ = ["CLOCKS", "STAMPS", "deltas", "patches"]

STAMPS = st.builds(Stamp, st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
CLOCKS = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 2**49)).map(VersionVector)


@st.composite
def writes(draw: st.DrawFn) -> tuple[Write, ...]:
    """Writes to different parts, clears first."""
    found: dict[Any, Write] = {}
    for _ in range(draw(st.integers(0, 4))):
        key, name = draw(BYTES), draw(st.sampled_from(list(TYPES)))
        model = MODELS[name]
        write = Write(key, name, draw(model.parts), draw(st.one_of(model.payloads, st.just(TOMBSTONE))))
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
