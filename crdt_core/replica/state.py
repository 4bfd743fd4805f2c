"""What a replica holds: all objects under one causal context, and what can be read of them.

How it changes is in `crdt_core.replica.replica`.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from crdt_core.errors import InvariantBroken
from crdt_core.lattice.clocks import ReplicaId, Stamp, VersionVector, check_replica_id
from crdt_core.lattice.deltas import Patch
from crdt_core.replica.catalogue import Catalogue
from crdt_core.replica.change_index import ChangeIndex
from crdt_core.replica.coverage import check_covered
from crdt_core.types import MEMBERS
from crdt_core.types.members import MEMBERS_KEY, Members

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from crdt_core.lattice.deltas import Address
    from crdt_core.lattice.replica_index import DenseClock, PackedDot
    from crdt_core.lattice.siblings import Payload
    from crdt_core.replica.scan_order import ScanOrder
    from crdt_core.replica.sharded import Gathered
    from crdt_core.types import CrdtType, View
    from crdt_core.types.object import Object

__all__ = ["ReplicaState"]


class ReplicaState:
    """One replica's state and causal context.

    `clock` is what the replica has seen, `stable` its stable frontier: what every member has seen, as far as this
    replica knows. Tombstones up to there may be forgotten. Neither contains folded replica ids
    (`crdt_core.lattice.replica_index`); `clock_with_folded` does.

    `members` says who belongs to the fleet, as far as this replica has heard. These are the nodes in `founders` until
    the first change of members. `abandoned` holds the replica ids of which this replica has commits that the rest of
    the fleet has abandoned: it can never agree with the fleet again.

    `cautious` says that a member runs Deltaic 0.1.0. That version reads neither shares of fractions nor carried
    deadlines, so commands write none.

    `encoded_id` is the replica id as bytes, which is the name of this replica's shares. `head(key)` is the object under
    `key` that this replica met first, or `None`. `change_index_max` bounds the number of addresses in the change index.
    """

    def __init__(self, replica: ReplicaId, change_index_max: int = 200_000, founders: Sequence[str] = ()) -> None:
        self.id = check_replica_id(replica)
        self.encoded_id = replica.encode()
        self.clock = VersionVector()
        self.stable = VersionVector()
        self.catalogue = Catalogue()
        self.replica_index = self.catalogue.replica_index
        """The replica ids behind the packed dots of this replica."""
        self.head: Callable[[bytes], Object | None] = self.catalogue.heads.get
        self._change_index_max = change_index_max
        self._change_index = ChangeIndex(change_index_max)
        self.uncommitted: Gathered[Address, Payload] = {}
        """The writes since the last `commit`."""
        self.only_removed: set[bytes] = set()
        """Keys with a deadline of which the writes since the last `commit` have only removed parts."""
        self._own_number: int | None = None
        self._clears = self._writes_members = False  # what the uncommitted writes hold
        self._dot: PackedDot = 0  # the dot of the uncommitted writes, if there are any
        self._founders = Members.founders(founders)
        self.members = self._founders
        self.abandoned: set[ReplicaId] = set()
        self.cautious = False
        self.expired_keys = 0
        """How many keys commands of this replica have deleted because they had expired, for metrics."""

    def restore(self, clock: VersionVector, stable: VersionVector, digest: int, objects: list[Object]) -> None:
        """Take up the persisted state. `objects` were decoded with the replica index of this replica.

        Raises `Malformed` if an object holds a write that `clock` does not cover: every peer would refuse such a state.
        """
        self.clock, self.stable, self.catalogue.digest = clock.copy(), stable.copy(), digest
        self._change_index = ChangeIndex(self._change_index_max, floor=clock)
        for head in objects:
            self.catalogue.adopt(head)
        self._read_members()
        check_covered(objects, self.clock_with_folded, self.catalogue.replica_index)

    @property
    def founders(self) -> tuple[str, ...]:
        """The nodes that were members when the fleet was created, as far as this replica was told."""
        return tuple(self._founders.active)

    @property
    def digest(self) -> int:
        """The digest of the state at the last `take_changes`: 64 bits. Equal clocks must mean equal digests."""
        return self.catalogue.digest

    @property
    def clock_with_folded(self) -> VersionVector:
        """What this replica has seen, folded replica ids included: the clock that goes into messages."""
        return self.catalogue.replica_index.with_folded(self.clock)

    @property
    def order(self) -> ScanOrder:
        """All keys in the order of a scan, also those that hold only tombstones."""
        return self.catalogue.scan_index.keys

    @property
    def shown(self) -> int:
        """How many keys show something, expired ones included."""
        return self.catalogue.scan_index.shown

    def part_order_by_step(self, found: Object) -> Generator[None, None, ScanOrder]:
        """Return the order of the parts of `found`, a collection; yield after every few parts while it is made."""
        return self.catalogue.scan_index.parts.make_by_step(found)

    def keys(self) -> Iterator[bytes]:
        """Iterate over the keys that hold anything, tombstones included."""
        return iter(self.catalogue.heads)

    def showing(self, key: bytes) -> list[Object]:
        """Return the objects under `key` that show something. The first one prevails, the others are type conflicts."""
        return self.catalogue.showing(key)

    def view(self, key: bytes, type_: CrdtType) -> View:
        """Return what mutators and queries of `type_` see under `key`."""
        return self.catalogue.view(self.catalogue.find(key, type_.name))

    def value(self, key: bytes) -> Any:
        """Return the value of the object that prevails under `key`, or `None` if nothing shows there."""
        showing = self.showing(key)
        return showing[0].type.value(self.catalogue.view(showing[0])) if showing else None

    def dense_clock_with_open(self, seen: VersionVector) -> DenseClock:
        """Return `seen` as a dense clock that also covers this replica's uncommitted writes."""
        replica_index = self.catalogue.replica_index
        return replica_index.dense_clock(VersionVector({**seen, self.id: self.clock[self.id] + 1}))

    def patch(self, since: VersionVector | None, hlc: Stamp) -> Patch:
        """Return what a replica with the clock `since` lacks.

        Returns the full state for `None`, and for a clock that lacks tombstones which this replica has forgotten.
        """
        outline = self.outline(since, hlc)
        catalogue = self.catalogue
        addresses = self._addresses_since(outline.since)
        parts = (catalogue.listing(address, catalogue.siblings(address)) for address in addresses)
        return replace(outline, parts=tuple(part for part in parts if part.siblings))

    def outline(self, since: VersionVector | None, hlc: Stamp) -> Patch:
        """Return the same as `patch`, but without the parts."""
        self._require_no_open_writes()
        replica_index = self.catalogue.replica_index
        if since is not None and not replica_index.with_folded(self.stable) <= since:
            since = None
        return Patch(
            origin=self.id,
            since=since.copy() if since is not None else None,
            clock=self.clock_with_folded.copy(),
            stable=replica_index.with_folded(self.stable).copy(),
            hlc=hlc,
            parts=(),
        )

    def changed_since(self, since: VersionVector) -> list[tuple[Address, ...]] | None:
        """Return the addresses that each commit beyond `since` changed; `None` if the change index no longer knows."""
        return self._change_index.since(since)

    def _require_no_open_writes(self) -> None:
        if self.uncommitted:
            raise InvariantBroken(f"{self.id} has {len(self.uncommitted)} writes that are not committed")

    def _read_members(self) -> None:
        """Read who the members are, and take newly folded replica ids out of the clocks.

        `abandoned` is computed first: folding takes the id out of the clock, and only the clock shows that this
        replica has more of its commits than the fleet accepted.
        """
        recorded = MEMBERS.value(self.view(MEMBERS_KEY, MEMBERS))
        self.members = recorded if recorded.facts else self._founders
        self.abandoned.update(self.members.abandoned(self.clock_with_folded))
        self.catalogue.replica_index.folded.update(self.members.folded)
        for replica in self.catalogue.replica_index.folded:
            self.clock.pop(replica, None)
            self.stable.pop(replica, None)

    def _addresses_since(self, since: VersionVector | None) -> list[Address]:
        if since is None:
            return list(self.catalogue.addresses())
        changed = self.changed_since(since)
        if changed is not None:
            return list(dict.fromkeys(chain.from_iterable(changed)))
        seen = self.catalogue.replica_index.dense_clock_of_known(since)
        return [address for address in self.catalogue.addresses() if self.catalogue.lacks(seen, address)]
