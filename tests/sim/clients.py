"""Callers: random operations of every kind that `crdt_core.commands.operations` has, alone and as transactions of
several keys.

Calls that arrive together share a turn, hence a commit: that is a transaction. Each operation is run by the production
code, wrapped so that the run's history learns what it was (`Deed`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from crdt_core.commands.operations import (
    AddToSet,
    AdjustCounter,
    Delete,
    GetCounter,
    GetFlag,
    GetRegister,
    GetSet,
    Inspect,
    Operation,
    RaiseShare,
    RemoveFromSet,
    SetFlag,
    SetRegister,
)
from crdt_core.errors import CallerError, InvalidArgument, PatchTooNew
from crdt_core.lattice.clocks import Stamp, VersionVector
from crdt_core.node.events import Call, PatchAsked, PatchOffered, RoundAsked
from crdt_core.types import GCOUNTER, GSET, LWWREGISTER
from tests.sim.history import Deed
from tests.sim.violation import require

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from crdt_core.node.events import Reply
    from crdt_core.replica.replica import Replica
    from tests.sim.shell import Process
    from tests.sim.world import World

__all__ = ["MIXES", "Caller", "act"]

Mix = dict[str, "tuple[int, Callable[[Random], Operation]]"]
KEYS = (b"x", b"y", b"\xff")
"""Keys that are used as whatever type comes, so that rivals meet."""
ELEMENTS = (b"a", b"b", b"c", b"\xfe")
OUTSIDERS = ("elsewhere", "abroad")


def _key(rng: Random, *own: bytes) -> bytes:
    """Mostly a key of the type's own; otherwise one that all types share."""
    return rng.choice(own) if rng.random() < 0.8 else rng.choice(KEYS)


def _element(rng: Random) -> bytes:
    return rng.choice(ELEMENTS)


EVERYTHING: Mix = {
    "increment": (6, lambda rng: AdjustCounter(_key(rng, b"hits", b"stock"), rng.randint(0, 5))),
    "decrement": (3, lambda rng: AdjustCounter(_key(rng, b"hits", b"stock"), rng.randint(0, 5), decrement=True)),
    "increment (grow-only)": (3, lambda rng: AdjustCounter(_key(rng, b"visits"), rng.randint(0, 5), GCOUNTER)),
    "raise share": (1, lambda rng: RaiseShare(b"shares", rng.choice(OUTSIDERS), rng.randint(1, 9))),
    "increment beside shares": (1, lambda rng: AdjustCounter(b"shares", rng.randint(1, 5), GCOUNTER)),
    "add": (6, lambda rng: AddToSet(_key(rng, b"cart", b"tags"), _element(rng))),
    "add (grow-only)": (2, lambda rng: AddToSet(_key(rng, b"names"), _element(rng), GSET)),
    "remove": (6, lambda rng: RemoveFromSet(_key(rng, b"cart", b"tags"), _element(rng))),
    "set (last writer)": (3, lambda rng: SetRegister(_key(rng, b"title"), _element(rng), None, LWWREGISTER)),
    "set at": (3, lambda rng: SetRegister(_key(rng, b"title", b"old"), _element(rng), rng.randint(-1, 9))),
    "set (multi-value)": (4, lambda rng: SetRegister(_key(rng, b"note"), _element(rng))),
    "set flag": (4, lambda rng: SetFlag(_key(rng, b"flag"), rng.random() < 0.5)),
    "delete": (4, lambda rng: Delete(rng.choice((b"hits", b"cart", b"names", b"title", b"note", b"visits", *KEYS)))),
    "read": (
        2,
        lambda rng: rng.choice((GetCounter, GetSet, GetRegister, GetFlag, Inspect))(_key(rng, b"hits", b"cart")),
    ),
}
"""All operations, each with its weight, by name."""

CHURN: Mix = {
    "increment": (4, lambda rng: AdjustCounter(b"hits", rng.randint(1, 5))),
    "add": (4, lambda rng: AddToSet(b"cart", _element(rng))),
    "remove": (4, lambda rng: RemoveFromSet(b"cart", _element(rng))),
    "delete": (3, lambda rng: Delete(rng.choice((b"hits", b"cart")))),
    "set flag": (2, lambda rng: SetFlag(b"flag", rng.random() < 0.5)),
}
"""Endless adding and taking away at the same few places."""

COUNTING: Mix = {
    "increment": (3, lambda rng: AdjustCounter(b"hits", rng.randint(1, 5))),
    "decrement": (1, lambda rng: AdjustCounter(b"hits", rng.randint(1, 5), decrement=True)),
    "delete": (2, lambda rng: Delete(_key(rng, b"hits"))),
}
"""Mostly one counter, counted and deleted for ever."""

SETTING: Mix = {
    "set (last writer)": (3, lambda rng: SetRegister(b"title", _element(rng), None, LWWREGISTER)),
    "set at": (3, lambda rng: SetRegister(b"title", _element(rng), rng.randint(-1, 9))),
    "set (multi-value)": (3, lambda rng: SetRegister(_key(rng, b"note"), _element(rng))),
    "set flag": (3, lambda rng: SetFlag(b"flag", rng.random() < 0.5)),
    "delete": (2, lambda rng: Delete(rng.choice((b"title", b"note", b"flag")))),
}
"""A register of each kind."""

