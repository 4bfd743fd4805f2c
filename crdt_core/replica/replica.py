"""The replica: one CRDT of all objects under one causal context. A state machine without I/O, clock or randomness.

Local writes are collected, and `commit` makes one delta of them. `apply` takes in a peer's delta, in causal order.
`join` takes in a patch, for a replica that is behind. All three end in the same rule (`crdt_core.lattice.siblings`), so
replicas with equal clocks have equal states. `take_changes` gives what must be persisted; nothing may leave the node
before that is persisted.

Two replicas count concurrently, and then hear of each other:

    >>> from crdt_core.types import PNCOUNTER
    >>> from crdt_core.types.counters import adjust
    >>> n1, n2 = Replica("n1"), Replica("n2")
    >>> n1.write(b"hits", PNCOUNTER, *adjust(n1.view(b"hits", PNCOUNTER), b"n1", 2))
    >>> n2.write(b"hits", PNCOUNTER, *adjust(n2.view(b"hits", PNCOUNTER), b"n2", 3))
    >>> from_n1, from_n2 = n1.commit(Stamp(1, 0)), n2.commit(Stamp(1, 0))
    >>> n1.apply(from_n2), n2.apply(from_n1), n1.apply(from_n2)
    (<Applied.YES: 1>, <Applied.YES: 1>, <Applied.DUPLICATE: 2>)
    >>> n1.value(b"hits"), n2.value(b"hits"), n1.clock == n2.clock
    (5, 5, True)

Sources: delta-state and causal CRDTs, Almeida, Shoker, Baquero 2018; causal stability, Baquero, Almeida, Shoker 2014
(pure operation-based CRDTs, section 5).
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, Any

from crdt_core.codec.records import Changes
from crdt_core.errors import InvariantBroken, PatchTooNew
from crdt_core.lattice.clocks import Dot, ReplicaId, Stamp, VersionVector, check_replica_id
from crdt_core.lattice.deltas import Delta, Patch, Write
from crdt_core.lattice.replica_index import INDEX_BITS
from crdt_core.replica.catalogue import Catalogue
from crdt_core.replica.change_index import ChangeIndex
from crdt_core.replica.coverage import check_covered
from crdt_core.replica.forgetting import forget_stable
from crdt_core.replica.joining import apply_by_part, apply_writes, check_repeated, contradiction, join_parts
from crdt_core.types import MEMBERS
from crdt_core.types.members import MAY_HAVE_UNSENT, MEMBERS_KEY, Members

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence

    from crdt_core.lattice.deltas import Address
    from crdt_core.lattice.replica_index import DenseClock, PackedDot
    from crdt_core.lattice.siblings import Payload
    from crdt_core.types import CrdtType, View
    from crdt_core.types.contract import PartWrite
    from crdt_core.types.object import Object

__all__ = ["Applied", "Replica"]


class Applied(Enum):
    """What became of a delta that was offered to `Replica.apply`."""

    YES = 1
    """It was applied."""
    DUPLICATE = 2
    """The replica had seen it already: nothing changed."""
    EARLY = 3
    """The replica has not seen something that the delta builds on: nothing changed, offer the delta again later."""


_new = tuple.__new__  # a named tuple's own way costs twice as much, and a write is made for every part


class Replica:
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
        self.head: Callable[[bytes], Object | None] = self.catalogue.objects.get
        self._change_index_max = change_index_max
        self._change_index = ChangeIndex(change_index_max)
        self.uncommitted: dict[Address, Payload] = {}
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

    def resume(self, state: Patch) -> None:
        """Take up a full state that this very replica has saved, its own writes included.

        Raises `InvariantBroken` if this replica is not empty, or `state` is not a full state.
        """
        if self.clock or state.since is not None:
            raise InvariantBroken("only an empty replica can resume, and only from a full state")
        self._join(state)

    # Queries

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

    def keys(self) -> Iterator[bytes]:
        """Iterate over the keys that hold anything, tombstones included."""
        return iter(self.catalogue.objects)

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

    # Local writes

    def write(self, key: bytes, type_: CrdtType, part: bytes, payload: Payload) -> None:
        """Write one part, replacing all its siblings. The write shows here at once, elsewhere after the `commit`."""
        catalogue = self.catalogue
        found = catalogue.objects.get(key)
        if found is None or found.type is not type_:
            found = catalogue.ensure(key, type_)
        if not self.uncommitted:
            number = self._own_number
            if number is None:
                number = self._own_number = catalogue.replica_index.index(self.id)
            self._dot = self.clock[self.id] + 1 << INDEX_BITS | number
        if key == MEMBERS_KEY:
            self._writes_members = True
        address = (key, type_.name, part)
        catalogue.put_at(address, found, self._dot if payload is True else (self._dot, payload))
        self.uncommitted[address] = payload

    def write_parts(self, key: bytes, type_: CrdtType, writes: Iterable[PartWrite]) -> None:
        """Write several parts of one object."""
        for part, payload in writes:
            self.write(key, type_, part, payload)

    def clear(self, key: bytes, type_: CrdtType) -> None:
        """Remove everything of one collection that this replica has seen, in one write."""
        found = self.catalogue.ensure(key, type_)
        if not self.uncommitted:
            self._dot = self.catalogue.replica_index.pack(self.id, self.clock[self.id] + 1)
        self._writes_members |= key == MEMBERS_KEY
        self._clears = True
        for part in list(found.parts):
            self.catalogue.put(found, part, None)
            self.uncommitted.pop((key, type_.name, part), None)
        self.catalogue.put_clears(found, {self._dot: self.clock_with_folded.copy()})
        self.uncommitted[key, type_.name, None] = None

    def delete(self, key: bytes) -> bool:
        """Remove everything under `key` that this replica has seen, type conflicts and attributes included.

        Returns whether anything showed under `key` before.
        """
        head = self.catalogue.objects.get(key)
        if head is None:
            return False
        showing = bool(head.showing())
        for found in [object_ for object_ in head.chain() if object_.live]:
            self.remove(found)
        return showing

    def remove(self, found: Object) -> None:
        """Remove everything of one object that this replica has seen."""
        view = self.catalogue.view(found)
        if found.type.collection:
            remainders = found.type.remainders(view)
            self.clear(found.key, found.type)
            self.write_parts(found.key, found.type, remainders)
            return
        for part in list(view.shown()):
            self.write(found.key, found.type, part, found.type.removal(view, part))

    def commit(self, hlc: Stamp) -> Delta | None:
        """Return everything written since the last commit as one delta, or `None` if nothing was written.

        The delta has one new dot, and `hlc` as its hybrid time.
        """
        if not self.uncommitted:
            return None
        written, self.uncommitted = self.uncommitted, {}
        writes = tuple([_new(Write, (*address, payload)) for address, payload in written.items()])
        if self._clears:
            self._clears, writes = False, tuple(sorted(writes, key=_clears_first))
        dot = Dot(self.id, self.clock[self.id] + 1)
        delta = Delta(dot, VersionVector(self.clock), hlc, writes)
        self.clock[self.id] = dot.counter
        self._change_index.add(dot, written)
        if self._writes_members:
            self._writes_members = False
            self._read_members()
        if self.only_removed:
            self.only_removed.clear()
        return delta

    def commit_in_slices(self, hlc: Stamp, size: int) -> Generator[list[Write], None, Delta]:
        """Do the same as `commit`, where something was written; yield the writes, up to `size` a time.

        Returns the delta without its writes. Nothing else may happen to this replica before the end.
        """
        written = self.uncommitted
        for are_clears in (True, False) if self._clears else (False,):
            rest = iter(written.items())
            while chunk := list(islice(rest, size)):
                yield [Write(*address, payload) for address, payload in chunk if (address[2] is None) is are_clears]
        dot = Dot(self.id, self.clock[self.id] + 1)
        delta = Delta(dot, VersionVector(self.clock), hlc, ())
        self.uncommitted, self._clears, self._writes_members = {}, False, False
        self.clock[self.id] = dot.counter
        self._change_index.add(dot, written)
        self._read_members()
        self.only_removed.clear()
        while written:
            for _ in range(min(size, len(written))):
                written.popitem()
            yield []
        return delta

    # Replication

    def apply(self, delta: Delta) -> Applied:
        """Take in a peer's delta if this replica has seen everything that the delta builds on. Idempotent.

        All writes of the delta become visible together. Raises `InvariantBroken` for a delta under this replica's own
        id that this replica has not made, and for one whose dot has another payload here; and `Malformed` if the
        replica index has no room for the delta's replica id.
        """
        outcome = self.outcome_of(delta)
        if outcome is Applied.DUPLICATE:
            check_repeated(self.catalogue, delta)
        elif outcome is Applied.YES:
            apply_writes(self.catalogue, delta, self._full_deps(delta))
            self._advance(delta, [write[:3] for write in delta.writes])
        return outcome

    def apply_in_slices(
        self, delta: Delta, writes: Mapping[Address, Payload], size: int
    ) -> Generator[Changes, None, Applied]:
        """Do the same as `apply`, `size` parts at a time. Yields the changes of each slice.

        `writes` stand in place of those of `delta`. Nothing else may happen to this replica before the end.
        """
        outcome = self.outcome_of(delta)
        rows = (Write(*address, payload) for address, payload in writes.items())
        if outcome is Applied.DUPLICATE:
            while some := tuple(islice(rows, size)):
                check_repeated(self.catalogue, replace(delta, writes=some))
                yield Changes()
        elif outcome is Applied.YES:
            steps = apply_by_part(self.catalogue, delta, self._full_deps(delta), rows)
            for _ in steps:
                for _ in islice(steps, size - 1):
                    pass
                yield self.catalogue.take_slice()
            self.clock.advance(delta.dot)
            self._change_index.add(delta.dot, writes)
            self._read_members()
        return outcome

    def outcome_of(self, delta: Delta) -> Applied:
        """Return what `apply` would return, whatever `delta` writes. Raises `InvariantBroken` as `apply` does."""
        self._require_no_open_writes()
        seen = self.clock_with_folded
        if seen.covers(delta.dot):
            return Applied.DUPLICATE
        if delta.dot.replica == self.id:
            raise InvariantBroken(f"{self.id} has not made {delta.dot}: its own clock is at {self.clock[self.id]}")
        return Applied.YES if delta.deps <= seen else Applied.EARLY

    def _full_deps(self, delta: Delta) -> VersionVector:
        """Return the deps of `delta` with folded replica ids put back.

        If the maker has folded an id, this replica has folded it, too: the fold is part of what the delta builds on.
        """
        return self.catalogue.replica_index.with_folded(delta.deps)

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

    def changed_since(self, since: VersionVector) -> list[Address] | None:
        """Return the addresses that commits beyond `since` changed, or `None` if the change index no longer knows."""
        changed = self._change_index.since(since)
        return None if changed is None else list(changed)

    def join(self, patch: Patch) -> int:
        """Take in a patch, and return how many of its writes were new here. Idempotent.

        Raises, with nothing changed:

        - `PatchTooNew` if the patch was made for a replica that had seen more than this one;
        - `Malformed` if the replica index has no room for the patch's replica ids;
        - `InvariantBroken` if the patch covers commits of this replica that this replica has not made.

        Also raises `InvariantBroken`, after which this replica must not be used, if a dot has another payload here.
        """
        self.check_joinable(patch)
        return self._join(patch)

    def check_joinable(self, patch: Patch) -> None:
        """Raise where `join` would raise, but for the replica index."""
        self._require_no_open_writes()
        if patch.clock[self.id] > self.clock[self.id]:
            covered_, own = patch.clock[self.id], self.clock[self.id]
            raise InvariantBroken(f"{patch.origin} has seen {self.id}:{covered_}, but {self.id} itself is at {own}")
        seen = self.clock_with_folded
        if patch.since is not None and not patch.since <= seen:
            raise PatchTooNew(dict(seen.lacks(patch.since)))

    def join_in_slices(self, patch: Patch, size: int) -> Generator[Changes, None, int]:
        """Take in a patch, `size` parts at a time. Yields the changes of each slice, and returns the same as `join`.

        Nothing else may happen to this replica before the end: between two slices it holds writes that its clock does
        not cover. The patch has been checked with `check_joinable`. Raises what the replica index raises.
        """
        steps = self._join_by_part(patch)
        while True:
            try:
                for _ in range(size):
                    next(steps)
            except StopIteration as end:
                yield self.catalogue.take_slice()
                return int(end.value)
            yield self.catalogue.take_slice()

    def contradiction(self, patch: Patch) -> str:
        """Return in words which dot of `patch` has another payload here; empty if none has. Changes nothing."""
        seen, pack = self.clock_with_folded, self.replica_index.pack
        for part in patch.parts:
            theirs = {pack(*dot): payload for dot, payload in part.siblings.items() if seen.covers(dot)}
            if found := contradiction(self.catalogue, part[:3], theirs):
                return found
        return ""

    def stabilise(self, stable: VersionVector, tombstones_max: int) -> int:
        """Raise the stable frontier to `stable`, and forget tombstones up to there.

        The caller vouches for two things: every member has seen `stable`; and everything that a member did before it
        had seen `stable` has been applied here.

        Looks at no more than `tombstones_max` addresses with tombstones. Returns how many addresses still hold some.
        The observed resets of shares whose owner may have unsent writes stay: that node may come back, and those writes
        tell how much more it had counted.
        """
        self._require_no_open_writes()
        self.stable.merge(stable)
        self._change_index.forget(self.stable)
        replica_index = self.catalogue.replica_index
        dense_clock = replica_index.dense_clock_of_known(replica_index.with_folded(self.stable))
        unsent = {id_.encode() for id_, fact in self.members.facts.items() if fact.reason in MAY_HAVE_UNSENT}
        forget_stable(self.catalogue, dense_clock, tombstones_max, kept_owners=unsent)
        return len(self.catalogue.tombstones)

    def take_changes(self) -> Changes:
        """Return the records that persist all changes since the last call. All writes must be committed."""
        if self.uncommitted:
            self._require_no_open_writes()
        return self.catalogue.take_changes()

    def _join(self, patch: Patch) -> int:
        steps = self._join_by_part(patch)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return int(end.value)

    def _join_by_part(self, patch: Patch) -> Generator[None, None, int]:
        """Take in a patch, and return how many of its writes were new here; yield after each part."""
        replica_index = self.catalogue.replica_index
        mine, theirs = replica_index.dense_clock(self.clock_with_folded), replica_index.dense_clock(patch.clock)
        new: dict[PackedDot, list[Address]] = {}
        yield from join_parts(self.catalogue, patch, mine, theirs, new)
        self.clock.merge(patch.clock)
        self.stable.merge(patch.stable)
        for dot in sorted(new):
            self._change_index.add(replica_index.unpack(dot), new[dot])
            yield
        self._read_members()
        return sum(map(len, new.values()))

    def _require_no_open_writes(self) -> None:
        if self.uncommitted:
            raise InvariantBroken(f"{self.id} has {len(self.uncommitted)} writes that are not committed")

    def _advance(self, delta: Delta, addresses: Collection[Address]) -> None:
        self.clock.advance(delta.dot)
        self._change_index.add(delta.dot, addresses)
        if any(key == MEMBERS_KEY for key, _, _ in addresses):
            self._read_members()

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
            return changed
        seen = self.catalogue.replica_index.dense_clock_of_known(since)
        return [address for address in self.catalogue.addresses() if self.catalogue.lacks(seen, address)]


def _clears_first(write: Write) -> bool:
    return write.part is not None
