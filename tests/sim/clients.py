"""Callers: random commands on every type that the simulator specifies, alone and as transactions of several keys.

Calls that arrive together share a turn, hence a commit: that is a transaction. Each command is run by the production
code, wrapped so that the run's history learns what the command did (`Deed`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from crdt_core.codec.patches import decode_patch
from crdt_core.commands import Invocation
from crdt_core.errors import CallerError, InvalidArgument, PatchTooNew
from crdt_core.lattice.clocks import Stamp, VersionVector
from crdt_core.node.events import Call, PatchAsked, PatchOffered, RoundAsked
from tests.invocations import lookup
from tests.sim.history import Deed
from tests.sim.plan import EPOCH_MS
from tests.sim.violation import require

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from crdt_core.commands import Reply as CommandReply
    from crdt_core.node.events import Reply
    from crdt_core.replica.replica import Replica
    from tests.sim.shell import Process
    from tests.sim.world import World

__all__ = ["MIXES", "Caller", "act"]


class Words(NamedTuple):
    """A command as a caller writes it."""

    name: str
    args: list[bytes]


Mix = dict[str, "tuple[int, Callable[[Random], Words]]"]
KEYS = (b"x", b"y", b"\xff")
"""Keys that callers use as any type, so that type conflicts come about."""
ELEMENTS = (b"a", b"b", b"c", b"\xfe")
OUTSIDERS = ("elsewhere", "abroad")


def _key(rng: Random, *own: bytes) -> bytes:
    """Return mostly one of the type's own keys, otherwise one that all types share."""
    return rng.choice(own) if rng.random() < 0.8 else rng.choice(KEYS)


def _element(rng: Random) -> bytes:
    return rng.choice(ELEMENTS)


def _words(name: str, *args: bytes | str | int) -> Words:
    return Words(name, [arg if isinstance(arg, bytes) else str(arg).encode() for arg in args])


def _increment(key: bytes, amount: int, *kind: str) -> Words:
    return _words("DELTAIC.COUNTER.ADD", key, amount, *kind)


def _decrement(key: bytes, amount: int) -> Words:
    return _words("DELTAIC.COUNTER.SUBTRACT", key, amount)


def _add(key: bytes, element: bytes, *kind: str) -> Words:
    return _words("DELTAIC.SET.ADD", key, element, *kind)


def _remove(key: bytes, element: bytes) -> Words:
    return _words("DELTAIC.SET.REMOVE", key, element)


def _set(key: bytes, value: bytes, *options: str | int) -> Words:
    return _words("DELTAIC.REGISTER.SET", key, value, *options)


def _set_flag(key: bytes, enabled: bool) -> Words:
    return _words("DELTAIC.FLAG.SET", key, int(enabled))


def _delete(key: bytes) -> Words:
    return _words("DEL", key)


_GCOUNTER, _GSET, _LWW = ("KIND", "gcounter"), ("KIND", "gset"), ("KIND", "lwwregister")
_READS = (
    *("DELTAIC.COUNTER.GET", "DELTAIC.SET.GET", "DELTAIC.REGISTER.GET"),
    *("DELTAIC.ENABLED", "DELTAIC.INSPECT"),
)

EVERYTHING: Mix = {
    "increment": (6, lambda rng: _increment(_key(rng, b"hits", b"stock"), rng.randint(0, 5))),
    "decrement": (3, lambda rng: _decrement(_key(rng, b"hits", b"stock"), rng.randint(0, 5))),
    "increment (grow-only)": (3, lambda rng: _increment(_key(rng, b"visits"), rng.randint(0, 5), *_GCOUNTER)),
    "raise share": (
        1,
        lambda rng: _words("DELTAIC.COUNTER.RAISE", b"shares", rng.choice(OUTSIDERS), rng.randint(1, 9)),
    ),
    "increment beside shares": (1, lambda rng: _increment(b"shares", rng.randint(1, 5), *_GCOUNTER)),
    "add": (6, lambda rng: _add(_key(rng, b"cart", b"tags"), _element(rng))),
    "add (grow-only)": (2, lambda rng: _add(_key(rng, b"names"), _element(rng), *_GSET)),
    "remove": (6, lambda rng: _remove(_key(rng, b"cart", b"tags"), _element(rng))),
    "set (last writer)": (3, lambda rng: _set(_key(rng, b"title"), _element(rng), *_LWW)),
    "set at": (3, lambda rng: _set(_key(rng, b"title", b"old"), _element(rng), "TIMESTAMP", rng.randint(-1, 9))),
    "set (multi-value)": (4, lambda rng: _set(_key(rng, b"note"), _element(rng))),
    "set flag": (4, lambda rng: _set_flag(_key(rng, b"flag"), rng.random() < 0.5)),
    "delete": (4, lambda rng: _delete(rng.choice((b"hits", b"cart", b"names", b"title", b"note", b"visits", *KEYS)))),
    "read": (2, lambda rng: _words(rng.choice(_READS), _key(rng, b"hits", b"cart"))),
}
"""All commands, each with its weight, by what it does."""

