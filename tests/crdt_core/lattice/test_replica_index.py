"""The replica index: packed dots unpack to themselves, and a dense clock answers as the version vector would."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.errors import Malformed
from crdt_core.lattice.clocks import Dot, VersionVector
from crdt_core.lattice.replica_index import REPLICAS_MAX, ReplicaIndex, covered


def index_of(*ids: str) -> ReplicaIndex:
    """Return an index that has numbered `ids`."""
    index = ReplicaIndex()
    for id_ in ids:
        index.index(id_)
    return index


@given(st.sampled_from(["n1", "n2", "n9"]), st.integers(1, 2**50))
def test_a_packed_dot_unpacks_to_itself(replica: str, counter: int) -> None:
    replica_index = ReplicaIndex()
    replica_index.index("n0")
    assert replica_index.unpack(replica_index.pack(replica, counter)) == Dot(replica, counter)


@given(st.dictionaries(st.sampled_from(["n1", "n2", "n9"]), st.integers(1, 9)), st.integers(1, 9))
def test_a_dense_clock_covers_what_its_clock_covers(clock: dict[str, int], counter: int) -> None:
    replica_index = ReplicaIndex()
    dense_clock = replica_index.dense_clock(clock)
    for replica in ("n1", "n2", "n9", "n10"):
        dot = replica_index.pack(replica, counter)
        assert covered(dot, dense_clock) == VersionVector(clock).covers(Dot(replica, counter))


def test_a_full_index_refuses_the_next_replica_id() -> None:
    """The error quarantines the message; another one would stop the worker each time it reads the message."""
    replica_index = ReplicaIndex()
    for number in range(4096):
        assert replica_index.index(f"n{number}") == number
    with pytest.raises(Malformed):
        replica_index.pack("n4096", 1)
    assert replica_index.index("n4095") == 4095


def test_a_replica_id_keeps_its_number() -> None:
    index = index_of("n2", "n1")
    assert [index.index(id_) for id_ in ("n1", "n2", "n1")] == [1, 0, 1]
    assert (index.ids, index.encoded) == (["n2", "n1"], [b"n2", b"n1"])


@given(st.sampled_from(["n1", "n1.2", "a_b-c"]), st.integers(1, 10**15 - 1))
def test_a_packed_dot_has_the_text_form_of_its_dot(replica: str, counter: int) -> None:
    index = index_of("n0", replica)
    packed = index.pack(replica, counter)
    assert index.pack_encoded(str(Dot(replica, counter)).encode()) == packed


@pytest.mark.parametrize(
    "text", [b"", b":", b"n1", b"n1:", b"n1:0", b"n1:07", b"n1:+1", b"n1:1000000000000000", b"n9:1"]
)
def test_any_other_text_is_left_to_the_strict_reader(text: bytes) -> None:
    """So is a replica id that has no number yet."""
    index = index_of("n1")
    assert index.pack_encoded(text) is None
    assert index.ids == ["n1"]


def test_a_clock_that_does_not_fit_numbers_none_of_its_replica_ids() -> None:
    index = index_of(*(f"n{number}" for number in range(REPLICAS_MAX - 1)))
    with pytest.raises(Malformed, match="clock"):
        index.dense_clock({"a": 1, "b": 1, "n0": 1})
    assert len(index.ids) == REPLICAS_MAX - 1
    assert index.dense_clock({"a": 1, "n0": 2})[-1] == 1


def test_a_question_numbers_nobody() -> None:
    index = index_of("n1", "n2")
    assert index.dense_clock_of_known({"n2": 3, "n9": 1}) == [0, 3]
    assert index.ids == ["n1", "n2"]


def test_folded_ids_are_put_back_unless_the_clock_still_lists_them() -> None:
    index = index_of("n1", "n3")
    clock = VersionVector(n1=5)
    assert index.with_folded(clock) is clock
    index.folded["n3"] = 4
    assert index.with_folded(clock) == {"n1": 5, "n3": 4}
    assert index.with_folded(VersionVector(n1=5, n3=2)) == {"n1": 5, "n3": 2}
    assert clock == {"n1": 5}
