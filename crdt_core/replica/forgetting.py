"""Forgetting removals that every replica has. Without it, tombstones would pile up for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.lattice.replica_index import covered
from crdt_core.lattice.siblings import forget

if TYPE_CHECKING:
    from collections.abc import Container

    from crdt_core.lattice.deltas import Address
    from crdt_core.lattice.replica_index import DenseClock
    from crdt_core.replica.catalogue import Catalogue

__all__ = ["forget_stable"]


def forget_stable(
    catalogue: Catalogue, stable: DenseClock, tombstones_max: int, kept_owners: Container[bytes | None]
) -> None:
    """Forget the tombstones and clears of `catalogue` that the stable frontier `stable` covers.

    At most `tombstones_max` addresses are looked at. Those that have to wait join the next round, so repeated calls
    come round to all of them. The shares of the replica ids in `kept_owners` are left as they are.
    """
    for address in catalogue.tombstones.look(tombstones_max):
        _forget_at(catalogue, address, stable, kept_owners)


def _forget_at(
    catalogue: Catalogue, address: Address, stable: DenseClock, kept_owners: Container[bytes | None]
) -> None:
    """Forget what is stable at `address`. The catalogue notes whether that was all."""
    key, type_name, part = address
    found = catalogue.find(key, type_name)
    assert found is not None
    if part is None:
        catalogue.put_clears(found, {dot: deps for dot, deps in found.clears.items() if not covered(dot, stable)})
    elif found.type.owner(part) not in kept_owners:
        catalogue.put(found, part, forget(found.get(part), stable))
