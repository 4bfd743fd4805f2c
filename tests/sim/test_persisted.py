"""What the simulator reads out of a store: the same states are damaged as for a worker."""

from __future__ import annotations

import pytest

from crdt_core.codec.header import Header, encode_header
from crdt_core.codec.records import STATE
from crdt_core.errors import DamagedState
from crdt_core.lattice.clocks import Stamp
from crdt_core.lattice.siblings import TOMBSTONE
from crdt_core.replica.replica import Replica
from crdt_core.types import ORSET
from tests.sim.persisted import all_records, load
from tests.sim.store import Store


def stored(replica: Replica) -> Store:
    """A store that holds `replica`."""
    replica.take_changes()
    header = Header(replica.clock, replica.stable, replica.digest, Stamp(1, 0), removals=replica.catalogue.removals)
    store = Store()
    fields = {name.encode(): value for name, value in encode_header(header).items()}
    store.rewrite(all_records(replica), fields, 1)
    return store


def test_a_removal_that_the_clock_does_not_cover_is_damage() -> None:
    """The digest tells nothing of removals. A worker took that for damage, and the simulator for a mistake."""
    replica = Replica("n1", founders=["n1"])
    for payload in (True, TOMBSTONE):
        replica.write(b"fruit", ORSET, b"apple", payload)
        replica.commit(Stamp(1, 0))
    store = stored(replica)
    assert load("n1", store, 10, ["n1"])[0].clock == replica.clock
    store.hashes[b"obj:fruit"] = {b"apple": b'{"n1:3":null}'}
    with pytest.raises(DamagedState, match="does not cover"):
        load("n1", store, 10, ["n1"])


def test_a_state_of_removals_whose_objects_are_deleted_is_damaged() -> None:
    """Only the seal tells. The simulator looked for hashes that no object names first: that was its mistake."""
    replica = Replica("n1", founders=["n1"])
    for payload in (True, TOMBSTONE):
        replica.write(b"fruit", ORSET, b"apple", payload)
        replica.commit(Stamp(1, 0))
    store = stored(replica)
    del store.hashes[STATE]
    with pytest.raises(DamagedState, match="its seal"):
        load("n1", store, 10, ["n1"])
