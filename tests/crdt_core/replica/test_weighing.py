"""Weighing a state while it is loaded: what was lost, altered or added shows, and another spelling does not matter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from crdt_core.codec.records import STATE, decode_object, decode_part, object_hashes
from crdt_core.lattice.clocks import Stamp
from crdt_core.replica.replica import Replica
from crdt_core.replica.weighing import Weighing, lost_collections
from crdt_core.types import LWWREGISTER, ORSET
from crdt_core.types.registers import set_now

if TYPE_CHECKING:
    from collections.abc import Sequence

Hashes = dict[bytes, dict[bytes, bytes]]


@pytest.fixture
def replica() -> Replica:
    made = Replica("n1")
    made.write_parts(b"fruit", ORSET, [(b"fig", True), (b"date", True)])
    made.write(b"name", LWWREGISTER, *set_now(made.view(b"name", LWWREGISTER), b"ada", Stamp(1, 0)))
    made.commit(Stamp(1, 0))
    made.take_changes()
    return made


def stored(replica: Replica) -> Hashes:
    hashes: Hashes = {}
    for hash_, field, value in replica.catalogue.records():
        assert field is not None
        assert value is not None
        hashes.setdefault(hash_, {})[field] = value
    return hashes


def weigh(hashes: Hashes, expected: int) -> tuple[int, Sequence[bytes]]:
    """The digest of what is loaded, and the hashes that are gone."""
    index = Replica("n1").replica_index
    weighing = Weighing(index)
    for key, value in hashes[STATE].items():
        head = decode_object(key, value, index)
        weighing.add_head(head, value)
        for collection, hash_ in object_hashes(head):
            records = hashes.get(hash_, {})
            for part, record in records.items():
                collection.adopt(part, decode_part(collection, record, index))
            weighing.add_parts(collection, records.items())
    return weighing.digest(expected), lost_collections(weighing.heads)


def test_what_was_persisted_has_the_digest_of_the_replica(replica: Replica) -> None:
    assert weigh(stored(replica), replica.digest) == (replica.digest, [])


def test_a_collection_that_is_gone_is_named(replica: Replica) -> None:
    hashes = stored(replica)
    del hashes[b"obj:fruit"]
    digest, lost = weigh(hashes, replica.digest)
    assert (digest != replica.digest, lost) == (True, [b"obj:fruit"])


def test_another_payload_another_dot_and_one_part_less_weigh_differently(replica: Replica) -> None:
    hashes = stored(replica)
    altered = [
        {**hashes, STATE: {**hashes[STATE], b"name": hashes[STATE][b"name"].replace(b"ada", b"eve")}},
        {**hashes, b"obj:fruit": {**hashes[b"obj:fruit"], b"fig": b'{"n1:2":true}'}},
        {**hashes, b"obj:fruit": {b"fig": hashes[b"obj:fruit"][b"fig"]}},
        {**hashes, STATE: {b"fruit": hashes[STATE][b"fruit"]}},
    ]
    for spoilt in altered:
        digest, _ = weigh(spoilt, replica.digest)
        assert digest != replica.digest


def test_a_dot_that_one_record_names_twice_does_not_hide_another_payload(replica: Replica) -> None:
    """The parser of JSON keeps the last of two fields with one name."""
    hashes = stored(replica)
    record = hashes[STATE][b"name"]
    assert record.count(b'"n1:1"') == 1
    payload = record[record.index(b'"n1:1"') : -3]
    doubled = record.replace(payload, payload + b"," + payload.replace(b"ada", b"eve"))
    digest, _ = weigh({**hashes, STATE: {**hashes[STATE], b"name": doubled}}, replica.digest)
    assert digest != replica.digest


def test_another_spelling_of_the_same_state_weighs_the_same(replica: Replica) -> None:
    hashes = stored(replica)
    spaced = {part: record.replace(b":true", b": true") for part, record in hashes[b"obj:fruit"].items()}
    assert weigh({**hashes, b"obj:fruit": spaced}, replica.digest) == (replica.digest, [])


def test_removals_do_not_count(replica: Replica) -> None:
    replica.write(b"fruit", ORSET, b"fig", None)
    replica.commit(Stamp(2, 0))
    replica.take_changes()
    assert weigh(stored(replica), replica.digest) == (replica.digest, [])
