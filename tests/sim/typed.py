"""Callers that do what the models of the types do: random operations of every registered type, below the commands.

A type is in every run by being registered. Each type has a key of its own, and one key is used as whatever type comes,
so that types conflict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.node.events import Call
from crdt_core.types import TYPES
from tests.crdt_core.histories import delete, perform
from tests.crdt_core.types.models import MODELS
from tests.sim.clients import Caller

if TYPE_CHECKING:
    from random import Random

    from crdt_core.lattice.clocks import Stamp
    from crdt_core.replica.replica import Replica
    from tests.crdt_core.types.models.model import Operation
    from tests.sim.world import World

__all__ = ["Typed", "act", "operation"]

CALLS_PER_ACT = 3
"""How many calls of `tests.sim.clients` there are for one of these."""

_SHARED = b"typed"


def act(world: World) -> None:
    """Somebody calls some node; a node that is down refuses."""
    process = world.any_host().process
    if process is None or process.node.joins:
        world.counts["calls refused"] += 1
        return
    for _ in range(world.rng.choice((1, 1, 1, 2, 4))):
        wanted = operation(world.rng)
        caller = Caller(world, process.node.replica.id, f"{wanted.type} {wanted.verb}".strip())
        process.put(Call(Typed(wanted, caller), caller))


def operation(rng: Random) -> Operation:
    """A random operation of some type, or a delete."""
    name = rng.choice(tuple(TYPES))
    key = b"%b:%b" % (_SHARED, name.encode()) if rng.random() < 0.8 else _SHARED
    return delete(key) if rng.random() < 0.15 else MODELS[name].operation(rng, key)


class Typed:
    """An operation of a model, done by the production mutators; it tells its caller what it did."""

    def __init__(self, operation: Operation, caller: Caller) -> None:
        self._operation = operation
        self._caller = caller

    def run(self, replica: Replica, now: Stamp) -> None:
        """Does the operation."""
        done = self._operation.at(now)
        perform(replica, done)
        self._caller.deed = done
