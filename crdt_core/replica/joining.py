"""How one delta or one patch of a peer changes the catalogue, part by part.

`crdt_core.replica.replica` decides whether the delta or the patch may be taken in at all. These functions do it. All of
them end in the one rule of `crdt_core.lattice.siblings`.

They also notice two histories under one replica id, where both have written the same part: then one dot has two
payloads. A join would keep its own payload on either side, so both replicas stop instead. The contexts of clears are
not compared: two replicas may name folded replica ids in them or not.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from crdt_core.errors import InvariantBroken, brief
from crdt_core.lattice.replica_index import covered
from crdt_core.lattice.siblings import clashing, drop, join, unfold, write
from crdt_core.replica.sharded import Sharded
from crdt_core.types import TYPES

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping

    from crdt_core.lattice.clocks import VersionVector
    from crdt_core.lattice.deltas import Address, Delta, Patch, PatchPart, Write
    from crdt_core.lattice.replica_index import DenseClock, PackedDot
    from crdt_core.lattice.siblings import Payload
    from crdt_core.replica.catalogue import Catalogue
    from crdt_core.replica.discards import Discards
    from crdt_core.types.object import Object

__all__ = ["apply_by_part", "apply_writes", "check_repeated", "contradiction", "join_parts"]


def apply_writes(catalogue: Catalogue, delta: Delta, deps: VersionVector) -> None:
    """Write everything that `delta` wrote. `deps` are the deps of the delta, with folded replica ids put back.

    Raises `Malformed`, with nothing changed, if the delta's replica id is one too many for the replica index.
    """
    for _ in apply_by_part(catalogue, delta, deps, delta.writes):
        pass


def apply_by_part(
    catalogue: Catalogue, delta: Delta, deps: VersionVector, writes: Iterable[Write]
) -> Generator[None, None, None]:
    """Do the same, with `writes` in place of those of `delta`; yield after each part that changes."""
    dot = catalogue.replica_index.pack(*delta.dot)
    dense_deps = catalogue.replica_index.dense_clock_of_known(deps)
    for key, type_name, part, payload in writes:
        found = catalogue.ensure(key, TYPES[type_name])
        if part is None:
            yield from _apply_clear(catalogue, found, dot, deps, dense_deps)
        else:
            catalogue.put(found, part, write(found.get(part), dense_deps, dot, payload))
        yield


def check_repeated(catalogue: Catalogue, delta: Delta) -> None:
    """Raise `InvariantBroken` if `delta`, which has been seen before, now says something else."""
    dot = catalogue.replica_index.pack(*delta.dot)
    for key, type_name, part, payload in delta.writes:
        if part is not None and (found := contradiction(catalogue, (key, type_name, part), {dot: payload})):
            raise InvariantBroken(found)


def contradiction(catalogue: Catalogue, address: Address, theirs: Mapping[PackedDot, Payload]) -> str:
    """Return in words which dot has another payload here than among `theirs`, the siblings of `address`; else ""."""
    key, type_name, part = address
    object_ = catalogue.find(key, type_name)
    mine = None if object_ is None or part is None else object_.get(part)
    dot = None if mine is None else clashing(mine, theirs)
    if dot is None:
        return ""
    name, here = catalogue.replica_index.unpack(dot), unfold(mine)[dot]
    return (
        f"dot {name} has two payloads, {brief(here)} here and {brief(theirs[dot])} there, at {type_name} {brief(key)}, "
        f"part {brief(part)}: two histories have used the id {name.replica}; remove the node of one of them "
        "(`deltaic node remove`), and add it anew"
    )


def join_parts(
    catalogue: Catalogue,
    patch: Patch,
    my_clock: DenseClock,
    their_clock: DenseClock,
    new: dict[PackedDot, list[Address]],
    *,
    discards: Discards,
) -> Iterator[None]:
    """Join every part of `patch` with that of the catalogue. For a full state, join the parts that it leaves out, too.

    `my_clock` and `their_clock` are the clocks of the replica and of the patch, with folded replica ids put back.
    Yields after each part. Adds the addresses of the writes that were new here to `new`, by dot. Raises
    `InvariantBroken` where a dot has two payloads. What is left behind goes to `discards`.
    """
    replica_index = catalogue.replica_index
    listed: Sharded[Address, None] = Sharded()
    clears = (part for part in patch.parts if part.part is None)
    for part in chain(clears, (part for part in patch.parts if part.part is not None)):
        theirs = {replica_index.pack(*dot): payload for dot, payload in part.siblings.items()}
        address = part[:3]
        if patch.since is None:
            listed[address] = None
        if part.part is None and catalogue.find(part.key, part.type) is not None:
            yield from _drop_cleared(catalogue, part, my_clock)
        if theirs or catalogue.find(part.key, part.type) is not None:
            _join_at(catalogue, address, my_clock, theirs, their_clock)
        for dot in theirs:
            if not covered(dot, my_clock):
                new.setdefault(dot, []).append(address)
        yield
    if patch.since is None:
        for address in catalogue.addresses():
            if address not in listed:
                _join_at(catalogue, address, my_clock, {}, their_clock)
            yield
    discards.add(listed)


def _join_at(
    catalogue: Catalogue,
    address: Address,
    my_clock: DenseClock,
    theirs: dict[PackedDot, Payload],
    their_clock: DenseClock,
) -> None:
    key, type_name, part = address
    found = catalogue.ensure(key, TYPES[type_name])
    if part is None:
        _join_clears(catalogue, found, my_clock, theirs, their_clock)
    else:
        mine = found.get(part)
        if mine is not None and theirs and clashing(mine, theirs) is not None:
            raise InvariantBroken(contradiction(catalogue, address, theirs))
        catalogue.put(found, part, join(mine, my_clock, theirs, their_clock))


def _join_clears(
    catalogue: Catalogue,
    found: Object,
    my_clock: DenseClock,
    theirs: dict[PackedDot, VersionVector],
    their_clock: DenseClock,
) -> None:
    catalogue.put_clears(found, unfold(join(found.clears, my_clock, theirs, their_clock)))


def _drop_cleared(catalogue: Catalogue, clears: PatchPart, my_clock: DenseClock) -> Iterator[None]:
    """Remove the parts that new `clears` of an object had seen; yield before each."""
    replica_index = catalogue.replica_index
    found = catalogue.find(clears.key, clears.type)
    assert found is not None
    for dot, deps in clears.siblings.items():
        if not covered(replica_index.pack(*dot), my_clock):
            yield from _drop_parts(catalogue, found, replica_index.dense_clock_of_known(deps))


def _apply_clear(
    catalogue: Catalogue, found: Object, dot: PackedDot, deps: VersionVector, dense_deps: DenseClock
) -> Iterator[None]:
    """Remove what a clear had seen: parts, and earlier clears; yield before each part."""
    yield from _drop_parts(catalogue, found, dense_deps)
    kept = {clear: seen for clear, seen in found.clears.items() if not covered(clear, dense_deps)}
    catalogue.put_clears(found, {**kept, dot: deps})


def _drop_parts(catalogue: Catalogue, found: Object, deps: DenseClock) -> Iterator[None]:
    """Drop what `deps` covers of each part; yield before each, so that `found` is not empty between two of them."""
    for part, siblings in list(found.parts.items()):
        yield
        catalogue.put(found, part, drop(siblings, deps))
