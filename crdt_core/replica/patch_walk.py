"""A patch in the making: a walk over a replica that goes on changing, and ends in one consistent patch all the same.

A large patch cannot be made within one turn, nor can the state be copied or stopped for it. So the parts are listed
some at a time, each as it is then, while the catalogue records what changes meanwhile, in whatever way: written,
joined, cleared, forgotten. When the walk is through, what has changed is frozen, together with the clock of that
moment, and listed last. Whoever lets later listings replace earlier ones has exactly the state at that clock:

    a part that did not change after it was listed     is as listed
    a part that did                                    is listed again, empty if nothing is left of it
    a part that was never listed                       has not changed, and had nothing to be listed for

The second walk is over a frozen list, so it ends, however fast the replica changes. An incremental patch stays
incremental though the stable frontier passes the receiver's clock meanwhile: removals that are forgotten are changes,
so they are listed. The patch then builds on the frontier, too, which every member has seen; another refuses it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from crdt_core.codec.patches import EncodedPart, encode_part_once
from crdt_core.lattice.clocks import Stamp
from crdt_core.lattice.replica_index import covered

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from crdt_core.lattice.clocks import VersionVector
    from crdt_core.lattice.deltas import Address, Patch, PatchPart
    from crdt_core.replica.replica import Replica

__all__ = ["PatchWalk"]

_NO_TIME = Stamp(0, 0)


class PatchWalk:
    """The patch that a replica at clock `since` lacks of `replica`; a full state if it lacks forgotten removals.

    It is a full state, too, for one that has seen nothing: which nobody has to refuse, whatever is forgotten meanwhile.
    `done` and `of`: how many parts were looked at, and of how many, as far as can be told. `digest` is the replica's at
    the end of the walk. A scan costs each change of the replica something until it is `close`d; one that has ended is.
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
        self.of = replica.catalogue.size if touched is None else len(touched)
        self.ended = False

    def take(self, room: int, looks: int) -> list[EncodedPart]:
        """The next parts: as many as fit into `room` bytes of JSON, but at least one.

        It looks at no more than `looks` parts, of which there may be none to tell of.
        """
        taken: list[EncodedPart] = []
        if self._held is not None and self._frozen is None and self._held[:3] in self._changed:
            self._held = None  # it comes again, maybe in this very message
        for _ in range(looks):
            part = self._held or next(self._parts, self)
            self._held = None
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
        return taken

    def patch(self, parts: Iterable[PatchPart], hlc: Stamp) -> Patch:
        """The patch, with `parts` of it: as of the end of the walk or, before that, as it would be if it ended now."""
        outline = self._frozen or self._outline()
        since = self._since.copy() if self._since is not None else None
        if since is not None:
            since.merge(outline.stable)
        return replace(outline, since=since, hlc=hlc, parts=tuple(parts))

    def close(self) -> None:
        """Ends the record of changes."""
        self._replica.catalogue.unwatch(self._changed)

    def _walk(self, touched: list[Address] | None) -> Iterator[EncodedPart | None]:
        """A part, or `None`, for everything that is looked at."""
        for address in self._addresses(touched):
            listing = self._replica.listing(address) if address is not None else None
            yield encode_part_once(listing) if listing is not None and listing.siblings else None
        for listing in self._freeze():
            self.done += 1
            yield encode_part_once(listing)

    def _addresses(self, touched: list[Address] | None) -> Iterator[Address | None]:
        """What the receiver lacks, and `None` for what it does not; what has changed meanwhile comes later."""
        catalogue = self._replica.catalogue
        seen = catalogue.replica_index.dense_clock(self._since) if self._since is not None and touched is None else None
        for address in catalogue.addresses() if touched is None else touched:
            self.done += 1
            lacked = seen is None or any(not covered(dot, seen) for dot in self._replica.siblings(address))
            yield address if lacked and address not in self._changed else None

    def _freeze(self) -> list[PatchPart]:
        self.close()
        self._frozen, self.digest = self._outline(), self._replica.digest
        self.of = self.done + len(self._changed)
        return [self._replica.listing(address) for address in self._changed]

    def _outline(self) -> Patch:
        return self._replica.outline(None, _NO_TIME)
