"""What a replica knows of all its keys together: their order for SCAN, and how many of them show something for DBSIZE.

The catalogue tells of every key that comes, goes, begins to show or ceases to. So neither costs anything that grows
with the number of keys. Keys of Deltaic's own are in the order, and are not counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.replica.part_orders import PartOrders
from crdt_core.replica.scan_order import ScanOrder
from crdt_core.types.members import RESERVED

if TYPE_CHECKING:
    from crdt_core.replica.discards import Discards

__all__ = ["ScanIndex"]


class ScanIndex:
    """The keys and parts of one replica in the order of a scan, and the number of keys that show something.

    `keys` has all keys in the order of a scan, and `parts` the parts of some collections. `shown` counts the keys under
    which something shows, `shown_taken` those that did when the changes in flight were taken, and `shown_before` those
    that did before these changes.

    >>> from crdt_core.replica.discards import Discards
    >>> index = ScanIndex(Discards())
    >>> index.note(b"fruit", False, True); index.shown
    1
    """

    __slots__ = ("keys", "parts", "shown", "shown_before", "shown_taken")

    def __init__(self, discards: Discards) -> None:
        self.keys = ScanOrder()
        self.parts = PartOrders(discards)
        self.shown = self.shown_before = self.shown_taken = 0

    def note(self, key: bytes, before: bool, now: bool) -> None:
        """Note whether `key` showed something, and whether it does now."""
        if before is not now and not key.startswith(RESERVED):
            self.shown += 1 if now else -1

    def adopt(self, key: bytes, shows: bool) -> None:
        """Note a key that was loaded, and whether it shows something: it did before all changes."""
        self.keys.add(key)
        self.note(key, before=False, now=shows)
        self.shown_taken = self.shown
