"""What a store holds of a replica: read into a fresh replica at a start, or written anew from one in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from crdt_core.codec.header import decode_header, is_sealed
from crdt_core.codec.records import STATE, decode_object, decode_part, object_hashes, object_record, part_record
from crdt_core.errors import DamagedState, Malformed
from crdt_core.replica.replica import Replica
from crdt_core.replica.weighing import Weighing, lost_collections
from tests.sim.violation import require

if TYPE_CHECKING:
    from collections.abc import Sequence

    from crdt_core.codec.header import Header
    from tests.sim.store import Hashes, Store

__all__ = ["all_records", "load"]


def load(id_: str, store: Store, touched_max: int, founders: Sequence[str]) -> tuple[Replica, Header]:
    """The replica that `store` holds, and the header that it comes with.

    Raises `DamagedState` for a state that is not what was committed, as `workers.storage.loading` does.
    """
    replica = Replica(id_, touched_max, founders)
    replica_index = replica.catalogue.replica_index
    weighing, known = Weighing(replica_index), {STATE}
    for key, value in store.hashes.get(STATE, {}).items():
        head = decode_object(key, value, replica_index)
        weighing.add_head(head, value)
        for link, hash_ in object_hashes(head):
            known.add(hash_)
            stored = store.hashes.get(hash_, {})
            for part, siblings in stored.items():
                link.adopt(part, decode_part(link, siblings, replica_index))
            weighing.add_parts(link, stored.items())
    header = decode_header(store.header)
    digest = weighing.digest(header.digest)
    if digest != header.digest or lost_collections(weighing.heads):
        raise DamagedState(id_, f"its digest is {digest:016x}")
    try:
        replica.restore(header.clock, header.stable, digest, weighing.heads)
    except Malformed as error:
        raise DamagedState(id_, str(error)) from error
    seal = store.header.get(b"seal")
    if seal is not None and not is_sealed(header, seal, replica.catalogue.removals):
        raise DamagedState(id_, "its seal is not that of its header and of its removals")
    require(store.hashes.keys() <= known, "no hash is left behind that no object names")
    return replica, header


def all_records(replica: Replica) -> Hashes:
    """The whole state as a store keeps it."""
    catalogue = replica.catalogue
    hashes: Hashes = {}
    for head in catalogue.heads.values():
        records = [object_record(head, catalogue.replica_index)]
        for link, _ in object_hashes(head):
            records += [part_record(head, link, part, catalogue.replica_index) for part in link.parts]
        for record in records:
            if record.field is not None and record.value is not None:
                hashes.setdefault(record.hash, {})[record.field] = record.value
    return hashes
