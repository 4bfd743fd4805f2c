"""Deltas in canonical JSON: they come back as they were, and a delta that no replica makes is malformed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given

from crdt_core.codec.deltas import decode_delta, encode_delta
from crdt_core.errors import Malformed
from crdt_core.lattice.clocks import VersionVector
from crdt_core.lattice.deltas import Patch
from crdt_core.replica.replica import Applied, Replica
from tests.crdt_core.codec.mangling import ANYTHING_AFTERWARDS, DELTA, changed, mangled, survives
from tests.crdt_core.codec.strategies import deltas
from tests.crdt_core.histories import NOW

if TYPE_CHECKING:
    from crdt_core.lattice.deltas import Delta
    from tests.crdt_core.histories import Operation

pytestmark = pytest.mark.timeout(900)  # a failure is first made as small as it can be, for up to five minutes


@given(deltas())
def test_a_delta_comes_back_as_it_was(delta: Delta) -> None:
    data = encode_delta(delta)
    assert decode_delta(data) == delta
    assert encode_delta(decode_delta(data)) == data


def test_the_example_that_is_mangled_is_sound() -> None:
    assert orjson.loads(encode_delta(decode_delta(orjson.dumps(DELTA)))) == DELTA


@given(mangled(DELTA), ANYTHING_AFTERWARDS)
def test_a_mangled_delta_is_malformed_or_can_be_applied(value: Any, afterwards: list[Operation]) -> None:
    try:
        delta = decode_delta(orjson.dumps(value))
    except Malformed:
        return
    replica = Replica("observer")
    replica.join(Patch("n2", None, VersionVector({"n1": 2, "n2": 1}), VersionVector(), NOW, ()))
    assert replica.apply(delta) in Applied
    survives(replica, afterwards)


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
        pytest.param(writing("k", "orset", "a", False), id="a set member that is false"),
        pytest.param(writing("k", "orset", "a", 1), id="a set member that is one"),
        pytest.param(writing("k", "orset", 1, True), id="a part that is no text"),
        pytest.param(writing("k", "orset", {"b64": "?"}, True), id="a part that is no base64"),
        pytest.param(writing("k", "ewflag", "a", True), id="a flag with a second slot"),
        pytest.param(writing("k", "mvregister", {"b64": "/w=="}, "v"), id="a register with a second slot"),
        pytest.param(writing("k", "pncounter", {"b64": "/w=="}, [1, 0]), id="the share of nobody"),
        pytest.param(writing("k", "pncounter", "n1", [1]), id="a share cut short"),
        pytest.param(writing("k", "pncounter", "n1", [1, -1]), id="a share below zero"),
        pytest.param(writing("k", "pncounter", "n1", [True, 0]), id="a share that is true"),
        pytest.param(writing("k", "pncounter", "n1", [1, 0, 2, 0]), id="a share that spent more than it has"),
        pytest.param(writing("k", "pncounter", "n1", ["5", 0]), id="a small total as text"),
        pytest.param(writing("k", "pncounter", "n1", ["9" * 41, 0]), id="a total beyond reach"),
        pytest.param(writing("k", "gcounter", "n1", [5, 1]), id="a grow-only counter that shrinks"),
        pytest.param(writing("k", "gcounter", "n1", {"spent": [5, 1]}), id="a grow-only counter that shrank"),
        pytest.param(writing("k", "lwwregister", "", ["v", 2**63, 0]), id="a stamp beyond 64 bits"),
        pytest.param(writing("k", "lwwregister", "", ["v", 1.0, 0]), id="a stamp that is no integer"),
        pytest.param(writing("k", "mvregister", "", 5), id="a register value that is no text"),
    ],
)
def test_a_delta_that_no_replica_makes_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode_delta(data)
