"""The types as objects: made with a node id, changed by methods, merged in any order, saved as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt_core import DWFlag, EWFlag, GCounter, GSet, LWWRegister, MVRegister, ORSet, PNCounter, RWSet, library
from crdt_core.errors import CounterOverflow, InvalidArgument, InvariantBroken, Malformed, brief

KINDS: list[Any] = [getattr(library, name) for name in library.__all__]

every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def filled(kind: Any, node_id: str = "n1") -> Any:
    """An object of that kind with something in it."""
    made = kind(node_id)
    match made:
        case GCounter() | PNCounter():
            made.increment(3)
        case GSet() | ORSet() | RWSet():
            made.add("apple")
        case LWWRegister() | MVRegister():
            made.set("alice")
        case EWFlag() | DWFlag():
            made.enable()
    return made


def exchange(*objects: Any) -> list[Any]:
    """All merge all; their values."""
    for _ in range(2):
        for here in objects:
            for there in objects:
                here.merge(there)
    return [made.value() for made in objects]


# Each kind by itself.


def test_a_grow_only_counter_counts() -> None:
    counter = GCounter("n1")
    assert counter.value() == 0
    counter.increment()
    counter.increment(41)
    counter.increment(0)
    assert counter.value() == 42
    assert not hasattr(counter, "decrement")


def test_a_counter_counts_both_ways() -> None:
    counter = PNCounter("n1")
    counter.increment(10)
    counter.decrement(3)
    counter.decrement()
    assert counter.value() == 6


def test_a_grow_only_set_grows() -> None:
    fruit = GSet("n1")
    fruit.add("apple")
    fruit.add("apple")
    assert fruit.value() == {"apple"}
    assert fruit.contains("apple")
    assert not fruit.contains("pear")
    assert fruit.clock == {"n1": 1}, "adding what is there changes nothing"


def test_an_observed_remove_set_adds_and_removes() -> None:
    fruit = ORSet("n1")
    fruit.add("apple")
    fruit.add("pear")
    assert fruit.remove("apple") is True
    assert fruit.remove("apple") is False
    assert fruit.remove("never there") is False
    assert fruit.value() == {"pear"}
    assert not fruit.contains("apple")
    fruit.add("apple")
    assert fruit.contains("apple")


def test_a_register_keeps_its_last_write() -> None:
    register = LWWRegister("n1")
    assert register.get() is None
    assert [register.set("a", timestamp=10), register.set("b", timestamp=20)] == [True, True]
    assert register.set("too old", timestamp=15) is False
    assert register.get() == register.value() == "b"


def test_a_multi_value_register_replaces_what_it_saw() -> None:
    register = MVRegister("n1")
    assert register.get() == []
    register.set("a")
    register.set("b")
    assert register.get() == register.value() == ["b"]


def test_a_flag_is_enabled_and_disabled() -> None:
    flag = EWFlag("n1")
    assert flag.value() is False
    flag.disable()
    assert flag.clock == {}
    flag.enable()
    assert flag.value() is True
    flag.disable()
    assert flag.value() is False


@every_kind
def test_a_value_is_a_copy(kind: Any) -> None:
    made = filled(kind)
    value = made.value()
    if isinstance(value, set | list):
        value.clear()
        assert made.value() != value


# Concurrency, as the published table has it.


def test_concurrent_increments_add() -> None:
    counters = [GCounter(f"n{number}") for number in (1, 2, 3)]
    for counter, amount in zip(counters, (10, 20, 30), strict=True):
        counter.increment(amount)
    assert exchange(*counters) == [60, 60, 60]


def test_concurrent_increments_and_decrements_add() -> None:
    n1, n2, n3 = PNCounter("n1"), PNCounter("n2"), PNCounter("n3")
    n1.increment(100)
    n2.decrement(30)
    n3.increment(50)
    assert exchange(n1, n2, n3) == [120, 120, 120]


def test_a_re_add_survives_a_concurrent_remove_although_the_element_was_there() -> None:
    n1, n2, n3 = ORSet("n1"), ORSet("n2"), ORSet("n3")
    n1.add("apple")
    exchange(n1, n2, n3)
    n2.add("apple")
    n3.remove("apple")
    assert exchange(n1, n2, n3) == [{"apple"}] * 3


def test_a_remove_takes_what_all_have_seen() -> None:
    n1, n2 = ORSet("n1"), ORSet("n2")
    n1.add("apple")
    n2.add("apple")
    exchange(n1, n2)
    n1.remove("apple")
    assert exchange(n1, n2) == [set(), set()]


def test_the_largest_timestamp_wins_wherever_it_was_written() -> None:
    registers = [LWWRegister(f"n{number}") for number in (1, 2, 3)]
    for register, value, timestamp in zip(registers, ("first", "second", "third"), (1000, 2000, 1500), strict=True):
        register.set(value, timestamp=timestamp)
    assert exchange(*registers) == ["second"] * 3


@pytest.mark.parametrize("timestamp", [-5, 0, 7, 2**63 - 1])
def test_equal_timestamps_agree_on_the_larger_replica_id(timestamp: int) -> None:
    """Compared by time alone, each side would keep its own for ever."""
    n1, n2 = LWWRegister("n1"), LWWRegister("n2")
    n1.set("of n1", timestamp=timestamp)
    n2.set("of n2", timestamp=timestamp)
    assert exchange(n1, n2) == ["of n2", "of n2"]


def test_timestamp_zero_is_a_timestamp() -> None:
    n1, n2 = LWWRegister("n1"), LWWRegister("n2")
    assert n1.set("early", timestamp=0) is True
    assert n1.get() == "early"
    n2.set("later", timestamp=1)
    assert n2.set("too late", timestamp=0) is False
    assert exchange(n1, n2) == ["later", "later"]


def test_a_write_without_timestamp_wins_over_what_it_has_seen() -> None:
    n1, n2 = LWWRegister("n1"), LWWRegister("n2")
    n1.set("far ahead", timestamp=2**63 - 1)
    n2.merge(n1)
    n2.set("seen it")
    assert exchange(n1, n2) == ["seen it", "seen it"]


def test_concurrent_values_are_all_kept_in_one_order() -> None:
    n1, n2 = MVRegister("n1"), MVRegister("n2")
    n2.set("bob")
    n1.set("alice")
    assert exchange(n1, n2) == [["alice", "bob"]] * 2
    n1.set("carol")
    assert exchange(n1, n2) == [["carol"]] * 2


def test_a_concurrent_enable_wins_over_a_disable() -> None:
    n1, n2 = EWFlag("n1"), EWFlag("n2")
    n1.enable()
    exchange(n1, n2)
    n1.disable()
    n2.enable()
    assert exchange(n1, n2) == [True, True]


def test_a_clear_takes_what_it_saw_of_a_counter_and_nothing_else() -> None:
    n1, n2 = PNCounter("n1"), PNCounter("n2")
    n1.increment(5)
    exchange(n1, n2)
    n1.clear()
    n2.increment()
    assert exchange(n1, n2) == [1, 1]


@every_kind
def test_what_is_cleared_is_empty_everywhere(kind: Any) -> None:
    one, other = filled(kind), filled(kind, "n2")
    exchange(one, other)
    one.clear()
    assert exchange(one, other) == [kind("n3").value()] * 2


# Merging.


@every_kind
def test_merges_commute_associate_and_repeat(kind: Any) -> None:
    a, b, c = (filled(kind, node_id) for node_id in ("n1", "n2", "n3"))
    left, right = kind("left"), kind("right")
    for other in (a, b, c, a):
        left.merge(other)
    nested = kind("nested")
    nested.merge(c)
    nested.merge(b)
    right.merge(nested)
    right.merge(a)
    assert left.value() == right.value()
    assert left.clock == right.clock
    before = left.to_state()
    left.merge(left)
    left.merge(kind("empty"))
    assert left.to_state() == before


@every_kind
def test_a_merge_changes_only_the_one_that_merges(kind: Any) -> None:
    one, other = filled(kind), filled(kind, "n2")
    state = other.to_state()
    one.merge(other)
    assert other.to_state() == state


@every_kind
@pytest.mark.parametrize("other", [None, "state", {}, 7, PNCounter("n2"), ORSet("n2"), EWFlag("n2")], ids=repr)
def test_an_object_of_another_kind_cannot_be_merged(kind: Any, other: Any) -> None:
    if type(other) is kind:
        return
    made = filled(kind)
    state = made.to_state()
    with pytest.raises(InvalidArgument):
        made.merge(other)
    assert made.to_state() == state


def test_two_objects_that_share_an_id_are_found_out() -> None:
    one = filled(GCounter)
    other = GCounter.from_state("n1", one.to_state())
    other.increment()
    with pytest.raises(InvariantBroken):
        one.merge(other)
    assert one.value() == 3


# States.


@every_kind
def test_a_state_goes_through_json_and_back(kind: Any) -> None:
    one, other = filled(kind), filled(kind, "n2")
    other.clear()
    one.merge(other)
    state = one.to_state()
    restored = kind.from_state("n1", json.loads(json.dumps(state)))
    assert restored.value() == one.value()
    assert restored.to_state() == state
    assert restored.node_id == "n1"


@every_kind
def test_an_empty_state_goes_through_json_and_back(kind: Any) -> None:
    restored = kind.from_state("n1", json.loads(json.dumps(kind("n1").to_state())))
    assert restored.value() == kind("n1").value()
    assert restored.clock == {}


@every_kind
def test_a_restored_object_goes_on_where_it_was(kind: Any) -> None:
    restored = kind.from_state("n1", filled(kind).to_state())
    other = filled(kind, "n2")
    restored.clear()
    assert restored.clock == {"n1": 2}
    assert exchange(restored, other) == [filled(kind, "n2").value()] * 2


def test_a_state_taken_up_by_another_replica_is_counted_once() -> None:
    one = filled(GCounter)
    other = GCounter.from_state("n2", one.to_state())
    other.increment(4)
    assert exchange(one, other) == [7, 7]


@every_kind
def test_the_state_of_another_kind_is_malformed(kind: Any) -> None:
    for other in KINDS:
        if other is not kind:
            with pytest.raises(Malformed):
                kind.from_state("n1", filled(other).to_state())


@pytest.mark.parametrize("state", [None, 7, "state", [], {}, {"v": 1}, {1: 2}, {"v": 1, 2: 3}, b"", b"{}", [("v", 1)]])
@every_kind
def test_what_is_no_state_is_malformed(kind: Any, state: Any) -> None:
    with pytest.raises(Malformed):
        kind.from_state("n1", state)


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"v": 10**5000},
        {"more": 1},
        {"since": {}},
        {"clock": {}},
        {"clock": {"n1": "1"}},
        {"clock": {1: 1}},
        {"origin": "\ud800"},
        {"hlc": None},
        {"parts": [["k", "orset", "apple", {"n1:1": True}]]},
        {"parts": [["", "orset", "\ud800", {"n1:1": True}]]},
        {"parts": [["", "orset", "apple", {"n1:1": False}]]},
        {"parts": [["", "orset", "apple", {1: True}]]},
        {"parts": [["", "orset", {"b64": "\ud800"}, {"n1:1": True}]]},
        {"parts": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_state_that_was_tampered_with_is_malformed(change: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        ORSet.from_state("n1", {**filled(ORSet).to_state(), **change})


def test_equal_states_are_equal_values() -> None:
    one, other = ORSet("n1"), ORSet("n1")
    for element in ("a", "b"):
        one.add(element)
        other.add(element)
    assert one.to_state() == other.to_state()
    assert json.dumps(one.to_state()) == json.dumps(other.to_state())


# Input.


@every_kind
@pytest.mark.parametrize("node_id", ["", "n 1", "n:1", "é", None, 1])
def test_a_node_id_that_cannot_be_one_is_refused(kind: Any, node_id: Any) -> None:
    with pytest.raises(InvalidArgument):
        kind(node_id)
    with pytest.raises(InvalidArgument):
        kind.from_state(node_id, kind("n1").to_state())


@pytest.mark.parametrize("kind", [GCounter, PNCounter])
@pytest.mark.parametrize("amount", [-1, 2**63, 0.5, "1", None, True, 10**5000], ids=brief)
def test_an_amount_that_cannot_be_one_is_refused_and_changes_nothing(kind: Any, amount: Any) -> None:
    counter = filled(kind)
    state = counter.to_state()
    for change in [counter.increment, *([counter.decrement] if kind is PNCounter else [])]:
        with pytest.raises(InvalidArgument):
            change(amount)
    assert counter.to_state() == state


def test_a_counter_does_not_leave_64_bits() -> None:
    counter = PNCounter("n1")
    counter.increment(2**63 - 1)
    with pytest.raises(CounterOverflow):
        counter.increment()
    assert counter.value() == 2**63 - 1
    counter.decrement(2**63 - 1)
    counter.decrement(2**63 - 1)
    counter.decrement()
    with pytest.raises(CounterOverflow):
        counter.decrement()
    assert counter.value() == -(2**63)
    assert PNCounter.from_state("n1", json.loads(json.dumps(counter.to_state()))).value() == -(2**63)


def test_concurrent_increments_may_pass_64_bits_together_and_are_brought_back() -> None:
    n1, n2 = PNCounter("n1"), PNCounter("n2")
    n1.increment(2**63 - 1)
    n2.increment(2**63 - 1)
    assert exchange(n1, n2) == [2**64 - 2] * 2
    with pytest.raises(CounterOverflow):
        n1.increment()
    n1.decrement(2**63 - 1)
    assert exchange(n1, n2) == [2**63 - 1] * 2


@pytest.mark.parametrize("kind", [GSet, ORSet, LWWRegister, MVRegister])
@pytest.mark.parametrize("text", [None, 7, b"apple", "\ud800", "a\udfff\ud800"], ids=ascii)
def test_what_is_no_text_is_refused_and_changes_nothing(kind: Any, text: Any) -> None:
    made = filled(kind)
    state = made.to_state()
    for method in ("add", "remove", "contains", "set"):
        if hasattr(made, method):
            with pytest.raises(InvalidArgument):
                getattr(made, method)(text)
    assert made.to_state() == state


@pytest.mark.parametrize("timestamp", [2**63, -(2**63) - 1, 1.5, "1", True, 10**5000], ids=brief)
def test_a_timestamp_beyond_64_bits_is_refused_and_changes_nothing(timestamp: Any) -> None:
    register = LWWRegister("n1")
    with pytest.raises(InvalidArgument):
        register.set("v", timestamp=timestamp)
    assert register.get() is None


@pytest.mark.parametrize(
    "text", ["", "né", "日本", "a\0b", " ", "\udcff", "x" * 100_000], ids=lambda text: ascii(text[:8])
)
def test_any_text_works(text: str) -> None:
    """A `\\udcff` is how Python spells the byte 0xff in text."""
    fruit, register = ORSet("n1"), LWWRegister("n1")
    fruit.add(text)
    register.set(text)
    for again in (fruit, ORSet.from_state("n1", json.loads(json.dumps(fruit.to_state())))):
        assert again.contains(text)
        assert again.value() == {text}
    assert LWWRegister.from_state("n1", json.loads(json.dumps(register.to_state()))).get() == text
    assert fruit.remove(text)


@given(st.lists(st.text(st.characters(), max_size=3)))
def test_a_set_takes_any_text_or_says_why_not(elements: list[str]) -> None:
    fruit, taken = ORSet("n1"), set()
    for element in elements:
        try:
            fruit.add(element)
            taken.add(element)
        except InvalidArgument:
            assert not element.isprintable()
    assert {element for element in taken if fruit.contains(element)} == taken
    assert ORSet.from_state("n1", json.loads(json.dumps(fruit.to_state()))).value() == fruit.value()


def test_an_object_shows_itself() -> None:
    assert repr(filled(PNCounter)) == "<PNCounter n1 3>"
    assert repr(filled(ORSet)) == "<ORSet n1 {'apple'}>"
