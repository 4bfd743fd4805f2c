"""Incarnations: the replica ids of one node, one for each uninterrupted history.

The first incarnation has the bare name of the node, the next ones a number: `n1`, `n1.2`, `n1.3`. If the node that
chose an id could not ask all members, a nonce follows the number: `n1.3-c0de`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.lattice.clocks import check_replica_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from crdt_core.lattice.clocks import ReplicaId

__all__ = ["decode_formers", "encode_formers", "incarnation", "next_incarnation"]


def incarnation(replica: ReplicaId, node: str) -> int:
    """Return the number of the incarnation of `node` that has the id `replica`; 1 for the bare name.

    >>> incarnation("n1", "n1"), incarnation("n1.3", "n1"), incarnation("n1.3-c0de", "n1")
    (1, 3, 3)
    """
    number, _, _ = replica.removeprefix(node).removeprefix(".").partition("-")
    return int(number) if number.isdigit() else 1


def next_incarnation(node: str, known: Iterable[ReplicaId], nonce: str = "") -> ReplicaId:
    """Return a replica id of `node` whose number is above those of all `known` ids.

    If not every member could be asked, some ids may be unknown here. A `nonce` keeps the new id apart from those.

    >>> next_incarnation("n1", ["n1", "n1.4"]), next_incarnation("n1", ["n1"], "c0de")
    ('n1.5', 'n1.2-c0de')
    """
    number = max((incarnation(replica, node) for replica in known), default=1) + 1
    return check_replica_id(f"{node}.{number}" + (f"-{nonce}" if nonce else ""))


def encode_formers(ids: Iterable[ReplicaId]) -> bytes:
    """Return the former ids whose unsent writes are still to be replayed, as the header's field `former` has them.

    Version 0.1.0 wrote one id, or nothing. That is read and written as before.

    >>> encode_formers(["n1", "n1.2"]), decode_formers("n1 n1.2"), decode_formers("")
    (b'n1 n1.2', ('n1', 'n1.2'), ())
    """
    return " ".join(ids).encode()


def decode_formers(text: str) -> Sequence[ReplicaId]:
    """Return the ids in the text of the header's field `former`, the earliest first."""
    return tuple(text.split())
