"""The canonical JSON: one spelling per value, everything back as it was, and `Malformed` for all that is none of it."""

from __future__ import annotations

import copy
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core.codec.clocks import decode_clock, encode_clock, parse_dot
from crdt_core.codec.deltas import decode_delta, encode_delta
from crdt_core.codec.patches import decode_patch, encode_patch
from crdt_core.codec.patches import patch_value as encoded_patch
from crdt_core.codec.records import decode_object, decode_part, encode_part, object_record
from crdt_core.codec.siblings import encode_siblings
from crdt_core.errors import CallerError, Malformed, PeerError
from crdt_core.lattice.clocks import Dot, Stamp, VersionVector
from crdt_core.lattice.deltas import Delta, Patch, PatchPart, Write
from crdt_core.lattice.replica_index import ReplicaIndex
from crdt_core.lattice.siblings import TOMBSTONE, fold, unfold
from crdt_core.replica.replica import Applied, Replica
from crdt_core.types import LWWREGISTER, ORSET, PNCOUNTER, TYPES, decode_text, encode_text
from tests.crdt_core.histories import (
    NAMES,
    NOW,
    Operation,
    World,
    digest_from_scratch,
    operations,
    perform,
    steps,
    values,
    worlds,
)
from tests.crdt_core.types.models import MODELS
from tests.crdt_core.types.models.payloads import BYTES
from tests.crdt_core.types.models.wire import delta_value, keys_of, patch_value

pytestmark = pytest.mark.timeout(900)  # a failure is first made as small as it can be, for up to five minutes