CHURN: Mix = {
    "increment": (4, lambda rng: _increment(b"hits", rng.randint(1, 5))),
    "add": (4, lambda rng: _add(b"cart", _element(rng))),
    "remove": (4, lambda rng: _remove(b"cart", _element(rng))),
    "delete": (3, lambda rng: _delete(rng.choice((b"hits", b"cart")))),
    "set flag": (2, lambda rng: _set_flag(b"flag", rng.random() < 0.5)),
}
"""Endless adding and removing at the same few places."""

COUNTING: Mix = {
    "increment": (3, lambda rng: _increment(b"hits", rng.randint(1, 5))),
    "decrement": (1, lambda rng: _decrement(b"hits", rng.randint(1, 5))),
    "delete": (2, lambda rng: _delete(_key(rng, b"hits"))),
}
"""Mostly one counter, counted and deleted again and again."""

SETTING: Mix = {
    "set (last writer)": (3, lambda rng: _set(b"title", _element(rng), *_LWW)),
    "set at": (3, lambda rng: _set(b"title", _element(rng), "TIMESTAMP", rng.randint(-1, 9))),
    "set (multi-value)": (3, lambda rng: _set(_key(rng, b"note"), _element(rng))),
    "set flag": (3, lambda rng: _set_flag(b"flag", rng.random() < 0.5)),
    "delete": (2, lambda rng: _delete(rng.choice((b"title", b"note", b"flag")))),
}
"""A register of each kind."""

MIXES = {"everything": EVERYTHING, "churn": CHURN, "counting": COUNTING, "setting": SETTING}
"""What callers do in one run. The run's plan names the mix."""

_COUNTERS, _SETS = ("pncounter", "gcounter"), ("orset", "gset")


def act(world: World) -> None:
    """Call a random node, or let it synchronise. A node that is down, or joins, refuses."""
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
    wall_ms = EPOCH_MS + world.now_ms + host.skew_ms
    for name in rng.choices(names, weights, k=several):
        caller = Caller(world, process.node.replica.id, name)
        process.put(Call(Observed(kinds[name][1](rng), caller, wall_ms), caller))


def synchronise(world: World, process: Process) -> None:
    """Let the node exchange with all peers that it listens to."""
    process.put(RoundAsked((), Caller(world, process.node.replica.id, "sync")))


def carry(world: World, process: Process) -> None:
    """Take the patch of one node since a random clock to another node, by hand."""
    counters = {name: world.rng.randint(0, counter) for name, counter in process.node.replica.clock_with_folded.items()}
    since = VersionVector({name: counter for name, counter in counters.items() if counter})
    process.put(PatchAsked(since, Carrier(world), 1 << 30))


