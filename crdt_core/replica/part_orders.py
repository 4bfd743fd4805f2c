"""The orders in which SSCAN and HSCAN go through large collections.

Few collections are ever gone through in steps. So an order is made when somebody begins to, and the last ones used are
kept up to date with what comes and goes. It takes about 9 bytes a part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.replica.scan_order import LONGEST, ScanOrder
from crdt_core.replica.steps import batched

if TYPE_CHECKING:
    from collections.abc import Generator

    from crdt_core.lattice.deltas import Address
    from crdt_core.replica.discards import Discards
    from crdt_core.types.object import Object

__all__ = ["ORDERED_FROM", "PartOrders"]

ORDERED_FROM = 1000
"""A collection with fewer parts is looked at as a whole in each step."""
_KEPT_MAX = 16
_PARTS_KEPT_MAX = 1 << 22


class PartOrders:
    """The orders of the parts of some collections. `kept` holds them by key and type name, the last used last.

    `discards` takes those that are dropped.
    """

    __slots__ = ("_discards", "kept")

    def __init__(self, discards: Discards) -> None:
        self._discards = discards
        self.kept: dict[tuple[bytes, str], ScanOrder] = {}

    def find(self, key: bytes, type_name: str) -> ScanOrder | None:
        """Return the order of the parts of that object, if there is one; it has been used last then."""
        order = self.kept.pop((key, type_name), None)
        if order is not None:
            self.kept[key, type_name] = order
        return order

    def make_by_step(self, found: Object) -> Generator[None, None, ScanOrder]:
        """Return the order of the parts of `found`, which is made if there is none; yield after every few parts.

        The object must not change meanwhile.
        """
        order = self.find(found.key, found.type.name)
        if order is not None:
            return order
        made = ScanOrder(element=found.type.element)
        try:
            for some in batched(found.parts):
                for part in some:
                    made.add(part)
                yield
        except GeneratorExit:  # nobody waits for it any more
            self._discard(made)
            raise
        order = self.find(found.key, found.type.name)
        if order is not None:  # another caller was faster
            self._discard(made)
            return order
        self.kept[found.key, found.type.name] = made
        self._drop_least_used()
        return made

    def add(self, address: Address) -> None:
        """Note that the part at `address` is new."""
        key, type_name, part = address
        order = self.kept.get((key, type_name))
        if order is not None and part is not None:
            order.add(part)

    def remove(self, address: Address) -> None:
        """Note that the part at `address` is gone."""
        key, type_name, part = address
        order = self.kept.get((key, type_name))
        if order is not None and part is not None:
            order.remove(part)

    def _drop_least_used(self) -> None:
        """Drop orders until few are kept, but not the last one."""
        orders = self.kept
        while len(orders) > 1 and (len(orders) > _KEPT_MAX or sum(map(len, orders.values())) > _PARTS_KEPT_MAX):
            self._discard(orders.pop(next(iter(orders))))

    def _discard(self, order: ScanOrder) -> None:
        self._discards.add(order.buckets, weight=LONGEST)
