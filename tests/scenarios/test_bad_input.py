"""What a caller gets wrong gets a clear error, and changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import orjson
import pytest

from workers.rpc import deltaic_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fleet import Fleet, Node

LARGEST = 2**63 - 1
LIMIT = 1 << 20

INVALID = grpc.StatusCode.INVALID_ARGUMENT
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
OUT_OF_RANGE = grpc.StatusCode.OUT_OF_RANGE
NOT_FOUND = grpc.StatusCode.NOT_FOUND


def increment(key: str, amount: int, **fields: Any) -> Callable[[Node], Any]:
    request = pb.IncrementCounterRequest(counter_id=key, amount=amount, **fields)
    return lambda node: node.objects.IncrementCounter(request, timeout=5)


def decrement(key: str, amount: int) -> Callable[[Node], Any]:
    return lambda node: node.objects.DecrementCounter(
        pb.DecrementCounterRequest(counter_id=key, amount=amount), timeout=5
    )


def add(key: str, element: str, **fields: Any) -> Callable[[Node], Any]:
    return lambda node: node.objects.AddToSet(pb.AddToSetRequest(set_id=key, element=element, **fields), timeout=5)


def remove(key: str, element: str) -> Callable[[Node], Any]:
    return lambda node: node.objects.RemoveFromSet(pb.RemoveFromSetRequest(set_id=key, element=element), timeout=5)


def write(key: str, value: str, **fields: Any) -> Callable[[Node], Any]:
    return lambda node: node.objects.SetRegister(
        pb.SetRegisterRequest(register_id=key, value=value, **fields), timeout=5
    )


def merge(patch: bytes) -> Callable[[Node], Any]:
    return lambda node: node.replication.Merge(pb.MergeRequest(patch=patch), timeout=5)


def patch(**changes: Any) -> bytes:
    fields = {"v": 1, "origin": "n9", "since": {}, "clock": {}, "stable": {}, "hlc": [0, 0], "parts": []}
    return orjson.dumps({**fields, **changes})


BAD: dict[str, tuple[Callable[[Node], Any], grpc.StatusCode, str]] = {
    "empty counter id": (increment("", 1), INVALID, "counter_id: must not be empty"),
    "empty set id": (add("", "a"), INVALID, "set_id: must not be empty"),
    "empty register id": (write("", "a"), INVALID, "register_id: must not be empty"),
    "empty element": (add("bad set", ""), INVALID, "element: must not be empty"),
    "negative amount": (increment("bad counter", -1), INVALID, "amount: -1 is not an integer from 0"),
    "negative decrement": (decrement("bad counter", -1), INVALID, "amount: -1 is not an integer from 0"),
    "overflow": (increment("full", 1), OUT_OF_RANGE, "'full' would leave the 64-bit signed range"),
    "underflow": (decrement("empty", 2), OUT_OF_RANGE, "'empty' would leave the 64-bit signed range"),
    "long key": (
        increment("k" * 2000, 1),
        INVALID,
        "2000 bytes, over the limit of 1024 (setting limits.key_bytes_max)",
    ),
    "long element": (add("bad set", "e" * (LIMIT + 1)), INVALID, f"limit of {LIMIT} (setting limits.value_bytes_max)"),
    "long value": (write("bad register", "é" * LIMIT), INVALID, f"value: {2 * LIMIT} bytes, over the limit of {LIMIT}"),
    "a set as a counter": (increment("a set", 1), PRECONDITION, "'a set' is of type orset"),
    "a counter as a set": (add("full", "x"), PRECONDITION, "'full' is of type pncounter"),
    "a counter as a set, removing": (remove("full", "x"), PRECONDITION, "'full' is of type pncounter"),
    "a set as a register": (write("a set", "x"), PRECONDITION, "'a set' is of type orset"),
    "another kind of counter": (increment("full", 1, kind=pb.GROW_ONLY_COUNTER), PRECONDITION, "not gcounter"),
    "another kind of set": (add("a set", "x", kind=pb.GROW_ONLY_SET), PRECONDITION, "not gset"),
    "removing from a grow-only set": (remove("grown", "x"), PRECONDITION, "nothing can be removed"),
    "an LWW write to a multi-value register": (
        write("mv", "x", timestamp=1),
        PRECONDITION,
        "'mv' is of type mvregister",
    ),
    "a multi-value write to an LWW register": (write("lww", "x"), PRECONDITION, "'lww' is of type lwwregister"),
    "a multi-value write with a timestamp": (
        write("fresh", "x", timestamp=1, kind=pb.MULTI_VALUE_REGISTER),
        INVALID,
        "timestamp: a multi-value write has none",
    ),
    "a kind that does not exist": (increment("fresh", 1, kind=9), INVALID, "kind: 9 is not one of"),
    "syncing with an unknown node": (
        lambda node: node.replication.SyncAll(pb.SyncAllRequest(peers=["n2", "n9"]), timeout=5),
        NOT_FOUND,
        "unknown node 'n9'; this fleet has",
    ),
    "pausing an unknown node": (
        lambda node: node.control.Partition(pb.PartitionRequest(peers=["n9"]), timeout=5),
        NOT_FOUND,
        "unknown node 'n9'; this fleet has",
    ),
    "a patch that is no JSON": (merge(b"junk"), INVALID, "malformed patch: not JSON"),
    "a patch of a later version": (merge(patch(v=2)), INVALID, "format version 2"),
    "a patch that invents a peer's writes": (merge(patch(clock={"n2": 10**9})), INVALID, "it claims n2:1000000000"),
    "a patch that invents this node's own writes": (merge(patch(clock={"n1": 10**9})), INVALID, "n1 has not made"),
    "a patch that carries more than its clock": (
        merge(patch(parts=[["k", "orset", "a", {"n9:1": True}]])),
        INVALID,
        "does not cover",
    ),
}


@pytest.fixture(scope="module")
def prepared(shared_fleet: Fleet) -> Fleet:
    """Counters at their limits, sets of both kinds and registers of both kinds: each mistake has something to spoil."""
    node = shared_fleet["n1"]
    increment("full", LARGEST)(node)
    decrement("empty", LARGEST)(node)
    add("a set", "apple")(node)
    add("grown", "x", kind=pb.GROW_ONLY_SET)(node)
    write("mv", "first")(node)
    write("lww", "first", timestamp=5)(node)
    shared_fleet.agree()
    return shared_fleet


@pytest.mark.parametrize("mistake", BAD)
def test_a_mistake_is_named_and_changes_nothing(prepared: Fleet, mistake: str) -> None:
    call, code, text = BAD[mistake]
    node = prepared["n1"]
    before = seen_of(prepared)
    with pytest.raises(grpc.RpcError) as refused:
        call(node)
    assert refused.value.code() is code, refused.value.details()
    assert text in refused.value.details()
    assert seen_of(prepared) == before


def seen_of(fleet: Fleet) -> tuple[object, ...]:
    """All that a mistake might change at n1."""
    status = fleet["n1"].status()
    return dict(status.clock), status.digest, dict(status.links), fleet.redis().hgetall(fleet["n1"].keys.state)


def test_an_amount_that_is_left_out_is_one_and_zero_changes_nothing(prepared: Fleet) -> None:
    objects = prepared["n1"].objects
    assert objects.IncrementCounter(pb.IncrementCounterRequest(counter_id="plain"), timeout=5).value == 1
    assert objects.IncrementCounter(pb.IncrementCounterRequest(counter_id="plain", amount=0), timeout=5).value == 1


def test_concurrent_increments_that_overflow_together_are_an_error_to_read_and_never_a_wrap(fleet: Fleet) -> None:
    fleet.cut(["n1"], ["n2", "n3", "n4", "n5"])
    increment("too much", LARGEST)(fleet["n1"])
    increment("too much", LARGEST)(fleet["n2"])
    fleet.heal()
    fleet.agree()
    for node in fleet.members():
        with pytest.raises(grpc.RpcError) as refused:
            node.counter("too much")
        assert refused.value.code() is OUT_OF_RANGE
    decrement("too much", LARGEST)(fleet["n3"])
    fleet.agree()
    assert fleet.everywhere("counter", "too much") == [LARGEST] * 5
