"""Objects for tests of one type: made by its mutators, or at random by its model."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from crdt_core.lattice.clocks import Stamp
from crdt_core.lattice.replica_index import ReplicaIndex
from crdt_core.lattice.siblings import fold
from crdt_core.replica.replica import Replica
from crdt_core.types import TYPES, View
from tests.crdt_core.histories import NOW, perform
from tests.crdt_core.replicas import sync
from tests.crdt_core.types.models import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from crdt_core.lattice.siblings import Payload
    from crdt_core.types import CrdtType
    from crdt_core.types.contract import PartWrite
    from crdt_core.types.object import Object

__all__ = ["KEY", "concurrent", "do", "grown", "seen", "view_of"]

KEY = b"k"
SEEDS = 25


def view_of(**parts: dict[tuple[str, int], Payload]) -> View:
    """A view of parts with these siblings, by (replica, counter); the part `slot` stands for the one of a register."""
    replica_index = ReplicaIndex()
    packed = {
        b"" if part == "slot" else part.encode(): fold({replica_index.pack(*d): p for d, p in siblings.items()})
        for part, siblings in parts.items()
    }
    return View(packed, replica_index)


def do(replica: Replica, type_: CrdtType, *writes: PartWrite | None) -> None:
    """Commits these writes to the object under `KEY`."""
    for write in writes:
        if write is not None:
            replica.write(KEY, type_, *write)
    replica.commit(NOW)


def seen(replica: Replica, type_: CrdtType) -> View:
    """What `replica` holds of that type under `KEY`."""
    return replica.view(KEY, type_)


def concurrent(type_: CrdtType, *writes: list[PartWrite]) -> View:
    """What one sees that has heard of n1, n2 and so on, each of which made some of the writes, apart."""
    replicas = [Replica(f"n{number}") for number in range(1, len(writes) + 1)]
    for replica, own in zip(replicas, writes, strict=True):
        do(replica, type_, *own)
    sync(*replicas)
    return seen(replicas[0], type_)


def grown(name: str) -> Iterator[tuple[Replica, Object]]:
    """Replicas with an object of type `name` under `KEY`, which three replicas have written to at random."""
    for seed in range(SEEDS):
        rng, replicas = Random(seed), [Replica("n1"), Replica("n2"), Replica("n3")]
        for _ in range(rng.randint(1, 12)):
            replica = rng.choice(replicas)
            perform(replica, MODELS[name].operation(rng, KEY).at(Stamp(rng.randint(0, 4), 0)))
            replica.commit(NOW)
            if rng.random() < 0.3:
                sync(*replicas)
        sync(*replicas)
        found = replicas[0].catalogue.find(KEY, name)
        if found is not None:
            assert found.type is TYPES[name]
            yield replicas[0], found
