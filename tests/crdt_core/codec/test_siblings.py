"""Siblings in canonical JSON: readable payloads, sorted dots, and a reader that refuses anything else."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.codec.siblings import decode_payload, decode_siblings, decode_type, encode_payload, encode_siblings
from crdt_core.errors import Malformed
from crdt_core.lattice.clocks import Dot
from crdt_core.lattice.siblings import TOMBSTONE, WINNING_TOMBSTONE, ObservedReset
from crdt_core.types import EXPIRY, GCOUNTER, LWWREGISTER, MVREGISTER, ORSET, PNCOUNTER, RWSET, STRING, TYPES
from crdt_core.types.counters import Share
from crdt_core.types.expiry import Until
from crdt_core.types.registers import Stamped
from tests.crdt_core.histories import NAMES
from tests.crdt_core.types.models import MODELS


@pytest.mark.parametrize(
    ("type_", "payload", "json"),
    [
        (ORSET, True, b"true"),
        (ORSET, TOMBSTONE, b"null"),
        (PNCOUNTER, Share(15, 3), b"[15,3]"),
        (PNCOUNTER, Share(15, 3, 5, 0), b"[15,3,5,0]"),
        (PNCOUNTER, ObservedReset(15, 3), b'{"spent":[15,3]}'),
        (GCOUNTER, Share(2**63, 0), b'["9223372036854775808",0]'),
        (LWWREGISTER, Stamped(b"v", -1), b'["v",-1,0]'),
        (LWWREGISTER, Stamped(b"\xff", 2**63 - 1, 7), b'[{"b64":"/w=="},9223372036854775807,7]'),
        (MVREGISTER, Stamped(b"v", 5, 1), b'["v",5,1]'),
        (MVREGISTER, Stamped("né".encode(), 0), '"né"'.encode()),
        (RWSET, WINNING_TOMBSTONE, b"false"),
        (STRING, Stamped(b"v", 5, 1), b'["v",5,1]'),
        (STRING, Share(15, 3), b"[15,3]"),
        (STRING, ObservedReset(15, 3), b'{"spent":[15,3]}'),
        (EXPIRY, Until(5), b"[5]"),
        (EXPIRY, Until(5, Dot("n1", 7)), b'[5,"n1",7]'),
    ],
)
def test_payloads_are_readable_json(type_: Any, payload: Any, json: bytes) -> None:
    assert encode_siblings(type_, {Dot("n1", 7): payload}) == b'{"n1:7":' + json + b"}"


@pytest.mark.parametrize("type_name", TYPES)
@given(data=st.data())
def test_siblings_come_back_as_they_were(type_name: str, data: st.DataObject) -> None:
    payloads = MODELS[type_name].payloads
    dots = st.builds(Dot, st.sampled_from(NAMES), st.integers(1, 2**49))
    siblings = data.draw(st.dictionaries(dots, st.one_of(payloads, st.just(TOMBSTONE)), min_size=1, max_size=4))
    encoded = encode_siblings(TYPES[type_name], siblings)
    assert decode_siblings(TYPES[type_name], orjson.loads(encoded)) == siblings
    assert encode_siblings(TYPES[type_name], dict(reversed(siblings.items()))) == encoded


@pytest.mark.parametrize("type_", TYPES.values(), ids=lambda type_: type_.name)
def test_null_is_a_tombstone_in_every_type(type_: Any) -> None:
    assert encode_payload(type_, TOMBSTONE) is None
    assert decode_payload(type_, None) is TOMBSTONE


@pytest.mark.parametrize("value", [None, {}, [], {"n1": True}, {"n1:1": 1}, {"n1:1": True, "n1:x": True}])
def test_anything_else_is_not_siblings(value: Any) -> None:
    with pytest.raises(Malformed):
        decode_siblings(ORSET, value)


def test_a_type_is_known_by_its_registered_name_only() -> None:
    assert decode_type("orset") is ORSET
    for name in ("what", "ORSET", None, ["orset"]):
        with pytest.raises(Malformed, match="is not one of"):
            decode_type(name)
