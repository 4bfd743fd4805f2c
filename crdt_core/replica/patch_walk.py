"""A patch walk: makes one consistent patch of a replica that goes on changing, some parts at a time.

A large patch does not fit into one turn, and the state can be neither copied nor stopped for it. So the walk lists the
parts some at a time, each as it is then, in the order of a scan: each key has its place there, whatever comes and goes.
Meanwhile the catalogue records which addresses change, in whatever way: written, joined, cleared, forgotten. When the
walk has seen all parts, it freezes: it notes the clock, and the list of addresses that have changed. Those it lists
last, each as it was at that clock: for a part that changes again, the catalogue has recorded what was there before. If
later listings replace earlier ones, the result is exactly the state at that clock:

    a part that did not change after it was listed     is as listed
    a part that did                                    is listed again, without siblings if nothing is left of it
    a part that was never listed                       has not changed, and had nothing to be listed for

The second list does not grow, so the walk ends, however fast the replica changes; and however much has changed, no step
is longer than another.

An incremental patch stays incremental, even if the stable frontier passes the receiver's clock during the walk: a
tombstone that is forgotten is a change, so its part is listed. Such a patch builds on the frontier, too, which every
member has seen; a receiver that has not seen it refuses the patch.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from crdt_core.codec.patches import EncodedPart, encode_part_once
from crdt_core.lattice.clocks import Stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from crdt_core.lattice.clocks import VersionVector
    from crdt_core.lattice.deltas import Address, Patch, PatchPart
    from crdt_core.lattice.siblings import Siblings
    from crdt_core.replica.replica import Replica

__all__ = ["LOOKS_PER_LISTING", "PatchWalk"]

LOOKS_PER_LISTING = 5
"""To list a part costs about as much as to look at so many, and it takes many thousands to fill a megabyte."""

_NO_TIME = Stamp(0, 0)


class PatchWalk:
    """A walk over what a replica at clock `since` lacks of `replica`.

    The patch is a full state if the receiver lacks forgotten tombstones. It is a full state, too, if the receiver has
    seen nothing: a full state is never refused, whatever is forgotten meanwhile.

    About `done` of `of` parts are looked at so far. `digest` is the replica's at the end of the walk. Until a walk has
    `ended` or is closed (`close`), every change of the replica costs more.
    """

    def __init__(self, replica: Replica, since: VersionVector | None) -> None:
        self._replica = replica
        self._since = replica.outline(since or None, _NO_TIME).since
        touched = replica.changed_since(self._since) if self._since is not None else None
        self._changed = replica.catalogue.watch()
        self._frozen: Patch | None = None
        self._parts = self._walk(touched)
        self._held: EncodedPart | None = None
        self.digest = 0
        self.done = 0
        self.of = replica.catalogue.size if touched is None else sum(map(len, touched))
        self.ended = False

    def take(self, room: int, looks: int) -> list[EncodedPart]:
        """Return the next parts: as many as fit into `room` bytes of JSON, but at least one.

        Looks at no more than `looks` parts; one that is listed counts as `LOOKS_PER_LISTING`. If the receiver lacks
        none of them, the result is empty.
        """
        taken: list[EncodedPart] = []
        if self._held is not None and self._frozen is None and self._held[:3] in self._changed:
            self._held = None  # it is listed again later, perhaps in this message
        while looks > 0:
            part = self._held or next(self._parts, self)
            self._held = None
            looks -= 1
            if part is self:
                self.ended = True
                break
            if not isinstance(part, EncodedPart):
                continue
            room -= len(part.json) + bool(taken)
            if room < 0 and taken:
                self._held = part
                break
            taken.append(part)
            looks -= LOOKS_PER_LISTING - 1
        return taken

    def patch(self, parts: Iterable[PatchPart], hlc: Stamp) -> Patch:
        """Return the patch with `parts`: as of the end of the walk or, before that, as if the walk ended now."""
        outline = self._frozen or self._outline()
        since = self._since.copy() if self._since is not None else None
        if since is not None:
            since.merge(outline.stable)
        return replace(outline, since=since, hlc=hlc, parts=tuple(parts))

    def close(self) -> None:
        """Stop recording changes; closing twice is harmless."""
        self._replica.catalogue.unwatch(self._changed)
        self._replica.catalogue.discards.add(self._changed)

    def _walk(self, touched: list[tuple[Address, ...]] | None) -> Iterator[EncodedPart | None]:
        """Yield a part for each address that has siblings, and `None` for each other address."""
        catalogue = self._replica.catalogue
        for address in self._addresses(touched):
            listing = catalogue.listing(address, catalogue.siblings(address)) if address is not None else None
            yield encode_part_once(listing) if listing is not None and listing.siblings else None
        again = self._freeze()
        for address in again:
            self.done += 1
            frozen = self._changed[address] if address in self._changed else catalogue.siblings(address)
            yield encode_part_once(catalogue.listing(address, frozen))
        catalogue.discards.add(again)
        self.close()

    def _addresses(self, touched: list[tuple[Address, ...]] | None) -> Iterator[Address | None]:
        """Yield each address that the receiver lacks once, and `None` for each other look; changed ones come later."""
        catalogue = self._replica.catalogue
        if touched is None:
            seen = None if self._since is None else catalogue.replica_index.dense_clock_of_known(self._since)
            for address in catalogue.addresses():
                self.done += 1
                is_lacked = seen is None or catalogue.lacks(seen, address)
                yield address if is_lacked and address not in self._changed else None
            return
        listed: set[Address] = set()
        for address in chain.from_iterable(touched):
            if address in listed:
                self.of -= 1
                yield None
            else:
                listed.add(address)
                self.done += 1
                yield address if address not in self._changed else None

    def _freeze(self) -> dict[Address, Siblings]:
        """Fix the clock of the patch, return the addresses that have changed, and begin to record changes anew."""
        changed = self._changed
        self._replica.catalogue.unwatch(changed)
        self._changed = self._replica.catalogue.watch()
        self._frozen, self.digest = self._outline(), self._replica.digest
        self.of = self.done + len(changed)
        return changed

    def _outline(self) -> Patch:
        return self._replica.outline(None, _NO_TIME)
