"""A few replicas in a test: what they do, and how they hear of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.codec.patches import decode_patch, encode_patch
from crdt_core.replica.replica import Replica
from tests.crdt_core.histories import (
    NOW,
    PLENTY,
    Operation,
    perform,
)

if TYPE_CHECKING:
    from crdt_core.lattice.deltas import Delta, Patch

__all__ = ["add", "commit", "count", "forget", "listed", "pair", "remove", "sync"]


def add(element: bytes, key: bytes = b"s") -> Operation:
    return Operation(key, "orset", "add", element)


def remove(element: bytes, key: bytes = b"s") -> Operation:
    return Operation(key, "orset", "remove", element)


def count(amount: int, key: bytes = b"c") -> Operation:
    return Operation(key, "pncounter", "add", amount)


def commit(replica: Replica, *operations: Operation) -> Delta:
    """Commits the operations; returns their delta."""
    for operation in operations:
        perform(replica, operation)
    delta = replica.commit(NOW)
    assert delta is not None
    return delta


def pair() -> tuple[Replica, Replica]:
    return Replica("n1"), Replica("n2")


def sync(*replicas: Replica) -> None:
    """Lets all replicas exchange what they lack."""
    for _ in range(2):
        for here in replicas:
            for there in replicas:
                here.join(decode_patch(encode_patch(there.patch(here.clock, NOW))))


def forget(*replicas: Replica) -> list[int]:
    """Tells each replica that everything is stable; returns how many tombstones still wait at each."""
    return [replica.stabilise(replica.clock, PLENTY) for replica in replicas]


def listed(patch: Patch) -> set[bytes | None]:
    return {part.part for part in patch.parts}
