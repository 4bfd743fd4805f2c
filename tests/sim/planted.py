"""Planted bugs: each patches one function, and the simulator must find each.

Every plant is a mistake that somebody could make: a forgotten condition, a wrong order, an off-by-one. To add one,
write the function with the mistake in it, and register it together with the function that it replaces and with a seed
that shows it in few steps: `python -m tests.sim --plant BUG --seeds 400` finds one. A change of the code can make other
runs of all seeds. The test then searches on, and a new seed here makes it fast again.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

from crdt_core.codec.records import Changes
from crdt_core.errors import StoreUnavailable
from crdt_core.lattice import siblings
from crdt_core.lattice.clocks import HybridClock, VersionVector
from crdt_core.lattice.replica_index import covered
from crdt_core.lattice.siblings import TOMBSTONE, fold, unfold
from crdt_core.membership import changes
from crdt_core.node import node, rounds
from crdt_core.node.exchange import Exchange
from crdt_core.node.node import Node
from crdt_core.node.stability import Stability
from crdt_core.node.transfers import Incoming
from crdt_core.replica import catalogue, forgetting, joining
from crdt_core.replica.patch_walk import PatchWalk
from crdt_core.replica.replica import Applied, Replica
from crdt_core.replica.weighing import Weighing
from crdt_core.types import SLOT
from crdt_core.types.object import Object
from crdt_core.types.registers import LWWRegisterType
from tests.sim.plan import NAMES, Plan
from tests.sim.shell import Process
from tests.sim.store import Store
from workers.turns.loop import TurnLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from crdt_core.lattice.deltas import Delta
    from crdt_core.node.events import Reply

__all__ = ["PLANTS", "plan_for", "planted"]

_LONG_WAYS = {"nodes": NAMES[:3], "latency_ms": 80, "loss": 0.2, "calls_every_ms": 60}
_RACES = {"mix": "setting", "latency_ms": 20, "calls_every_ms": 5, "faults_every_ms": 1000}
_ONE_FAULT_AFTER_ANOTHER = {"faults_every_ms": 30, "calls_every_ms": 20}


class Plant(NamedTuple):
    """`bug(original)` replaces `owner.name`; the run of `seed` shows it.

    `circumstances`: what of a run's plan is not left to chance, because the bug rarely shows otherwise. All of it could
    be drawn as well.
    """

    owner: Any
    name: str
    bug: Callable[[Any], Any]
    seed: int = 0
    circumstances: Mapping[str, Any] = MappingProxyType({})


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Plants the bug `name`, or none for an empty name, for the time of the block."""
    if not name:
        yield
        return
    plant = PLANTS[name]
    with patch.object(plant.owner, plant.name, plant.bug(getattr(plant.owner, plant.name))):
        yield


def plan_for(name: str, seed: int) -> Plan | None:
    """The plan of `seed` in the circumstances of the bug `name`; `None` where it has none, or the name is empty."""
    circumstances = PLANTS[name].circumstances if name else {}
    return replace(Plan.draw(Random(seed)), **circumstances) if circumstances else None


def _earlier_deps(original: Any) -> Any:
    def commit(self: Replica, *args: Any) -> Delta | None:
        delta = original(self, *args)
        if delta is None:
            return None
        deps = {name: counter - (name != self.id) for name, counter in delta.deps.items()}
        return replace(delta, deps=VersionVector({name: counter for name, counter in deps.items() if counter}))

    return commit


def _careless_apply(original: Any) -> Any:
    def apply(self: Replica, delta: Delta) -> Applied:
        if delta.dot.counter == self.clock[delta.dot.replica] + 1:
            delta = replace(delta, deps=VersionVector({r: min(n, self.clock[r]) for r, n in delta.deps.items()}))
        return original(self, delta)

    return apply


def _repeated_apply(original: Any) -> Any:
    def apply(self: Replica, delta: Delta) -> Applied:
        if not self.clock.covers(delta.dot) or delta.dot.replica == self.id:
            return original(self, delta)
        clock, self.clock = self.clock, VersionVector({**self.clock, delta.dot.replica: delta.dot.counter - 1})
        outcome = original(self, delta)
        self.clock.merge(clock)
        return outcome

    return apply


def _shorter_patch(original: Any) -> Any:
    def take(self: PatchWalk, *args: Any) -> list[Any]:
        taken = original(self, *args)
        return taken[:-1] if self.ended else taken  # type: ignore[no-any-return]

    return take


def _half_a_transaction(original: Any) -> Any:
    def encode(delta: Delta) -> bytes:
        return original(replace(delta, writes=delta.writes[:1]))

    return encode


def _forget_at_once(original: Any) -> Any:
    return lambda held, _stable: original(held, [2**60] * 64)


def _forget_resets(_original: Any) -> Any:
    def forget(held: Any, stable: Any) -> Any:
        live = {d: p for d, p in unfold(held).items() if not siblings.is_tombstone(p) or not covered(d, stable)}
        return fold(live)

    return forget


def _not_weighed(_original: Any) -> Any:
    return lambda _self, expected: expected


def _resume_one_earlier(original: Any) -> Any:
    def restore(self: Replica, clock: VersionVector, *args: Any) -> None:
        original(self, VersionVector({name: n - (name == self.id) for name, n in clock.items()}), *args)

    return restore


def _keep_removed(_original: Any) -> Any:
    def join(mine: Any, my_clock: Any, theirs: Any, _their_clock: Any) -> Any:
        return fold({**unfold(mine), **{d: p for d, p in theirs.items() if not covered(d, my_clock)}})

    return join


def _release_first(original: Any) -> Any:
    def send_commit(self: Process) -> None:
        flight = self.flight
        assert flight is not None
        self.loop.confirm()
        self.release(flight.commit.counter)
        original(self)

    return send_commit