class Carrier:
    """Carries a patch: the first answer is the patch, the second is what it brought to the other node."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._arrived = False

    def answer(self, reply: Reply, _counter: int) -> None:
        """Take the patch further, or check how it was received.

        A node may refuse a patch for a replica that has seen more, or one with more of an id that has left.
        """
        if self._arrived:
            left = isinstance(reply.error, InvalidArgument) and "has left the fleet" in str(reply.error)
            fine = reply.error is None or isinstance(reply.error, PatchTooNew) or left
            require(fine, "a node's patch is welcome at every other", repr(reply.error))
            self._world.counts["patches carried"] += reply.error is None
            return
        self._arrived = True
        patch = reply.result.take_json()
        offer = partial(self._offer, patch, self._commits_of(patch))
        self._world.later(self._world.rng.choice((0, 50, 500)), offer)

    def _offer(self, patch: bytes, commits: list[bytes | None]) -> None:
        """Offer the patch to another node, unless a machine has lost commits in it meanwhile that nobody else had seen.

        A worker refuses such a patch: no header covers what it claims (`Merge`). And the machine makes other commits
        under the same dots, so nobody may bring in a copy from before its loss.
        """
        if self._commits_of(patch) != commits:
            self._world.counts["patches of lost commits"] += 1
            return
        process = self._world.any_host().process
        if process is not None:
            process.put(PatchOffered(decode_patch(patch), self))

    def _commits_of(self, patch: bytes) -> list[bytes | None]:
        """The last commit of each replica that the patch has."""
        return [self._world.history.delta(*dot) for dot in sorted(decode_patch(patch).clock.items())]


class Caller:
    """Waits for the reply to a command at `replica`. `deed` is what the command did, once it has run."""

    def __init__(self, world: World, replica: str, name: str) -> None:
        self._world = world
        self._replica = replica
        self._name = name
        self.deed: Deed | None = None

    def answer(self, reply: Reply, counter: int) -> None:
        """Take the reply: the command is done, and safe. `counter` is that of its commit, 0 if it wrote nothing."""
        self._world.counts[f"operation: {self._name}"] += 1
        if reply.error is not None:
            require(isinstance(reply.error, CallerError), "only callers' errors reach callers", repr(reply.error))
            self._world.counts["operations refused"] += 1
        elif counter:
            self._world.history.acknowledge(self._replica, counter)


class Observed:
    """An operation: a command that tells its caller what it did."""

    def __init__(self, words: Words, caller: Caller, wall_ms: int) -> None:
        self._words = words
        self._caller = caller
        self._wall_ms = wall_ms

    def run(self, replica: Replica, now: Stamp) -> Any:
        """Run the command."""
        name, args = self._words
        showing = replica.showing(args[0])
        held = showing[0].type.name if showing else ""
        reply = Invocation(lookup(name.encode(), args), args, self._wall_ms).run(replica, now)
        self._caller.deed = deed(self._words, held, reply, now)
        return reply


def deed(words: Words, held: str, reply: CommandReply, now: Stamp) -> Deed | None:  # noqa: PLR0911
    """Return what a command did to a key of type `held`; `None` if it wrote nothing by the published rules."""
    key, *args = words.args
    kind = args[-1].decode() if b"KIND" in args else ""
    match words.name, args:
        case ("DELTAIC.COUNTER.ADD" | "DELTAIC.COUNTER.SUBTRACT") as name, [amount, *_]:
            type_ = kind or (held if held in _COUNTERS else "pncounter")
            signed = int(amount) if name == "DELTAIC.COUNTER.ADD" else -int(amount)
            return Deed(key, type_, "add", signed) if signed else None
        case "DELTAIC.COUNTER.RAISE", [owner, total]:
            return Deed(key, "gcounter", "raise", (owner.decode(), int(total)))
        case "DELTAIC.SET.ADD", [element, *_]:
            type_ = kind or (held if held in _SETS else "orset")
            return Deed(key, type_, "add", element) if reply or type_ == "orset" else None
        case "DELTAIC.SET.REMOVE", [element]:
            return Deed(key, "orset", "remove", element) if reply else None
        case "DELTAIC.REGISTER.SET", [value]:
            return Deed(key, "mvregister", "set", value)
        case "DELTAIC.REGISTER.SET", [value, b"KIND", _]:
            return Deed(key, "lwwregister", "set", value, now)
        case "DELTAIC.REGISTER.SET", [value, b"TIMESTAMP", timestamp]:
            return Deed(key, "lwwregister", "set_at", value, Stamp(int(timestamp), 0))
        case "DELTAIC.FLAG.SET", [enabled]:
            return Deed(key, "ewflag", "enable" if enabled == b"1" else "disable")
        case "DEL", []:
            return Deed(key, "", "delete")
    return None
