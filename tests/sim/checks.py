"""What must hold: for a process at every confirmed commit and at every start, and for the fleet at rest.

The cheap checks are made every time, the expensive ones (`deep`) at some commits and always at rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crdt_core.codec.header import decode_header
from crdt_core.lattice.siblings import is_tombstone, lasting, shows, unfold
from crdt_core.membership.evidence import combined_members
from crdt_core.replica.catalogue import Catalogue
from crdt_core.types import TYPES, View
from crdt_core.types.members import MAY_HAVE_UNSENT, RESERVED, Standing
from tests.sim.bootstrap import read_evidence
from tests.sim.persisted import load
from tests.sim.violation import Violation, require

if TYPE_CHECKING:
    from crdt_core.lattice.clocks import Dot
    from crdt_core.lattice.deltas import Address
    from crdt_core.lattice.replica_index import ReplicaIndex
    from crdt_core.replica.replica import Replica
    from crdt_core.types.object import Object
    from tests.sim.history import History
    from tests.sim.host import Host
    from tests.sim.shell import Process
    from tests.sim.world import World

__all__ = ["at_rest", "confirmed", "started", "under_way"]

_DEEP_EVERY = 8

Shown = dict[bytes, dict[str, Any]]


def confirmed(process: Process) -> None:
    """What must hold after each confirmed commit."""
    replica, world = process.node.replica, process.world
    clock = replica.clock_with_folded
    require(process.confirmed_clock <= clock, "clocks only grow", _at(process))
    process.confirmed_clock = clock.copy()
    if process.host.process is not process:
        return
    process.host.confirmed_clock.merge(clock)
    world.counts["checks"] += 1
    nothing_lost(process)
    shallow(process)
    if world.counts["checks"] % _DEEP_EVERY == 0:
        deep(world.history, replica)


def started(process: Process) -> None:
    """What must hold for a process that has loaded what is there."""
    replica, host, history = process.node.replica, process.host, process.world.history
    clock = replica.clock_with_folded
    host.found_whole()
    if host.lost or not clock:
        host.lost = False
        host.confirmed_clock = clock.copy()
        if history.made().get(replica.id, 0) > clock[replica.id]:
            heard = max(heard_of(other, replica.id) for other in heard_by_the_fleet(process.world))
            require(heard <= clock[replica.id], "an id is only resumed where the others left it", f"{_at(process)}")
            forget_unheard(process.world, replica.id, clock[replica.id])
    require(host.confirmed_clock <= clock, "clocks only grow across restarts", _at(process))
    nothing_lost(process)
    shallow(process)
    deep(process.world.history, replica)


def heard_by_the_fleet(world: World) -> list[Host]:
    """The hosts of which a member may still hear something.

    These are all but those under whose id a node takes part no more, once every member has closed that id, as far as
    the stores tell. From then on the members take nothing of such a host, and it begins anew without its state. So what
    only such a host has heard of an id does not keep that id from going on.
    """
    records = [read_evidence(host) for host in world.hosts.values()]
    members = combined_members(records, world.hosts)
    left = {id_ for id_, fact in members.facts.items() if fact.standing > Standing.LEAVING}
    for id_ in members.leaving:
        if {*members.active.values()} <= {*members.closings.get(id_, ())}:
            left.add(id_)
    pairs = zip(world.hosts.values(), records, strict=True)
    return [host for host, record in pairs if record.replica not in left or members.active.get(host.name)]


def heard_of(host: Host, replica: str) -> int:
    """The last commit of `replica` that a node has confirmed or persisted."""
    persisted = decode_header(host.store.header).clock[replica]
    return persisted if host.lost else max(host.confirmed_clock[replica], persisted)


def forget_unheard(world: World, replica: str, counter: int) -> None:
    """Commits that only one store had, and has lost, do not count as made."""
    world.history.resumed(replica, counter)
    for clock in [clock for clock in world.seen_at if dict(clock).get(replica, 0) > counter]:
        del world.seen_at[clock]


def under_way(process: Process) -> None:
    """What must hold while a commit is under way: readers see exactly the last confirmed state."""
    if process.host.process is not process:
        return
    history, confirmed_view = process.world.history, process.node.confirmed
    visible = history.visible(process.confirmed_clock)
    for key in history.keys:
        head = confirmed_view.head(key)
        got = values(head, confirmed_view.replica_index) if head is not None else {}
        if got != (wanted := history.shown(key, visible)):
            raise Violation("readers see what is confirmed", f"{_at(process)}, {key!r}: {got}, not {wanted}")


def nothing_lost(process: Process) -> None:
    """A node has every write that its callers were told is safe."""
    replica = process.node.replica
    acknowledged = process.world.history.acknowledged(replica.id)
    require(
        acknowledged <= replica.clock_with_folded[replica.id],
        "no acknowledged write is lost",
        f"{_at(process)}: {acknowledged}",
    )


def shallow(process: Process) -> None:
    """No effect is there without its cause, and each key shows what was specified."""
    replica, world = process.node.replica, process.world
    history, clock = world.history, replica.clock_with_folded
    missing = history.causes(clock) & ~history.commits(clock)
    require(not missing, "no effect comes before its cause", _at(process))
    found = shown(replica)
    compare_shown(history, replica, found)
    first = world.seen_at.setdefault(tuple(sorted(clock.items())), (replica.digest, found))
    require(first == (replica.digest, found), "equal clocks mean equal states", f"{_at(process)}: {first} {found}")


def compare_shown(history: History, replica: Replica, found: Shown) -> None:
    """Exactly what was done and not undone shows: so transactions show whole, and nothing unseen is removed."""
    visible = history.visible(replica.clock_with_folded)
    for key in history.keys:
        wanted = history.shown(key, visible)
        got = found.get(key, {})
        if got != wanted:
            raise Violation("what shows is what was specified", f"{replica.id}, {key!r}: {got}, not {wanted}")
        if list(got) != [name for name in TYPES if name in wanted]:
            raise Violation("types prevail in their order", f"{replica.id}, {key!r}: {list(got)}")


def deep(history: History, replica: Replica) -> None:
    """Each part holds what was written and not replaced, and all derived data agree with the parts."""
    held = lasting_siblings(replica)
    wanted = history.lasting(history.commits(replica.clock_with_folded))
    if held != wanted:
        wrong = [a for a in held.keys() | wanted.keys() if held.get(a) != wanted.get(a)]
        address = min(wrong, key=repr)
        detail = f"{replica.id}, {address}: {held.get(address)}, not {wanted.get(address)}"
        require(False, "nothing unseen is removed, and nothing seen stays", detail)
    require(replica.digest == digest_from_scratch(replica), "the digest is that of the state", replica.id)
    require(set(replica.catalogue.tombstones) == tombstones(replica), "the index of tombstones is exact", replica.id)
    catalogue, index = replica.catalogue, replica.catalogue.scan_index
    require(sorted(index.keys) == sorted(catalogue.heads), "the order of a scan has all keys", replica.id)
    shown = sum(bool(head.showing()) and not key.startswith(RESERVED) for key, head in catalogue.heads.items())
    require(index.shown == shown, "the count of keys is exact", replica.id)
    for head in replica.catalogue.heads.values():
        for link in head.chain():
            live = sum(map(shows, link.parts.values()))
            require(link.live == live, "the count of live parts is exact", f"{replica.id}, {link.key!r}")


def at_rest(world: World) -> None:
    """Every member knows everything, holds nothing more than it must, and waits for nobody."""
    running = [host.process for host in world.hosts.values() if host.process is not None and host.lives]
    living = [process for process in running if not process.node.joins]
    members = living[0].node.replica.members
    require({p.host.node for p in living} == set(members.active), "at rest all members run", repr(members.active))
    for process in living:
        host, replica = process.host, process.node.replica
        clock = replica.clock_with_folded
        require(clock == living[0].node.replica.clock_with_folded, "at rest everybody knows everything", _at(process))
        for id_, made in world.history.made().items():
            fully = id_ not in members.active.values() or clock[id_] == made
            require(fully, "at rest everybody knows everything", f"{_at(process)}: {id_} has made {made}")
        nothing_lost(process)
        shallow(process)
        deep(world.history, replica)
        require(not host.store.inbox, "at rest no message waits", host.name)
        kept = process.setup.options.log_entries_kept
        require(len(host.store.log) <= kept, "at rest a log holds only what is kept to be looked at", host.name)
        require(not exchanging(process), "at rest no exchange is under way", host.name)
        require(set(replica.clock) <= set(members.active.values()), "at rest former ids are folded", _at(process))
        unsent = {id_.encode() for id_, fact in members.facts.items() if fact.reason in MAY_HAVE_UNSENT}
        for head in replica.catalogue.heads.values():
            for link in head.chain():
                gone = [part for part, siblings in link.parts.items() if not shows(siblings)]
                dead = [part for part in gone if link.type.owner(part) not in unsent]
                require(not dead and not link.clears, "at rest only what lives is held", f"{_at(process)}: {dead}")
        loaded, _ = load(replica.id, host.store, 0, ())
        is_there = (loaded.clock_with_folded, loaded.digest, lasting_siblings(loaded))
        remembered = (clock, replica.digest, lasting_siblings(replica))
        require(is_there == remembered, "what is persisted is what is remembered", host.name)


def exchanging(process: Process) -> bool:
    """Whether the node is in the middle of an exchange."""
    return bool(process.node.exchanging)


def shown(replica: Replica) -> Shown:
    """All that shows, by key and type, type conflicts and attributes included, in the order in which types prevail."""
    return {
        key: found for key, head in replica.catalogue.heads.items() if (found := values(head, replica.replica_index))
    }


def values(head: Object, replica_index: ReplicaIndex) -> dict[str, Any]:
    """The values of all objects of one key that show: those that prevail or would, and then attributes."""
    links = [*head.showing(), *(link for link in head.chain() if link.live and link.type.attribute)]
    return {link.type.name: link.type.value(View(link.parts, replica_index)) for link in links}


def lasting_siblings(replica: Replica) -> dict[Address, dict[Dot, Any]]:
    """Every sibling that lasts: the live ones, and the observed resets beside them."""
    unpack = replica.catalogue.replica_index.unpack
    return {
        (link.key, link.type.name, part): {unpack(dot): payload for dot, payload in found.items()}
        for head in replica.catalogue.heads.values()
        for link in head.chain()
        for part, siblings in link.parts.items()
        if (found := lasting(siblings))
    }


def tombstones(replica: Replica) -> set[Address]:
    """Every address that holds a removal."""
    found: set[Address] = set()
    for head in replica.catalogue.heads.values():
        for link in head.chain():
            if link.clears:
                found.add((link.key, link.type.name, None))
            for part, siblings in link.parts.items():
                if any(map(is_tombstone, unfold(siblings).values())):
                    found.add((link.key, link.type.name, part))
    return found


def digest_from_scratch(replica: Replica) -> int:
    """The digest of the same state, computed by a fresh catalogue."""
    fresh = Catalogue()
    fresh.replica_index = replica.catalogue.replica_index
    for head in replica.catalogue.heads.values():
        for link in head.chain():
            found = fresh.ensure(link.key, link.type)
            for part, siblings in link.parts.items():
                fresh.put(found, part, siblings)
    fresh.take_changes()
    return fresh.digest


def _at(process: Process) -> str:
    return f"{process.host.name} at {dict(process.node.replica.clock_with_folded)}"