MIXES = {"everything": EVERYTHING, "churn": CHURN, "counting": COUNTING, "setting": SETTING}
"""What callers do in one run; which of them it is stands in the run's plan."""

_COUNTERS, _SETS, _REGISTERS = ("pncounter", "gcounter"), ("orset", "gset"), ("lwwregister", "mvregister")


def act(world: World) -> None:
    """Somebody calls some node, or has it synchronise; a node that is down refuses."""
    rng = world.rng
    host = world.any_host()
    process = host.process
    if process is None or process.node.joins:
        world.counts["calls refused"] += 1
        return
    if rng.random() < 0.05:
        rng.choice((synchronise, carry))(world, process)
        return
    kinds = MIXES[world.plan.mix]
    names, weights = list(kinds), [weight for weight, _ in kinds.values()]
    several = rng.choice((1, 1, 1, 2, 4))
    world.counts["transactions"] += several > 1
    for name in rng.choices(names, weights, k=several):
        caller = Caller(world, process.node.replica.id, name)
        process.put(Call(Observed(kinds[name][1](rng), caller), caller))


def synchronise(world: World, process: Process) -> None:
    """Somebody has the node exchange what is new with all that it hears."""
    process.put(RoundAsked((), Caller(world, process.node.replica.id, "sync")))


def carry(world: World, process: Process) -> None:
    """Somebody takes what a node knows beyond some clock to another node, by hand."""
    counters = {name: world.rng.randint(0, counter) for name, counter in process.node.replica.clock_with_folded.items()}
    since = VersionVector({name: counter for name, counter in counters.items() if counter})
    process.put(PatchAsked(since, Carrier(world)))


class Carrier:
    """Who carries a patch: first to be answered with it, then with what it brought."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._arrived = False

    def answer(self, reply: Reply, _counter: int) -> None:
        """Goes on with the patch, or is done; one for who has seen more, or with more of who has left, is refused."""
        if self._arrived:
            left = isinstance(reply.error, InvalidArgument) and "has left the fleet" in str(reply.error)
            fine = reply.error is None or isinstance(reply.error, PatchTooNew) or left
            require(fine, "a node's patch is welcome at every other", repr(reply.error))
            self._world.counts["patches carried"] += reply.error is None
            return
        self._arrived = True
        self._world.later(self._world.rng.choice((0, 50, 500)), partial(self._offer, reply.result))

    def _offer(self, patch: bytes) -> None:
        process = self._world.any_host().process
        if process is not None:
            process.put(PatchOffered(patch, self))


class Caller:
    """Who waits for the reply to an operation of `replica`. `deed`: what it did, once it has run."""

    def __init__(self, world: World, replica: str, name: str) -> None:
        self._world = world
        self._replica = replica
        self._name = name
        self.deed: Deed | None = None

    def answer(self, reply: Reply, counter: int) -> None:
        """The operation is done, and safe; `counter` is that of its commit, 0 if it wrote nothing."""
        self._world.counts[f"operation: {self._name}"] += 1
        if reply.error is not None:
            require(isinstance(reply.error, CallerError), "only callers' errors reach callers", repr(reply.error))
            self._world.counts["operations refused"] += 1
        elif counter:
            self._world.history.acknowledge(self._replica, counter)


class Observed:
    """An operation that tells its caller what it did."""

    def __init__(self, operation: Operation, caller: Caller) -> None:
        self._operation = operation
        self._caller = caller

    def run(self, replica: Replica, now: Stamp) -> Any:
        """Runs the operation."""
        showing = replica.showing(self._operation.key)  # type: ignore[attr-defined]
        held = showing[0].type.name if showing else ""
        result = self._operation.run(replica, now)
        self._caller.deed = deed(self._operation, held, result, now)
        return result


def deed(operation: Operation, held: str, result: Any, now: Stamp) -> Deed | None:  # noqa: PLR0911
    """What `operation` did to a key that held the type `held`; `None` if by the published rules it wrote nothing."""
    match operation:
        case AdjustCounter(key, amount, type_, decrement):
            name = type_.name if type_ else held if held in _COUNTERS else "pncounter"
            return Deed(key, name, "add", -amount if decrement else amount) if amount else None
        case RaiseShare(key, owner, total):
            return Deed(key, "gcounter", "raise", (owner, total))
        case AddToSet(key, element, type_):
            name = type_.name if type_ else held if held in _SETS else "orset"
            return Deed(key, name, "add", element) if result or name == "orset" else None
        case RemoveFromSet(key, element):
            return Deed(key, "orset", "remove", element) if result else None
        case SetRegister(key, value, None, None):
            return Deed(key, "mvregister", "set", value)
        case SetRegister(key, value, None, _):
            return Deed(key, "lwwregister", "set", value, now)
        case SetRegister(key, value, int(timestamp), _):
            return Deed(key, "lwwregister", "set_at", value, Stamp(timestamp, 0))
        case SetFlag(key, enabled):
            return Deed(key, "ewflag", "enable" if enabled else "disable")
        case Delete(key):
            return Deed(key, "", "delete")
    return None
