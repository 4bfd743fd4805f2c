"""What a session finds: one expiry for all faces, swept or not, in a replica and in its committed view alike."""

from __future__ import annotations

from typing import Any

import pytest

from crdt_core.commands import COMMANDS, CommandError, CommandOptions, Keyspace, Session, read
from crdt_core.errors import TooLarge
from crdt_core.lattice.clocks import Stamp
from crdt_core.replica.committed_view import CommittedView
from crdt_core.types import ORSET
from tests.crdt_core.sites import START_MS, Site

MADE = {
    "string": ("SET string v", "GET string"),
    "counter": ("DELTAIC.COUNTER.ADD counter 5", "DELTAIC.COUNTER.GET counter"),
    "set": ("SADD set x", "DELTAIC.SET.GET set"),
    "flag": ("DELTAIC.FLAG.SET flag 1", "DELTAIC.ENABLED flag"),
    "register": ("DELTAIC.REGISTER.SET register v TIMESTAMP 7", "DELTAIC.REGISTER.GET register"),
    "hash": ("HSET hash f v", "HGET hash f"),
}


@pytest.fixture
def site() -> Site:
    """Everything in it expires in 100 ms."""
    made = Site("n1")
    for key, (write, _) in MADE.items():
        made(write)
        made(f"PEXPIRE {key} 100")
    made.replica.take_changes()
    made.replica.catalogue.in_flight = {}
    return made


def asked(state: Keyspace, line: str, wall_ms: int) -> Any:
    name, *args = line.encode().split()
    return read(state, COMMANDS[name], args, wall_ms, seed=0)


@pytest.mark.parametrize("key", MADE)
def test_a_read_does_not_show_what_has_expired_and_is_not_swept(site: Site, key: str) -> None:
    line = MADE[key][1]
    for state in (site.replica, CommittedView(site.replica.catalogue)):
        assert asked(state, line, START_MS + 99)
        assert not asked(state, line, START_MS + 100)
        assert asked(state, f"DELTAIC.INSPECT {key}", START_MS + 100) is None
        assert len(list(Session(state, START_MS + 99, 0).showing())) == len(MADE)
        assert not list(Session(state, START_MS + 100, 0).showing())


def test_a_write_starts_anew_where_something_has_expired(site: Site) -> None:
    site.wall_ms = START_MS + 100
    assert site("DELTAIC.COUNTER.ADD counter 2") == 2
    assert site("DELTAIC.SET.ADD set y") == 1
    assert site("DELTAIC.SET.GET set")["members"] == ["y"]
    assert site("DELTAIC.SET.REMOVE set x") == 0
    assert site("DEL flag") == 0
    assert site("DELTAIC.REGISTER.SET register old TIMESTAMP 1") == 1
    assert [site(f"TTL {key}") for key in ("counter", "set", "register")] == [-1, -1, -1]


def test_before_its_time_a_write_goes_on_and_keeps_the_deadline(site: Site) -> None:
    site.wall_ms = START_MS + 99
    assert site("DELTAIC.COUNTER.ADD counter 2") == 7
    assert site("PTTL counter") == 1


def test_taking_deletes_what_has_expired_and_the_deadline_of_nothing(site: Site) -> None:
    def take(key: bytes, wall_ms: int) -> bool:
        session = Session.in_turn(site.replica, Stamp(wall_ms, 0), wall_ms)
        return session.take(key) is not None

    assert take(b"counter", START_MS + 99)
    assert not take(b"counter", START_MS + 100)
    head = site.replica.head(b"counter")
    assert head is not None
    assert not any(link.live for link in head.chain())
    site.replica.commit(Stamp(START_MS + 100, 0))
    site("SREM set x")
    head = site.replica.head(b"set")
    assert head is not None
    assert any(link.live for link in head.chain()), "the deadline is still there"
    assert not take(b"set", START_MS)
    assert not any(link.live for link in head.chain())


def test_a_deadline_is_told_with_the_object_that_it_is_about(site: Site) -> None:
    session = Session(site.replica, START_MS, 0)
    assert session.deadline_ms(b"counter") == START_MS + 100
    assert session.deadline_ms(b"nothing") is None
    head = site.replica.head(b"counter")
    assert head is not None
    assert not session.has_expired(head)
    assert Session(site.replica, START_MS + 100, 0).has_expired(head)


def test_keys_of_deltaic_are_refused_and_never_shown(site: Site) -> None:
    site.replica.write(b"deltaic:own", ORSET, b"x", True)
    session = Session(site.replica, START_MS, 0)
    with pytest.raises(CommandError, match="reserved"):
        session.find(b"deltaic:own")
    assert b"deltaic:own" not in {found.key for found in session.showing()}


def test_values_and_replies_over_their_limit_are_refused_with_the_setting(site: Site) -> None:
    session = Session(site.replica, START_MS, 0, CommandOptions(value_bytes_max=100, reply_bytes_max=250))
    session.must_fit(100)
    session.must_fit_reply([b"x" * 100, b"x" * 100, None, b"x" * 50])
    session.must_fit_reply_of(250)
    for refused, setting in (
        (lambda: session.must_fit(101), "limits.value_bytes_max"),
        (lambda: session.must_fit_reply([b"x" * 100, b"x" * 100, b"x" * 51]), "limits.output_bytes_max"),
        (lambda: session.must_fit_reply_of(251), "limits.output_bytes_max"),
    ):
        with pytest.raises(TooLarge) as error:
            refused()
        assert error.value.setting == setting
    with pytest.raises(CommandError, match="proto-max-bulk-len"):
        session.must_fit(2**40)


def test_chance_is_alike_for_a_seed_and_even(site: Site) -> None:
    one, same = (Session(site.replica, START_MS, 7) for _ in range(2))
    drawn = [one.random(10) for _ in range(1000)]
    assert drawn == [same.random(10) for _ in range(1000)]
    assert {drawn.count(number) > 60 for number in range(10)} == {True}