STAMPS = st.builds(Stamp, st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
CLOCKS = st.dictionaries(st.sampled_from(NAMES), st.integers(1, 2**49)).map(VersionVector)

every_type = pytest.mark.parametrize("type_name", TYPES)


@st.composite
def writes(draw: st.DrawFn) -> tuple[Write, ...]:
    """Writes to different parts, clears first."""
    found: dict[Any, Write] = {}
    for _ in range(draw(st.integers(0, 4))):
        key, name = draw(BYTES), draw(st.sampled_from(list(TYPES)))
        model = MODELS[name]
        write = Write(key, name, draw(model.parts), draw(st.one_of(model.payloads, st.just(TOMBSTONE))))
        if TYPES[name].collection and draw(st.booleans()):
            write = Write(key, name, None, None)
        found[write[:3]] = write
    return tuple(sorted(found.values(), key=lambda write: write.part is not None))


@st.composite
def deltas(draw: st.DrawFn) -> Delta:
    """Deltas as a replica can make them."""
    deps, replica = draw(CLOCKS), draw(st.sampled_from(NAMES))
    return Delta(Dot(replica, deps[replica] + 1), deps, draw(STAMPS), draw(writes()))


@st.composite
def patches(draw: st.DrawFn) -> Patch:
    """Patches whose clock covers what they carry."""
    clock = draw(st.dictionaries(st.sampled_from(NAMES), st.integers(1, 9), min_size=1).map(VersionVector))
    dots = st.sampled_from([Dot(replica, n + 1) for replica, counter in clock.items() for n in range(counter)])
    parts: dict[Any, PatchPart] = {}
    for write in draw(writes()):
        if write.part is None:
            dot = draw(dots)
            siblings: dict[Dot, Any] = {dot: VersionVector({dot.replica: dot.counter - 1} if dot.counter > 1 else {})}
        else:
            siblings = draw(st.dictionaries(dots, st.just(write.payload), min_size=1, max_size=3))
        parts[write[:3]] = PatchPart(*write[:3], siblings)
    since = draw(st.one_of(st.none(), CLOCKS))
    return Patch(draw(st.sampled_from(NAMES)), since, clock, VersionVector(), draw(STAMPS), tuple(parts.values()))


# Round trips, and one spelling.


@given(deltas())
def test_a_delta_comes_back_as_it_was(delta: Delta) -> None:
    data = encode_delta(delta)
    assert decode_delta(data) == delta
    assert encode_delta(decode_delta(data)) == data


@given(patches())
def test_a_patch_comes_back_as_it_was(patch: Patch) -> None:
    data = encode_patch(patch)
    back = decode_patch(data)
    assert (back.since, back.clock, back.stable, back.hlc) == (patch.since, patch.clock, patch.stable, patch.hlc)
    assert {part[:3]: part.siblings for part in back.parts} == {part[:3]: part.siblings for part in patch.parts}
    assert encode_patch(back) == data
    assert decode_patch(encoded_patch(patch)) == back


@given(patches(), st.randoms())
def test_equal_patches_give_equal_bytes_in_whatever_order_they_were_built(patch: Patch, random: Any) -> None:
    def shuffled(mapping: Any) -> Any:
        items = list(mapping.items())
        random.shuffle(items)
        return type(mapping)(items)

    parts = [part._replace(siblings=shuffled(part.siblings)) for part in patch.parts]
    random.shuffle(parts)
    since = None if patch.since is None else shuffled(patch.since)
    other = Patch(patch.origin, since, shuffled(patch.clock), patch.stable, patch.hlc, tuple(parts))
    assert encode_patch(other) == encode_patch(patch)


@given(CLOCKS)
def test_a_clock_comes_back_as_it_was(clock: VersionVector) -> None:
    assert decode_clock(orjson.loads(encode_clock(clock))) == clock
    assert encode_clock(VersionVector(reversed(clock.items()))) == encode_clock(clock)


@given(st.binary())
def test_bytes_are_text_where_they_are_utf8_and_base64_elsewhere(data: bytes) -> None:
    assert decode_text(encode_text(data)) == data
    assert isinstance(encode_text(data), str) == (data.decode("utf-8", "ignore").encode() == data)


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


# Records.


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
    perform(other, Operation(b"\xffk", "lwwregister", "set", b"\xfe"))
    other.commit(NOW)
    one.join(other.patch(None, NOW))
    head = one.catalogue.objects[b"\xffk"]
    record = object_record(head, one.catalogue.replica_index)
    assert record.value is not None
    replica_index = ReplicaIndex()
    back = decode_object(b"\xffk", record.value, replica_index)
    assert [link.type for link in back.chain()] == [ORSET, PNCOUNTER, LWWREGISTER]
    assert {replica_index.unpack(dot): deps for dot, deps in back.clears.items()} == {Dot("n1", 1): VersionVector()}
    assert object_record(back, replica_index) == record


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


# Strictness.

DELTA, PATCH = delta_value(), patch_value()

SPARE: list[Any] = [
    *(0, 1, 2, 3, 4, 5, 2**63 - 1),
    *("", "n1", "n2", "n3", "n1:1", "n1:3", "n2:1", "n2:4", *TYPES),
    *(example.json for model in MODELS.values() for example in model.examples),
    *([9, 0], [9, 9, 9, 0], ["bob", 0, 0], ["bob", 2**63 - 1, 2**63 - 1], [5, 2**63 - 1], []),
    *({"n1": 1}, {"n1": 2, "n2": 1}, {"spent": [9, 0]}, {"spent": [0, 0]}, {"n1:3": True}, {"n2:1": None}),
    *({"n1:1": [3, 0], "n1:3": [9, 0]}, {"n1:1": ["bob", 3, 2**63 - 1]}, {"n1:2": {"n1": 1}}),
    *(True, None),
]
"""What could stand where something of the same JSON type stands."""

NONSENSE = st.one_of(
    st.sampled_from(
        [
            *(None, True, False, 0, 1, -1, 7, 2**50, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), 0.5, 1.0, 1e300),
            *("", "n1", "n1:1", "n1:0", "n1:01", "n1:-1", "n1:99999999999999999999", ":1", "n1:1 ", "orset", "null"),
            *("9223372036854775808", "1" * 41, "-1", "é", "\0", "x" * 200),
            *([], [[]], [1, 0], [1, 0, 0, 0], [0, 1], [1, 0, 2, 0], ["v", 1, 0], ["v", 2**63 - 1, 2**63 - 1]),
            *({}, {"b64": "!"}, {"b64": "/w=="}, {"b64": 1}, {"spent": [1, 0]}, {"spent": [10**18, 10**18]}),
            *({"spent": [1]}, {"n1": 1}, {"n1": 0}, {"n1:1": True}, {"n1:1": None}, {"n9:1": {"n9": 0}}),
        ]
    ),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(), st.text(max_size=5)),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
        max_leaves=6,
    ),
)


