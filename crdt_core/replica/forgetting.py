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
    tombstones = catalogue.tombstones
    for address, counted in tombstones.take(tombstones_max):
        if _forget_at(catalogue, address, stable, kept_owners):
            catalogue.removals -= counted
        else:
            tombstones[address] = counted


def _forget_at(
    catalogue: Catalogue, address: Address, stable: DenseClock, kept_owners: Container[bytes | None]
) -> bool:
    """Forget what is stable at `address`. Returns `False` if the address has to wait.

    If only some of the removals there are stable, the catalogue notes the address again by itself.
    """
    key, type_name, part = address
    found = catalogue.find(key, type_name)
    assert found is not None
    if part is None:
        catalogue.put_clears(found, {dot: deps for dot, deps in found.clears.items() if not covered(dot, stable)})
        return not found.clears
    if found.type.owner(part) in kept_owners:
        return False
    held = found.parts.get(part)
    left = forget(held, stable)
    if left == held:
        return False
    catalogue.put(found, part, left)
    return True
