"""INCR and its like: increments at all replicas add up, and a delete takes away what it saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.crdt_core.sites import Fleet


def test_increments_add(fleet: Fleet) -> None:
    fleet.a("INCRBY c 7")
    fleet.b("INCRBY c 3")
    fleet.c("DECR c")
    fleet.sync()
    assert fleet.all("GET c") == "9"
    assert fleet.all("TYPE c") == "string"


def test_what_increments_took_beyond_64_bits_is_brought_back_by_decrements(fleet: Fleet) -> None:
    """It once counted as no integer, so that nothing but a SET could end it."""
    largest = 2**63 - 1
    fleet.a(f"SET c {largest - 1}")
    fleet.a(f"HSET h n {largest - 1}")
    fleet.sync()
    for site in (fleet.a, fleet.b):
        site("INCR c")
        site("HINCRBY h n 1")
    fleet.sync()
    assert fleet.all("GET c") == fleet.all("HGET h n") == str(largest + 1)
    assert fleet.all("INCR c") == fleet.all("HINCRBY h n 1") == "ERR increment or decrement would overflow"
    assert fleet.a("DECRBY c 10") == fleet.b("HINCRBY h n -10") == largest - 9
    fleet.sync()
    assert fleet.all("GET c") == fleet.all("HGET h n") == str(largest - 9)


def test_a_count_far_beyond_64_bits_is_brought_back_step_by_step(fleet: Fleet) -> None:
    """A step back was refused as long as the count stayed beyond 64 bits, so nothing but a SET could end it."""
    largest = 2**63 - 1
    for sign, up, down, bound in ((1, "INCRBY", "DECRBY", largest), (-1, "DECRBY", "INCRBY", -largest - 1)):
        key = f"c{sign}"
        for site in fleet.sites:
            site(f"{up} {key} {largest}")
            site(f"HINCRBY h {key} {sign * largest}")
        fleet.sync()
        overflow = "ERR increment or decrement would overflow"
        assert fleet.all(f"{up} {key} 1") == fleet.all(f"HINCRBY h {key} {sign}") == overflow
        assert fleet.a(f"{down} {key} {largest}") == bound, "the nearest number that a reply can hold"
        assert fleet.a(f"HINCRBY h {key} {-sign * largest}") == bound
        fleet.sync()
        assert fleet.all(f"GET {key}") == fleet.all(f"HGET h {key}") == str(2 * sign * largest)
        assert fleet.b(f"{down} {key} {largest}") == fleet.b(f"HINCRBY h {key} {-sign * largest}") == sign * largest
        fleet.sync()
        assert fleet.all(f"GET {key}") == fleet.all(f"HGET h {key}") == str(sign * largest)


def test_set_replaces_what_it_saw_and_a_concurrent_increment_stays(fleet: Fleet) -> None:
    fleet.b("INCRBY c 5")
    fleet.sync()
    fleet.a("SET c 100")
    fleet.b("INCR c")
    fleet.sync()
    assert fleet.all("GET c") == "101"


def test_increments_of_a_value_that_was_set_add(fleet: Fleet) -> None:
    fleet.a("SET c 10")
    fleet.sync()
    for site in fleet.sites:
        assert site("INCR c") == 11
    fleet.sync()
    assert fleet.all("GET c") == "13"


def test_delete_is_an_observed_reset(fleet: Fleet) -> None:
    fleet.b("INCRBY c 5")
    fleet.sync()
    fleet.a("DEL c")
    fleet.b("INCR c")
    fleet.sync()
    assert fleet.all("GET c") == "1"


def test_two_resets_take_away_once(fleet: Fleet) -> None:
    fleet.c("INCRBY c 5")
    fleet.sync()
    fleet.a("DEL c")
    fleet.b("DEL c")
    fleet.c("INCRBY c 2")
    fleet.sync()
    assert fleet.all("GET c") == "2"
    assert fleet.a("INCR c") == 3


def test_two_sets_and_an_increment_give_the_later_set_plus_the_increment(fleet: Fleet) -> None:
    fleet.c("INCRBY c 5")
    fleet.sync()
    fleet.b.wall_ms += 1
    fleet.a("SET c 100")
    fleet.b("SET c 200")
    fleet.c("INCR c")
    fleet.sync()
    assert fleet.all("GET c") == "201"


def test_a_value_that_is_no_integer_hides_concurrent_increments(fleet: Fleet) -> None:
    fleet.a("SET c word")
    fleet.b("INCR c")
    fleet.sync()
    assert fleet.all("GET c") == "word"
    assert fleet.b("INCR c") == "ERR value is not an integer or out of range"
    fleet.b("SET c 1")
    fleet.sync()
    assert fleet.all("GET c") == "1"
