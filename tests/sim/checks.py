"""What must hold: of a process at every confirmed commit and at every start, of the fleet once it is at rest.

The cheap checks are made every time, the dearer ones (`deep`) at some of the commits and always at rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crdt_core.catalogue import Catalogue
from crdt_core.siblings import is_removal, lasting, shows, unfold
from tests.sim.specs import PREVAILING
from tests.sim.violation import require

if TYPE_CHECKING:
    from crdt_core.clocks import Dot
    from crdt_core.deltas import Address
    from crdt_core.replica import Replica
    from tests.sim.history import History
    from tests.sim.shell import Process
    from tests.sim.world import World

__all__ = ["at_rest", "confirmed", "started"]

_DEEP_EVERY = 8

Shown = dict[bytes, dict[str, Any]]


def confirmed(process: Process) -> None:
    """What must hold after each confirmed commit."""
    replica, world = process.node.replica, process.world
    require(process.confirmed_clock <= replica.clock, "clocks only grow", _at(process))
    process.confirmed_clock = replica.clock.copy()
    process.host.confirmed_clock.merge(replica.clock)
    world.counts["checks"] += 1
    if process.host.process is process:
        nothing_lost(process)
    shallow(process)
    if world.counts["checks"] % _DEEP_EVERY == 0:
        deep(world.history, replica)


def started(process: Process) -> None:
    """What must hold for a process that has loaded what is there."""
    replica = process.node.replica
    require(process.host.confirmed_clock <= replica.clock, "clocks only grow across restarts", _at(process))
    nothing_lost(process)
    shallow(process)
    deep(process.world.history, replica)


def nothing_lost(process: Process) -> None:
    """A node has every write that its callers were told is safe (a process that was succeeded may not know it yet)."""
    replica = process.node.replica
    acknowledged = process.world.history.acknowledged(replica.id)
    require(
        acknowledged <= replica.clock[replica.id], "no acknowledged write is lost", f"{_at(process)}: {acknowledged}"
    )


def shallow(process: Process) -> None:
    """No effect is there without its cause, and what shows is what must show."""
    replica, world = process.node.replica, process.world
    history, clock = world.history, replica.clock
    missing = history.causes(clock) & ~history.commits(clock)
    require(not missing, "no effect comes before its cause", _at(process))
    found = shown(replica)
    compare_shown(history, replica, found)
    first = world.seen_at.setdefault(tuple(sorted(clock.items())), (replica.digest, found))
    require(first == (replica.digest, found), "equal clocks mean equal states", f"{_at(process)}: {first} {found}")


def compare_shown(history: History, replica: Replica, found: Shown) -> None:
    """Exactly what was done and not undone shows: so transactions show whole, and nothing unseen is removed."""
    visible = history.visible(replica.clock)
    for key in history.keys:
        wanted = history.shown(key, visible)
        got = found.get(key, {})
        require(got == wanted, "what shows is what was specified", f"{replica.id}, {key!r}: {got}, not {wanted}")
        names = [name for name in PREVAILING if name in wanted]
        require(list(got) == names, "types prevail in their order", f"{replica.id}, {key!r}: {list(got)}")


def deep(history: History, replica: Replica) -> None:
    """Part by part, what is held is what was written and not replaced; what is derived agrees with it."""
    held = lasting_siblings(replica)
    wanted = history.lasting(history.commits(replica.clock))
    if held != wanted:
        wrong = [a for a in held.keys() | wanted.keys() if held.get(a) != wanted.get(a)]
        address = min(wrong, key=repr)
        detail = f"{replica.id}, {address}: {held.get(address)}, not {wanted.get(address)}"
        require(False, "nothing unseen is removed, and nothing seen stays", detail)
    require(replica.digest == digest_from_scratch(replica), "the digest is that of the state", replica.id)
    require(set(replica.catalogue.markers) == markers(replica), "the index of markers is exact", replica.id)
    for head in replica.catalogue.objects.values():
        for link in head.chain():
            live = sum(map(shows, link.parts.values()))
            require(link.live == live, "the count of live parts is exact", f"{replica.id}, {link.key!r}")


def at_rest(world: World) -> None:
    """Everybody knows everything, holds nothing else, and waits for nobody."""
    from tests.sim.shell import load

    made = world.history.made()
    for host in world.hosts.values():
        process = host.process
        assert process is not None
        replica = process.node.replica
        require(dict(sorted(replica.clock.items())) == made, "at rest everybody knows everything", _at(process))
        nothing_lost(process)
        shallow(process)
        deep(world.history, replica)
        require(not host.store.inbox, "at rest no message waits", host.name)
        kept = process.setup.options.log_entries_kept
        require(len(host.store.log) <= kept, "at rest a log holds only what is kept to be looked at", host.name)
        require(not under_way(process), "at rest no exchange is under way", host.name)
        for head in replica.catalogue.objects.values():
            for link in head.chain():
                dead = [part for part, siblings in link.parts.items() if not shows(siblings)]
                require(not dead and not link.clears, "at rest only what lives is held", f"{_at(process)}: {dead}")
        loaded, _ = load(host.name, host.store, 0)
        is_there = (loaded.clock, loaded.digest, lasting_siblings(loaded))
        remembered = (replica.clock, replica.digest, lasting_siblings(replica))
        require(is_there == remembered, "what is persisted is what is remembered", host.name)


def under_way(process: Process) -> bool:
    """Whether the node is in the middle of an exchange."""
    return any(process.node._rounds.busy_with(peer) for peer in process.node.peers)


def shown(replica: Replica) -> Shown:
    """All that shows, by key and type, hidden types included, in the order in which they prevail."""
    view = replica.catalogue.view
    return {
        key: {link.type.name: link.type.value(view(link)) for link in showing}
        for key in replica.catalogue.objects
        if (showing := replica.showing(key))
    }


def lasting_siblings(replica: Replica) -> dict[Address, dict[Dot, Any]]:
    """Every live sibling, and what diminishes it."""
    unpack = replica.catalogue.roster.unpack
    return {
        (link.key, link.type.name, part): {unpack(dot): payload for dot, payload in found.items()}
        for head in replica.catalogue.objects.values()
        for link in head.chain()
        for part, siblings in link.parts.items()
        if (found := lasting(siblings))
    }


def markers(replica: Replica) -> set[Address]:
    """Every address that holds a removal."""
    found: set[Address] = set()
    for head in replica.catalogue.objects.values():
        for link in head.chain():
            if link.clears:
                found.add((link.key, link.type.name, None))
            for part, siblings in link.parts.items():
                if any(map(is_removal, unfold(siblings).values())):
                    found.add((link.key, link.type.name, part))
    return found


def digest_from_scratch(replica: Replica) -> int:
    """The digest of the same state, computed by a catalogue that has just met it."""
    fresh = Catalogue()
    fresh.roster = replica.catalogue.roster
    for head in replica.catalogue.objects.values():
        for link in head.chain():
            found = fresh.ensure(link.key, link.type)
            for part, siblings in link.parts.items():
                fresh.put(found, part, siblings)
    fresh.take_changes()
    return fresh.digest


def _at(process: Process) -> str:
    return f"{process.host.name} at {dict(process.node.replica.clock)}"