def places(value: Any) -> list[list[Any]]:
    """The paths to everything in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [[]] + [[step, *rest] for step, child in inner for rest in places(child)]


@st.composite
def mangled(draw: st.DrawFn, value: dict[str, Any]) -> Any:
    """`value` with a few places swapped for something alike, replaced, dropped, renamed or doubled."""
    holder = [copy.deepcopy(value)]
    for _ in range(draw(st.sampled_from([1, 1, 2, 3]))):
        path = [0, *draw(st.sampled_from(places(holder[0])))]
        parent: Any = holder
        for step in path[:-1]:
            parent = parent[step]
        alike = [other for other in SPARE if type(other) is type(parent[path[-1]])]
        action = draw(st.sampled_from(["swap", "swap", "swap", "replace", "drop", "rename", "double"]))
        other = copy.deepcopy(draw(st.sampled_from(alike) if action == "swap" and alike else NONSENSE))
        match action:
            case "drop" if len(path) > 1:
                del parent[path[-1]]
            case "rename" if isinstance(parent, dict) and isinstance(other, str):
                parent[other] = parent.pop(path[-1])
            case "double" if isinstance(parent, list) and len(path) > 1:
                parent.append(copy.deepcopy(parent[path[-1]]))
            case _:
                parent[path[-1]] = other
    return holder[0]


def survives(replica: Replica, operations: list[Operation]) -> None:
    """Fails unless a replica that has taken something in can still be read, persisted, written and sent on."""
    values(replica)
    replica.take_changes()
    assert decode_patch(encode_patch(replica.patch(None, NOW))).clock == replica.clock
    for operation in operations:
        with suppress(CallerError):
            perform(replica, operation)
    delta = replica.commit(NOW)
    if delta is not None:
        assert decode_delta(encode_delta(delta)) == delta
        replica.take_changes()
    assert decode_patch(encode_patch(replica.patch(None, NOW))).clock == replica.clock
    assert replica.digest == digest_from_scratch(replica)
    replica.stabilise(replica.clock, 100)
    replica.take_changes()


def operations_on(value: dict[str, Any], types: list[str]) -> st.SearchStrategy[list[Operation]]:
    """Some operations on the keys of a delta or a patch."""
    return st.lists(operations(types, keys_of(value)), max_size=5)


def test_the_examples_that_are_mangled_are_sound() -> None:
    delta, patch = decode_delta(orjson.dumps(DELTA)), decode_patch(orjson.dumps(PATCH))
    assert orjson.loads(encode_delta(delta)) == DELTA
    assert orjson.loads(encode_patch(patch)) == PATCH


@every_type
@given(data=st.data())
def test_a_mangled_delta_is_malformed_or_can_be_applied(type_name: str, data: st.DataObject) -> None:
    value = delta_value([type_name])
    try:
        delta = decode_delta(orjson.dumps(data.draw(mangled(value))))
    except Malformed:
        return
    replica = Replica("observer")
    replica.join(Patch("n2", None, VersionVector({"n1": 2, "n2": 1}), VersionVector(), NOW, ()))
    assert replica.apply(delta) in Applied
    survives(replica, data.draw(operations_on(value, [type_name])))


@every_type
@given(data=st.data())
def test_a_mangled_patch_is_malformed_or_can_be_joined(type_name: str, data: st.DataObject) -> None:
    replica, value = Replica("observer"), patch_value([type_name])
    replica.join(Patch("n1", None, VersionVector({"n1": 2}), VersionVector(), NOW, ()))
    try:
        replica.join(decode_patch(orjson.dumps(data.draw(mangled(value)))))
    except PeerError:
        return
    survives(replica, data.draw(operations_on(value, [type_name])))


@given(patches(), st.lists(deltas(), max_size=3), st.lists(operations(list(TYPES)), max_size=5))
def test_whatever_is_well_formed_can_be_lived_with(
    patch: Patch, deltas: list[Delta], afterwards: list[Operation]
) -> None:
    """Well-formed and still nonsense: shares that shrink, totals spent before they were counted, stamps at the end."""
    replica = Replica("observer")
    replica.join(decode_patch(encode_patch(replace(patch, since=None))))
    for number, delta in enumerate(deltas):
        deps = VersionVector({**replica.clock, "stranger": number} if number else replica.clock)
        replica.apply(decode_delta(encode_delta(replace(delta, dot=Dot("stranger", number + 1), deps=deps))))
    assert replica.clock["stranger"] == len(deltas)
    keys = [part.key for part in patch.parts] + [write.key for delta in deltas for write in delta.writes]
    survives(replica, [operation._replace(key=key) for operation, key in zip(afterwards, keys, strict=False)])


@given(st.one_of(st.binary(), NONSENSE.map(orjson.dumps)))
def test_bytes_that_are_none_of_ours_are_malformed(data: bytes) -> None:
    for decode in (decode_delta, decode_patch):
        with pytest.raises(Malformed):
            decode(data)


@pytest.mark.parametrize("value", [DELTA, PATCH])
def test_bytes_cut_short_are_malformed(value: dict[str, Any]) -> None:
    data = orjson.dumps(value)
    decode = decode_delta if value is DELTA else decode_patch
    for length in range(len(data)):
        with pytest.raises(Malformed):
            decode(data[:length])


@pytest.mark.parametrize("depth", [10, 500, 1000, 1020, 100_000])
@pytest.mark.parametrize("place", ["v", "dot", "deps", "hlc", "writes", "origin", "since", "clock", "parts"])
def test_nesting_however_deep_is_malformed(place: str, depth: int) -> None:
    """The sentence that said what was wrong used to fail on a thousand brackets, and took the worker down with it."""
    for value, decode in ((DELTA, decode_delta), (PATCH, decode_patch)):
        if place in value:
            fields = {**value, place: "HERE"}
            data = orjson.dumps(fields).replace(b'"HERE"', b"[" * depth + b"]" * depth)
            with pytest.raises(Malformed):
                decode(data)


def changed(value: dict[str, Any], **fields: Any) -> bytes:
    return orjson.dumps({**value, **fields})


def writing(*write: Any) -> bytes:
    return changed(DELTA, writes=[list(write)])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(changed(DELTA, v=2), id="a version to come"),
        pytest.param(changed(DELTA, v=True), id="a version that is no number"),
        pytest.param(changed(DELTA, more=1), id="a field too many"),
        pytest.param(changed(DELTA, dot="n1:4"), id="a dot that does not follow its deps"),
        pytest.param(changed(DELTA, dot="n1:03"), id="a dot in another spelling"),
        pytest.param(changed(DELTA, dot="n 1:3"), id="a dot of nobody"),
        pytest.param(changed(DELTA, deps={"n1": 2, "n2": 0}), id="a clock with a zero"),
        pytest.param(changed(DELTA, deps={"n1": 2, "n2": 2**50}), id="a clock beyond reach"),
        pytest.param(changed(DELTA, hlc=[5, -1]), id="a stamp below zero"),
        pytest.param(changed(DELTA, writes=DELTA["writes"][1:2] * 2), id="two writes to one part"),
        pytest.param(writing("k", "orset", None, True), id="a clear with a payload"),
        pytest.param(writing("k", "pncounter", None, None), id="a clear of a counter"),
        pytest.param(writing("k", "what", "a", True), id="a type to come"),
    ],
)
def test_a_delta_that_no_replica_makes_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode_delta(data)


@pytest.mark.parametrize(
    "write",
    [
        pytest.param((name, part, payload), id=f"{name}: {reason}")
        for name, model in MODELS.items()
        for reason, part, payload in model.malformed
    ],
)
def test_a_write_that_no_replica_makes_is_malformed(write: tuple[Any, ...]) -> None:
    with pytest.raises(Malformed):
        decode_delta(writing("k", *write))


def listing(*part: Any) -> bytes:
    return changed(PATCH, parts=[list(part)])


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(changed(PATCH, origin="n 2"), id="from nobody"),
        pytest.param(changed(PATCH, stable={"n3": 1}), id="stable beyond its clock"),
        pytest.param(changed(PATCH, stable={"n2": 1}), id="stable beyond what it builds on: it may lack removals"),
        pytest.param(changed(PATCH, parts=PATCH["parts"][1:2] * 2), id="one part twice"),
        pytest.param(listing("k", "orset", "a", {}), id="a part without siblings"),
        pytest.param(listing("k", "orset", "a", {"n1:4": True}), id="a dot that its clock does not cover"),
        pytest.param(listing("k", "orset", "a", {"n3:1": None}), id="a dot of someone its clock does not know"),
        pytest.param(listing("k", "orset", None, {}), id="no clears"),
        pytest.param(listing("k", "orset", None, {"n1:3": None}), id="a clear that has seen nobody knows what"),
        pytest.param(listing("k", "orset", None, {"n1:3": {"n1": 1}}), id="a clear that does not follow its deps"),
        pytest.param(listing("k", "orset", None, {"n1:1": {"n2": 9}}), id="a clear that saw what its clock has not"),
        pytest.param(listing("k", "mvregister", None, {"n1:1": {}}), id="a clear of a register"),
        pytest.param(listing("k", "pncounter", "", {"n1:1": [1, 0]}), id="the share of nobody"),
    ],
)
def test_a_patch_that_no_replica_makes_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode_patch(data)


@pytest.mark.parametrize("text", ["n1:7", "n1.2:999999999999999", "a_b-c:1"])
def test_a_dot_reads_as_it_is_written(text: str) -> None:
    assert str(parse_dot(text)) == text


@pytest.mark.parametrize(
    "text", ["", ":", "n1", "n1:", ":1", "n1:0", "n1:07", "n1:+1", "n1:1e3", "n1:²", "n1:٣", 7, None]
)
def test_nothing_else_is_a_dot(text: Any) -> None:
    with pytest.raises(Malformed):
        parse_dot(text)


def test_more_replica_ids_than_a_replica_can_number_are_refused_and_change_nothing() -> None:
    def naming(numbers: range) -> bytes:
        clock = {f"m{number}": 1 for number in numbers}
        return changed(PATCH, since=None, stable={}, clock=clock, parts=[])

    with pytest.raises(Malformed):
        decode_patch(naming(range(5000)))
    replica = Replica("observer")
    replica.join(decode_patch(naming(range(3000))))
    before = replica.clock.copy()
    with pytest.raises(Malformed):
        replica.join(decode_patch(naming(range(2000, 5000))))
    assert replica.clock == before
    assert not replica.take_changes()
    assert replica.join(decode_patch(naming(range(4000)))) == 0  # as many as there is room for


def test_spent_totals_above_their_share_leave_nothing_and_not_less() -> None:
    """Only a peer gone wrong says so; what its reader writes on top must still be readable elsewhere."""
    replica = Replica("n1")
    parts = [["hits", "gcounter", "n1", {"n1:1": [5, 0], "n2:1": {"spent": [9, 0]}}]]
    replica.resume(decode_patch(changed(PATCH, since=None, parts=parts)))
    assert replica.value(b"hits") == 0
    perform(replica, Operation(b"hits", "gcounter", "add", 2))
    delta = replica.commit(NOW)
    assert delta is not None
    assert replica.value(b"hits") == 2
    assert decode_delta(encode_delta(delta)) == delta
