"""The contract, for every registered type: its members agree with each other."""

from __future__ import annotations

import orjson
import pytest

from crdt_core.errors import Malformed
from crdt_core.lattice.clocks import Dot, Stamp
from crdt_core.lattice.replica_index import ReplicaIndex
from crdt_core.lattice.siblings import TOMBSTONE, WINNING_TOMBSTONE, is_tombstone, unfold
from crdt_core.replica.replica import Replica
from crdt_core.replica.steps import finish
from crdt_core.types import FAMILIES, SLOT, TYPES, CrdtType, View
from crdt_core.types.contract import FormerWrite, LiveWrite, Shape
from crdt_core.types.strings import integer
from tests.crdt_core.histories import NOW
from tests.crdt_core.types.models import MODELS
from tests.crdt_core.types.states import KEY, concurrent, do, grown, seen, view_of

every_type = pytest.mark.parametrize("name", TYPES)


class Pair(CrdtType):
    """A type that gives only what has to be given."""

    name = "pair"

    def value(self, view: View) -> bool:
        return view.shows(SLOT)


PAIR = Pair()


def former(view: View, payload: object, seen: dict[str, int], part: bytes = b"") -> FormerWrite:
    """A write of a former id of n1, whose author had seen those counters."""
    dense_clock = view.replica_index.dense_clock(seen)
    return FormerWrite(view, part, payload, None, dense_clock, "n1", 0, Dot("n1.2", 1))


# What views show.


def test_a_view_shows_parts_with_a_live_write_and_no_winning_tombstone() -> None:
    view = view_of(
        a={("n2", 1): True, ("n1", 3): True},
        b={("n1", 1): TOMBSTONE, ("n2", 2): True},
        c={("n1", 2): WINNING_TOMBSTONE, ("n2", 3): True},
        d={("n1", 4): TOMBSTONE},
    )
    assert list(view.shown()) == [b"a", b"b"]
    assert [view.shows(part) for part in (b"a", b"b", b"c", b"d", b"none")] == [True, True, False, False, False]
    assert view.live(b"a") == [(Dot("n1", 3), True), (Dot("n2", 1), True)]
    assert view.live(b"c") == [(Dot("n2", 3), True)]
    assert view.live(b"d") == view.live(b"none") == []


# What a type has that gives only its name and its value.


def test_a_type_goes_by_its_own_name_unless_it_says_otherwise() -> None:
    assert (PAIR.redis_type, PAIR.family, PAIR.encoded_name) == ("pair", "pair", b"pair")
    assert (TYPES["gset"].redis_type, TYPES["gset"].family) == ("set", "set")


def test_a_plain_type_that_can_be_copied_can_be_overwritten() -> None:
    with pytest.raises(TypeError, match="Incomplete has contents that a command may overwrite, and no `rewrite`"):

        class Incomplete(CrdtType):
            name = "incomplete"

            def contents(self, view: View) -> list[bytes]:
                return list(view.parts)


def test_by_default_a_payload_is_true_and_the_slot_the_only_part() -> None:
    assert PAIR.decode_part("") == SLOT
    assert PAIR.decode_payload(True) is True
    assert PAIR.payload_json(True) == b"true"
    with pytest.raises(Malformed):
        PAIR.decode_part("a")
    for value in (False, None, 1, "true"):
        with pytest.raises(Malformed):
            PAIR.decode_payload(value)


def test_by_default_nothing_is_copied_and_a_change_is_a_write() -> None:
    view = view_of(slot={("n1", 1): True})
    assert PAIR.contents(view) is None
    assert PAIR.text(view.parts, view.replica_index) is None
    assert PAIR.winning_dot(view) is None
    assert PAIR.events(SLOT, None, 1) == [b"write"]
    assert PAIR.owner(SLOT) is None
    assert PAIR.remainders(view) == []


def test_a_removal_is_a_tombstone_and_only_of_what_shows() -> None:
    assert PAIR.take_out(view_of(slot={("n1", 1): True}), SLOT) == (SLOT, TOMBSTONE)
    assert PAIR.take_out(view_of(), SLOT) is None


def test_by_default_a_write_is_explained_by_what_stands_beside_it() -> None:
    def said(**siblings: object) -> str:
        view = view_of(slot={(replica, 1): payload for replica, payload in siblings.items()})
        return PAIR.explain(LiveWrite(view, SLOT, Dot("n1", 1), True, None, 0))

    assert said(n1=True) == "shows"
    assert said(n1=True, n2=True) == "shows, beside what is concurrent"
    assert said(n1=True, n3=False, n2=False) == "loses to n2:1, which is concurrent and removes"


def test_by_default_an_add_is_repeated_and_a_removal_yields() -> None:
    view = view_of(slot={("n2", 5): True})
    assert PAIR.repeat(former(view, True, {})) == [(SLOT, True)]
    assert PAIR.repeat(former(view, TOMBSTONE, {"n2": 4})) == []
    assert PAIR.repeat(former(view, TOMBSTONE, {"n2": 5})) == [(SLOT, TOMBSTONE)]
    assert PAIR.repeat(former(view_of(), TOMBSTONE, {})) == [], "there is nothing to remove"
    assert PAIR.repeat(former(view, "a value", {"n2": 4})) == []
    assert PAIR.repeat(former(view, "a value", {"n2": 5})) == [(SLOT, "a value")]


