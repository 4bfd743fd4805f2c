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
from typing import TYPE_CHECKING

from crdt_core.codec.records import Changes
from crdt_core.errors import InvariantBroken, PatchTooNew
from crdt_core.lattice.clocks import Dot, Stamp, VersionVector
from crdt_core.lattice.deltas import Delta, Patch, Write
from crdt_core.lattice.replica_index import INDEX_BITS
from crdt_core.replica.discards import Discards
from crdt_core.replica.forgetting import forget_stable
from crdt_core.replica.joining import apply_by_part, apply_writes, check_repeated, contradiction, join_parts
from crdt_core.replica.state import ReplicaState
from crdt_core.replica.steps import batched, finish, in_slices
from crdt_core.types.members import MAY_HAVE_UNSENT, MEMBERS_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterable, Mapping

    from crdt_core.lattice.deltas import Address
    from crdt_core.lattice.replica_index import PackedDot
    from crdt_core.lattice.siblings import Payload
    from crdt_core.types import CrdtType
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


class Replica(ReplicaState):
    """One replica: its state, and the three ways in which that changes."""

    def resume(self, state: Patch) -> None:
        """Take up a full state that this very replica has saved, its own writes included.

        Raises `InvariantBroken` if this replica is not empty, or `state` is not a full state.
        """
        if self.clock or state.since is not None:
            raise InvariantBroken("only an empty replica can resume, and only from a full state")
        self._join(state)

    # Local writes

    def write(self, key: bytes, type_: CrdtType, part: bytes, payload: Payload) -> None:
        """Write one part, replacing all its siblings. The write shows here at once, elsewhere after the `commit`."""
        catalogue = self.catalogue
        found = catalogue.heads.get(key)
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
        head = self.catalogue.heads.get(key)
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

    def commit_in_slices(
        self, hlc: Stamp, size: int, take: Callable[[list[Write]], object]
    ) -> Generator[None, None, Delta]:
        """Do the same as `commit`, where something was written; give `take` the writes, up to `size` a time.

        Returns the delta without its writes. Nothing else may happen to this replica before the end.
        """
        written = self.uncommitted
        for are_clears in (True, False) if self._clears else (False,):
            for some in batched(written.items(), size):
                chosen = [Write(*address, payload) for address, payload in some if (address[2] is None) is are_clears]
                if chosen:
                    take(chosen)
                yield
        yield from self._change_index.make_room_in_slices(self.id, len(written), size)
        dot = Dot(self.id, self.clock[self.id] + 1)
        delta = Delta(dot, VersionVector(self.clock), hlc, ())
        self.uncommitted, self._clears, self._writes_members = {}, False, False
        self.clock[self.id] = dot.counter
        self._change_index.add(dot, written)
        self._read_members()
        self.only_removed.clear()
        self.catalogue.discards.add(written)
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
            for some in batched(rows, size):
                check_repeated(self.catalogue, replace(delta, writes=tuple(some)))
                yield Changes()
        elif outcome is Applied.YES:
            steps = apply_by_part(self.catalogue, delta, self._full_deps(delta), rows)
            yield from in_slices(steps, size, self.catalogue.take_slice)
            for _ in self._change_index.make_room_in_slices(delta.dot.replica, len(writes), size):
                yield Changes()
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
        not cover. The patch has been checked with `check_joinable`. Raises what the replica index raises, with nothing
        changed.
        """
        discards = self.catalogue.discards
        return (yield from in_slices(self._join_by_part(patch, discards), size, self.catalogue.take_slice))

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

        The caller vouches for two things: every member has seen `stable`; and everything that a member, or an id that
        leaves, did before it had seen `stable` has been applied here.

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
        return finish(self._join_by_part(patch, Discards()))

    def _join_by_part(self, patch: Patch, discards: Discards) -> Generator[None, None, int]:
        """Take in a patch, and return how many of its writes were new here; yield after each part.

        What is left behind goes to `discards`.
        """
        replica_index = self.catalogue.replica_index
        mine, theirs = replica_index.dense_clock(self.clock_with_folded), replica_index.dense_clock(patch.clock)
        new: dict[PackedDot, list[Address]] = {}
        yield from join_parts(self.catalogue, patch, mine, theirs, new, discards=discards)
        self.clock.merge(patch.clock)
        self.stable.merge(patch.stable)
        count = 0
        for dot in sorted(new):
            addresses = new.pop(dot)
            count += len(addresses)
            self._change_index.add(replica_index.unpack(dot), addresses)
            discards.add(addresses)
            yield
        self._read_members()
        return count

    def _advance(self, delta: Delta, addresses: Collection[Address]) -> None:
        self.clock.advance(delta.dot)
        self._change_index.add(delta.dot, addresses)
        if any(key == MEMBERS_KEY for key, _, _ in addresses):
            self._read_members()


def _clears_first(write: Write) -> bool:
    return write.part is not None
