"""Random histories: replicas that write, hear from each other late, twice and out of order, forget, and restart.

A `World` runs steps over the production core. Beside the replicas it keeps what each has seen as a plain set of commits
(`History`), by its own account: a delta is seen when it was taken, a patch brings all that its maker had seen. The
specifications of the types' models compute expected values from that account alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from hypothesis import strategies as st

from crdt_core.codec.deltas import decode_delta, encode_delta
from crdt_core.codec.patches import decode_patch, encode_patch
from crdt_core.codec.records import STATE, Record, decode_object, decode_part, object_hashes
from crdt_core.errors import PatchTooNew
from crdt_core.lattice.clocks import Dot, Stamp, VersionVector
from crdt_core.lattice.siblings import lasting
from crdt_core.replica.replica import Applied, Replica
from crdt_core.types import TYPES
from tests.crdt_core.types.models import MODELS
from tests.crdt_core.types.models.account import Account
from tests.crdt_core.types.models.model import DELETE, Operation
from tests.crdt_core.types.models.payloads import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hypothesis.strategies import SearchStrategy

    from crdt_core.lattice.deltas import Address
    from crdt_core.lattice.siblings import Payload

T = TypeVar("T")

KEYS = (b"k", b"\xff")
NOW = Stamp(1, 0)
PLENTY = 10**6


# Operations.


def delete(key: bytes) -> Operation:
    """The operation that deletes `key`."""
    return Operation(key, "", DELETE)


def perform(replica: Replica, operation: Operation) -> None:
    """Does `operation` at `replica`, without committing it."""
    if operation.verb == DELETE:
        replica.delete(operation.key)
        return
    type_ = TYPES[operation.type]
    view = replica.view(operation.key, type_)
    for part, payload in MODELS[operation.type].writes(view, replica.id, operation):
        replica.write(operation.key, type_, part, payload)


# What has happened, by the test's own account.


class History:
    """Every commit with the commits it had seen; the visible ones are a set, closed under `seen`."""

    def __init__(self) -> None:
        self.seen: dict[Dot, frozenset[Dot]] = {}
        self._account = Account()
        self._acts: dict[Dot, int] = {}

    def record(self, dot: Dot, seen: frozenset[Dot], operations: Iterable[Operation]) -> None:
        """Commit `dot` did `operations`, having seen `seen`."""
        assert dot not in self.seen
        self.seen[dot] = seen
        self._acts[dot] = self._account.record(dot, self._mask(seen), operations)

    def shown(self, dots: Iterable[Dot]) -> dict[tuple[bytes, str], Any]:
        """What must show to one that has seen the commits `dots`, by key and type."""
        mask = self._mask(dots)
        return {
            (key, name): value for key in self._account.keys for name, value in self._account.shown(key, mask).items()
        }

    def _mask(self, dots: Iterable[Dot]) -> int:
        mask = 0
        for dot in dots:
            mask |= self._acts[dot]
        return mask


# Persisted records, as the store keeps them.

Store = dict[bytes, dict[bytes, bytes]]


def replay(store: Store, records: Iterable[Record]) -> None:
    """Carries the records out, as the store does."""
    for record in records:
        if record.field is None:
            store.pop(record.hash, None)
        elif record.value is None:
            store.get(record.hash, {}).pop(record.field, None)
        else:
            store.setdefault(record.hash, {})[record.field] = record.value
        if not store.get(record.hash, True):
            del store[record.hash]


def revive(saved: Replica, store: Store, touched_max: int = PLENTY) -> Replica:
    """A fresh replica that takes up what `saved` has persisted to `store` and its header."""
    fresh = Replica(saved.id, touched_max)
    replica_index = fresh.catalogue.replica_index
    heads, known = [], {STATE}
    for key, value in store.get(STATE, {}).items():
        head = decode_object(key, value, replica_index)
        for link, name in object_hashes(head):
            known.add(name)
            for part, siblings in store.get(name, {}).items():
                link.adopt(part, decode_part(link, siblings, replica_index))
        heads.append(head)
    assert store.keys() <= known, "a hash was left behind that no object names"
    fresh.restore(saved.clock.copy(), saved.stable.copy(), saved.digest, heads)
    return fresh


# What two replicas at the same clock must agree on.


def values(replica: Replica) -> dict[tuple[bytes, str], Any]:
    """The value of everything live, type conflicts and attributes included."""
    return {
        (key, link.type.name): link.type.value(replica.catalogue.view(link))
        for key, head in replica.catalogue.heads.items()
        for link in head.chain()
        if link.live
    }


def lasting_state(replica: Replica) -> dict[Address, dict[Dot, Payload]]:
    """All that lasts: every live sibling, and what diminishes it."""
    unpack = replica.catalogue.replica_index.unpack
    state: dict[Address, dict[Dot, Payload]] = {}
    for head in replica.catalogue.heads.values():
        for link in head.chain():
            for part, siblings in link.parts.items():
                if found := lasting(siblings):
                    state[link.key, link.type.name, part] = {unpack(dot): payload for dot, payload in found.items()}
    return state


def whole_state(replica: Replica) -> bytes:
    """The whole state, removals included, independent of who holds it."""
    patch = replica.patch(None, NOW)
    return encode_patch(type(patch)("any", None, patch.clock, VersionVector(), NOW, patch.parts))


def digest_from_scratch(replica: Replica) -> int:
    """The digest of the same state, computed by a replica that has just met it."""
    fresh = Replica("scratch")
    fresh.join(replica.patch(None, NOW))
    fresh.take_changes()
    return fresh.digest


# Steps, and the world that runs them. Numbers choose among what there is, modulo.


class Commit(NamedTuple):
    """`at` does `operations` under one dot."""

    at: int
    operations: tuple[Operation, ...]


class Deliver(NamedTuple):
    """`to` is offered a delta of `of`: the next one, or `skip` beyond it (wrapping round to old ones)."""

    to: int
    of: int
    skip: int


class Ask(NamedTuple):
    """`of` makes a patch for `to`; it stays under way for ever, to be taken any number of times."""

    to: int
    of: int
    full: bool


class Take(NamedTuple):
    """`to` takes one of the patches under way, whoever it was made for."""

    to: int
    which: int


class Sync(NamedTuple):
    """`to` asks `of` for a patch and takes it."""

    to: int
    of: int


class Publish(NamedTuple):
    """`at` and everyone else publish their clocks, for the stable frontier."""

    at: int


class Stabilise(NamedTuple):
    """`at` moves its stable frontier as far as what was published allows."""

    at: int
    tombstones_max: int


class Persist(NamedTuple):
    """`at` persists what has changed."""

    at: int


class Restart(NamedTuple):
    """`at` persists, and starts again from its records."""

    at: int


Step = Commit | Deliver | Ask | Take | Sync | Publish | Stabilise | Persist | Restart


class World:
    """`count` replicas and the messages between them. All messages go through the codec."""

    def __init__(self, count: int, touched_max: int = PLENTY) -> None:
        self.touched_max = touched_max
        self.replicas = [Replica(name, touched_max) for name in NAMES[:count]]
        self.history = History()
        self.visible: list[frozenset[Dot]] = [frozenset()] * count
        self.logs: list[list[bytes]] = [[] for _ in range(count)]
        self.patches: list[tuple[bytes, frozenset[Dot]]] = []
        self.published: list[list[VersionVector]] = [[VersionVector()] for _ in range(count)]
        self.stores: list[Store] = [{} for _ in range(count)]
        self.after: Callable[[World, int], None] = lambda _world, _at: None

    def run(self, steps: Iterable[Step]) -> None:
        """Takes the steps; `after` is called with the index of the acting replica after each."""
        for step in steps:
            at = step[0] % len(self.replicas)
            before = self.replicas[at].clock.copy()
            self._step(step, at)
            assert before <= self.replicas[at].clock, "a clock ran backwards"
            assert self.replicas[at].clock == _clock_of(self.visible[at]), "the clock is not what was seen"
            self.after(self, at)

    def settle(self) -> None:
        """Everyone hears from everyone until nobody lacks anything."""
        everyone = range(len(self.replicas))
        self.run(Sync(to, of) for _ in range(2) for to in everyone for of in everyone)
        assert len({frozenset(replica.clock.items()) for replica in self.replicas}) == 1

    def forget_all(self) -> None:
        """Everyone learns that everything is stable, and forgets what can be forgotten."""
        everyone = range(len(self.replicas))
        self.run([Publish(0)])
        self.run(Stabilise(at, PLENTY) for at in everyone)

    def frontier(self, at: int) -> VersionVector:
        """What `at` may take for stable: of every member, the last published clock whose own commits are all here."""
        here = self.replicas[at].clock
        usable = [
            [clock for clock in clocks if clock[replica.id] <= here[replica.id]][-1]
            for replica, clocks in zip(self.replicas, self.published, strict=True)
        ]
        return VersionVector.floor([here, *usable])

    def _step(self, step: Step, at: int) -> None:
        match step:
            case Commit(_, operations):
                self._commit(at, operations)
            case Deliver(_, of, skip):
                self._deliver(at, of % len(self.replicas), skip)
            case Ask(_, of, full):
                self._ask(at, of % len(self.replicas), full)
            case Take(_, which):
                if self.patches:
                    self._take(at, *self.patches[which % len(self.patches)])
            case Sync(_, of):
                self._ask(at, of % len(self.replicas), full=False)
                self._take(at, *self.patches.pop())
            case Publish():
                for clocks, replica in zip(self.published, self.replicas, strict=True):
                    clocks.append(replica.clock.copy())
            case Stabilise(_, tombstones_max):
                self.replicas[at].stabilise(self.frontier(at), tombstones_max)
            case Persist():
                self._persist(at)
            case Restart():
                self._persist(at)
                self.replicas[at] = revive(self.replicas[at], self.stores[at], self.touched_max)

    def _commit(self, at: int, operations: Sequence[Operation]) -> None:
        replica = self.replicas[at]
        for operation in operations:
            perform(replica, operation)
        delta = replica.commit(NOW)
        if delta is None:
            return
        self.history.record(delta.dot, self.visible[at], operations)
        self.visible[at] |= {delta.dot}
        self.logs[at].append(encode_delta(delta))

    def _deliver(self, to: int, of: int, skip: int) -> None:
        log, replica = self.logs[of], self.replicas[to]
        if not log or of == to:
            return
        delta = decode_delta(log[(replica.clock[self.replicas[of].id] + skip) % len(log)])
        needed = self.history.seen[delta.dot]
        outcome = replica.apply(delta)
        if delta.dot in self.visible[to]:
            assert outcome is Applied.DUPLICATE
        elif needed <= self.visible[to]:
            assert outcome is Applied.YES
            self.visible[to] |= {delta.dot}
        else:
            assert outcome is Applied.EARLY

    def _ask(self, to: int, of: int, full: bool) -> None:
        since = None if full else self.replicas[to].clock
        self.patches.append((encode_patch(self.replicas[of].patch(since, NOW)), self.visible[of]))

    def _take(self, to: int, patch: bytes, seen: frozenset[Dot]) -> None:
        replica, decoded = self.replicas[to], decode_patch(patch)
        try:
            replica.join(decoded)
        except PatchTooNew:
            assert decoded.since is not None
            assert not decoded.since <= replica.clock
        else:
            self.visible[to] |= seen

    def _persist(self, at: int) -> None:
        replay(self.stores[at], self.replicas[at].take_changes())


def _clock_of(dots: Iterable[Dot]) -> VersionVector:
    clock = VersionVector()
    for dot in dots:
        clock.merge({dot.replica: dot.counter})
    return clock


# Strategies.


class Drawn:
    """Choices that hypothesis makes, and makes smaller when a test fails."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def randint(self, least: int, most: int, /) -> int:
        """An integer from `least` to `most`."""
        return self._draw(st.integers(least, most))

    def choice(self, items: Sequence[T], /) -> T:
        """One of `items`."""
        return self._draw(st.sampled_from(items))


