"""The header: four fields that come back as they were, none of them for a replica that has never committed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.codec.header import Header, decode_header, encode_header, is_sealed, seal_at
from crdt_core.errors import Malformed
from crdt_core.lattice.clocks import Stamp, VersionVector
from tests.crdt_core.codec.strategies import CLOCKS, STAMPS

HEADER = {
    name.encode(): value
    for name, value in encode_header(
        Header(VersionVector(n1=4, n3=1), VersionVector(n3=1), 0xD3997B62, Stamp(1763700000000, 7))
    ).items()
}


@given(
    st.builds(lambda clock, digest, hlc: Header(clock, clock, digest, hlc), CLOCKS, st.integers(0, 2**64 - 1), STAMPS)
)
def test_a_header_comes_back_as_it_was(header: Header) -> None:
    fields = {name.encode(): value for name, value in encode_header(header).items()}
    assert decode_header(fields) == header


def test_a_header_is_readable() -> None:
    assert HEADER == {
        b"clock": b'{"n1":4,"n3":1}',
        b"stable": b'{"n3":1}',
        b"digest": b"00000000d3997b62",
        b"hlc": b"[1763700000000,7]",
    }


def test_a_replica_that_has_never_committed_has_none_of_the_fields() -> None:
    empty = Header(VersionVector(), VersionVector(), 0, Stamp(0, 0))
    assert decode_header({}) == empty
    assert decode_header({b"replica": b"n1", b"turn": b"0"}) == empty, "the worker keeps other fields beside them"


@pytest.mark.parametrize("field", HEADER)
def test_a_header_is_whole_or_malformed(field: bytes) -> None:
    with pytest.raises(Malformed, match="is missing"):
        decode_header({name: value for name, value in HEADER.items() if name != field})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (b"clock", b""),
        (b"clock", b"{"),
        (b"clock", b"[]"),
        (b"clock", b'{"n3":0}'),
        (b"clock", b"\xff"),
        (b"stable", b'{"n1":5}'),
        (b"digest", b""),
        (b"digest", b"d3997b62"),
        (b"digest", b"00000000D3997B62"),
        (b"digest", b"0x000000d3997b62"),
        (b"hlc", b"[1,2,3]"),
        (b"hlc", b"[1,-1]"),
    ],
)
def test_a_field_that_cannot_be_read_is_malformed(field: bytes, value: bytes) -> None:
    with pytest.raises(Malformed):
        decode_header({**HEADER, field: value})


def test_a_seal_is_that_of_one_header_with_its_removals_at_one_commit() -> None:
    header = Header(VersionVector(n1=4), VersionVector(), 7, Stamp(1, 0), removals=9)
    seal = encode_header(header)["seal"]
    assert is_sealed(header, seal, 9)
    assert not is_sealed(header, seal, 8)
    assert not is_sealed(header._replace(clock=VersionVector(n1=5)), seal, 9)
    assert not is_sealed(header._replace(stable=VersionVector(n1=1)), seal, 9)
    fields = {b"seal": b"12 " + seal}
    assert (seal_at(fields, b"12"), seal_at(fields, b"13"), seal_at({}, b"12")) == (seal, b"", b"")
    assert "seal" not in encode_header(header._replace(removals=None))
