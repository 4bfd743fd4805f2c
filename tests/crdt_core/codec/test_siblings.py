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
from crdt_core.lattice.siblings import TOMBSTONE
from crdt_core.types import ORSET, TYPES, encode_text
from tests.crdt_core.histories import NAMES
from tests.crdt_core.types.models import MODELS

every_type = pytest.mark.parametrize("type_name", TYPES)


@every_type
def test_a_payload_is_written_as_it_was_published(type_name: str) -> None:
    type_ = TYPES[type_name]
    for part, json, payload in MODELS[type_name].examples:
        assert encode_text(type_.decode_part(part)) == part
        assert type_.decode_payload(json) == payload
        assert type_.encode_payload(payload) == json
        assert type_.payload_json(payload) == orjson.dumps(json)
        assert encode_siblings(type_, {Dot("n1", 7): payload}) == b'{"n1:7":' + orjson.dumps(json) + b"}"


@every_type
@given(data=st.data())
def test_parts_and_payloads_come_back_as_they_were(type_name: str, data: st.DataObject) -> None:
    type_, model = TYPES[type_name], MODELS[type_name]
    part, payload = data.draw(model.parts), data.draw(model.payloads)
    assert type_.decode_part(encode_text(part)) == part
    assert type_.decode_payload(orjson.loads(type_.payload_json(payload))) == payload
    assert type_.payload_json(payload) == orjson.dumps(type_.encode_payload(payload))


@every_type
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