@st.composite
def operations(draw: st.DrawFn, types: Sequence[str], keys: Sequence[bytes] = KEYS) -> Operation:
    """Operations on objects of `types`, and deletes."""
    choices = Drawn(draw)
    key, name = choices.choice(keys), choices.choice((*types, *types, ""))
    if not name:
        return delete(key)
    return MODELS[name].operation(choices, key).at(Stamp(choices.randint(0, 4), 0))


def commits(types: Sequence[str], keys: Sequence[bytes] = KEYS) -> SearchStrategy[Commit]:
    """Commits of one to four operations."""
    batch = st.lists(operations(types, keys), min_size=1, max_size=4).map(tuple)
    return st.builds(Commit, _WHO, batch)


_WHO = st.integers(0, len(NAMES) - 1)
_MESSAGES_AND_UPKEEP: list[tuple[int, SearchStrategy[Step]]] = [
    (6, st.builds(Deliver, _WHO, _WHO, st.sampled_from([0, 0, 0, 1, 2, -1]))),
    (4, st.builds(Sync, _WHO, _WHO)),
    (2, st.builds(Ask, _WHO, _WHO, st.booleans())),
    (3, st.builds(Take, _WHO, st.integers(0, 9))),
    (3, st.builds(Publish, _WHO)),
    (3, st.builds(Stabilise, _WHO, st.sampled_from([1, 2, PLENTY]))),
    (1, st.builds(Persist, _WHO)),
    (1, st.builds(Restart, _WHO)),
]


def steps(types: Sequence[str], keys: Sequence[bytes] = KEYS, steps_max: int = 60) -> SearchStrategy[list[Step]]:
    """Steps of all kinds."""
    weighted = [(8, commits(types, keys)), *_MESSAGES_AND_UPKEEP]
    chances = [strategy for weight, strategy in weighted for _ in range(weight)]
    return many(st.sampled_from(chances).flatmap(lambda strategy: strategy), steps_max)


def many(element: SearchStrategy[T], size_max: int) -> SearchStrategy[list[T]]:
    """Lists of every size alike; left to itself, hypothesis makes short ones."""
    return st.integers(0, size_max).flatmap(lambda size: st.lists(element, min_size=size, max_size=size))


def worlds() -> SearchStrategy[World]:
    """Worlds of two to five replicas; a tiny index of touched addresses makes patches fall back to a scan."""
    return st.builds(World, st.integers(2, len(NAMES)), st.sampled_from([0, 1, 3, PLENTY]))
