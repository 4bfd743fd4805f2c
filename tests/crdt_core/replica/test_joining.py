"""What a delta or a patch changes in the catalogue, part by part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from crdt_core.errors import InvariantBroken, Malformed
from crdt_core.lattice.clocks import Dot, Stamp, VersionVector
from crdt_core.lattice.deltas import Delta, Patch, PatchPart, Write
from crdt_core.lattice.replica_index import REPLICAS_MAX
from crdt_core.lattice.siblings import TOMBSTONE, unfold
from crdt_core.replica.catalogue import Catalogue
from crdt_core.replica.discards import Discards
from crdt_core.replica.joining import apply_writes, join_parts
from crdt_core.replica.replica import Replica
from crdt_core.types import ORSET, TYPES
from tests.crdt_core.types.models import MODELS

if TYPE_CHECKING:
    from crdt_core.lattice.deltas import Address
    from crdt_core.lattice.replica_index import PackedDot

NOW = Stamp(1, 0)
KEY = b"fruit"


def holding(**members: Dot) -> Catalogue:
    """A catalogue whose set `fruit` has these members, each with one dot."""
    made = Catalogue()
    for member, dot in members.items():
        made.put(made.ensure(KEY, ORSET), member.encode(), made.replica_index.pack(*dot))
    return made


def held(catalogue: Catalogue) -> dict[bytes, set[Dot]]:
    """The members of `fruit` with their dots."""
    found = catalogue.find(KEY, "orset")
    parts: Any = found.parts if found else {}
    return {part: {catalogue.replica_index.unpack(dot) for dot in unfold(parts[part])} for part in parts}


def write(catalogue: Catalogue, dot: Dot, deps: VersionVector, *parts: bytes | None) -> None:
    writes = tuple(Write(KEY, "orset", part, None if part is None else True) for part in parts)
    apply_writes(catalogue, Delta(dot, deps, NOW, writes), deps)


def join(
    catalogue: Catalogue, mine: VersionVector, theirs: VersionVector, *parts: PatchPart, full: bool = False
) -> Any:
    """Join a patch from a replica at clock `theirs`; return the new dots with what they wrote."""
    patch = Patch("n2", None if full else VersionVector(), theirs, VersionVector(), NOW, parts)
    index = catalogue.replica_index
    new: dict[PackedDot, list[Address]] = {}
    my_clock, their_clock = index.dense_clock(mine), index.dense_clock(theirs)
    for _ in join_parts(catalogue, patch, my_clock, their_clock, new, discards=Discards()):
        pass
    return {index.unpack(dot): [address[2] for address in addresses] for dot, addresses in new.items()}


def test_a_write_replaces_what_its_deps_cover_and_joins_what_they_do_not() -> None:
    catalogue = holding(apple=Dot("n1", 1), pear=Dot("n1", 2))
    write(catalogue, Dot("n2", 1), VersionVector(n1=1), b"apple", b"pear")
    assert held(catalogue) == {b"apple": {Dot("n2", 1)}, b"pear": {Dot("n1", 2), Dot("n2", 1)}}


def test_a_clear_removes_what_its_deps_cover_earlier_clears_too() -> None:
    catalogue = holding(apple=Dot("n1", 1), pear=Dot("n1", 2))
    write(catalogue, Dot("n2", 1), VersionVector(n1=1), None)
    assert held(catalogue) == {b"pear": {Dot("n1", 2)}}
    fruit, index = catalogue.ensure(KEY, ORSET), catalogue.replica_index
    assert fruit.clears == {index.pack("n2", 1): {"n1": 1}}
    write(catalogue, Dot("n2", 2), VersionVector(n1=2, n2=1), None, b"fig")
    assert held(catalogue) == {b"fig": {Dot("n2", 2)}}
    assert fruit.clears == {index.pack("n2", 2): {"n1": 2, "n2": 1}}


def test_a_delta_of_one_replica_id_too_many_changes_nothing() -> None:
    catalogue = Catalogue()
    for number in range(REPLICAS_MAX):
        catalogue.replica_index.index(f"m{number}")
    with pytest.raises(Malformed):
        write(catalogue, Dot("n2", 1), VersionVector(), b"apple")
    assert catalogue.heads == {}


def test_a_part_that_a_patch_does_not_list_stays_unless_the_patch_is_a_full_state() -> None:
    mine, theirs = VersionVector(n1=1), VersionVector(n1=1, n2=1)
    pear = PatchPart(KEY, "orset", b"pear", {Dot("n2", 1): True})
    catalogue = holding(apple=Dot("n1", 1))
    assert join(catalogue, mine, theirs, pear) == {Dot("n2", 1): [b"pear"]}
    assert held(catalogue) == {b"apple": {Dot("n1", 1)}, b"pear": {Dot("n2", 1)}}
    catalogue = holding(apple=Dot("n1", 1))
    assert join(catalogue, mine, theirs, pear, full=True) == {Dot("n2", 1): [b"pear"]}
    assert held(catalogue) == {b"pear": {Dot("n2", 1)}}, "the maker of the state has seen the apple and removed it"


def test_a_full_state_leaves_what_its_maker_has_not_seen() -> None:
    catalogue = holding(apple=Dot("n1", 1), fig=Dot("n1", 2))
    join(catalogue, VersionVector(n1=2), VersionVector(n1=1), full=True)
    assert held(catalogue) == {b"fig": {Dot("n1", 2)}}


def test_a_clear_in_a_patch_removes_what_it_had_seen_and_only_once() -> None:
    theirs = VersionVector(n1=1, n2=1)
    clear = PatchPart(KEY, "orset", None, {Dot("n2", 1): VersionVector(n1=1)})
    catalogue = holding(apple=Dot("n1", 1), fig=Dot("n1", 2))
    assert join(catalogue, VersionVector(n1=2), theirs, clear) == {Dot("n2", 1): [None]}
    assert held(catalogue) == {b"fig": {Dot("n1", 2)}}
    assert join(catalogue, VersionVector(n1=2, n2=1), theirs, clear) == {}
    assert held(catalogue) == {b"fig": {Dot("n1", 2)}}


def test_a_clear_and_a_part_of_one_patch_are_joined_in_that_order() -> None:
    """The part was written after the clear, so the clear must not remove it, wherever it stands in the patch."""
    theirs = VersionVector(n1=1, n2=2)
    part = PatchPart(KEY, "orset", b"apple", {Dot("n2", 2): True})
    clear = PatchPart(KEY, "orset", None, {Dot("n2", 1): VersionVector(n1=1)})
    catalogue = holding(apple=Dot("n1", 1))
    join(catalogue, VersionVector(n1=1), theirs, part, clear)
    assert held(catalogue) == {b"apple": {Dot("n2", 2)}}


def test_an_empty_listing_makes_no_object() -> None:
    catalogue = Catalogue()
    assert join(catalogue, VersionVector(), VersionVector(n2=1), PatchPart(KEY, "orset", b"apple", {})) == {}
    assert catalogue.heads == {}


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("way", ["delta", "patch", "full state"])
def test_a_dot_with_two_payloads_stops_the_replica_for_every_type_and_by_every_way(name: str, way: str) -> None:
    """Two machines had one id: both replicas kept their own payload, with equal clocks, and nobody noticed."""
    example = MODELS[name].examples[0]
    part = example.part.encode() if isinstance(example.part, str) else example.part
    dot, one = Dot("n6", 1), VersionVector(n6=1)
    here = Replica("n1")
    here.apply(Delta(dot, VersionVector(), NOW, (Write(KEY, name, part, example.payload),)))
    again = Delta(dot, VersionVector(), NOW, (Write(KEY, name, part, TOMBSTONE),))
    since = None if way == "full state" else VersionVector()
    patch = Patch("n2", since, one, VersionVector(), NOW, (PatchPart(KEY, name, part, {dot: TOMBSTONE}),))
    with pytest.raises(InvariantBroken) as broken:
        here.apply(again) if way == "delta" else here.join(patch)
    assert "dot n6:1 has two payloads" in str(broken.value)
    assert f"{name} b'fruit'" in str(broken.value)
    assert "None there" in str(broken.value)
    assert here.contradiction(patch) in str(broken.value)


def test_a_dot_that_is_met_again_with_its_payload_is_no_contradiction() -> None:
    here = Replica("n1")
    dot, one = Dot("n6", 1), VersionVector(n6=1)
    delta = Delta(dot, VersionVector(), NOW, (Write(KEY, "orset", b"apple", True), Write(KEY, "orset", None, None)))
    here.apply(delta)
    here.apply(delta)
    patch = Patch("n2", None, one, VersionVector(), NOW, (PatchPart(KEY, "orset", b"apple", {dot: True}),))
    assert here.contradiction(patch) == ""
    assert here.join(patch) == 0