def test_by_default_a_winning_removal_is_repeated_and_an_add_yields_to_an_unseen_one() -> None:
    view = view_of(slot={("n2", 5): WINNING_TOMBSTONE})
    assert PAIR.repeat(former(view, WINNING_TOMBSTONE, {})) == [(SLOT, WINNING_TOMBSTONE)]
    assert PAIR.repeat(former(view, True, {"n2": 4})) == []
    assert PAIR.repeat(former(view, True, {"n2": 5})) == [(SLOT, True)]


# Every registered type.


@every_type
def test_a_value_is_json_whatever_it_is(name: str) -> None:
    type_ = TYPES[name]
    orjson.dumps(type_.value_json(View({}, ReplicaIndex())))
    for replica, found in grown(name):
        orjson.dumps(type_.value_json(replica.catalogue.view(found)))


@every_type
def test_a_value_looks_as_its_shape_says(name: str) -> None:
    type_ = TYPES[name]
    for replica, found in grown(name):
        value = type_.value_json(replica.catalogue.view(found))
        match type_.shape:
            case Shape.ELEMENTS | Shape.ALTERNATIVES:
                assert isinstance(value, list)
            case Shape.SWITCH:
                assert isinstance(value, bool)


@every_type
def test_what_is_taken_out_does_not_show(name: str) -> None:
    type_ = TYPES[name]
    for replica, found in grown(name):
        for part in list(found.parts):
            shows = seen(replica, type_).shows(part)
            write = type_.take_out(seen(replica, type_), part)
            assert shows <= (write is not None)
            do(replica, type_, write)
            assert not seen(replica, type_).shows(part)


@every_type
def test_what_is_deleted_is_empty_and_leaves_only_tombstones(name: str) -> None:
    type_ = TYPES[name]
    for replica, found in grown(name):
        if not found.live:
            continue
        replica.delete(KEY)
        replica.commit(NOW)
        assert not found.live
        assert all(is_tombstone(payload) for held in found.parts.values() for payload in unfold(held).values())
        assert type_.value(seen(replica, type_)) == type_.value(View({}, ReplicaIndex()))


@every_type
def test_what_is_copied_is_the_value(name: str) -> None:
    """A copy is an object of the type, if it is plain, or else of a plain type of its family."""
    type_ = TYPES[name]
    into = next(other for other in FAMILIES[type_.family] if other.plain)
    for replica, found in grown(name):
        contents = type_.contents(replica.catalogue.view(found))
        assert finish(type_.contents_by_part(replica.catalogue.view(found))) == contents
        if contents is None or not found.live:
            continue
        copy = Replica("n9")
        do(copy, into, *into.rewrite(seen(copy, into), contents, NOW))
        assert into.contents(seen(copy, into)) == contents


@every_type
def test_overwriting_replaces_all_that_shows(name: str) -> None:
    type_ = TYPES[name]
    for replica, found in grown(name):
        contents = type_.contents(replica.catalogue.view(found))
        if contents is None or not type_.plain or not found.live:
            continue
        if type_.collection:
            replica.remove(found)
        do(replica, type_, *type_.rewrite(seen(replica, type_), contents, Stamp(0, 0)))
        assert type_.contents(seen(replica, type_)) == contents


@every_type
def test_a_text_is_counted_on(name: str) -> None:
    type_ = TYPES[name]
    for replica, found in grown(name):
        text = type_.text(found.parts, replica.replica_index)
        if text is None or integer(text) is None:
            continue
        do(replica, type_, *type_.add_amount(seen(replica, type_), replica.encoded_id, 5, NOW))
        assert type_.text(found.parts, replica.replica_index) == b"%d" % (int(text) + 5)


@every_type
def test_the_winning_write_is_one_that_shows(name: str) -> None:
    for replica, found in grown(name):
        view = replica.catalogue.view(found)
        dot = TYPES[name].winning_dot(view)
        assert dot is None or dot in [live for live, _ in view.live(SLOT)]


@every_type
def test_every_live_write_is_explained(name: str) -> None:
    for replica, found in grown(name):
        view = replica.catalogue.view(found)
        for part in found.parts:
            for dot, payload in view.live(part):
                said = TYPES[name].explain(LiveWrite(view, part, dot, payload, None, 10))
                assert said
                assert said == said.strip()


@every_type
def test_a_change_gives_events_in_the_names_of_commands(name: str) -> None:
    for replica, found in grown(name):
        for part, held in found.parts.items():
            for before, now in ((None, held), (held, None), (held, held)):
                events = TYPES[name].events(part, before, now)
                assert all(event.islower() and event.isalpha() for event in events)
        assert TYPES[name].had_ended(None, replica.clock["n1"]) is False


@every_type
def test_a_write_of_a_former_id_that_nobody_overtook_is_repeated_with_the_same_effect(name: str) -> None:
    """Its writes are done again at another replica, which has only seen what their author had."""
    type_ = TYPES[name]
    for example in MODELS[name].examples:
        part = type_.decode_part(example.part)
        if is_tombstone(example.payload) or type_.owner(part) not in (None, b"n1"):
            continue
        author, heir = Replica("n1"), Replica("n1.2")
        do(author, type_, (part, example.payload))
        view = seen(heir, type_)
        repeated = type_.repeat(former(view, example.payload, {"n1": 1}, part)._replace(former_sent=99))
        do(heir, type_, *repeated)
        assert type_.value(seen(heir, type_)) == type_.value(seen(author, type_))


@every_type
def test_concurrent_writes_of_one_part_stand_side_by_side(name: str) -> None:
    type_ = TYPES[name]
    for example in MODELS[name].examples:
        part = type_.decode_part(example.part)
        view = concurrent(type_, [(part, example.payload)], [(part, example.payload)])
        assert len(unfold(view.parts[part])) == 2
