"""Deadlines: which of concurrent ones counts, and about which write."""

from __future__ import annotations

from crdt_core.lattice.clocks import Dot
from crdt_core.lattice.siblings import TOMBSTONE
from crdt_core.replica.replica import Replica
from crdt_core.types import EXPIRY, ORSET, SLOT, STRING
from crdt_core.types.contract import FormerWrite, LiveWrite
from crdt_core.types.expiry import CARRIED, PERSISTED, Until, deadline_of, slot_write
from crdt_core.types.registers import Stamped
from tests.crdt_core.histories import NOW
from tests.crdt_core.replicas import sync
from tests.crdt_core.types.states import KEY, view_of


def deadline(replica: Replica) -> int | None:
    head = replica.head(KEY)
    assert head is not None
    return deadline_of(head, replica.replica_index)


def say(replica: Replica, deadline_ms: int) -> None:
    """EXPIRE, as the command does it."""
    replica.write(KEY, EXPIRY, SLOT, Until(deadline_ms, slot_write(replica.head(KEY), replica.replica_index)))
    replica.commit(NOW)


def carry(replica: Replica, deadline_ms: int) -> None:
    """What a write in place does with the deadline that it saw."""
    replica.write(KEY, EXPIRY, CARRIED, Until(deadline_ms, slot_write(replica.head(KEY), replica.replica_index)))
    replica.commit(NOW)


def pair_with(type_, part: bytes, payload) -> tuple[Replica, Replica]:
    """Two replicas that have the same key."""
    a, b = Replica("n1"), Replica("n2")
    a.write(KEY, type_, part, payload)
    a.commit(NOW)
    sync(a, b)
    return a, b


def test_of_concurrent_deadlines_the_longest_counts_and_for_ever_is_longer_than_any() -> None:
    a, b = pair_with(ORSET, b"x", True)
    assert deadline(a) is None
    say(a, 100)
    say(b, 900)
    sync(a, b)
    assert deadline(a) == deadline(b) == 900
    say(a, PERSISTED)
    say(b, 950)
    sync(a, b)
    assert deadline(a) is None


def test_a_deadline_that_has_seen_another_replaces_it() -> None:
    a, b = pair_with(ORSET, b"x", True)
    say(a, 900)
    sync(a, b)
    say(b, 100)
    sync(a, b)
    assert deadline(a) == deadline(b) == 100


def test_a_deadline_of_a_string_is_about_the_write_that_it_saw() -> None:
    a, b = pair_with(STRING, SLOT, Stamped(b"old", 1))
    a.write(KEY, STRING, SLOT, Stamped(b"new", 2))
    a.commit(NOW)
    say(b, 100)
    assert deadline(b) == 100
    sync(a, b)
    assert deadline(a) is deadline(b) is None


def test_a_deadline_of_what_is_gone_is_about_nothing() -> None:
    a, _ = pair_with(STRING, SLOT, Stamped(b"v", 1))
    say(a, 100)
    a.write(KEY, STRING, SLOT, TOMBSTONE)
    head = a.head(KEY)
    assert head is not None
    assert slot_write(head, a.replica_index) is None
    assert deadline(a) is None


def test_what_is_carried_survives_what_it_was_carried_from() -> None:
    a, b = pair_with(ORSET, b"x", True)
    say(a, 900)
    sync(a, b)
    a.delete(KEY)
    a.commit(NOW)
    b.write(KEY, ORSET, b"y", True)
    carry(b, 900)
    sync(a, b)
    assert deadline(a) == deadline(b) == 900
    say(a, 10)
    sync(a, b)
    assert deadline(a) == deadline(b) == 10


def test_what_is_carried_gives_way_to_everything_that_is_set_concurrently() -> None:
    a, b = pair_with(ORSET, b"x", True)
    say(a, 900)
    sync(a, b)
    say(a, 10)
    carry(b, 900)
    sync(a, b)
    assert deadline(a) == deadline(b) == 10


