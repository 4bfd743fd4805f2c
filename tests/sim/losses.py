"""How a process notices that its store has lost or altered what it had confirmed, and gives it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.node.events import RecordsDiffer
from crdt_core.replica.proof import CATALOGUE, Proof, collections_of, fields_of, hash_of
from tests.sim.persisted import all_records

if TYPE_CHECKING:
    from tests.sim.flight import Flight
    from tests.sim.shell import Process

__all__ = ["proofread", "write_anew"]


def proofread(process: Process) -> None:
    """Compares what the store holds with memory, as `workers.storage.proofreading` does over many questions.

    A process that another has replaced may find nothing wrong: it remembers a former state.
    """
    if process.host.store.down:
        return
    catalogue, differs = process.node.replica.catalogue, False
    proof = Proof(catalogue)
    for shelf in [CATALOGUE, *(shelf for key in catalogue.heads for shelf in collections_of(catalogue, key))]:
        found = process.host.store.hashes.get(hash_of(catalogue, shelf) or b"", {})
        fields = dict.fromkeys([*fields_of(catalogue, shelf), *found])
        wrong = proof.wrong(shelf, [(field, found.get(field)) for field in fields])
        if wrong:
            differs = True
            process.world.counts["records persisted again"] += len(wrong)
            process.put(RecordsDiffer(shelf, wrong))
    proof.end()
    owns = process.owner == process.host.store.watch().owner
    if owns and not differs and process.flight is None:
        process.host.found_whole()


def write_anew(process: Process, flight: Flight | None) -> None:
    """Writes the whole replica from memory, together with the turn under way, if there is one."""
    process.world.note(process.host.name, "writes everything anew")
    turn = process.confirmed_turn if flight is None else flight.turn
    changed = {**process.node.header(), **(flight.commit.header if flight is not None else {})}
    header = {**process.header, **{name.encode(): value for name, value in changed.items()}}
    process.host.store.rewrite(all_records(process.node.replica), header, turn)
    if flight is not None:
        process.host.store.drop_mail(flight.commit.acknowledged)
        if flight.commit.delta is not None:
            process.host.store.append(flight.commit.counter, bytes(flight.commit.delta))
        process.host.executed(flight)
    process.host.lost = False
