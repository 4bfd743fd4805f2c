"""The replica: one CRDT of all objects under one causal context, as a state machine without I/O, clock or randomness.

Local writes are collected and become one delta at `commit`; peers' deltas are `apply`ed in causal order; a replica that
is behind joins a patch. All three end in the same sibling rule, and equal clocks mean equal states. What must be
persisted comes from `take_changes`, and nothing may leave the node before it is.

    >>> from crdt_core.types import PNCOUNTER
    >>> from crdt_core.types.counters import adjust
    >>> n1, n2 = Replica("n1"), Replica("n2")
    >>> n1.write(b"hits", PNCOUNTER, *adjust(n1.view(b"hits", PNCOUNTER), b"n1", 2))
    >>> n2.write(b"hits", PNCOUNTER, *adjust(n2.view(b"hits", PNCOUNTER), b"n2", 3))
    >>> from_n1, from_n2 = n1.commit(Stamp(1, 0)), n2.commit(Stamp(1, 0))
    >>> n1.apply(from_n2), n2.apply(from_n1), n1.apply(from_n2)
    (<Applied.YES: 1>, <Applied.YES: 1>, <Applied.BEFORE: 2>)
    >>> n1.value(b"hits"), n2.value(b"hits"), n1.clock == n2.clock
    (5, 5, True)

Source: delta-state CRDTs and causal CRDTs, Almeida, Shoker, Baquero 2018; causal stability, Baquero, Almeida, Shoker
2014 (pure operation-based CRDTs, section 5).
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from crdt_core.errors import InvariantBroken, Malformed, PatchTooNew, brief
from crdt_core.lattice.clocks import Dot, ReplicaId, Stamp, VersionVector, check_replica_id
from crdt_core.lattice.deltas import Delta, Patch, PatchPart, Write
from crdt_core.lattice.replica_index import INDEX_BITS, covered
from crdt_core.lattice.siblings import drop, fold, forget, join, unfold, write
from crdt_core.replica.catalogue import Catalogue
from crdt_core.replica.change_index import ChangeIndex
from crdt_core.types import MEMBERS, TYPES
from crdt_core.types.members import ABSENT, MEMBERS_KEY, Members

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from crdt_core.codec.records import Changes
    from crdt_core.lattice.deltas import Address
    from crdt_core.lattice.replica_index import DenseClock, PackedDot
    from crdt_core.lattice.siblings import Payload, Siblings
    from crdt_core.types import CrdtType, View
    from crdt_core.types.object import Object

__all__ = ["Applied", "Replica"]

_new = tuple.__new__  # a named tuple's own way costs twice as much, and a write is made for every part


class Applied(Enum):
    """What became of a delta."""

    YES = 1
    BEFORE = 2
    """It had been seen already: nothing changed."""
    EARLY = 3
    """Something it builds on is missing: nothing changed, offer it again later."""


class Replica:
    """One replica's state and causal context.

    `encoded_id`: its id as bytes, the name of its shares. `head(key)` is the first made of the objects under `key`; the
    others are its rivals.
    `clock`: what it has seen. `stable`: what every member has seen, as far as it knows; removals up to there may be
    forgotten. `members`: who belongs to the fleet, as far as it has heard; `founders` until something has changed. Ids
    that are folded there are in neither clock. `given_up`: the ids of which it holds commits that the
    fleet goes on without; it can agree with nobody any more. `touched_max` bounds the index of recent writes
    (addresses).
    """

    def __init__(self, replica: ReplicaId, touched_max: int = 200_000, founders: Sequence[str] = ()) -> None:
        self.id = check_replica_id(replica)
        self.encoded_id = replica.encode()
        self.clock = VersionVector()
        self.stable = VersionVector()
        self.catalogue = Catalogue()
        self.replica_index = self.catalogue.replica_index
        """The ids behind packed dots."""
        self._own_index: int | None = None  # of this replica, from its first write on
        self.head: Callable[[bytes], Object | None] = self.catalogue.objects.get
        self._touched_max = touched_max
        self._change_index = ChangeIndex(touched_max)
        self._open: dict[Address, Payload] = {}
        self._dot: PackedDot = 0  # of the commit that is open
        self._clears = self._writes_members = False  # what the commit that is open holds
        self._founders = Members.founders(founders)
        self.members = self._founders
        self.given_up: set[ReplicaId] = set()

    def restore(self, clock: VersionVector, stable: VersionVector, digest: int, objects: list[Object]) -> None:
        """Takes up a persisted state; `objects` were decoded with this replica's roster.

        Raises `Malformed` for a write that the clock does not cover: every peer would refuse what carries it.
        """
        self.clock, self.stable, self.catalogue.digest = clock.copy(), stable.copy(), digest
        self._change_index = ChangeIndex(self._touched_max, floor=clock)
        for head in objects:
            self.catalogue.adopt(head)
        self._read_members()
        dense_clock = self.catalogue.replica_index.dense_clock(self.whole_clock)
        for head in objects:
            for link in head.chain():
                for part, siblings in link.parts.items():
                    if type(siblings) is not int or not covered(siblings, dense_clock):
                        self._must_cover(dense_clock, link, part, siblings)
                self._must_cover(dense_clock, link, None, fold(link.clears))

    def resume(self, state: Patch) -> None:
        """Takes up a full state saved by this very replica, own writes included; only a replica still empty can."""
        if self.clock or state.since is not None:
            raise InvariantBroken("only an empty replica resumes, and only from a full state")
        self._take_in(state)

    # Queries

    @property
    def founders(self) -> tuple[str, ...]:
        """The nodes of the fleet when it was founded, as far as this replica was told."""
        return tuple(self._founders.active)

    @property
    def digest(self) -> int:
        """A 64-bit hash of the state at the last `take_changes`; equal clocks must have equal digests."""
        return self.catalogue.digest

    @property
    def whole_clock(self) -> VersionVector:
        """What it has seen, ids that are folded included: the clock that others are told."""
        return self.catalogue.replica_index.whole(self.clock)

    def keys(self) -> Iterator[bytes]:
        """Every key that holds anything."""
        return iter(self.catalogue.objects)

    def showing(self, key: bytes) -> list[Object]:
        """The objects under `key` that show something; the first prevails, the others are conflicts of type."""
        return self.catalogue.showing(key)

    def view(self, key: bytes, type_: CrdtType) -> View:
        """What mutators and queries of `type_` see under `key`."""
        return self.catalogue.view(self.catalogue.find(key, type_.name))

    def value(self, key: bytes) -> Any:
        """The value of the object that prevails under `key`; `None` where there is none."""
        showing = self.showing(key)
        return showing[0].type.value(self.catalogue.view(showing[0])) if showing else None

    def dense_clock_with_open(self, seen: VersionVector) -> DenseClock:
        """What `seen` covers, and what is being written here just now."""
        replica_index = self.catalogue.replica_index
        return replica_index.dense_clock(VersionVector({**seen, self.id: self.clock[self.id] + 1}))

    # Local writes

    def write(self, key: bytes, type_: CrdtType, part: bytes, payload: Payload) -> None:
        """Writes one part, replacing all its siblings; visible here at once, elsewhere with the next `commit`."""
        catalogue = self.catalogue
        found = catalogue.objects.get(key)
        if found is None or found.type is not type_:
            found = catalogue.ensure(key, type_)
        if not self._open:
            own = self._own_index
            if own is None:
                own = self._own_index = catalogue.replica_index.index(self.id)
            self._dot = self.clock[self.id] + 1 << INDEX_BITS | own
        if type_ is MEMBERS:
            self._writes_members = True
        address = (key, type_.name, part)
        catalogue.put_at(address, found, self._dot if payload is True else (self._dot, payload))
        self._open[address] = payload

    def clear(self, key: bytes, type_: CrdtType) -> None:
        """Removes all that has been seen of one collection, in one write."""
        found = self.catalogue.ensure(key, type_)
        if not self._open:
            self._dot = self.catalogue.replica_index.pack(self.id, self.clock[self.id] + 1)
        self._writes_members |= type_ is MEMBERS
        self._clears = True
        for part in list(found.parts):
            self.catalogue.put(found, part, None)
            self._open.pop((key, type_.name, part), None)
        self.catalogue.put_clears(found, {self._dot: self.whole_clock.copy()})
        self._open[key, type_.name, None] = None

    def delete(self, key: bytes) -> bool:
        """Removes all that has been seen under `key`, conflicts of type and attributes included.

        Yields whether there was anything that showed.
        """
        head = self.catalogue.objects.get(key)
        if head is None:
            return False
        showing = bool(head.showing())
        for found in [link for link in head.chain() if link.live]:
            self.remove(found)
        return showing

    def remove(self, found: Object) -> None:
        """Removes all that has been seen of one object."""
        view = self.catalogue.view(found)
        if found.type.collection:
            remainders = found.type.remainders(view)
            self.clear(found.key, found.type)
            for part, payload in remainders:
                self.write(found.key, found.type, part, payload)
            return
        for part in list(view.shown()):
            self.write(found.key, found.type, part, found.type.removal(view, part))

    def commit(self, hlc: Stamp) -> Delta | None:
        """Everything written since the last commit, as one delta under one new dot; `None` where nothing was."""
        if not self._open:
            return None
        opened, self._open = self._open, {}
        writes = tuple([_new(Write, (*address, payload)) for address, payload in opened.items()])
        if self._clears:
            self._clears, writes = False, tuple(sorted(writes, key=_clears_first))
        dot = Dot(self.id, self.clock[self.id] + 1)
        delta = Delta(dot, VersionVector(self.clock), hlc, writes)
        self.clock[self.id] = dot.counter
        self._change_index.record(dot, opened)
        if self._writes_members:
            self._writes_members = False
            self._read_members()
        return delta

    # Replication

    def apply(self, delta: Delta) -> Applied:
        """Takes in a peer's delta, if all it builds on is here. Idempotent; all of it becomes visible at once.

        Raises `InvariantBroken` for a delta of this replica's own that it has not made, and `Malformed`, with nothing
        changed, for one of a replica too many.
        """
        self._must_be_closed()
        replica_index, whole = self.catalogue.replica_index, self.whole_clock
        if whole.covers(delta.dot):
            return Applied.BEFORE
        if delta.dot.replica == self.id:
            raise InvariantBroken(f"{delta.dot} is not known to {self.id} itself, which is at {self.clock[self.id]}")
        if not delta.deps <= whole:
            return Applied.EARLY
        seen = replica_index.whole(delta.deps)  # whoever folded an id has told so in what this delta builds on
        dot = replica_index.pack(*delta.dot)
        deps = replica_index.known_dense_clock(seen)
        for key, type_name, part, payload in delta.writes:
            found = self.catalogue.ensure(key, TYPES[type_name])
            if part is None:
                self._clear(found, dot, seen, deps)
            else:
                self.catalogue.put(found, part, write(found.parts.get(part), deps, dot, payload))
        self._count_in(delta, [write[:3] for write in delta.writes])
        return Applied.YES

    def patch(self, since: VersionVector | None, hlc: Stamp) -> Patch:
        """What a replica at clock `since` lacks; the full state for `None`, or if it lacks forgotten removals."""
        outline = self.outline(since, hlc)
        listings = map(self.listing, self._addresses_since(outline.since))
        return replace(outline, parts=tuple(part for part in listings if part.siblings))

    def outline(self, since: VersionVector | None, hlc: Stamp) -> Patch:
        """The patch for a replica at `since`, as of now, without its parts."""
        self._must_be_closed()
        replica_index = self.catalogue.replica_index
        if since is not None and not replica_index.whole(self.stable) <= since:
            since = None
        return Patch(
            origin=self.id,
            since=since.copy() if since is not None else None,
            clock=self.whole_clock.copy(),
            stable=replica_index.whole(self.stable).copy(),
            hlc=hlc,
            parts=(),
        )

    def touched(self, since: VersionVector) -> list[Address] | None:
        """The addresses written beyond `since`; `None` where that is not known any more."""
        touched = self._change_index.since(since)
        return None if touched is None else list(touched)

    def siblings(self, address: Address) -> dict[PackedDot, Payload]:
        """The siblings of one part, or the clears of one object; not to be changed."""
        key, type_name, part = address
        found = self.catalogue.find(key, type_name)
        if found is None:
            return {}
        return found.clears if part is None else unfold(found.parts.get(part))

    def listing(self, address: Address) -> PatchPart:
        """One part as it is now, as a patch lists it; without siblings if there is nothing."""
        unpack = self.catalogue.replica_index.unpack
        return PatchPart(*address, {unpack(dot): payload for dot, payload in self.siblings(address).items()})

    def join(self, patch: Patch) -> int:
        """Takes in a patch; how many writes were new. Idempotent.

        Raises `PatchTooNew` where it is for a replica that has seen more than this one, `Malformed` where it names more
        replicas than can be told apart, and `InvariantBroken` where it knows commits of this replica that the replica
        itself does not; nothing is changed then.
        """
        self._must_be_closed()
        if patch.clock[self.id] > self.clock[self.id]:
            claimed, own = patch.clock[self.id], self.clock[self.id]
            raise InvariantBroken(f"{patch.origin} has seen {self.id}:{claimed}, {self.id} itself is at {own}")
        whole = self.whole_clock
        if patch.since is not None and not patch.since <= whole:
            raise PatchTooNew(dict(whole.lacks(patch.since)))
        return self._take_in(patch)

    def stabilise(self, stable: VersionVector, tombstones_max: int) -> int:
        """Every member has seen `stable`: forgets removals up to there; how many wait on.

        What was spent of the counts of an id that left for its absence stays: it may come back and tell how much more
        it had counted. At most `tombstones_max` addresses are looked at. The caller vouches that this replica has
        applied everything that each member did before it had seen `stable`.
        """
        self._must_be_closed()
        self.stable.merge(stable)
        self._change_index.forget(self.stable)
        replica_index = self.catalogue.replica_index
        dense_clock = replica_index.known_dense_clock(replica_index.whole(self.stable))
        tombstones = self.catalogue.tombstones
        held = {id_.encode() for id_, fact in self.members.facts.items() if fact.reason == ABSENT}
        for address in list(tombstones)[:tombstones_max]:
            found = self.catalogue.find(address[0], address[1])
            assert found is not None
            del tombstones[address]
            if address[2] is not None and found.type.owner(address[2]) in held:
                tombstones[address] = None
                continue
            if address[2] is None:
                self.catalogue.put_clears(found, {d: c for d, c in found.clears.items() if not covered(d, dense_clock)})
                if found.clears:
                    tombstones[address] = None
            else:
                left = forget(found.parts.get(address[2]), dense_clock)
                if left == found.parts.get(address[2]):
                    tombstones[address] = None
                else:
                    self.catalogue.put(found, address[2], left)
        return len(tombstones)

    def take_changes(self) -> Changes:
        """The records that persist all changes since the last call; all local writes must be committed."""
        if self._open:
            self._must_be_closed()
        return self.catalogue.take_changes()

    def _take_in(self, patch: Patch) -> int:
        replica_index = self.catalogue.replica_index
        mine, theirs = replica_index.dense_clock(self.whole_clock), replica_index.dense_clock(patch.clock)
        learned: dict[PackedDot, list[Address]] = {}
        listed: set[Address] = set()
        for part in sorted(patch.parts, key=lambda part: part.part is not None):
            packed = {replica_index.pack(*dot): payload for dot, payload in part.siblings.items()}
            listed.add(part[:3])
            if packed or self.catalogue.find(part.key, part.type) is not None:
                found = self.catalogue.ensure(part.key, TYPES[part.type])
                self._join_part(found, part.part, packed, mine, theirs)
            for dot in packed:
                if not covered(dot, mine):
                    learned.setdefault(dot, []).append(part[:3])
        if patch.since is None:
            for address in [address for address in self.catalogue.addresses() if address not in listed]:
                found = self.catalogue.ensure(address[0], TYPES[address[1]])
                self._join_part(found, address[2], {}, mine, theirs)
        self.clock.merge(patch.clock)
        self.stable.merge(patch.stable)
        for dot in sorted(learned):
            self._change_index.record(replica_index.unpack(dot), learned[dot])
        self._read_members()
        return sum(map(len, learned.values()))

    def _must_cover(self, dense_clock: DenseClock, link: Object, part: bytes | None, siblings: Siblings) -> None:
        for packed in unfold(siblings):
            if not covered(packed, dense_clock):
                place = brief(link.key if part is None else (link.key, part))
                raise Malformed(
                    "object", f"{place} holds {self.catalogue.replica_index.unpack(packed)}, beyond the clock"
                )

    def _must_be_closed(self) -> None:
        if self._open:
            raise InvariantBroken(f"{self.id} has {len(self._open)} writes that are not committed")

    def _count_in(self, delta: Delta, addresses: Collection[Address]) -> None:
        self.clock.advance(delta.dot)
        self._change_index.record(delta.dot, addresses)
        if any(key == MEMBERS_KEY for key, _, _ in addresses):
            self._read_members()

    def _read_members(self) -> None:
        """Takes up what the members' object says; ids that were folded go from the clocks.

        Once they have gone, it cannot be told any more that they went further here: it is looked at before, and kept.
        """
        said = MEMBERS.value(self.view(MEMBERS_KEY, MEMBERS))
        self.members = said if said.facts else self._founders
        self.given_up.update(self.members.given_up(self.whole_clock))
        self.catalogue.replica_index.folded.update(self.members.folded)
        for replica in self.catalogue.replica_index.folded:
            self.clock.pop(replica, None)
            self.stable.pop(replica, None)

    def _clear(self, found: Object, dot: PackedDot, seen: VersionVector, deps: DenseClock) -> None:
        for part, siblings in list(found.parts.items()):
            self.catalogue.put(found, part, drop(siblings, deps))
        kept = {d: c for d, c in found.clears.items() if not covered(d, deps)}
        self.catalogue.put_clears(found, {**kept, dot: seen})

    def _join_part(
        self,
        found: Object,
        part: bytes | None,
        theirs: dict[PackedDot, Payload],
        mine: DenseClock,
        their_clock: DenseClock,
    ) -> None:
        if part is not None:
            self.catalogue.put(found, part, join(found.parts.get(part), mine, theirs, their_clock))
            return
        for dot, seen in theirs.items():
            if not covered(dot, mine):
                dense_clock = self.catalogue.replica_index.known_dense_clock(seen)
                for name, siblings in list(found.parts.items()):
                    self.catalogue.put(found, name, drop(siblings, dense_clock))
        self.catalogue.put_clears(found, unfold(join(found.clears, mine, theirs, their_clock)))

    def _addresses_since(self, since: VersionVector | None) -> list[Address]:
        if since is None:
            return list(self.catalogue.addresses())
        touched = self.touched(since)
        if touched is not None:
            return touched
        dense_clock = self.catalogue.replica_index.known_dense_clock(since)
        return [a for a in self.catalogue.addresses() if any(not covered(dot, dense_clock) for dot in self.siblings(a))]


def _clears_first(write: Write) -> bool:
    return write.part is not None