def test_what_is_carried_to_a_new_value_is_about_that_value() -> None:
    a, b = pair_with(STRING, SLOT, Stamped(b"v", 1))
    say(a, 900)
    sync(a, b)
    a.write(KEY, STRING, SLOT, Stamped(b"set", 3))
    a.commit(NOW)
    b.write(KEY, STRING, SLOT, Stamped(b"vw", 2))
    carry(b, 900)
    assert deadline(b) == 900
    sync(a, b)
    assert deadline(a) is deadline(b) is None


def test_it_explains_what_is_carried() -> None:
    of, other = Dot("n1", 1), Dot("n1", 2)
    carried = Until(900, of)

    def said(*slot: Until) -> str:
        parts = {SLOT: {("n1", n + 3): until for n, until in enumerate(slot)}, CARRIED: {("n2", 1): carried}}
        view = view_of(**{part.decode() or "slot": siblings for part, siblings in parts.items() if siblings})
        return EXPIRY.explain(LiveWrite(view, CARRIED, Dot("n2", 1), carried, of, 0))

    assert said() == "the key expires in 900 ms"
    assert said(Until(10, other)) == "gives way to one that was set"


def test_it_explains_which_deadline_counts() -> None:
    of, other = Dot("n1", 1), Dot("n1", 2)
    view = view_of(
        slot={
            ("n1", 3): Until(100, of),
            ("n2", 1): Until(900, of),
            ("n3", 1): Until(950, None),
            ("n4", 1): Until(PERSISTED, other),
        }
    )

    def said(until: Until, shown_dot: Dot | None, wall_ms: int = 0) -> str:
        return EXPIRY.explain(LiveWrite(view, SLOT, Dot("n1", 3), until, shown_dot, wall_ms))

    assert said(Until(900, of), of) == "the key expires in 900 ms"
    assert said(Until(900, of), of, 900) == "has expired"
    assert said(Until(100, of), of) == "is outlived by one that is concurrent"
    assert said(Until(900, of), other) == "does not count: it is about n1:1, and what shows is n1:2"
    assert said(Until(950, None), of) == "does not count: it is about no write, and what shows is n1:1"
    assert said(Until(PERSISTED, other), other) == "the key stays"


def test_it_tells_when_a_key_had_ended() -> None:
    assert EXPIRY.had_ended((1, Until(100)), 100)
    assert not EXPIRY.had_ended((1, Until(100)), 99)
    assert not EXPIRY.had_ended({1: Until(100), 2: Until(PERSISTED)}, 10**15)
    assert not EXPIRY.had_ended((1, TOMBSTONE), 10**15)
    assert not EXPIRY.had_ended(None, 10**15)


def test_events_are_those_of_the_commands() -> None:
    assert EXPIRY.events(SLOT, None, (1, Until(100))) == [b"expire"]
    assert EXPIRY.events(SLOT, (1, Until(100)), (2, Until(PERSISTED))) == [b"persist"]
    assert EXPIRY.events(SLOT, (1, Until(100)), None) == [b"persist"]
    assert EXPIRY.events(SLOT, None, None) == []


def test_a_deadline_of_an_unsent_write_becomes_one_of_the_write_that_repeats_it() -> None:
    unsent, sent = Until(100, Dot("n1", 5)), Until(100, Dot("n1", 4))
    write = FormerWrite(view_of(), SLOT, unsent, None, [], "n1", 4, Dot("n1.2", 1))
    assert EXPIRY.repeat(write) == [(SLOT, Until(100, Dot("n1.2", 1)))]
    assert EXPIRY.repeat(write._replace(payload=sent)) == [(SLOT, sent)]
    assert EXPIRY.repeat(write._replace(payload=Until(100))) == [(SLOT, Until(100))]
    assert EXPIRY.repeat(write._replace(view=view_of(slot={("n2", 1): Until(7)}))) == [], "it would replace a newer one"


def test_the_value_lists_all_deadlines() -> None:
    view = view_of(slot={("n1", 1): Until(5, Dot("n1", 1)), ("n2", 1): Until(5), ("n3", 1): Until(3)})
    assert EXPIRY.value(view) == [Until(3), Until(5), Until(5, Dot("n1", 1))]
