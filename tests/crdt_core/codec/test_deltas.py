"""Deltas in canonical JSON: they come back as they were, and a delta that no replica makes is malformed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.codec.deltas import decode_delta, encode_delta, encode_delta_of, encode_writes
from crdt_core.errors import Malformed
from crdt_core.lattice.clocks import VersionVector
from crdt_core.lattice.deltas import Patch
from crdt_core.replica.replica import Applied, Replica
from crdt_core.types import TYPES
from tests.crdt_core.codec.mangling import DELTA, changed, mangled, operations_on, survives
from tests.crdt_core.codec.strategies import deltas
from tests.crdt_core.histories import NOW
from tests.crdt_core.types.models import MODELS
from tests.crdt_core.types.models.wire import delta_value

if TYPE_CHECKING:
    from crdt_core.lattice.deltas import Delta

pytestmark = pytest.mark.timeout(900)  # a failure is first made as small as it can be, for up to five minutes


@given(deltas())
def test_a_delta_comes_back_as_it_was(delta: Delta) -> None:
    data = encode_delta(delta)
    assert decode_delta(data) == delta
    assert encode_delta(decode_delta(data)) == data


@given(deltas(), st.integers(1, 3))
def test_a_delta_may_be_encoded_some_writes_at_a_time(delta: Delta, size: int) -> None:
    pieces = [encode_writes(delta.writes[at : at + size]) for at in range(0, len(delta.writes), size)]
    encoded = encode_delta_of(replace(delta, writes=()), pieces)
    assert bytes(encoded) == encode_delta(delta)
    assert all(any(piece is part for part in encoded) for piece in pieces), "nothing is joined"


def test_the_example_that_is_mangled_is_sound() -> None:
    assert orjson.loads(encode_delta(decode_delta(orjson.dumps(DELTA)))) == DELTA


@pytest.mark.parametrize("type_name", TYPES)
@given(data=st.data())
def test_a_mangled_delta_is_malformed_or_can_be_applied(type_name: str, data: st.DataObject) -> None:
    value = delta_value([type_name])
    try:
        delta = decode_delta(orjson.dumps(data.draw(mangled(value))))
    except Malformed:
        return
    replica = Replica("observer")
    replica.join(Patch("n2", None, VersionVector({"n1": 2, "n2": 1}), VersionVector(), NOW, ()))
    assert replica.apply(delta) in Applied
    survives(replica, data.draw(operations_on(value, [type_name])))


def writing(*write: Any) -> bytes:
    return changed(DELTA, writes=[list(write)])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(changed(DELTA, v=2), id="a version to come"),
        pytest.param(changed(DELTA, v=True), id="a version that is no number"),
        pytest.param(changed(DELTA, more=1), id="a field too many"),
        pytest.param(changed(DELTA, dot="n1:4"), id="a dot that does not follow its deps"),
        pytest.param(changed(DELTA, dot="n1:03"), id="a dot in another spelling"),
        pytest.param(changed(DELTA, dot="n 1:3"), id="a dot of nobody"),
        pytest.param(changed(DELTA, deps={"n1": 2, "n2": 0}), id="a clock with a zero"),
        pytest.param(changed(DELTA, deps={"n1": 2, "n2": 2**50}), id="a clock beyond reach"),
        pytest.param(changed(DELTA, hlc=[5, -1]), id="a stamp below zero"),
        pytest.param(changed(DELTA, writes=DELTA["writes"][1:2] * 2), id="two writes to one part"),
        pytest.param(writing("k", "orset", None, True), id="a clear with a payload"),
        pytest.param(writing("k", "pncounter", None, None), id="a clear of a counter"),
        pytest.param(writing("k", "what", "a", True), id="a type to come"),
    ],
)
def test_a_delta_that_no_replica_makes_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode_delta(data)


@pytest.mark.parametrize(
    "write",
    [
        pytest.param((name, part, payload), id=f"{name}: {reason}")
        for name, model in MODELS.items()
        for reason, part, payload in model.malformed
    ],
)
def test_a_write_that_no_replica_makes_is_malformed(write: tuple[Any, ...]) -> None:
    with pytest.raises(Malformed):
        decode_delta(writing("k", *write))
