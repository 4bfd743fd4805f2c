"""Records: a replica's state as fields of Redis hashes, the same whoever holds it, and read back as it was."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.codec.records import (
    STATE,
    Changes,
    Record,
    decode_object,
    decode_part,
    encode_part,
    lasting,
    object_hashes,
    object_record,
    part_record,
    parts_hash,
)
from crdt_core.codec.siblings import encode_siblings
from crdt_core.errors import Malformed
from crdt_core.lattice.clocks import Dot, Stamp, VersionVector
from crdt_core.lattice.replica_index import ReplicaIndex
from crdt_core.lattice.siblings import TOMBSTONE, fold, unfold
from crdt_core.replica.replica import Replica
from crdt_core.types import LWWREGISTER, ORSET, PNCOUNTER, TYPES
from tests.crdt_core.histories import NAMES, NOW, Operation, World, perform, steps, worlds
from tests.crdt_core.types.models import MODELS

pytestmark = pytest.mark.timeout(900)  # a failure is first made as small as it can be, for up to five minutes

every_type = pytest.mark.parametrize("type_name", TYPES)


@every_type
@given(data=st.data())
def test_a_part_comes_back_from_its_record(type_name: str, data: st.DataObject) -> None:
    replica_index, other = ReplicaIndex(), ReplicaIndex()
    other.index("stranger")
    payloads = MODELS[type_name].payloads
    dots = st.builds(Dot, st.sampled_from(NAMES), st.integers(1, 2**49))
    siblings = data.draw(st.dictionaries(dots, st.one_of(payloads, st.just(TOMBSTONE)), min_size=1, max_size=4))
    link = Replica("n1").catalogue.ensure(b"k", TYPES[type_name])
    value = encode_part(
        link.type, fold({replica_index.pack(*dot): payload for dot, payload in siblings.items()}), replica_index
    )
    assert value == encode_siblings(link.type, siblings)
    back = {other.unpack(dot): payload for dot, payload in unfold(decode_part(link, value, other)).items()}
    assert back == siblings


@every_type
@given(data=st.data(), world=worlds())
def test_equal_states_give_equal_records_whoever_holds_them(type_name: str, data: st.DataObject, world: World) -> None:
    world.run(data.draw(steps([type_name], steps_max=20)))
    world.settle()
    world.forget_all()
    records = []
    for replica in world.replicas:
        fresh = Replica("observer")
        fresh.join(replica.patch(None, NOW))
        records.append(sorted(fresh.take_changes()))
    assert all(found == records[0] for found in records)


def test_an_object_comes_back_from_its_record_with_rivals_and_clears() -> None:
    one, other = Replica("n1"), Replica("n2")
    perform(one, Operation(b"\xffk", "orset", "add", b"a"))
    one.delete(b"\xffk")
    one.commit(NOW)
    perform(other, Operation(b"\xffk", "pncounter", "add", 2**63 - 1))
    perform(other, Operation(b"\xffk", "lwwregister", "set", b"\xfe", Stamp(3, 0)))
    other.commit(NOW)
    one.join(other.patch(None, NOW))
    head = one.catalogue.heads[b"\xffk"]
    record = object_record(head, one.catalogue.replica_index)
    assert record.value is not None
    replica_index = ReplicaIndex()
    back = decode_object(b"\xffk", record.value, replica_index)
    assert [link.type for link in back.chain()] == [ORSET, PNCOUNTER, LWWREGISTER]
    assert {replica_index.unpack(dot): deps for dot, deps in back.clears.items()} == {Dot("n1", 1): VersionVector()}
    assert object_record(back, replica_index) == record


def test_a_clear_that_does_not_follow_what_it_has_seen_is_malformed() -> None:
    """Every peer would refuse a patch with such a clear, so the replica must not load it."""
    with pytest.raises(Malformed, match="the clear n2:9 cannot have been made at clock"):
        decode_object(b"k", b'{"type":"orset","clears":{"n2:9":{"orset":8}}}', ReplicaIndex())


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"[]",
        b'{"type":"what"}',
        b'{"type":["orset"]}',
        b'{"type":"orset","rivals":{}}',
        b'{"type":"orset","rivals":[1]}',
        b'{"type":"pncounter","parts":[]}',
        b'{"type":"pncounter","parts":{"n1":{}}}',
        b'{"type":"pncounter","parts":{"n 1":{"n1:1":[1,0]}}}',
        b'{"type":"ewflag","parts":{"x":{"n1:1":true}}}',
        b'{"type":"orset","clears":[]}',
        b'{"type":"orset","clears":{"n1:1":7}}',
        b'{"type":"orset","clears":{"n1":{}}}',
    ],
)
def test_an_object_record_that_makes_no_sense_is_malformed(value: bytes) -> None:
    with pytest.raises(Malformed):
        decode_object(b"k", value, ReplicaIndex())


def with_conflict() -> Replica:
    """A replica whose key `k` holds a set, and a grow-only set as a type conflict; both have one member."""
    one, other = Replica("n1"), Replica("n2")
    perform(one, Operation(b"k", "orset", "add", b"a"))
    one.commit(NOW)
    perform(other, Operation(b"k", "gset", "add", b"b"))
    other.commit(NOW)
    one.join(other.patch(None, NOW))
    return one


def test_a_collection_and_its_type_conflict_keep_their_parts_in_hashes_of_their_own() -> None:
    replica = with_conflict()
    head = replica.catalogue.heads[b"k"]
    (conflict,) = head.type_conflicts
    assert list(object_hashes(head)) == [(head, b"obj:k"), (conflict, b"rival:gset:k")]
    assert parts_hash(head, conflict) == b"rival:gset:k"
    index = replica.replica_index
    assert part_record(head, head, b"a", index) == Record(b"obj:k", b"a", b'{"n1:1":true}')
    assert part_record(head, conflict, b"b", index) == Record(b"rival:gset:k", b"b", b'{"n2:1":true}')
    assert part_record(head, head, b"gone", index) == Record(b"obj:k", b"gone", None)
    assert object_record(head, index) == Record(STATE, b"k", b'{"type":"orset","rivals":[{"type":"gset"}]}')


def test_a_key_under_which_nothing_is_left_has_its_record_removed() -> None:
    replica = Replica("n1")
    replica.catalogue.ensure(b"k", ORSET)
    assert object_record(replica.catalogue.heads[b"k"], replica.replica_index) == Record(STATE, b"k", None)


def test_changes_are_grouped_by_hash_and_list_the_same_records() -> None:
    records = [
        Record(STATE, b"k", b"{}"),
        Record(STATE, b"l", b"{}"),
        Record(b"obj:k", b"a", None),
        Record(b"obj:l", None, None),
    ]
    changes = Changes()
    assert not changes
    for record in records:
        changes.add(record)
    assert changes
    assert changes.written == {STATE: [b"k", b"{}", b"l", b"{}"]}
    assert (changes.removed, list(changes.dropped)) == ({b"obj:k": [b"a"]}, [b"obj:l"])
    assert list(changes) == records


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"[]",
        b"{}",
        b"true",
        b'{"n1:1":false}',
        b'{"n1:01":true}',
        b'{"n1:0":true}',
        b'{"n1":true}',
        b'{"n1:1":true',
    ],
)
def test_a_part_record_that_makes_no_sense_is_malformed(value: bytes) -> None:
    """The short way for plain members of a set must refuse what the long way refuses."""
    index = ReplicaIndex()
    index.index("n1")
    with pytest.raises(Malformed):
        decode_part(Replica("n1").catalogue.ensure(b"k", ORSET), value, index)


def test_a_hash_that_goes_takes_its_earlier_records_along_and_no_later_ones() -> None:
    """The delete of a large set removed its members one by one, and then the set."""
    first = Changes(written={b"obj:a": [b"x", b"1"], b"obj:b": [b"y", b"2"]}, removed={b"obj:a": [b"z"]})
    second = Changes(dropped={b"obj:a": None})
    third = Changes(written={b"obj:a": [b"x", b"3"]})
    empty = Changes(removed={b"obj:c": [b"x"]})
    last = Changes(dropped={b"obj:c": None})
    assert [*filter(None, lasting([empty, first, second, third, last]))] == [last, third, second, first]
    assert [*first] == [Record(b"obj:b", b"y", b"2")]