def _never_fenced(original: Any) -> Any:
    def execute(self: Store, commit: Any, turn: int, _watched: int) -> bool:
        return original(self, commit, turn, self.watch().version)

    return execute


def _send_again_unseen(_original: Any) -> Any:
    def look_up(self: Process, flight: Any) -> None:
        if flight is self.flight:
            self.watched = self.host.store.watch()
            self.send_commit()

    return look_up


def _blind_weight(original: Any) -> Any:
    def object_hash(link: Object, replica_index: Any, _encoded: Any = None) -> int:
        blind = Object(link.key, link.type)
        blind.parts = {part: min(unfold(held)) for part, held in link.parts.items()}
        return int(original(blind, replica_index))

    return object_hash


def _forgetful_clock(original: Any) -> Any:
    return lambda self, _last=None: original(self)


def _any_winner(_original: Any) -> Any:
    def winner(_self: Any, view: Any) -> Any:
        payloads = [payload for _, payload in view.live(SLOT)]
        return max(payloads, key=lambda payload: payload.ms, default=None)

    return winner


def _remove_wins(original: Any) -> Any:
    return lambda held, deps, dot, payload: original(held, deps if payload is not TOMBSTONE else None, dot, payload)


def _lose_records(original: Any) -> Any:
    def take_changes(self: Any) -> Changes:
        left = Changes()
        for record in list(original(self))[1:]:
            left.add(record)
        return left

    return take_changes


def _forget_earlier_slices(_original: Any) -> Any:
    return catalogue.Catalogue.take_changes


def _join_without_a_chunk(original: Any) -> Any:
    def take(self: Incoming, chunk: Any, size: int) -> None:
        original(self, replace(chunk, parts=chunk.parts[:-1]), size)

    return take


def _confirm_at_once(original: Any) -> Any:
    def turn(self: Node, *args: Any) -> Any:
        made = original(self, *args)
        self.confirm()
        return made

    return turn


def _always_unchanged(original: Any) -> Any:
    def give_up_late(self: TurnLoop, now_s: float) -> list[Reply]:
        error = StoreUnavailable("no confirmation in time; nothing was changed", unchanged=True)
        return [reply._replace(error=error) for reply in original(self, now_s)]

    return give_up_late


def _complete_anyway(original: Any) -> Any:
    return lambda incoming, last: original(incoming, last) or last.patch


def _same_nonce(original: Any) -> Any:
    return lambda node, known, _nonce: original(node, known, "0")


PLANTS: dict[str, Plant] = {
    "digest not weighed": Plant(Weighing, "digest", _not_weighed, seed=65),
    "deps one too low": Plant(Replica, "commit", _earlier_deps),
    "deltas applied although a dep is missing": Plant(Replica, "apply", _careless_apply),
    "a delta applied twice": Plant(Replica, "apply", _repeated_apply, seed=28),
    "a patch that claims more than it carries": Plant(PatchWalk, "take", _shorter_patch),
    "a chunk that loses a part": Plant(Incoming, "take", _join_without_a_chunk, seed=9),
    "a patch joined although chunks of it are missing": Plant(
        rounds, "whole_patch", _complete_anyway, seed=3, circumstances=_LONG_WAYS
    ),
    "readers shown what is not confirmed": Plant(Node, "turn", _confirm_at_once),
    "half a transaction": Plant(node, "encode_delta", _half_a_transaction),
    "tombstones dropped before they are stable": Plant(forgetting, "forget", _forget_at_once, seed=21),
    "an observed reset forgotten beside a live share": Plant(forgetting, "forget", _forget_resets, seed=4),
    "tombstones never dropped": Plant(Replica, "stabilise", lambda _: lambda *_: 0, seed=20),
    "clocks counted as published before all that came before is here": Plant(
        Stability, "may_count", lambda _: lambda *_: True, seed=21, circumstances=_LONG_WAYS
    ),
    "a dot used twice": Plant(Replica, "restore", _resume_one_earlier, seed=9),
    "a join that keeps what was removed": Plant(joining, "join", _keep_removed),
    "a clear that drops concurrent writes": Plant(joining, "drop", lambda _: lambda *_: None, seed=45),
    "a removal that drops concurrent writes": Plant(joining, "write", _remove_wins, seed=28),
    "effects released before the commit": Plant(Process, "send_commit", _release_first, seed=43),
    "a header persisted without its records": Plant(catalogue.Catalogue, "take_changes", _lose_records, seed=9),
    "a batch half applied": Plant(
        Store, "finish", lambda _: lambda *_: None, seed=1, circumstances=_ONE_FAULT_AFTER_ANOTHER
    ),
    "slices of a join shown before the rest": Plant(catalogue.Catalogue, "take_slice", _forget_earlier_slices, seed=21),
    "a call under way that is said to have changed nothing": Plant(
        TurnLoop, "give_up_late", _always_unchanged, seed=19
    ),
    "a commit without fencing": Plant(Store, "execute", _never_fenced, seed=15),
    "a commit sent again without looking": Plant(Process, "look_up", _send_again_unseen, seed=13),
    "a digest blind for payloads": Plant(catalogue, "object_hash", _blind_weight, seed=3),
    "a hybrid clock that forgets at a restart": Plant(HybridClock, "__init__", _forgetful_clock, seed=15),
    "a register that does not break ties": Plant(LWWRegisterType, "winner", _any_winner, seed=5, circumstances=_RACES),
    "a nonce of an addition ignored": Plant(changes, "added_id", _same_nonce, seed=11),
    "an exchange that waits for ever": Plant(Exchange, "is_overdue", lambda _: lambda *_: False, seed=10),
}
