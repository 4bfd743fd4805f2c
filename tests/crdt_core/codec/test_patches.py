"""Patches in canonical JSON: they come back as they were, and a patch that no replica makes is malformed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.codec.deltas import decode_delta, encode_delta
from crdt_core.codec.patches import (
    check_patch,
    decode_parts,
    decode_patch,
    encode_part_once,
    encode_patch,
    parts_value,
)
from crdt_core.codec.patches import patch_value as encoded_patch
from crdt_core.errors import Malformed, PeerError
from crdt_core.lattice.clocks import Dot, VersionVector
from crdt_core.lattice.deltas import Patch, PatchPart
from crdt_core.replica.replica import Replica
from crdt_core.types import TYPES
from tests.crdt_core.codec.mangling import PATCH, changed, mangled, operations_on, survives
from tests.crdt_core.codec.strategies import deltas, patches
from tests.crdt_core.histories import NOW, Operation, operations, perform
from tests.crdt_core.types.models.wire import patch_value

if TYPE_CHECKING:
    from crdt_core.lattice.deltas import Delta

pytestmark = pytest.mark.timeout(900)  # a failure is first made as small as it can be, for up to five minutes


@given(patches())
def test_a_patch_comes_back_as_it_was(patch: Patch) -> None:
    data = encode_patch(patch)
    back = decode_patch(data)
    assert (back.since, back.clock, back.stable, back.hlc) == (patch.since, patch.clock, patch.stable, patch.hlc)
    assert {part[:3]: part.siblings for part in back.parts} == {part[:3]: part.siblings for part in patch.parts}
    assert encode_patch(back) == data
    assert decode_patch(encoded_patch(patch)) == back


@given(patches(), st.randoms())
def test_equal_patches_give_equal_bytes_in_whatever_order_they_were_built(patch: Patch, random: Any) -> None:
    def shuffled(mapping: Any) -> Any:
        items = list(mapping.items())
        random.shuffle(items)
        return type(mapping)(items)

    parts = [part._replace(siblings=shuffled(part.siblings)) for part in patch.parts]
    random.shuffle(parts)
    since = None if patch.since is None else shuffled(patch.since)
    other = Patch(patch.origin, since, shuffled(patch.clock), patch.stable, patch.hlc, tuple(parts))
    assert encode_patch(other) == encode_patch(patch)


@given(patches())
def test_a_part_that_is_encoded_once_is_sent_as_any_other(patch: Patch) -> None:
    encoded = tuple(map(encode_part_once, patch.parts))
    assert [part.json for part in encoded] == [orjson.dumps(parts_value([part])[0]) for part in patch.parts]
    assert encode_patch(replace(patch, parts=encoded)) == encode_patch(patch)


def test_clears_are_listed_before_the_parts_of_their_object() -> None:
    part = PatchPart(b"basket", "orset", b"", {Dot("n1", 2): True})
    clears = PatchPart(b"basket", "orset", None, {Dot("n1", 1): VersionVector()})
    assert parts_value([part, clears]) == [
        ["basket", "orset", None, {"n1:1": {}}],
        ["basket", "orset", "", {"n1:2": True}],
    ]
    assert decode_parts(parts_value([part, clears])) == (clears, part)


def test_a_patch_whose_parts_came_in_chunks_is_checked_as_a_whole() -> None:
    """The chunks come without a clock, so what they carry can only be compared with the clock of the last message."""
    part = PatchPart(b"basket", "orset", b"apple", {Dot("n1", 4): True})
    check_patch(Patch("n2", None, VersionVector(n1=4), VersionVector(), NOW, (part,)))
    with pytest.raises(Malformed, match="it carries n1:4"):
        check_patch(Patch("n2", None, VersionVector(n1=3), VersionVector(), NOW, (part,)))


def test_the_example_that_is_mangled_is_sound() -> None:
    assert orjson.loads(encode_patch(decode_patch(orjson.dumps(PATCH)))) == PATCH


@pytest.mark.parametrize("type_name", TYPES)
@given(data=st.data())
def test_a_mangled_patch_is_malformed_or_can_be_joined(type_name: str, data: st.DataObject) -> None:
    replica, value = Replica("observer"), patch_value([type_name])
    replica.join(Patch("n1", None, VersionVector({"n1": 2}), VersionVector(), NOW, ()))
    try:
        replica.join(decode_patch(orjson.dumps(data.draw(mangled(value)))))
    except PeerError:
        return
    survives(replica, data.draw(operations_on(value, [type_name])))


@given(patches(), st.lists(deltas(), max_size=3), st.lists(operations(list(TYPES)), max_size=5))
def test_whatever_is_well_formed_can_be_lived_with(
    patch: Patch, deltas: list[Delta], afterwards: list[Operation]
) -> None:
    """Well-formed and still nonsense: shares that shrink, totals spent before they were counted, stamps at the end."""
    replica = Replica("observer")
    replica.join(decode_patch(encode_patch(replace(patch, since=None))))
    for number, delta in enumerate(deltas):
        deps = VersionVector({**replica.clock, "stranger": number} if number else replica.clock)
        replica.apply(decode_delta(encode_delta(replace(delta, dot=Dot("stranger", number + 1), deps=deps))))
    assert replica.clock["stranger"] == len(deltas)
    keys = [part.key for part in patch.parts] + [write.key for delta in deltas for write in delta.writes]
    survives(replica, [operation._replace(key=key) for operation, key in zip(afterwards, keys, strict=False)])


def listing(*part: Any) -> bytes:
    return changed(PATCH, parts=[list(part)])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(changed(PATCH, origin="n 2"), id="from nobody"),
        pytest.param(changed(PATCH, stable={"n3": 1}), id="stable beyond its clock"),
        pytest.param(changed(PATCH, stable={"n2": 1}), id="stable beyond what it builds on: it may lack removals"),
        pytest.param(changed(PATCH, parts=PATCH["parts"][1:2] * 2), id="one part twice"),
        pytest.param(listing("k", "orset", "a", {}), id="a part without siblings"),
        pytest.param(listing("k", "orset", "a", {"n1:4": True}), id="a dot that its clock does not cover"),
        pytest.param(listing("k", "orset", "a", {"n3:1": None}), id="a dot of someone its clock does not know"),
        pytest.param(listing("k", "orset", None, {}), id="no clears"),
        pytest.param(listing("k", "orset", None, {"n1:3": None}), id="a clear that has seen nobody knows what"),
        pytest.param(listing("k", "orset", None, {"n1:3": {"n1": 1}}), id="a clear that does not follow its deps"),
        pytest.param(listing("k", "orset", None, {"n1:1": {"n2": 9}}), id="a clear that saw what its clock has not"),
        pytest.param(listing("k", "mvregister", None, {"n1:1": {}}), id="a clear of a register"),
        pytest.param(listing("k", "pncounter", "", {"n1:1": [1, 0]}), id="the share of nobody"),
    ],
)
def test_a_patch_that_no_replica_makes_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode_patch(data)


def test_more_replica_ids_than_a_replica_can_number_are_refused_and_change_nothing() -> None:
    def naming(numbers: range) -> bytes:
        clock = {f"m{number}": 1 for number in numbers}
        return changed(PATCH, since=None, stable={}, clock=clock, parts=[])

    with pytest.raises(Malformed):
        decode_patch(naming(range(5000)))
    replica = Replica("observer")
    replica.join(decode_patch(naming(range(3000))))
    before = replica.clock.copy()
    with pytest.raises(Malformed):
        replica.join(decode_patch(naming(range(2000, 5000))))
    assert replica.clock == before
    assert not replica.take_changes()
    assert replica.join(decode_patch(naming(range(4000)))) == 0  # as many as there is room for


def test_spent_totals_above_their_share_leave_nothing_and_not_less() -> None:
    """Only a peer gone wrong says so; what its reader writes on top must still be readable elsewhere."""
    replica = Replica("n1")
    parts = [["hits", "gcounter", "n1", {"n1:1": [5, 0], "n2:1": {"spent": [9, 0]}}]]
    replica.resume(decode_patch(changed(PATCH, since=None, parts=parts)))
    assert replica.value(b"hits") == 0
    perform(replica, Operation(b"hits", "gcounter", "add", 2))
    delta = replica.commit(NOW)
    assert delta is not None
    assert replica.value(b"hits") == 2
    assert decode_delta(encode_delta(delta)) == delta
