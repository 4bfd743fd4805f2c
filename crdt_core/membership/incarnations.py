"""Incarnations: the replica ids of one node, one for each uninterrupted history.

    n1           a founder
    n1.2         the same after a loss or an absence
    n1.3-c0de    likewise, where the node could not ask all members: the nonce keeps the id apart from ids unknown to it
    n6-4f2a91    a node that was added, by a nonce of that addition
    n6-4f2a91.2  the same after a loss or an absence
    n6-07b3e8.3  a node that was removed and added again

An addition needs the nonce always, because two members that do not hear of each other may each add a node of this name.
What comes before the number names the *machine*: all ids that one addition has led to. A founder's machine has the bare
name of the node. `crdt_core.membership.namesakes` says what happens where two machines have one name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from crdt_core.lattice.clocks import check_replica_id
from crdt_core.types.members import machine_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from crdt_core.lattice.clocks import ReplicaId

__all__ = ["added_id", "decode_formers", "encode_formers", "incarnation", "name_at_addition", "next_incarnation"]

_ADDED = re.compile(r"(.+)-[0-9a-f]{6}")
"""The name of a machine that was added: the nonce of `deltaic node add` has six digits."""


def name_at_addition(machine: str) -> str:
    """Return under which name `machine` was added, if it is called after its addition; otherwise an empty string.

    >>> name_at_addition("n6-4f2a91"), name_at_addition("n6"), name_at_addition("n6-west")
    ('n6', '', '')
    """
    found = _ADDED.fullmatch(machine)
    return found[1] if found is not None else ""


def incarnation(replica: ReplicaId, node: str) -> int:
    """Return the number of the incarnation of `node` that has the id `replica`; 1 for an id without a number.

    >>> incarnation("n1", "n1"), incarnation("n1.3", "n1"), incarnation("n1.3-c0de", "n1"), incarnation("n6-4f.2", "n6")
    (1, 3, 3, 2)
    """
    number, _, _ = replica.removeprefix(machine_of(replica, node)).removeprefix(".").partition("-")
    return int(number) if number.isdigit() else 1


def added_id(node: str, known: Iterable[ReplicaId], nonce: str) -> ReplicaId:
    """Return the replica id of a node that is added. `nonce` tells this addition from all others.

    `known` are the ids that `node` has had. A number above theirs shows which id is the latest.

    >>> added_id("n6", [], "4f2a91"), added_id("n6", ["n6-4f2a91"], "07b3e8")
    ('n6-4f2a91', 'n6-07b3e8.2')
    """
    machine, ids = f"{node}-{nonce}", list(known)
    return check_replica_id(f"{machine}.{_next_number(node, ids)}" if ids else machine)


def next_incarnation(node: str, known: Iterable[ReplicaId], nonce: str = "", *, machine: str = "") -> ReplicaId:
    """Return a replica id of `machine`, by default the node itself, whose number is above those of all `known` ids.

    If not every member could be asked, some ids may be unknown here. A `nonce` keeps the new id apart from those.

    >>> next_incarnation("n1", ["n1", "n1.4"]), next_incarnation("n1", ["n1"], "c0de")
    ('n1.5', 'n1.2-c0de')
    """
    return check_replica_id(f"{machine or node}.{_next_number(node, known)}" + (f"-{nonce}" if nonce else ""))


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


def _next_number(node: str, known: Iterable[ReplicaId]) -> int:
    return max((incarnation(replica, node) for replica in known), default=1) + 1
